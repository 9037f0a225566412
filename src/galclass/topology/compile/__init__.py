"""A checked network in, a torch module out; with `galclass.train` the only place that imports torch.

Takes a `Network`; gives a module whose parameters have the language's layouts and whose kernels are torch's fast ones.
Writes nothing.
"""

from galclass.topology.compile.initialise import initialise
from galclass.topology.compile.module import NetworkModule, compile_network

__all__ = ["NetworkModule", "compile_network", "initialise"]

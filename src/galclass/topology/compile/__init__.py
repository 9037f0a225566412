"""A checked network in, a torch module out; with `galclass.train` the only place that imports torch.

Takes a `Network`, returns a module with parameters in the language's layouts that runs on torch's fast kernels; writes
nothing.
"""

from galclass.topology.compile.initialise import initialise
from galclass.topology.compile.module import NetworkModule, compile_network

__all__ = ["NetworkModule", "compile_network", "initialise"]

"""Services over code: a function with typed inputs and outputs becomes a versioned service.

Takes an import path, returns what identifies the code (files, requirements, models) and runs it in separate processes,
which are killed at the deadline. Only code published from this machine's workspace is run.
"""

from galclass.service.functions.inputs import Image

__all__ = ["Image"]

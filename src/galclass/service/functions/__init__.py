"""Services over code: a function with typed inputs and outputs becomes a versioned service.

Takes an import path, returns what identifies the code (files, requirements, models) and runs it in processes of its
own, which are killed at the deadline. Only code that was published from this machine's own workspace is run.
"""

from galclass.service.functions.inputs import Image

__all__ = ["Image"]

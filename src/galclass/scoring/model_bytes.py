"""The bytes of a model: as passed, from a file, or of the packaged one."""

from __future__ import annotations

import os
from pathlib import Path

from galclass.errors import ModelError
from galclass.scoring.graph import MAX_MODEL_BYTES, too_large
from galclass.scoring.shipped import shipped_model


def read_model(model: bytes | Path | str | None) -> tuple[bytes, str]:
    """Return a model's bytes and its name in errors.

    Raises
    ------
    ModelError
        If the file cannot be read or is too large for a model.
    """
    if model is None:
        return shipped_model(), "the model in the package"
    if isinstance(model, (bytes, bytearray, memoryview)):
        return bytes(model), "model"
    path = Path(model)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_MODEL_BYTES:
                raise too_large(size, str(path))
            return file.read(MAX_MODEL_BYTES + 1), str(path)
    except OSError as error:
        raise ModelError("it cannot be read", where=str(path), got=error.strerror) from error

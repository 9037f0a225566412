"""What is compared of two images: their embeddings, as directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def directions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale embeddings to length 1, (n, d)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit

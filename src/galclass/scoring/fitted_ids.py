"""Which objects a model was fitted to: hashes of their ids in its signature, to compare any table of labels with.

The hashes say of an object id whether it is among them; the ids themselves cannot be read from a model file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

FITTED_IDS = "fitted_ids"
"""Key of the signature's `trained`."""

MAX_RECORDED = 50_000
"""Most hashes that a model keeps, the smallest ones: those of a random sample of all ids."""

_DIGITS = 8


def fitted_ids(object_ids: Iterable[str]) -> dict[str, Any]:
    """Return what a signature keeps of the ids that a model is fitted to: their number, and their sorted hashes."""
    hashes = sorted({_hash(one) for one in object_ids})
    return {"count": len(hashes), "sha256_32": "".join(hashes[:MAX_RECORDED])}


def ids_sha256(object_ids: Iterable[str]) -> str:
    """Return the sha256 of object ids, sorted, one per line; a signature keeps that of each split."""
    return hashlib.sha256("\n".join(sorted(object_ids)).encode()).hexdigest()


def fitted_of_test_split(trained: Mapping[str, Any], object_ids: Iterable[str]) -> set[str]:
    """Return the objects of a test split that a model may have been fitted to, as the folder was split again since.

    Empty if this is the test split of the model's training, or if the model does not keep its ids.
    """
    ids = list(object_ids)
    if (trained.get("split_ids_sha256") or {}).get("test") == ids_sha256(ids):
        return set()
    fitted, unknown = split_fitted(trained, ids) or (set(), set())
    return fitted | unknown if fitted else set()


def split_fitted(trained: Mapping[str, Any], object_ids: Iterable[str]) -> tuple[set[str], set[str]] | None:
    """Tell objects that a model was fitted to from others.

    Parameters
    ----------
    trained : mapping
        From the model's signature.
    object_ids : iterable of str

    Returns
    -------
    set of str
        Objects that it was fitted to.
    set of str
        Objects of which this is not known, as the model keeps the hashes of a sample alone.
    None
        If the model keeps none.
    """
    kept = trained.get(FITTED_IDS)
    if not isinstance(kept, Mapping) or not isinstance(text := kept.get("sha256_32"), str):
        return None
    hashes = {text[at : at + _DIGITS] for at in range(0, len(text), _DIGITS)}
    complete = kept.get("count") == len(hashes)
    largest = max(hashes, default="")
    fitted, unknown = set(), set()
    for one in object_ids:
        own = _hash(one)
        if own in hashes:
            fitted.add(one)
        elif own > largest and not complete:
            unknown.add(one)
    return fitted, unknown


def without_hashes(signature: Mapping[str, Any]) -> dict[str, Any]:
    """Return a signature as people are shown it: the number of ids that the model was fitted to, without hashes."""
    trained = dict(signature["trained"])
    if isinstance(kept := trained.get(FITTED_IDS), Mapping):
        trained[FITTED_IDS] = {"count": kept.get("count")}
    return {**signature, "trained": trained}


def _hash(object_id: str) -> str:
    return hashlib.sha256(object_id.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]

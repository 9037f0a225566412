"""Which objects a model was fitted to: hashes of their ids in its signature, to compare any table of labels with.

The hashes say of an object id whether it is among them; the ids themselves cannot be read from a model file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from galclass.scoring.shipped import shipped_fitted_ids

FITTED_IDS = "fitted_ids"
"""Key of the signature's `trained`."""

MAX_RECORDED = 200_000
"""Most hashes that a model keeps (1.6 MB), the smallest ones: those of a random sample of all ids."""

BASE = "base"
"""Key of the record: whether it includes what the network was trained on before, if that was another model's."""

OWN = "own"
"""Key of a record that includes the base's ids: what `fitted_ids` returned of the model's own."""

INCLUDED, NOT_RECORDED = "included", "not recorded"

_DIGITS = 8

_CHANCE = 0.01
"""Share of fitted objects up to which those that are not known are taken as unfitted: equal hashes are rarer."""


def fitted_ids(object_ids: Iterable[str]) -> dict[str, Any]:
    """Return what a signature keeps of the ids that a model is fitted to: their number, and their sorted hashes."""
    hashes = sorted({_hash(one) for one in object_ids})
    return {"count": len(hashes), "sha256_32": "".join(hashes[:MAX_RECORDED])}


def ids_sha256(object_ids: Iterable[str]) -> str:
    """Return the sha256 of object ids, sorted, one per line; a signature keeps that of each split."""
    return hashlib.sha256("\n".join(sorted(object_ids)).encode()).hexdigest()


def fitted_of_test_split(trained: Mapping[str, Any], object_ids: Iterable[str]) -> set[str]:
    """Return the objects of a test split that a model may have been fitted to, as the folder was split again since.

    Empty if this is the test split of the model's training, or if the model does not keep its ids. What its base was
    fitted to does not count: a new split changes nothing about it. Of a model that keeps a sample of its ids, objects
    that are not known count if more than one, and more than 1 %, of the others were fitted to.
    """
    ids = list(object_ids)
    if (trained.get("split_ids_sha256") or {}).get("test") == ids_sha256(ids):
        return set()
    fitted, unknown = split_fitted(_own(trained), ids) or (set(), set())
    split_again = len(fitted) > max(1, _CHANCE * (len(ids) - len(unknown)))
    return fitted | unknown if split_again else fitted


def _own(trained: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `trained` with the record of the model's own ids; of all, where these are not kept apart."""
    kept = trained.get(FITTED_IDS)
    return {FITTED_IDS: kept.get(OWN, kept)} if isinstance(kept, Mapping) else {}


def recorded(trained: Mapping[str, Any], sha256: str) -> Mapping[str, Any]:
    """Return `trained` of a model's signature; for a model that was packaged, with the ids kept beside it."""
    kept = shipped_fitted_ids().get(sha256)
    return trained if kept is None else {**trained, FITTED_IDS: kept}


def with_base(own: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a model that was made from another: of the ids that either was fitted to.

    Parameters
    ----------
    own : mapping
        From `fitted_ids`.
    base : mapping
        `recorded` of the other model; if that keeps no ids, the record says so.
    """
    first, second = _hashes({FITTED_IDS: own}), _hashes(base)
    if first is None or second is None:
        return {**own, BASE: NOT_RECORDED}
    known, before = first[0] | second[0], base[FITTED_IDS]
    largest = min((max(hashes) for hashes, complete in (first, second) if hashes and not complete), default="g")
    kept = sorted(one for one in known if one <= largest)[:MAX_RECORDED]
    merged = {
        "count": own["count"] + before["count"] - len(first[0] & second[0]),
        "sha256_32": "".join(kept),
        BASE: NOT_RECORDED if base_unknown(base) else INCLUDED,
        OWN: dict(own),
    }
    return merged | ({"remark": before["remark"]} if "remark" in before else {})


def base_unknown(trained: Mapping[str, Any]) -> bool:
    """Return whether a model was made from another of which it is not recorded what that was fitted to."""
    kept = trained.get(FITTED_IDS)
    if not isinstance(kept, Mapping):
        return False
    return bool(kept.get(BASE, NOT_RECORDED if "base_sha256" in trained else INCLUDED) != INCLUDED)


def remark_of(trained: Mapping[str, Any]) -> str:
    """Return what a record says about ids that it cannot recognise; empty if it says nothing."""
    kept = trained.get(FITTED_IDS)
    found = kept.get("remark") if isinstance(kept, Mapping) else None
    return found if isinstance(found, str) else ""


def split_fitted(trained: Mapping[str, Any], object_ids: Iterable[str]) -> tuple[set[str], set[str]] | None:
    """Tell objects that a model was fitted to from others.

    Parameters
    ----------
    trained : mapping
        `recorded` of the model.
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
    found = _hashes(trained)
    if found is None:
        return None
    hashes, complete = found
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


def _hashes(trained: Mapping[str, Any]) -> tuple[set[str], bool] | None:
    """Return the hashes that a model keeps, and whether these are all; None if it keeps none."""
    kept = trained.get(FITTED_IDS)
    if not isinstance(kept, Mapping) or not isinstance(text := kept.get("sha256_32"), str):
        return None
    if not isinstance(count := kept.get("count"), int):
        return None
    hashes = {text[at : at + _DIGITS] for at in range(0, len(text), _DIGITS)}
    return hashes, count == len(hashes)


def _hash(object_id: str) -> str:
    return hashlib.sha256(object_id.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]

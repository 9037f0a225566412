"""Whether a new version of a model becomes `production`, and registration by that rule (decision 25)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from galclass.database import Database, ModelInfo, Registry
from galclass.database.model_figures import HELD_OUT
from galclass.database.models import ModelRecord
from galclass.database.references import PRODUCTION, Reference
from galclass.errors import GalclassError
from galclass.scoring.fitted_ids import base_unknown, split_fitted
from galclass.tuning.measure import Difference, difference

FEWEST_HELD_OUT = 30
"""Fewest held-out objects on which two versions are compared."""

WORST = -0.02
"""Smallest accepted lower bound of the difference in accuracy."""

MAX_HASHES = 2_000
_DIGITS = 12

Compare = Callable[[ModelRecord], tuple[Mapping[str, bool], Mapping[str, bool]] | str]
"""Takes the version in production; returns the objects each of the two is right on, or why they are not compared."""


@dataclass(frozen=True)
class Decision:
    """Whether a version becomes production, and why."""

    promoted: bool
    reason: str


@dataclass(frozen=True)
class Registered:
    """A registered version, and the outcome for the alias `production`."""

    model: ModelInfo
    new: bool
    decision: Decision | None

    def __str__(self) -> str:
        done = "registered" if self.new else "is already registered"
        aliases = f", {', '.join(self.model.aliases)}" if self.model.aliases else ""
        line = f"register: {self.model.model} {done} (sha256 {self.model.sha256[:12]}{aliases})"
        return f"{line}\n{self.remark}" if self.remark else line

    @property
    def remark(self) -> str:
        """Why it is not production and how to make it so; empty if it is."""
        if self.decision is None or self.decision.promoted:
            return ""
        name, version = self.model.name, self.model.version
        how = f"`galclass models alias {name} {PRODUCTION} {version}`, or run the command with --promote"
        return f"not promoted: {self.decision.reason}; {name}@{PRODUCTION} is unchanged. To promote it: {how}"


def hashes_of(object_ids: Iterable[str]) -> list[int]:
    """Return the smallest hashes of object ids, in order: those that two versions share were held out by both."""
    hashes = sorted({int(hashlib.sha256(one.encode()).hexdigest()[:_DIGITS], 16) for one in object_ids})
    return hashes[:MAX_HASHES]


def unseen_by(
    metrics: Mapping[str, Any], object_ids: Iterable[str], trained: Mapping[str, Any] = MappingProxyType({})
) -> list[str]:
    """Return the objects that a version was not fitted to.

    Parameters
    ----------
    metrics : mapping
        The version's; may list objects held out from its fit.
    object_ids : iterable of str
    trained : mapping
        `galclass.scoring.fitted_ids.recorded` of the version: what it or its base model was fitted to is left out. If
        the metrics list nothing, this alone decides, provided that it is complete.
    """
    ids = list(object_ids)
    found = split_fitted(trained, ids)
    left = [one for one in ids if found is None or one not in found[0] | found[1]]
    known = metrics.get(HELD_OUT)
    if HELD_OUT not in metrics and found is not None and not base_unknown(trained):
        return left
    kept = set(known) if isinstance(known, list) else set()
    return [one for one in left if kept.intersection(hashes_of([one]))]


def register(
    database: Database,
    value: bytes,
    *,
    name: str,
    classes: Sequence[str],
    compare: Compare,
    aliases: Sequence[str] | None = None,
    promote: bool = False,
    metrics: Mapping[str, Any] | None = None,
    card: str = "",
) -> Registered:
    """Register a version; it becomes production by itself if it is the first one or measurably no worse.

    Parameters
    ----------
    database : Database
    value : bytes
        The model.
    name : str
    classes : sequence of str
        The model's.
    compare : callable
        Called only if there is a version in production with the same classes.
    aliases : sequence of str, optional
        Explicit ones, which move whatever is measured; by default the rule decides on `production`.
    promote : bool
        Move `production` whatever is measured.
    metrics, card
        Kept with it.

    Raises
    ------
    ModelError, RegistryError
        As `Registry.register`.
    """
    registry = Registry(database)
    before = {info.version for info in registry.list(name)}
    decision = None
    if aliases is None:
        same = hashlib.sha256(value).hexdigest()
        decision = Decision(True, "--promote") if promote else _decide(registry, name, classes, same, compare)
        aliases = (PRODUCTION,) if decision.promoted else ()
    elif promote:
        aliases = tuple(dict.fromkeys((*aliases, PRODUCTION)))
    info = registry.register(value, name=name, aliases=aliases, metrics=metrics, card=card)
    return Registered(info, info.version not in before, decision)


def _decide(registry: Registry, name: str, classes: Sequence[str], sha256: str, compare: Compare) -> Decision:
    if registry.points_at(name, PRODUCTION) is None:
        return Decision(True, "it is the first version")
    info = registry.resolve(Reference(name, alias=PRODUCTION))
    if info.sha256 == sha256:
        return Decision(True, "it is already production")
    try:
        old = registry.get(Reference(name, version=info.version))
    except GalclassError as error:
        return Decision(False, f"{info.model} cannot be read ({error.what})")
    if old.signature is None or set(old.signature.classes) != set(classes):
        return Decision(False, f"its classes are not those of {info.model}, so the two are not compared")
    found = compare(old)
    if isinstance(found, str):
        return Decision(False, found)
    new_right, old_right = found
    common = len(set(new_right) & set(old_right))
    if common < FEWEST_HELD_OUT:
        what = f"only {common} held-out objects are known that neither it nor {info.model} was fitted to"
        return Decision(False, f"{what} ({FEWEST_HELD_OUT} needed)")
    return by_difference(difference(new_right, old_right), str(info.model))


def by_difference(found: Difference, old: str) -> Decision:
    """Decide by the paired difference in accuracy on objects that neither version was fitted to."""
    good = found.low > WORST and found.mean > 0
    return Decision(
        good, f"its accuracy minus that of {old} is {found}; it must be above 0, its interval above {WORST}"
    )

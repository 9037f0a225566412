"""Which labels can be names of classes, and what is wrong with one that cannot."""

from __future__ import annotations

from collections.abc import Sequence

from galclass.errors import TrainingError
from galclass.scoring.checks import Checker
from galclass.scoring.labels import MAX_CLASSES, MAX_LABEL, read_classes

_NOT_ALLOWED = '|"\\'


def check_class_names(names: Sequence[str]) -> None:
    """Refuse labels that cannot be names of classes.

    Parameters
    ----------
    names : sequence of str
        Different labels.

    Raises
    ------
    TrainingError
        That names the first such label, or two that differ in nothing but case.
    """
    check = Checker()
    read_classes(list(names), check)
    if check.faults:
        raise TrainingError("the labels are not class names", **_fault(names))


def _fault(names: Sequence[str]) -> dict[str, str]:
    if len(names) > MAX_CLASSES:
        advice = "name the column of labels with --label-column; numbers are measured, not classified"
        return {"expected": f"at most {MAX_CLASSES} different labels", "got": f"{len(names):,}", "advice": advice}
    folded: dict[str, str] = {}
    for name in names:
        if any(sign in _NOT_ALLOWED or not sign.isprintable() for sign in name):
            return {"expected": f"printable characters without {' '.join(_NOT_ALLOWED)}", "got": repr(name)}
        if len(name) > MAX_LABEL:
            return {"expected": f"at most {MAX_LABEL} characters", "got": repr(name)}
        twin = folded.setdefault(name.casefold(), name)
        if twin is not name:
            advice = "use one spelling if they mean the same, else names that differ in more than case"
            return {
                "expected": "names that differ in lower case too",
                "got": f"{twin!r} and {name!r}",
                "advice": advice,
            }
    return {"expected": "other names than 'class' and 'group'", "got": ", ".join(map(repr, names))[:200]}

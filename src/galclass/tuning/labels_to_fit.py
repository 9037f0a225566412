"""The labels of a catalog that become classes of a model's own: which are wanted, and whether they will do."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from galclass.catalog.columns import plain_label
from galclass.config import PrepareConfig
from galclass.errors import MorphologyError, TrainingError
from galclass.morphology import CLASSES, leaves_of
from galclass.scoring.class_names import check_class_names
from galclass.scoring.heads import check_counts
from galclass.tuning.labelled import Labelled, Reject, read_labelled


def read_labels_to_fit(
    catalog: Path, images: Sequence[Path | str], config: PrepareConfig, classes: Sequence[str] | None
) -> Labelled:
    """Read the labels of a catalog and keep those to fit.

    Parameters
    ----------
    catalog : Path
    images : sequence of path
    config : PrepareConfig
        The columns of the catalog.
    classes : sequence of str or None
        The labels to fit; None: all.

    Raises
    ------
    CatalogError
        If no image has a label.
    TrainingError
        If the labels cannot be classes, or are too few.
    """
    labelled = _chosen(read_labelled(catalog, images, config), classes)
    _check_blanks(catalog, labelled)
    _check_labels(catalog, {label: labelled.counts[label] for label in classes or labelled.counts})
    return labelled


def _chosen(labelled: Labelled, classes: Sequence[str] | None) -> Labelled:
    """Leave out labels that are not wanted, and write labels of Galaxy Zoo's classes as those."""
    images, rejects = labelled.images, list(labelled.rejects)
    if classes is not None:
        names = _check_known(classes, labelled)
        rejects += [
            Reject(one.object_id, "other_class", f"{one.label!r} is not among the classes to fit")
            for one in images
            if one.label not in names
        ]
        images = [replace(one, label=names[one.label]) for one in images if one.label in names]
    elif all(len(_leaves(label)) == 1 for label in labelled.counts):
        images = [replace(one, label=_leaves(one.label)[0]) for one in images]
    return replace(labelled, images=images, rejects=rejects)


def _check_known(classes: Sequence[str], labelled: Labelled) -> dict[str, str]:
    """Refuse classes that are the label of no image; return the class of each label: TRUE is the class of True."""
    names = {}
    for name in classes:
        label = name if name in labelled.counts else plain_label(name)
        if label not in labelled.counts:
            near = difflib.get_close_matches(name, labelled.counts, n=1)
            raise TrainingError(
                f"no image is labelled {name!r}",
                where="--classes",
                expected=", ".join(list(labelled.counts)[:12]),
                advice=f"perhaps {near[0]!r} was meant" if near else None,
            )
        names[label] = name
    return names


def _check_blanks(catalog: Path, labelled: Labelled) -> None:
    """Explain a single class where the other was written as a missing value."""
    blank = sum(one.code == "no_label" for one in labelled.rejects)
    if blank and len(labelled.counts) < 2:
        raise TrainingError(
            "the labels name fewer than two classes",
            where=str(catalog),
            got=f"{', '.join(map(repr, labelled.counts)) or 'no label'} and {blank:,} rows without a label",
            advice="an empty cell, none, null, na and nan mean that there is no label; write no_ring or the like",
        )


def _check_labels(catalog: Path, counts: Mapping[str, int]) -> None:
    """Refuse labels that cannot be classes, or are too few, before an image is read."""
    try:
        if len(counts) > 1:
            check_class_names(sorted(counts))
        check_counts(counts)
    except TrainingError as error:
        raise TrainingError(
            error.what, where=str(catalog), expected=error.expected, got=error.got, advice=error.advice
        ) from error


def _leaves(label: str) -> tuple[str, ...]:
    try:
        return leaves_of(label)
    except MorphologyError:
        return ()


def order_of(labels: Sequence[str]) -> tuple[str, ...]:
    """Return Galaxy Zoo's classes in their order, then others sorted."""
    known = set(labels)
    return (*(leaf for leaf in CLASSES if leaf in known), *sorted(known - set(CLASSES)))

"""Fit a head of own classes to a catalog's labels, measure it, write it as a model and register it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galclass.atomic_files import write_bytes
from galclass.config import Config
from galclass.cutouts import DecodeLimits
from galclass.database import open_database
from galclass.database.model_figures import HELD_OUT
from galclass.database.models import ModelRecord
from galclass.errors import TrainingError
from galclass.extras import require
from galclass.scoring.fitted_ids import FITTED_IDS, fitted_ids, recorded, split_fitted, with_base
from galclass.scoring.head_model import head_model
from galclass.scoring.heads import FEWEST_TO_ESTIMATE, Head, Share, check_counts, fit_head
from galclass.scoring.prediction import Prediction
from galclass.scoring.scorer import Scorer
from galclass.tuning.labelled import (
    HELD_OUT_SHARE,
    Labelled,
    LabelledImage,
    Reject,
    held_out,
    score_labelled,
    write_rejects,
)
from galclass.tuning.labels_to_fit import order_of, read_labels_to_fit
from galclass.tuning.layers import Layers, TunedHead, check_layers, tuned_head
from galclass.tuning.promotion import Registered, hashes_of, register, unseen_by

WORTH_HOLDING_OUT = 200
"""From this many labelled images on, a share is held out; fewer are all fitted, and the accuracy is cross-validated."""


@dataclass(frozen=True)
class FinetuneSummary:
    """The fitted model and its files.

    Attributes
    ----------
    head : Head
    measured : Share or None
        Accuracy on the held-out objects; None if none were held out.
    registered : Registered
    path : Path
        The model file.
    rejects : tuple of Reject
    rejects_file : Path or None
    unused : int
        Image files without a label.
    tuned : TunedHead or None
        Present if layers of the network were fine-tuned, too.
    remarks : tuple of str
        On the catalog.
    known : int
        Labelled objects that the base model was fitted to; all of them are fitted, none is held out.
    """

    head: Head
    measured: Share | None
    registered: Registered
    path: Path
    rejects: tuple[Reject, ...] = ()
    rejects_file: Path | None = None
    unused: int = 0
    tuned: TunedHead | None = None
    remarks: tuple[str, ...] = ()
    known: int = 0

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {name}" for name, count in self.head.counts.items())
        lines = [f"finetune: fitted to {sum(self.head.counts.values()):,} labelled images ({counts})"]
        lines += [f"  {self.tuned}"] if self.tuned is not None else []
        lines.append(f"  {self.head.estimate}")
        found = self.head.estimate.recall.items()
        lines += ["  found of each class: " + ", ".join(f"{name} {share}" for name, share in found)] if found else []
        if self.measured is not None:
            lines.append(f"  accuracy {self.measured} (95 %, on held-out objects)")
        if self.known:
            lines.append(
                f"  the base model was fitted to {self.known:,} of them, so cross-validation may promise too much"
            )
        lines += [f"  {limit}" for limit in self.head.limits()]
        lines += [f"  catalog: {remark}" for remark in self.remarks]
        if self.unused:
            lines.append(f"  {self.unused:,} images have no label and were not used")
        if self.rejects:
            lines.append(f"  {len(self.rejects):,} rows rejected: {self.rejects_file}")
        return "\n".join([*lines, f"  written to {self.path}", str(self.registered)])


def finetune(
    config: Config,
    catalog: Path,
    images: Sequence[Path | str],
    scorer: Scorer,
    *,
    name: str,
    classes: Sequence[str] | None = None,
    layers: Layers = "head",
    frame_px: int | None = None,
    promote: bool = False,
    advance: Callable[[int, int], None] = lambda count, total: None,
    advance_epochs: Callable[[int, int], None] = lambda count, total: None,
) -> FinetuneSummary:
    """Fit own classes on a model's embeddings, and fine-tune its network on request.

    Parameters
    ----------
    config : Config
        Where to write and register, and the columns of the catalog.
    catalog : Path
        Object ids or files, and labels of any names.
    images : sequence of path
    scorer : Scorer
        The model whose network is used.
    name : str
        Under which it is registered.
    classes : sequence of str, optional
        Labels to fit, in this order; rows of others are left out. By default all labels.
    layers : "head", "last" or "all"
        What is fitted: a head alone, the last layers or all of them too.
    frame_px : int, optional
        Side of the survey's frame.
    promote : bool
        Move `production` whatever is measured.
    advance : callable
        Called with the images embedded so far and their total.
    advance_epochs : callable
        Called with the epochs of fine-tuning done so far and their largest number.

    Raises
    ------
    CatalogError
        If no image has a label.
    TrainingError
        If there are too few classes or labels; raised before an image is read.
    ExtraError
        If the package onnx is not installed; with layers "last" or "all", torch.
    """
    require("finetune", what="`galclass finetune`")
    check_layers(layers)
    labelled = read_labels_to_fit(catalog, images, config.prepare, classes)
    embedded, faulty = _embedded(scorer, labelled, frame_px, advance)
    rejects = (*labelled.rejects, *faulty)
    base = recorded(scorer.signature.trained, scorer.sha256)
    known = set[str]().union(*(split_fitted(base, [one.object_id for one, _ in embedded]) or ()))
    fitted, kept = _split(embedded, known)
    order = tuple(classes) if classes else order_of([one.label for one, _ in fitted])
    head, tuned = _fitted(config, scorer, fitted, order, layers, frame_px, advance_epochs)
    ids = with_base(fitted_ids(one.object_id for one, _ in fitted), base)
    about = {"catalog": catalog.name, "seed": config.seed, "held_out": len(kept), FITTED_IDS: ids}
    value = _model(scorer, head, tuned, about)
    folder = config.workspace_path / "finetune" / name
    rejects_file = _write(folder, value, rejects)
    right = _right(head, kept) if tuned is None else _right_of(Scorer(value, limits=scorer.limits), kept, frame_px)
    measured = Share.of(sum(right.values()), len(right)) if right else None
    with open_database(config.database_url, migrate=True) as database:
        registered = register(
            database,
            value,
            name=name,
            classes=head.classes,
            compare=lambda old: (
                _compared(old, scorer.limits, kept, right, frame_px) if kept else _none_kept(head, known)
            ),
            promote=promote,
            metrics=_metrics(head, measured, kept),
            card=_card(name, catalog, scorer, head, measured),
        )
    return FinetuneSummary(
        head,
        measured,
        registered,
        folder / "model.onnx",
        rejects,
        rejects_file,
        labelled.unused,
        tuned,
        labelled.remarks,
        len(known),
    )


_Embedded = list[tuple[LabelledImage, NDArray[np.float32]]]


def _embedded(
    scorer: Scorer, labelled: Labelled, frame_px: int | None, advance: Callable[[int, int], None]
) -> tuple[_Embedded, list[Reject]]:
    """Embed the labelled images; an image that has a fault is a reject."""
    total = len(labelled.images)
    embedded, rejects = [], []
    for one, prediction in score_labelled(
        scorer, labelled.images, frame_px=frame_px, advance=lambda count: advance(count, total)
    ):
        if prediction.error is None and prediction.embedding is not None:
            embedded.append((one, prediction.embedding))
        elif prediction.error is not None:
            rejects.append(Reject(one.object_id, prediction.error.code, f"{one.image}: {prediction.error.message}"))
    return embedded, rejects


def _fitted(
    config: Config,
    scorer: Scorer,
    fitted: _Embedded,
    order: tuple[str, ...],
    layers: Layers,
    frame_px: int | None,
    advance: Callable[[int, int], None],
) -> tuple[Head, TunedHead | None]:
    """Fit a head, or more layers; a network that does not improve is left unchanged."""
    images = [one for one, _ in fitted]
    tuned = None
    if layers != "head":
        labels = [one.label for one in images]
        check_counts({name: labels.count(name) for name in order})
        tuned = tuned_head(
            scorer, images, order, layers=layers, frame_px=frame_px, seed=config.seed, threads=config.train.threads,
            advance=advance,
        )  # fmt: skip
        if tuned.epochs:
            return tuned.head, tuned
    head = fit_head(_stack(fitted), [one.label for one in images], order, seed=config.seed)
    return head, None if tuned is None else replace(tuned, base=scorer.value, head=head)


def _model(scorer: Scorer, head: Head, tuned: TunedHead | None, trained: dict[str, Any]) -> bytes:
    """Write a head and its network as a model; what it was trained on goes into its signature."""
    trained = {**trained, "base": str(scorer.model), "base_sha256": scorer.sha256}
    if tuned is not None:
        trained |= {"layers": tuned.layers, "epochs": tuned.epochs}
    base = scorer.value if tuned is None else tuned.base
    return head_model(base, head, name=str(scorer.model), trained=trained)


def _split(scored: _Embedded, known: set[str]) -> tuple[_Embedded, _Embedded]:
    """Hold out a share of the objects, if there are enough of them and each class keeps enough labels.

    Objects known to the base model are never held out.
    """
    if len(scored) < WORTH_HOLDING_OUT:
        return scored, []
    kept = [one.object_id not in known and held_out(one.object_id, HELD_OUT_SHARE) for one, _ in scored]
    fitted = [pair for pair, apart in zip(scored, kept, strict=True) if not apart]
    counts = {one.label: 0 for one, _ in scored}
    for one, _ in fitted:
        counts[one.label] += 1
    if min(counts.values()) < FEWEST_TO_ESTIMATE:
        return scored, []
    return fitted, [pair for pair, apart in zip(scored, kept, strict=True) if apart]


def _stack(embedded: _Embedded) -> NDArray[np.float32]:
    if not embedded:
        raise TrainingError("no labelled image could be read", advice="see the rejects of `galclass predict`")
    return np.stack([embedding for _, embedding in embedded])


def _right(head: Head, kept: _Embedded) -> dict[str, bool]:
    if not kept:
        return {}
    predicted = head.predict(_stack(kept))
    return {one.object_id: name == one.label for (one, _), name in zip(kept, predicted, strict=True)}


def _right_of(scorer: Scorer, kept: _Embedded, frame_px: int | None) -> dict[str, bool]:
    """Predict held-out objects with a model that has other embeddings."""
    found = score_labelled(scorer, [one for one, _ in kept], frame_px=frame_px)
    return {one.object_id: prediction.predicted_class == one.label for one, prediction in found}


def _none_kept(head: Head, known: set[str]) -> str:
    """Return why no object was kept apart."""
    if sum(head.counts.values()) < WORTH_HOLDING_OUT:
        return f"none of fewer than {WORTH_HOLDING_OUT} labelled images is held out, so the two are not compared"
    if known:
        return (
            f"no image is held out, as the base model was fitted to {len(known):,} of them, so the two are not compared"
        )
    rarest = min(head.counts, key=lambda name: head.counts[name])
    return (
        f"no image is held out, as too few of the {head.counts[rarest]} labels of {rarest!r} would be left to fit, so "
        "the two are not compared"
    )


def _compared(
    old: ModelRecord, limits: DecodeLimits, kept: _Embedded, right: dict[str, bool], frame_px: int | None
) -> tuple[dict[str, bool], dict[str, bool]]:
    trained = recorded(old.signature.trained, old.sha256) if old.signature else {}
    unseen = set(unseen_by(old.metrics, right, trained))
    images = [one for one, _ in kept if one.object_id in unseen]
    found: dict[str, bool] = {}
    predictions: list[tuple[LabelledImage, Prediction]] = list(
        score_labelled(old.scorer(limits=limits), images, frame_px=frame_px) if images else ()
    )
    for one, prediction in predictions:
        found[one.object_id] = prediction.predicted_class == one.label
    return {key: right[key] for key in found}, found


def _metrics(head: Head, measured: Share | None, kept: _Embedded) -> dict[str, Any]:
    share = measured or head.estimate.accuracy
    count = len(kept) if measured else head.estimate.objects
    found: dict[str, Any] = {HELD_OUT: hashes_of(one.object_id for one, _ in kept)}
    if share is not None:
        title = "own classes, held out" if measured else "own classes, cross-validated"
        accuracy = [round(value, 6) for value in (share.value, share.low, share.high)]
        found["tables"] = {title: {"count": count, "names": list(head.classes), "accuracy": accuracy}}
    return found


def _card(name: str, catalog: Path, scorer: Scorer, head: Head, measured: Share | None) -> str:
    counts = "\n".join(f"- {label}: {count:,} labelled images" for label, count in head.counts.items())
    lines = [
        f"# {name}",
        f"A head of own classes on the network of {scorer.model}, fitted to `{catalog.name}`.",
        counts,
    ]
    lines.append(f"Cross-validation: {head.estimate}.")
    if measured is not None:
        lines.append(f"On held-out objects: accuracy {measured} (95 %).")
    return "\n\n".join([*lines, *(f"It has {limit}." for limit in head.limits())]) + "\n"


def _write(folder: Path, value: bytes, rejects: Sequence[Reject]) -> Path | None:
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / "model.onnx", value)
    path = folder / "rejects.csv"
    if not rejects:
        path.unlink(missing_ok=True)
        return None
    write_rejects(rejects, path)
    return path

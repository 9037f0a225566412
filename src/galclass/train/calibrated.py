"""From the best weights to a calibrated model with its signature.

Takes a finished `Trainer`; returns the export module and the signature.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galclass import __version__
from galclass.catalog.raw_counts import VOTERS
from galclass.config import Config, config_to_dict
from galclass.morphology import CLASSES, QUESTIONS
from galclass.scoring.fit_confidence import fit_conformal, fit_unlike
from galclass.scoring.fitted_ids import FITTED_IDS, fitted_ids, with_base
from galclass.scoring.signature import Signature
from galclass.scoring.signature_parts import Conformal, Unlike
from galclass.train.calibrate import VoteAnswers, fit_observation, fit_temperature, vote_concentrations
from galclass.train.dataset import TrainingData, vote_reach
from galclass.train.export import ExportModule
from galclass.train.inference import network_outputs, softmax
from galclass.train.losses import Observation, question_columns
from galclass.train.networks import VOTE_COLUMNS
from galclass.train.raw_votes import leaves_by_votes
from galclass.train.starting import recorded_start
from galclass.train.trainer import Trainer

_ALARM_ROWS = 4096
"""Training rows whose embeddings define the out-of-distribution flag."""

_ALARM_TRAINED = 100
"""Fewest training galaxies for which its leading components are meaningful."""

_FALSE_ALARM = 0.01
"""Share of ordinary galaxies that the flag may mark."""

_LEAST_ROWS = 50
"""With fewer held-out rows there are no prediction sets: the quantile would depend on a few rows."""


def calibrated_model(trainer: Trainer, config: Config) -> tuple[ExportModule, Signature]:
    """Calibrate the best weights on the validation split and describe them.

    Returns
    -------
    ExportModule, Signature
        The whole graph, and what is needed to run it correctly (without the probe, which the export adds).
    """
    if config.train.type == "votes":
        return _calibrated_votes_model(trainer, config)
    data, rows = trainer.data, trainer.validation
    logits, votes, embedding = network_outputs(trainer.best, data, rows, trainer)
    temperature = fit_temperature(logits, trainer.leaves[rows])
    module = ExportModule(trainer.best, trainer.scale, temperature, _concentrations(data, rows, votes))
    signature = Signature(
        **_described_network(trainer, module),
        calibration={
            "method": "temperature",
            "temperature": temperature,
            "fitted_on": "validation",
            "objects": len(rows),
            "set_objects": int(fine_rows(data, rows).sum()),
        },
        conformal=_conformal(data, rows, softmax(logits / temperature)),
        unlike=_unlike(trainer, embedding),
        trained=_provenance(trainer, config, temperature),
    )
    return module, signature


def _calibrated_votes_model(trainer: Trainer, config: Config) -> tuple[ExportModule, Signature]:
    """Describe a network of raw votes, whose probabilities and concentrations were fitted by its likelihood.

    The spread of the debiased fractions, prediction sets and the out-of-distribution flag are calibrated on the
    validation split.
    """
    data, rows = trainer.data, trainer.validation
    logits, votes, embedding = network_outputs(trainer.best, data, rows, trainer)
    concentration: tuple[float, ...] = ()
    if trainer.best.votes is not None:
        debiased = data.has_votes[rows]
        known = rows[debiased]
        concentration = _concentrations(data, known, votes[debiased]) if len(known) else (1.0,) * len(QUESTIONS)
    conformal, set_objects = fit_vote_sets(data, rows, softmax(logits))
    module = ExportModule(trainer.best, trainer.scale, 1.0, concentration)
    signature = Signature(
        **_described_network(trainer, module),
        calibration={
            "method": "likelihood of the raw votes",
            "fitted_on": "validation",
            "objects": len(rows),
            "set_objects": set_objects,
        },
        conformal=conformal,
        unlike=_unlike(trainer, embedding),
        trained=_provenance(trainer, config, 1.0),
        format=2,
        questions=tuple(QUESTIONS.values()),
        raw=True,
        voters=VOTERS,
        debiased_concentrations=tuple(float(f"{value:.6g}") for value in concentration),
    )
    return module, signature


def _described_network(trainer: Trainer, module: ExportModule) -> dict[str, Any]:
    """Return the fields of a signature that describe the graph's inputs and outputs."""
    parameters = trainer.data.store.parameters
    return {
        "size_px": trainer.data.size_px,
        "crop_fraction": float(parameters.crop_fraction),
        "preprocessing_sha256": parameters.sha256,
        "embedding_size": module.embedding_size,
        "views": module.views,
        "vote_columns": VOTE_COLUMNS if module.votes is not None else (),
        "scale": str(trainer.scale),
    }


def _conformal(data: TrainingData, rows: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Conformal | None:
    """Fit prediction sets on the held-out rows with fine labels; None with fewer than 50."""
    fine = fine_rows(data, rows)
    if fine.sum() < _LEAST_ROWS:
        return None
    return fit_conformal(probabilities[fine], data.leaves[rows][fine].argmax(1))


def fit_vote_sets(
    data: TrainingData, rows: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> tuple[Conformal | None, int]:
    """Fit prediction sets on held-out rows with raw votes; without 50 of them, on those with fine labels.

    The truth for a row is the walk down its raw votes, which ends where nobody was asked further: a set then has to
    contain one class under that branch. Rows whose walk ends at a class, of sources that ask all its questions, are
    also fitted separately: the larger sets are kept, so that both kinds are covered.

    Returns
    -------
    Conformal or None, int
        None with fewer than 50 rows; the number of rows.
    """
    truth = leaves_by_votes(data.counts[rows])
    voted = truth.any(1)
    if voted.sum() < _LEAST_ROWS:
        return _conformal(data, rows, probabilities), int(fine_rows(data, rows).sum())
    found = fit_conformal(probabilities[voted], truth[voted])
    unfinished = {data.source[row] for row in rows[truth.sum(1) > 1]}
    whole = voted & np.array([data.source[row] not in unfinished for row in rows], dtype=bool)
    if whole.sum() >= _LEAST_ROWS:
        found = max(found, fit_conformal(probabilities[whole], truth[whole]), key=lambda sets: sets.threshold)
    return found, int(voted.sum())


def _unlike(trainer: Trainer, held_out: NDArray[np.float32]) -> Unlike | None:
    """Fit the out-of-distribution flag on galaxies; None with fewer than 100 held out, or too few to train."""
    data, rows = trainer.data, trainer.validation
    of_votes = trainer.config.type == "votes"
    galaxies = _galaxies(data, rows)
    train = data.indices("train", raw=of_votes)
    train = _sample(train[_galaxies(data, train)], trainer.seed)
    fewest = _ALARM_TRAINED if of_votes else trainer.best.embedding_size
    if galaxies.sum() * _FALSE_ALARM < 1 or len(train) <= fewest:
        return None
    _, _, seen = network_outputs(trainer.best, data, train, trainer)
    if not seen.std(axis=0).any():  # a layer whose units are all dead gives every image the same embedding
        return None
    return fit_unlike(seen, held_out[galaxies], false_alarm=_FALSE_ALARM, compact=of_votes)


def fine_rows(data: TrainingData, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows belong to a source all of whose labels are single classes, (n,)."""
    single = data.leaves.sum(1) <= 1
    coarse = {data.source[row] for row in np.flatnonzero(~single)}
    of_fine_source = np.array([data.source[row] not in coarse for row in rows], dtype=bool)
    fine: NDArray[np.bool_] = of_fine_source & data.leaves[rows].any(1)
    return fine


def _galaxies(data: TrainingData, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows are not artifacts by label or votes, (n,)."""
    artifact = CLASSES.index("A")
    by_votes = leaves_by_votes(data.counts[rows])
    galaxies: NDArray[np.bool_] = ~(data.leaves[rows, artifact] | (by_votes[:, artifact] & (by_votes.sum(1) == 1)))
    return galaxies


def _sample(rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    if len(rows) <= _ALARM_ROWS:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, _ALARM_ROWS, replace=False))


def _concentrations(data: TrainingData, rows: NDArray[np.int64], votes: NDArray[np.float32]) -> tuple[float, ...]:
    if not votes.shape[1]:
        return ()
    given = data.votes[rows]
    known = ~np.isnan(given[:, 0])
    predicted = np.concatenate([softmax(votes[known][:, columns]) for columns in question_columns()], axis=1)
    return vote_concentrations(VoteAnswers(predicted, np.nan_to_num(given[known]), vote_reach(given[known])))


def _provenance(trainer: Trainer, config: Config, temperature: float) -> dict[str, Any]:
    splits = {split: trainer.data.split_sha256(split) for split in ("train", "validation", "test")}
    together = hashlib.sha256("".join(splits.values()).encode()).hexdigest()
    return {
        "config": config_to_dict(config),
        "data_ids_sha256": together,
        "split_ids_sha256": splits,
        FITTED_IDS: _fitted_ids(trainer.data, config.train.initial_weights),
        "seed": trainer.seed,
        "best_iteration": trainer.at.best_iteration,
        "observations": _observations(trainer, temperature),
        "galclass_version": __version__,
    }


def _fitted_ids(data: TrainingData, start: str | None) -> dict[str, Any]:
    """Record the objects that weights, their choice or the calibration depend on, and those of the initial weights."""
    splits = zip(data.object_id, data.split, strict=True)
    own = fitted_ids(one for one, split in splits if split in ("train", "validation"))
    return own if start is None else with_base(own, recorded_start(start))


def _observations(trainer: Trainer, temperature: float) -> list[dict[str, Any]]:
    """Return P(survey's label | true class) of each source that uses our words differently, for the evaluation."""
    found = []
    if isinstance(trainer.observation, Observation):
        matrix = trainer.observation.matrix().detach().cpu().numpy()
        found.append(_described(trainer.config.observation_sources, trainer.observation.names, matrix))
    if trainer.config.type == "votes":  # gz2_class is read off the debiased fractions
        return found
    data, sources = trainer.data, trainer.config.debiased_sources
    rows = np.concatenate([data.indices("train"), trainer.validation])
    single = data.leaves[rows].sum(1) == 1
    rows = rows[single & _galaxies(data, rows) & np.array([data.source[row] in sources for row in rows], dtype=bool)]
    if len(rows) >= _LEAST_ROWS:
        logits, _, _ = network_outputs(trainer.best, data, rows, trainer)
        matrix = fit_observation(softmax(logits / temperature), data.leaves[rows].argmax(1))
        found.append(_described(sources, list(CLASSES), matrix))
    return found


def _described(sources: tuple[str, ...], labels: list[str], matrix: NDArray[np.floating]) -> dict[str, Any]:
    rounded = [[float(f"{value:.6g}") for value in row] for row in matrix]
    return {"sources": list(sources), "labels": labels, "matrix": rounded}

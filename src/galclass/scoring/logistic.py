"""Multinomial logistic regression with an L2 penalty chosen by cross-validation; numpy only, deterministic.

Many fits of the same objects (folds times penalties) run side by side as columns of one matrix product, in principal
axes of the standardised features. There the curvature has a diagonal bound (Boehning 1992), so accelerated gradient
steps need no line search and no matrix is inverted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

PENALTIES = (0.001, 0.004, 0.016, 0.063, 0.25, 1.0)
"""Weights of half the squared norm relative to the mean log loss, from which cross-validation chooses."""

_VALIDATION_STEPS, _STEPS = 60, 200
_SETTLED = 1e-5
_RANK = 1e-10
_MAX_VALIDATED = 4_000
"""Most objects used to choose the penalty; more make it slower, not better."""

_TEMPERATURES = np.geomspace(0.25, 8.0, 61)


@dataclass(frozen=True)
class Fit:
    """A regression on unscaled features.

    Attributes
    ----------
    weights : float64, (d, k)
    bias : float64, (k,)
    penalty : float
        Of `PENALTIES`.
    validated : int64, (m,)
        Objects predicted by fits without them.
    out_of_fold : float64, (m, k)
        Their probabilities from these fits, with the same temperature.
    folds : int64, (m,)
        The fold of each.
    """

    weights: Floats
    bias: Floats
    penalty: float
    validated: NDArray[np.int64]
    out_of_fold: Floats
    folds: NDArray[np.int64]


def fit_logistic(
    features: Floats,
    codes: NDArray[np.int64],
    n_classes: int,
    *,
    folds: int,
    seed: int,
    penalties: Sequence[float] = PENALTIES,
) -> Fit:
    """Choose the penalty and the temperature by stratified cross-validation, then fit all objects.

    Parameters
    ----------
    features : float, (n, d), finite
    codes : int64, (n,)
        Classes, 0 to k - 1, each at least `folds` times.
    n_classes : int
        k.
    folds : int
        At least 2.
    seed : int
        Of the draw of the folds.
    penalties : sequence of float
        To choose from.
    """
    features = np.asarray(features, dtype=np.float64)
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 1e-6 * np.maximum(np.abs(mean), 1e-6), spread, np.inf)  # a constant is uninformative
    rotated, axes = _principal((features - mean) / spread)
    fold_of = stratified_folds(codes, folds, seed)
    validated = np.flatnonzero(_drawn(codes, seed))
    true = codes[validated]
    logits = _validation_logits(rotated[validated], true, fold_of[validated], n_classes, folds, penalties)
    losses = [log_loss(softmax(one), true) for one in logits]
    chosen = int(np.argmin(losses))
    temperature = fit_temperature(logits[chosen], true)
    everything = np.ones((len(codes), 1), dtype=bool)
    fitted = _minimise(rotated, _one_hot(codes, n_classes), everything, np.array([penalties[chosen]]), _STEPS)[..., 0].T
    weights = (axes @ fitted[:-1]) / spread[:, None] / temperature
    return Fit(
        weights,
        fitted[-1] / temperature - mean @ weights,
        penalties[chosen],
        validated,
        softmax(logits[chosen] / temperature),
        fold_of[validated],
    )


def stratified_folds(codes: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Assign the objects of each class to folds, in random order, (n,)."""
    drawn = np.random.default_rng(seed).permutation(len(codes))
    order = drawn[np.argsort(codes[drawn], kind="stable")]
    found = np.empty(len(codes), dtype=np.int64)
    found[order] = np.arange(len(codes)) % folds
    return found


def softmax(logits: Floats, *, axis: int = -1) -> Floats:
    """Return probabilities along an axis."""
    powers = np.exp(logits - logits.max(axis=axis, keepdims=True))
    found: Floats = powers / powers.sum(axis=axis, keepdims=True)
    return found


def log_loss(probabilities: Floats, codes: NDArray[np.int64]) -> float:
    """Return the mean negative logarithm of the probability of the true class."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(codes)), codes], 1e-12)).mean())


def _drawn(codes: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Choose the objects for validation: all, or a stratified part."""
    if len(codes) <= _MAX_VALIDATED:
        return np.ones(len(codes), dtype=bool)
    parts = -(-len(codes) // _MAX_VALIDATED)
    chosen: NDArray[np.bool_] = stratified_folds(codes, parts, seed + 1) == 0
    return chosen


def _principal(centred: Floats) -> tuple[Floats, Floats]:
    """Return features in their principal axes and a column of ones, (n, r + 1), and these axes, (d, r)."""
    count, width = centred.shape
    gram = centred @ centred.T if count < width else centred.T @ centred
    squares, vectors = np.linalg.eigh(gram)
    kept = squares > _RANK * max(float(squares[-1]), 1e-300)
    squares, vectors = squares[kept], vectors[:, kept]
    if count < width:
        lengths = np.sqrt(squares)
        rotated, axes = vectors * lengths, centred.T @ (vectors / lengths)
    else:
        rotated, axes = centred @ vectors, vectors
    return np.concatenate([rotated, np.ones((count, 1))], axis=1), axes


def _validation_logits(
    rotated: Floats,
    codes: NDArray[np.int64],
    fold_of: NDArray[np.int64],
    n_classes: int,
    folds: int,
    penalties: Sequence[float],
) -> list[Floats]:
    """Return each object's logits from the fit without its fold, (n, k) for every penalty."""
    features = rotated.astype(np.float32)
    kept = np.tile(fold_of[:, None] != np.arange(folds), (1, len(penalties)))
    of_fit = np.repeat(np.array(penalties), folds)
    logits = features @ _minimise(features, _one_hot(codes, n_classes), kept, of_fit, _VALIDATION_STEPS)
    rows = np.arange(len(codes))
    return [logits[:, rows, number * folds + fold_of].T.astype(np.float64) for number in range(len(penalties))]


def _minimise(features: Floats, targets: Floats, kept: NDArray[np.bool_], penalties: Floats, steps: int) -> Floats:
    """Minimise many penalised log losses at once, by accelerated steps that restart when they overshoot.

    Parameters
    ----------
    features : (n, r + 1), with orthogonal columns, of which the last is 1
    targets : (n, k)
    kept : (n, b)
        Which objects are used in each fit.
    penalties : (b,)

    Returns
    -------
    (k, r + 1, b)
        The last row is the bias.
    """
    kind = features.dtype
    penalty = np.tile(penalties.astype(kind), (features.shape[1], 1))
    penalty[-1] = 0  # the bias is free
    sizes = kept.sum(axis=0)
    squares = (features.astype(np.float64) ** 2).sum(axis=0)[:, None]
    step = (1 / (0.5 * squares / sizes + penalty + 1e-9)).astype(kind)
    root = np.sqrt(step)
    share = (kept / sizes).astype(kind)
    wanted = targets.T[:, :, None].astype(kind)
    at = ahead = np.zeros((targets.shape[1], *penalty.shape), dtype=kind)
    momentum = np.ones(len(penalties), dtype=kind)
    transposed = np.ascontiguousarray(features.T)
    for _ in range(steps):
        slope = transposed @ ((softmax(features @ ahead, axis=0) - wanted) * share) + penalty * ahead
        new = ahead - step * slope
        moved = new - at
        overshot = (slope * moved).sum(axis=(0, 1)) > 0
        following = np.where(overshot, kind.type(1), (1 + np.sqrt(1 + 4 * momentum**2)) / 2)
        carried = np.where(overshot, kind.type(0), (momentum - 1) / following)
        at, ahead, momentum = new, new + carried * moved, following
        if float(np.abs(slope * root).max()) < _SETTLED:
            break
    return at


def _one_hot(codes: NDArray[np.int64], n_classes: int) -> Floats:
    return np.eye(n_classes)[codes]


def fit_temperature(logits: Floats, codes: NDArray[np.int64]) -> float:
    """Return the temperature that calibrates the probabilities."""
    losses = [log_loss(softmax(logits / one), codes) for one in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])

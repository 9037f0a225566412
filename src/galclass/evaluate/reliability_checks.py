"""Reliability of a model's numbers: calibration against chance, coverage of sets, artifacts found.

Takes probabilities and labels of held-out objects, returns figures next to what chance alone would give.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom

from galclass.evaluate.labellings import THIRTEEN
from galclass.evaluate.metrics import FloatArray, IntArray, reliability
from galclass.evaluate.tables import Evaluated, as_surveys_label, coarse_sources
from galclass.morphology import CLASSES, leaves_of
from galclass.scoring.signature import Signature


@dataclass(frozen=True)
class Calibration:
    """How well confidence and accuracy agree on one labelling, and how well they would by chance.

    Attributes
    ----------
    count : int
        Objects.
    expected_calibration_error : float
        In [0, 1], 15 bins.
    p_value : float
        Share of simulated label sets, drawn from the model's own probabilities, whose error is at least as large:
        uniform in [0, 1] for a perfectly calibrated model.
    """

    count: int
    expected_calibration_error: float
    p_value: float


@dataclass(frozen=True)
class Coverage:
    """How often prediction sets contain the true class.

    Attributes
    ----------
    count, covered : int
        Objects, and those whose set contains the true class.
    promised : float
        The nominal share.
    low, high : float
        95 % interval of the share for sets with nominal coverage (beta-binomial: both samples are finite).
    mean_size : float
        Mean number of classes in a set.
    """

    count: int
    covered: int
    promised: float
    low: float
    high: float
    mean_size: float


@dataclass(frozen=True)
class ArtifactsFound:
    """Artifacts found at a fixed false-alarm rate.

    Attributes
    ----------
    artifacts, galaxies : int
        Objects of each kind.
    false_alarms : float
        Share of galaxies whose probability of A is above the threshold.
    found : float
        Share of artifacts above it.
    threshold : float
        Probability of A.
    """

    artifacts: int
    galaxies: int
    false_alarms: float
    found: float
    threshold: float


@dataclass(frozen=True)
class Trust:
    """All of these; `calibration` by the title of the labelling, the others None where there are too few objects.

    The sets of a raw-vote model are calibrated on votes, not labels: `evaluate.raw_votes` measures them.
    """

    calibration: dict[str, Calibration]
    coverage: Coverage | None
    artifacts: ArtifactsFound | None

    def as_dict(self) -> dict[str, object]:
        """Plain values for metrics.json."""
        return asdict(self)


def measure_trust(evaluated: Evaluated, signature: Signature, seed: int) -> Trust:
    """Measure everything that the labels and the model's signature allow."""
    probabilities = evaluated.probabilities
    fine = THIRTEEN.true_index(evaluated.labels)
    keep = (fine >= 0) & evaluated.of_fine_source
    found = {THIRTEEN.title: calibration(probabilities[keep], fine[keep], seed=seed)} if keep.any() else {}
    for _, labelling, here in coarse_sources(evaluated):
        true = labelling.true_index(evaluated.labels)
        those = here & (true >= 0)
        summed = labelling.sum_probabilities(probabilities[those])
        found[labelling.title] = calibration(summed / summed.sum(axis=1, keepdims=True), true[those], seed=seed)
    for survey in as_surveys_label(evaluated, signature.trained.get("observations", ())):
        found[survey.title] = calibration(survey.probabilities, survey.true, seed=seed)
    galaxy_or_artifact = np.array([bool(label and leaves_of(label)) for label in evaluated.labels])
    is_artifact = np.array([label is not None and leaves_of(label) == ("A",) for label in evaluated.labels])
    return Trust(
        found,
        _coverage(evaluated, keep, signature),
        artifacts_found(probabilities[galaxy_or_artifact], is_artifact[galaxy_or_artifact]),
    )


def _coverage(evaluated: Evaluated, keep: NDArray[np.bool_], signature: Signature) -> Coverage | None:
    sets = signature.conformal
    objects = (signature.calibration or {}).get("set_objects")
    if sets is None or objects is None or not keep.any() or signature.raw:  # calibrated on votes, not labels
        return None
    chosen = [(evaluated.predictions[i].prediction_set, evaluated.labels[i] or "") for i in np.flatnonzero(keep)]
    covered = np.array([leaves_of(label)[0] in answer for answer, label in chosen])
    sizes = np.array([len(classes) for classes, _ in chosen], dtype=np.int64)
    return coverage(covered, sizes, sets.coverage, int(objects))


def calibration(probabilities: FloatArray, true: IntArray, *, seed: int, simulations: int = 1000) -> Calibration:
    """Compare the calibration error with that of labels drawn from the probabilities themselves.

    Parameters
    ----------
    probabilities : float64, (n, k)
        Rows sum to 1.
    true : int64, (n,)
        Index of each true label.
    """
    found = reliability(probabilities, true).expected_calibration_error
    random = np.random.default_rng(seed)
    edges = np.cumsum(probabilities, axis=1)
    above = 0
    for _ in range(simulations):
        drawn = (random.random((len(true), 1)) * edges[:, -1:] > edges).sum(axis=1)
        above += reliability(probabilities, drawn).expected_calibration_error >= found
    return Calibration(len(true), found, (above + 1) / (simulations + 1))


def coverage(covered: NDArray[np.bool_], sizes: IntArray, promised: float, calibrated_on: int) -> Coverage:
    """Judge prediction sets that were calibrated on a given number of objects.

    Parameters
    ----------
    covered : bool, (n,)
        Whether each set contains the true class.
    sizes : int64, (n,)
        Classes in each set.
    promised : float
        In (0, 1).
    calibrated_on : int
        Objects of the calibration split.
    """
    outside = math.floor((calibrated_on + 1) * (1 - promised))
    law = betabinom(len(covered), calibrated_on + 1 - outside, max(outside, 1))
    low, high = (float(law.ppf(q)) / len(covered) for q in (0.025, 0.975))
    return Coverage(len(covered), int(covered.sum()), promised, low, high, float(sizes.mean()))


def artifacts_found(
    probabilities: FloatArray, is_artifact: NDArray[np.bool_], *, rate: float = 0.02
) -> ArtifactsFound | None:
    """Return the share of artifacts above the threshold that `rate` of the galaxies pass; None if a kind is missing.

    Parameters
    ----------
    probabilities : float64, (n, 13)
    is_artifact : bool, (n,)
    """
    score = probabilities[:, CLASSES.index("A")]
    galaxies, artifacts = score[~is_artifact], score[is_artifact]
    if not len(galaxies) or not len(artifacts):
        return None
    threshold = float(np.quantile(galaxies, 1 - rate, method="higher"))
    return ArtifactsFound(
        artifacts=len(artifacts),
        galaxies=len(galaxies),
        false_alarms=float((galaxies > threshold).mean()),
        found=float((artifacts > threshold).mean()),
        threshold=threshold,
    )

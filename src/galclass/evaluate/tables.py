"""The tables of an evaluation: the 13 classes, the groups, each source's labels, and classes by vote fractions.

Takes the predictions and labels of a split, returns one `Classification` for each way to compare them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galclass.errors import EvaluationError
from galclass.evaluate.labellings import FOUR, THIRTEEN, Labelling, coarse_labelling
from galclass.evaluate.metrics import Classification, FloatArray, IntArray, Interval, classification, natural_accuracy
from galclass.evaluate.votes import classes_from_votes
from galclass.morphology import CLASSES
from galclass.scoring import Prediction
from galclass.scoring.walk import GROUP_OF


@dataclass(frozen=True)
class Evaluated:
    """The split that was scored: index rows, labels and predictions, all in the same order."""

    rows: NDArray[np.int64]
    labels: list[str | None]
    sources: list[str]
    predictions: list[Prediction]

    @property
    def probabilities(self) -> FloatArray:
        """Class probabilities, (n, 13)."""
        return np.array([prediction.probabilities for prediction in self.predictions], dtype=np.float64)

    @property
    def classes(self) -> IntArray:
        """Predicted classes, where the walk down the tree ended: indices into `CLASSES`, (n,)."""
        return np.array([CLASSES.index(str(one.predicted_class)) for one in self.predictions], dtype=np.int64)

    @property
    def of_fine_source(self) -> NDArray[np.bool_]:
        """Whether an object's source labels with single classes, (n,)."""
        coarse = {source for source, _, _ in coarse_sources(self)}
        return np.array([source not in coarse for source in self.sources], dtype=bool)


@dataclass(frozen=True)
class Sampling:
    """How intervals are made: bootstrap resamples and their seed."""

    resamples: int
    seed: int

    def measure(self, true: IntArray, predicted: IntArray, names: tuple[str, ...]) -> Classification:
        """Measure one labelling."""
        return classification(true, predicted, names, resamples=self.resamples, seed=self.seed)


def coarse_sources(evaluated: Evaluated) -> list[tuple[str, Labelling, NDArray[np.bool_]]]:
    """Find the sources with labels coarser than a class: name, labelling, and which objects are theirs."""
    found = []
    for source in sorted(set(evaluated.sources)):
        here = np.array([name == source for name in evaluated.sources])
        labelling = coarse_labelling(source, [evaluated.labels[i] for i in np.flatnonzero(here)])
        if labelling is not None:
            found.append((source, labelling, here))
    return found


def measure(
    evaluated: Evaluated, sampling: Sampling, *, observations: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Classification]:
    """Return every table that the labels allow.

    Parameters
    ----------
    evaluated : Evaluated
    sampling : Sampling
    observations : sequence of mapping
        The model's P(survey says | true class): `sources`, `labels` ("Er|Ei|Ec"), `matrix` (13, k) of each.

    Raises
    ------
    EvaluationError
        If no object has a label of the 13 classes.
    """
    tables = _fine_tables(evaluated, sampling)
    for survey in as_surveys_label(evaluated, observations):
        tables[survey.title] = sampling.measure(survey.true, survey.probabilities.argmax(axis=1), survey.names)
    for _, labelling, here in coarse_sources(evaluated):
        true = labelling.true_index(evaluated.labels)
        keep = here & (true >= 0)
        probabilities = evaluated.probabilities[keep]
        predicted = labelling.sum_probabilities(probabilities).argmax(axis=1)
        tables[labelling.title] = sampling.measure(true[keep], predicted, labelling.names)
    if not tables:
        raise EvaluationError("no object of the split has a label of the 13 classes")
    return tables


@dataclass(frozen=True)
class SurveyAnswers:
    """The labels a survey would assign to its objects, through its label-noise matrix.

    Attributes
    ----------
    title : str
    names : tuple of str
        The survey's labels.
    true : int64, (n,)
        The labels it assigned.
    probabilities : float64, (n, k)
        The labels that the model expects; rows sum to 1.
    """

    title: str
    names: tuple[str, ...]
    true: IntArray
    probabilities: FloatArray


def as_surveys_label(evaluated: Evaluated, observations: Sequence[Mapping[str, Any]]) -> list[SurveyAnswers]:
    """Map the sources that have a label-noise matrix through it."""
    coarse = {source: labelling for source, labelling, _ in coarse_sources(evaluated)}
    found = []
    for observation in observations:
        for source in observation["sources"]:
            labelling = coarse.get(source, THIRTEEN)
            true = labelling.true_index(evaluated.labels)
            keep = np.array([name == source for name in evaluated.sources]) & (true >= 0)
            if source not in coarse:
                keep &= true != CLASSES.index("A")
            if not keep.any():
                continue
            seen = evaluated.probabilities[keep] @ observed_matrix(observation, labelling)
            title = labelling.title if source in coarse else f"{source}: {labelling.title}"
            seen = seen / seen.sum(axis=1, keepdims=True)
            found.append(SurveyAnswers(f"{title}, as the survey labels", labelling.names, true[keep], seen))
    return found


def observed_matrix(observation: Mapping[str, Any], labelling: Labelling) -> FloatArray:
    """Return P(label | true class) with its columns in the labelling's order, (13, k).

    Raises
    ------
    EvaluationError
        If the model's matrix has other labels than the source.
    """
    known = [frozenset(text.split("|")) for text in observation["labels"]]
    wanted = [frozenset(leaves) for leaves in labelling.leaves]
    if not set(wanted) <= set(known):
        raise EvaluationError(
            "the model's label-noise matrix has other labels", where=labelling.title, got=observation["labels"]
        )
    matrix = np.array(observation["matrix"], dtype=np.float64)
    return matrix[:, [known.index(leaves) for leaves in wanted]]


def natural_figures(
    tables: Mapping[str, Classification], frequencies: Mapping[str, Mapping[str, float]], sampling: Sampling
) -> dict[str, Interval]:
    """Return the accuracy at natural frequencies of each table whose source has them in the configuration.

    Raises
    ------
    EvaluationError
        If the frequencies name other labels than the table.
    """
    figures = {}
    for source, shares in frequencies.items():
        for title, table in tables.items():
            if title.partition(":")[0] != source:
                continue
            if set(shares) != set(table.names):
                raise EvaluationError(
                    "the frequencies are for other labels", where=f"evaluate.frequencies.{source}", expected=table.names
                )
            weights = np.array([shares[name] for name in table.names])
            figures[title] = natural_accuracy(
                table.confusion, weights, resamples=sampling.resamples, seed=sampling.seed
            )
    return figures


def _fine_tables(evaluated: Evaluated, sampling: Sampling) -> dict[str, Classification]:
    fine = THIRTEEN.true_index(evaluated.labels)
    keep = (fine >= 0) & evaluated.of_fine_source
    if not keep.any():
        return {}
    probabilities = evaluated.probabilities[keep]
    group = FOUR.true_index(evaluated.labels)[keep]
    predicted, likeliest = evaluated.classes[keep], probabilities.argmax(axis=1)
    largest_sum = FOUR.sum_probabilities(probabilities).argmax(axis=1)
    tables = {
        THIRTEEN.title: sampling.measure(fine[keep], predicted, THIRTEEN.names),
        FOUR.title: sampling.measure(group, GROUP_OF[predicted], FOUR.names),
        "13 classes, most probable class": sampling.measure(fine[keep], likeliest, THIRTEEN.names),
        "4 groups, largest sum": sampling.measure(group, largest_sum, FOUR.names),
        "4 groups, of the most probable class": sampling.measure(group, GROUP_OF[likeliest], FOUR.names),
    }
    return tables | _vote_tables(evaluated, keep & (fine != CLASSES.index("A")), fine, sampling)


def _vote_tables(
    evaluated: Evaluated, keep: NDArray[np.bool_], true: IntArray, sampling: Sampling
) -> dict[str, Classification]:
    """Compare the galaxies' classes with those that follow from the predicted vote fractions."""
    chosen: Sequence[Prediction] = [evaluated.predictions[i] for i in np.flatnonzero(keep)]
    if not chosen or not chosen[0].vote_fractions:
        return {}
    leaf = classes_from_votes(chosen)
    return {
        "galaxies, 13 classes by vote fractions": sampling.measure(true[keep], leaf, THIRTEEN.names),
        "galaxies, groups by vote fractions": sampling.measure(GROUP_OF[true[keep]], GROUP_OF[leaf], FOUR.names),
    }

"""How much the figures of one configuration differ between seeds: the same measures for the model of each.

Takes the models that a run with several seeds leaves, returns mean and standard deviation of each table's accuracies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from galclass.config import Config
from galclass.evaluate.tables import Evaluated, Sampling, measure, natural_figures
from galclass.scoring import Scorer

_VALUES_ONLY = Sampling(1, 0)
"""Intervals of a single seed's figures are not kept."""

Spread = tuple[float, float]
"""Mean and standard deviation (n - 1) over the seeds."""


@dataclass(frozen=True)
class SeedSpread:
    """Figures over the seeds of one run.

    Attributes
    ----------
    count : int
        Seeds, at least two.
    accuracy, balanced_accuracy : mapping of str to (mean, deviation)
        By the title of the table.
    natural : mapping of str to (mean, deviation)
        Accuracy at natural frequencies, by the title of the table.
    """

    count: int
    accuracy: Mapping[str, Spread]
    balanced_accuracy: Mapping[str, Spread]
    natural: Mapping[str, Spread]

    def as_dict(self) -> dict[str, object]:
        """Plain values for metrics.json."""
        return asdict(self)


def seed_models(config: Config, shipped: Scorer) -> list[Scorer]:
    """Load the models of all seeds of the run that `shipped` comes from; none if it has one seed or is another run."""
    training = config.workspace_path / "training"
    seeds = range(config.seed, config.seed + config.train.seeds)
    paths = [training / f"seed_{seed}" / "model.onnx" for seed in seeds]
    if len(paths) < 2 or not all(map(Path.is_file, paths)):
        return []
    scorers = [Scorer(path, name=config.register.name) for path in paths]
    return scorers if shipped.sha256 in {scorer.sha256 for scorer in scorers} else []


def spread_over_seeds(
    scorers: list[Scorer],
    score: Callable[[Scorer], Evaluated],
    frequencies: Mapping[str, Mapping[str, float]],
) -> SeedSpread | None:
    """Measure the models of all seeds on the same objects; None for fewer than two.

    Parameters
    ----------
    scorers : list of Scorer
    score : callable
        Scores the held-out objects with a model.
    frequencies : mapping
        As in `natural_figures`.
    """
    if len(scorers) < 2:
        return None
    found = []
    for scorer in scorers:
        tables = measure(score(scorer), _VALUES_ONLY, observations=scorer.signature.trained.get("observations", ()))
        found.append((tables, natural_figures(tables, frequencies, _VALUES_ONLY)))
    titles = [title for title in found[0][0] if all(title in tables for tables, _ in found)]
    return SeedSpread(
        count=len(scorers),
        accuracy={title: _spread([tables[title].accuracy.value for tables, _ in found]) for title in titles},
        balanced_accuracy={
            title: _spread([tables[title].balanced_accuracy.value for tables, _ in found]) for title in titles
        },
        natural={title: _spread([natural[title].value for _, natural in found]) for title in found[0][1]},
    )


def _spread(values: list[float]) -> Spread:
    return round(float(np.mean(values)), 6), round(float(np.std(values, ddof=1)), 6)

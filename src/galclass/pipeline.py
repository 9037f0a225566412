"""The whole workflow: the stages in order. The file to read first.

Each stage is a function of the configuration that takes what the stage before wrote into the workspace,
skips itself when nothing changed, and gives a summary that prints as one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from galclass.atomic_files import write_text
from galclass.config import Config, config_to_toml
from galclass.errors import ConfigError
from galclass.extras import require


def _download(config: Config, progress: bool) -> object:
    from galclass.download import download

    return download(config, progress=progress)


def _prepare(config: Config, progress: bool) -> object:
    if config.cluster.address is not None:
        from galclass.cluster.stages import prepare_stage

        return prepare_stage(config, progress=progress)
    from galclass.prepare.stage import prepare

    return prepare(config, progress=progress)


def _train(config: Config, progress: bool) -> object:
    if config.cluster.address is not None:
        from galclass.cluster.stages import train_stage

        return train_stage(config, progress=progress)
    from galclass.train import train

    return train(config, progress=progress)


def _evaluate(config: Config, progress: bool) -> object:
    from galclass.evaluate import evaluate

    return evaluate(config, progress=progress)


def _register(config: Config, progress: bool) -> object:
    from galclass.tuning.register import register_stage

    return register_stage(config)


def _score(config: Config, progress: bool) -> object:
    if config.cluster.address is not None:
        from galclass.cluster.stages import score_stage as score_on_cluster

        return score_on_cluster(config, progress=progress)
    from galclass.database.stages import score_stage

    return score_stage(config, progress=progress)


def _publish(config: Config, progress: bool) -> object:
    from galclass.database.publish import publish_stage

    return publish_stage(config)


STAGES: dict[str, Callable[[Config, bool], object]] = {
    "download": _download,
    "prepare": _prepare,
    "train": _train,
    "evaluate": _evaluate,
    "register": _register,
    "score": _score,
    "publish": _publish,
}
"""Stage name -> function of (config, progress); the order is the order of the workflow."""


_EXTRAS = {"train": "train", "evaluate": "evaluate"}
"""Extras that stages need; what is missing is said before the first stage, not after an hour of the second."""


@dataclass(frozen=True)
class StageResult:
    """A stage that has run and its summary."""

    stage: str
    summary: object


def run(
    config: Config, *, first: str | None = None, last: str | None = None, progress: bool = True
) -> Iterator[StageResult]:
    """Run the stages from `first` to `last`, yielding each summary as its stage ends.

    Parameters
    ----------
    config : Config
        The resolved configuration; written to `<workspace>/config.toml` before the first stage.
    first, last : str, optional
        Names in `STAGES`; the whole workflow when left out.

    Raises
    ------
    ConfigError
        If a stage is unknown or `last` comes before `first`.
    ExtraError
        If a chosen stage needs packages that are not installed.
    GalclassError
        Whatever stops a stage; what was finished before stays and is skipped by the next run.
    """
    names = chosen_stages(first, last)
    extras = [extra for stage, extra in _EXTRAS.items() if stage in names]
    require(*extras, *(["cluster"] if config.cluster.address is not None else []), what="this run")
    folder = config.workspace_path
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "config.toml", config_to_toml(config))
    for name in names:
        yield StageResult(name, STAGES[name](config, progress))


def train_from_database(config: Config, *, progress: bool = True) -> Iterator[StageResult]:
    """Train on `galaxy_images` and `galaxy_labels` and register the result, in one go.

    Raises
    ------
    DatabaseError
        If no image in the database has a label.
    """
    from galclass.database import open_database
    from galclass.database.training import training_sources

    with open_database(config.database_url) as database:
        sources = training_sources(database, config)
    prepare = replace(config.prepare, sources=sources, images=None, catalog=None, mapping=None)
    yield from run(replace(config, prepare=prepare), first="prepare", last="register", progress=progress)


def chosen_stages(first: str | None = None, last: str | None = None) -> list[str]:
    """Return the stage names from `first` to `last`, both included."""
    names = list(STAGES)
    for flag, name in (("--from", first), ("--until", last)):
        if name is not None and name not in STAGES:
            raise ConfigError(f"unknown stage {name!r}", where=flag, expected=", ".join(names))
    start = names.index(first) if first else 0
    stop = names.index(last) if last else len(names) - 1
    if stop < start:
        raise ConfigError(f"{last} comes before {first}", where="--until", expected=f"{first} or a later stage")
    return names[start : stop + 1]

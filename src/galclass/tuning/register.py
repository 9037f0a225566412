"""The stage `register`: the trained model becomes a version; a second run skips it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from galclass.config import Config
from galclass.database import Database, Registry, open_database
from galclass.database.model_figures import HELD_OUT
from galclass.database.models import ModelInfo, ModelRecord
from galclass.errors import GalclassError, ModelError, RegistryError
from galclass.prepare.store import Store
from galclass.scoring import Scorer, shipped_model
from galclass.scoring.fitted_ids import base_unknown, fitted_of_test_split, recorded, split_fitted
from galclass.scoring.shipped import shipped_card, shipped_metrics
from galclass.tuning.measure import classes_meant
from galclass.tuning.promotion import Registered, hashes_of, register, unseen_by


@dataclass(frozen=True)
class RegisterSummary:
    """The version of the trained model, and of the model in the package if that was registered as well.

    `other_evaluation` is the folder of an evaluation whose figures were not taken, as they are another model's.
    """

    registered: Registered
    package: ModelInfo | None = None
    other_evaluation: Path | None = None

    @property
    def model(self) -> ModelInfo:
        """The version of the trained model."""
        return self.registered.model

    @property
    def new(self) -> bool:
        """Whether this run registered it."""
        return self.registered.new

    def __str__(self) -> str:
        lines = [str(self.registered)]
        if self.package is not None:
            aliases = ", ".join(self.package.aliases)
            lines.insert(0, f"register: {self.package.model} is the model in the package ({aliases})")
        if self.other_evaluation is not None:
            lines.append(f"registered without figures: those in {self.other_evaluation} are of another model")
        return "\n".join(lines)


def register_stage(config: Config, *, promote: bool = False) -> RegisterSummary:
    """Put the trained model into the registry, and the one in the package under the configured name.

    Without aliases in the configuration, the first version of a name becomes `production` and a later one if it is
    measurably no worse (decision 25).

    Parameters
    ----------
    config : Config
    promote : bool
        Move `production` whatever is measured.

    Raises
    ------
    RegistryError
        If nothing was trained yet.
    ModelError
        If the file is not a valid model.
    """
    folder = config.workspace_path
    path = folder / "training" / "model.onnx"
    if not path.is_file():
        raise RegistryError("there is no trained model", where=str(path), advice="run `galclass train` first")
    value = path.read_bytes()
    with open_database(config.database_url, migrate=True) as database:
        package = _register_package(database, config)
        scorer = Scorer(value, name=config.register.name)
        figures, card, other = _evaluation(folder / "evaluation", scorer.sha256)
        metrics = figures | {HELD_OUT: _held_out(config, scorer)}
        registered = register(
            database,
            value,
            name=config.register.name,
            classes=scorer.signature.classes,
            compare=lambda old: _compared(config, scorer, metrics, old),
            aliases=config.register.aliases,
            promote=promote,
            metrics=metrics,
            card=card,
        )
    return RegisterSummary(registered, package, other if registered.new else None)


def _evaluation(folder: Path, sha256: str) -> tuple[dict[str, Any], str, Path | None]:
    """Return metrics and card of the workspace's evaluation; only its folder if it is of another model."""
    metrics = _read_json(folder / "metrics.json")
    if (metrics.get("made_from") or {}).get("model_sha256", sha256) != sha256:
        return {}, "", folder
    return metrics, _read_text(folder / "card.md"), None


def register_file(
    database: Database,
    config: Config,
    value: bytes,
    *,
    name: str,
    aliases: Sequence[str] | None,
    promote: bool,
    metrics: Mapping[str, Any],
    card: str,
    where: str | None = None,
) -> Registered:
    """Register any model; without explicit aliases the workspace's test split decides on `production`, if it can.

    Errors of the model call it `where`.

    Raises
    ------
    ModelError, RegistryError
        As `galclass.database.Registry.register`.
    """
    try:
        scorer = Scorer(value, name=name)
    except ModelError as error:
        raise ModelError(
            error.what, where=where or error.where, expected=error.expected, got=error.got, advice=error.advice
        ) from error
    if value == shipped_model():
        metrics, card = metrics or shipped_metrics(), card or shipped_card()
    return register(
        database,
        value,
        name=name,
        classes=scorer.signature.classes,
        compare=lambda old: _compared(config, scorer, metrics, old),
        aliases=aliases,
        promote=promote,
        metrics=metrics,
        card=card,
    )


def _register_package(database: Database, config: Config) -> ModelInfo | None:
    """Register the model in the package under the configured name, unless there is a model of that name."""
    name = config.register.package
    registry = Registry(database)
    if name is None or name == config.register.name or registry.list(name):
        return None
    return registry.register(shipped_model(), name=name, metrics=shipped_metrics(), card=shipped_card())


def _held_out(config: Config, scorer: Scorer) -> list[int]:
    """Return the hashes of the test split, without objects that the model or its base may have been fitted to."""
    try:
        index = Store.open(config.workspace_path / "prepared").index
    except GalclassError:
        return []
    ids, splits = (index.column(name).to_pylist() for name in ("object_id", "split"))
    test = [one for one, split in zip(ids, splits, strict=True) if split == "test"]
    trained = recorded(scorer.signature.trained, scorer.sha256)
    fitted, _ = split_fitted(trained, test) or (set(), set())
    return hashes_of(set(test) - fitted - fitted_of_test_split(trained, test))


def _compared(
    config: Config, scorer: Scorer, metrics: Mapping[str, Any], old: ModelRecord
) -> tuple[dict[str, bool], dict[str, bool]] | str:
    """Predict the test split with both, if neither was fitted to it."""
    trained = recorded(scorer.signature.trained, scorer.sha256)
    if not metrics.get(HELD_OUT) and (split_fitted(trained, ()) is None or base_unknown(trained)):
        return f"it is not known which objects neither it nor {old.model} was fitted to"
    try:
        store = Store.open(config.workspace_path / "prepared")
    except GalclassError:
        return "there is no prepared test split, so the two are not compared"
    ids, splits, labels = (store.index.column(name).to_pylist() for name in ("object_id", "split", "label"))
    test = [one for one, split in zip(ids, splits, strict=True) if split == "test"]
    before_trained = recorded(old.signature.trained, old.sha256) if old.signature else {}
    unseen = set(unseen_by(old.metrics, unseen_by(metrics, test, trained), before_trained))
    rows = [row for row, one in enumerate(ids) if one in unseen and labels[row]]
    if not rows:
        return f"no held-out objects are known that neither it nor {old.model} was fitted to"
    before = old.scorer()
    if not before.parameters == scorer.parameters == store.parameters:
        return f"its cutouts are not those of {old.model}, so the two are not compared"
    found = []
    for one in (scorer, before):
        predictions = one.predict_cutouts(store.central(rows), object_ids=[ids[row] for row in rows])
        meant = {label: classes_meant(label, one.signature.classes) for label in {labels[row] for row in rows}}
        found.append(
            {
                ids[row]: prediction.predicted_class in meant[labels[row]]
                for row, prediction in zip(rows, predictions, strict=True)
                if meant[labels[row]] and prediction.error is None
            }
        )
    return found[0], found[1]


def _read_json(path: Path) -> dict[str, Any]:
    text = _read_text(path)
    values = json.loads(text) if text else {}
    return values if isinstance(values, dict) else {}


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""

"""Configuration: TOML -> typed, frozen dataclasses; default < file < flag; all faults are reported together.

Takes a TOML file and `section.key=value` overrides, returns a `Config`, writes the resolved TOML
beside a stage's outputs. One dataclass per stage; a field's default is the documented default.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from galclass.config.data import DownloadConfig, ImagesConfig, PrepareConfig, SourceConfig
from galclass.config.running import (
    ClusterConfig,
    EvaluateConfig,
    PublishConfig,
    RegisterConfig,
    ScoreConfig,
    ServeConfig,
)
from galclass.config.strict import STRICT
from galclass.config.training import TrainConfig
from galclass.errors import ConfigError

__all__ = [
    "ClusterConfig",
    "Config",
    "DownloadConfig",
    "EvaluateConfig",
    "ImagesConfig",
    "PrepareConfig",
    "PublishConfig",
    "RegisterConfig",
    "ScoreConfig",
    "ServeConfig",
    "SourceConfig",
    "TrainConfig",
    "config_from_dict",
    "config_to_dict",
    "config_to_toml",
    "load_config",
]


_ALIASES = {"train.num_iterations": "train.num_epochs", "train.numIterations": "train.num_epochs"}
"""Other names of keys: former ones and rxNeuralNet's."""


@dataclass(frozen=True)
class Config:
    """The whole workflow, one section per stage.

    Attributes
    ----------
    workspace : str
        Folder of everything a run writes.
    database : str or None
        SQLAlchemy URL; None: SQLite file `galclass.db` in the workspace.
    seed : int
        Seed of split, initial weights, batch order and augmentation.
    """

    __pydantic_config__ = STRICT

    workspace: str = "workspace"
    database: str | None = None
    seed: int = 12345
    download: DownloadConfig = field(default_factory=DownloadConfig)
    images: ImagesConfig = field(default_factory=ImagesConfig)
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    register: RegisterConfig = field(default_factory=RegisterConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    publish: PublishConfig = field(default_factory=PublishConfig)
    serve: ServeConfig = field(default_factory=ServeConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    @property
    def workspace_path(self) -> Path:
        """The workspace as a path."""
        return Path(self.workspace)

    @property
    def database_url(self) -> str:
        """The database URL, with the default filled in."""
        return self.database or f"sqlite:///{self.workspace_path / 'galclass.db'}"


def load_config(path: Path | str | None = None, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Config:
    """Read a TOML file and apply overrides.

    Parameters
    ----------
    path : path or None
        A TOML file; None takes the defaults.
    overrides : sequence of "section.key=value" or mapping of dotted key to value
        Flags; they win over the file. Text values are read as TOML, then as plain text; an empty one ("train.teacher=")
        restores the default.

    Raises
    ------
    ConfigError
        With every unknown key ("did you mean") and every wrong value.
    """
    where = str(path) if path is not None else "configuration"
    values = _renamed(_read_toml(Path(path)) if path is not None else {}, where)
    for key, value in _override_items(overrides):
        _set_dotted(values, _ALIASES.get(key, key), value)
    return config_from_dict(values, where=where)


def config_from_dict(values: Mapping[str, Any], *, where: str = "configuration") -> Config:
    """Build a `Config` from nested plain values, collecting all faults."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Config).validate_python(_renamed(values, where))
    except ValidationError as error:
        faults = [_describe(fault) for fault in error.errors()]
        raise ConfigError(
            f"{len(faults)} fault{'s' if len(faults) > 1 else ''} in the configuration\n  " + "\n  ".join(faults),
            where=where,
        ) from error


def _renamed(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the values with each alias of a key under the key's own name."""
    renamed = dict(values)
    for alias, key in _ALIASES.items():
        section, old = alias.split(".")
        _, new = key.split(".")
        given = renamed.get(section)
        if isinstance(given, Mapping) and old in given:
            if new in given:
                raise ConfigError(f"{section}.{old} and {section}.{new} are the same setting", where=where)
            renamed[section] = {new if name == old else name: value for name, value in given.items()}
    return renamed


def config_to_dict(config: Config) -> dict[str, Any]:
    """Return the resolved configuration as nested plain values (tuples become lists)."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain


def config_to_toml(config: Config) -> str:
    """Write the resolved configuration as TOML text; a key without a value (None) is left out."""
    import tomli_w

    return tomli_w.dumps(_without_none(config_to_dict(config)))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(part) for key, part in value.items() if part is not None}
    return [_without_none(part) for part in value] if isinstance(value, list) else value


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            "configuration file not found", where=str(path), advice="pass the path of a TOML file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path)) from error


def _override_items(overrides: Sequence[str] | Mapping[str, Any]) -> list[tuple[str, Any]]:
    if isinstance(overrides, Mapping):
        return list(overrides.items())
    items = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"{text!r} sets nothing", expected="SECTION.KEY=VALUE", where="--set")
        items.append((key.strip(), _toml_value(value.strip()) if value.strip() else _default(key.strip())))
    return items


def _default(key: str) -> Any:
    """Return the default of a dotted key as a plain value; "" where there is no such key, which validation reports."""
    value: Any = config_to_dict(Config())
    for part in _ALIASES.get(key, key).split("."):
        if not isinstance(value, dict) or part not in value:
            return ""
        value = value[part]
    return value


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _set_dotted(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{section!r} is a value, not a section", where=key)
    values[last] = value


def _describe(fault: Mapping[str, Any]) -> str:
    location = ".".join(str(part) for part in fault["loc"])
    if fault["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{location}: unknown key{_did_you_mean(fault['loc'])}"
    return f"{location}: {fault['msg']} (got {fault.get('input')!r})"


def _did_you_mean(location: Sequence[Any]) -> str:
    holder: Any = Config
    for section in location[:-1]:
        if isinstance(section, int):  # an item of a list of tables
            holder = SourceConfig
            continue
        field_of = {f.name: f for f in dataclasses.fields(holder)}[str(section)]
        if field_of.default_factory is not dataclasses.MISSING:
            holder = field_of.default_factory
    names = [f.name for f in dataclasses.fields(holder)]
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known keys: {', '.join(names)}"

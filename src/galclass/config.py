"""Configuration: TOML -> typed, frozen dataclasses; default < file < flag; every fault at once.

Takes a TOML file and `section.key=value` overrides, gives a `Config`, writes the resolved TOML
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
from typing import Any, Literal

from galclass.errors import ConfigError

_STRICT = {"extra": "forbid", "strict": False}


@dataclass(frozen=True)
class DownloadConfig:
    """Where the images and the catalog come from.

    Attributes
    ----------
    source : str
        Name of a source in the manifest ("sample" is bundled).
    manifest : str or None
        A TOML manifest of more sources, added to the bundled one.
    parallel : int
        Files fetched at a time.
    retries : int
        Tries after the first, per URL, as long as no byte is gained.
    requests_per_s, bytes_per_s : float or None
        Polite rates; None does not limit.
    read_timeout_s : float
        Longest silence of a server.
    """

    __pydantic_config__ = _STRICT

    source: str = "sample"
    manifest: str | None = None
    parallel: int = 4
    retries: int = 5
    requests_per_s: float | None = None
    bytes_per_s: float | None = None
    read_timeout_s: float = 60.0


@dataclass(frozen=True)
class SourceConfig:
    """One source of images and labels among several that go into one store.

    Attributes
    ----------
    name : str
        Goes into the index as `source`.
    images, catalog, mapping : str
        As in `PrepareConfig`; `~` and `${NAME}` of the environment are filled in.
    catalog_format : str
        "auto" or the name of a catalog reader.
    id_column, label_column, file_column : str or None
        Columns of a generic table; None looks for the usual names.
    labels : dict of str to str
        Label of the table -> class, gz2_class or coarse label; "" for labels that say nothing about our classes.
    votes : dict of str to str
        Vote column of a generic table -> gz2_hart16 name, e.g. t01_smooth_or_features_a01_smooth_fraction.
    id_prefix : str
        Put before each object id, where two sources number different objects alike.
    frame_px, stored_px : int or None
        Side of the survey's frame and of the files in px; None: each file is a full frame.
    """

    __pydantic_config__ = _STRICT

    name: str
    images: str
    catalog: str
    mapping: str | None = None
    catalog_format: str = "auto"
    id_column: str | None = None
    label_column: str | None = None
    file_column: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    votes: dict[str, str] = field(default_factory=dict)
    id_prefix: str = ""
    frame_px: int | None = None
    stored_px: int | None = None


@dataclass(frozen=True)
class PrepareConfig:
    """How images become cutouts and objects become splits.

    Attributes
    ----------
    images, catalog, mapping : str or None
        A folder or archive of images, a catalog and a file mapping; None takes them from the download.
    sources : tuple of SourceConfig
        Several sources for one store, instead of images and catalog.
    catalog_format : str
        "auto" or the name of a catalog reader.
    size_px : int
        Side of the model's input in px.
    crop_fraction : float
        Side of the crop as a fraction of the frame, in (0, 1].
    stored_px, frame_px : int or None
        Side of the files and of the survey's frame in px; None: from the source, or each file is a full frame.
    train, validation, test : float
        Fractions of the objects; they sum to 1.
    limit : int or None
        Take the first so many objects only (by a seeded shuffle).
    max_rejects : float
        Largest share of rejected files, in [0, 1], before the stage fails.
    processes : int
        Worker processes; 0 takes one per core.
    """

    __pydantic_config__ = _STRICT

    images: str | None = None
    catalog: str | None = None
    mapping: str | None = None
    catalog_format: str = "auto"
    sources: tuple[SourceConfig, ...] = ()
    size_px: int = 64
    crop_fraction: float = 204 / 424
    stored_px: int | None = None
    frame_px: int | None = None
    train: float = 0.70
    validation: float = 0.15
    test: float = 0.15
    limit: int | None = None
    max_rejects: float = 0.05
    processes: int = 0


@dataclass(frozen=True)
class TrainConfig:
    """What is trained and how; option names follow rxNeuralNet where it has them.

    Attributes
    ----------
    topology : str
        "residual" (default), "residual_large" (half as much again), "original", a path to a Net# file, or
        "timm:<model>".
    num_hidden_nodes : int
        Size of `auto` hidden layers of a Net# topology.
    type : str
        "multi_class": the 13 classes; "binary": smooth or not, each label widened to one of the two; "regression": the
        37 debiased vote fractions, from which the class probabilities follow down the tree of questions.
    initial_weights : str or None
        A checkpoint of the same topology whose best weights training starts from (fine-tuning); heads that it has not,
        or of another shape, start afresh.
    num_iterations : int
        Passes over the training split.
    mini_batch_size : int
        Cutouts per step of the optimizer.
    optimizer : str
        "adamw", "sgd" or "ada_delta_sgd".
    learning_rate : float
        Step size at its highest ("ada_delta_sgd" multiplies its own step by it: use 1).
    weight_decay, l2_regularization : float
        Decay of the weights apart from the gradient ("adamw": decoupled), and added to the gradient (all optimizers).
    momentum, nag : float, bool
        Momentum of "sgd" in [0, 1) and whether it is Nesterov's.
    decay, conditioning_const : float
        Memory and conditioning of "ada_delta_sgd".
    schedule : str
        "cosine" (after the warm-up down to 0), "step" (the l_rate_red options) or "constant".
    warm_up : float
        Share of all steps, in [0, 1), over which the rate rises from 0.
    l_rate_red_ratio, l_rate_red_freq : float, int
        "step": the rate is multiplied by the ratio every so many iterations.
    l_rate_red_error_ratio : float
        "step": also multiply when the training loss falls by less than this share in an iteration; 0: never.
    init_wts_diameter : float
        Width of the uniform range of the initial weights; 0 takes He initialisation.
    max_norm : float
        Largest norm of one unit's incoming weights; 0: no limit.
    clip_norm : float
        Largest norm of the whole gradient; 0: no limit.
    normalize : str
        "auto" or "yes": pixels are scaled to about -0.2..3.8 (sky near zero); "no": 0..255; "warn": 0..255 and says so.
    class_balance : float
        0: rows count alike; 1: labels count alike; between: weights by label frequency to the power of minus this.
    repeats : tuple of str
        "NAME=K": rows of that source or label enter K times an iteration.
    observation_sources : tuple of str
        Sources whose coarse labels are learned through a matrix "true kind -> what that survey says".
    debiased_sources : tuple of str
        Sources whose gz2_class follows debiased fractions while other sources' labels follow raw ones: the class head
        learns their kind from their raw fractions and from gz2_class only the leaf within its kind.
    label_smoothing : float
        Probability, in [0, 1), that a label says nothing.
    vote_weight : float
        Weight of the vote head's loss where the catalog has debiased fractions; 0 trains no vote head.
    dropout : float
        Share of the embedding dropped while training.
    augment : str
        "free": any angle, mirror, zoom and shift; "fixed": every row at each of `angles_deg`; "none".
    angles_deg : tuple of float
        Angles of "fixed".
    zoom, shift_px, gain, colour_gain : float
        Spread of "free": log zoom (+-), shift (+- px), brightness and per-channel factor (standard deviations).
    reduced_px : int
        Side of the input, in px, during the first `reduced_share` of all steps (faster); 0: the full side throughout.
    reduced_share : float
        In [0, 1].
    views : int
        8: the model answers for the eight turns and mirror images of a cutout alike; 1: for the cutout as it is.
    ema : float
        Memory of the running mean of the weights that is validated and kept, in [0, 1); 0: none.
    early_stopping : int
        Stop after so many iterations without a better validation loss; 0: never.
    accumulate : int
        A step's gradient is gathered from so many parts of the mini-batch (less memory, same result).
    mixed_precision : bool
        bfloat16 autocast.
    acceleration : str
        "auto" (a GPU when there is one), "cpu" or "gpu".
    threads : int
        CPU threads; 0: all cores.
    deterministic : bool
        Deterministic algorithms only.
    cache : bool
        "fixed" and "none": keep transformed cutouts in memory instead of making them again.
    seeds : int
        Train so many times (seed, seed + 1, ...), keep the best and report mean and spread.
    tensorboard : bool
        Write TensorBoard logs beside the CSV.
    checkpoint_s : float
        Seconds between checkpoints within an iteration (one is written at the end of each anyway).
    """

    __pydantic_config__ = _STRICT

    topology: str = "residual"
    num_hidden_nodes: int = 100
    type: Literal["multi_class", "binary", "regression"] = "multi_class"
    initial_weights: str | None = None
    num_iterations: int = 40
    mini_batch_size: int = 64
    optimizer: Literal["adamw", "sgd", "ada_delta_sgd"] = "adamw"
    learning_rate: float = 0.004
    weight_decay: float = 0.05
    l2_regularization: float = 0.0
    momentum: float = 0.0
    nag: bool = False
    decay: float = 0.95
    conditioning_const: float = 1e-6
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    warm_up: float = 0.15
    l_rate_red_ratio: float = 1.0
    l_rate_red_freq: int = 100
    l_rate_red_error_ratio: float = 0.0
    init_wts_diameter: float = 0.0
    max_norm: float = 0.0
    clip_norm: float = 2.0
    normalize: Literal["auto", "yes", "no", "warn"] = "auto"
    class_balance: float = 0.0
    repeats: tuple[str, ...] = ()
    observation_sources: tuple[str, ...] = ()
    debiased_sources: tuple[str, ...] = ()
    label_smoothing: float = 0.01
    vote_weight: float = 0.3
    dropout: float = 0.2
    augment: Literal["free", "fixed", "none"] = "free"
    angles_deg: tuple[float, ...] = (0.0, 45.0, 90.0)
    zoom: float = 0.08
    shift_px: float = 1.5
    gain: float = 0.08
    colour_gain: float = 0.03
    reduced_px: int = 0
    reduced_share: float = 0.5
    views: Literal[1, 8] = 8
    ema: float = 0.99
    early_stopping: int = 0
    accumulate: int = 1
    mixed_precision: bool = False
    acceleration: Literal["auto", "cpu", "gpu"] = "auto"
    threads: int = 0
    deterministic: bool = False
    cache: bool = False
    seeds: int = 1
    tensorboard: bool = False
    checkpoint_s: float = 60.0


@dataclass(frozen=True)
class EvaluateConfig:
    """How a model is measured.

    Attributes
    ----------
    split : str
        The split that is evaluated.
    bootstrap : int
        Resamples behind each 95 % interval.
    gallery : int
        Pictures of right and of wrong predictions in the report.
    frequencies : dict of str to dict of str to float
        Source -> label -> how often it occurs in nature, in any unit: that source is also measured at these shares.
    """

    __pydantic_config__ = _STRICT

    split: Literal["train", "validation", "test"] = "test"
    bootstrap: int = 2000
    gallery: int = 24
    frequencies: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class RegisterConfig:
    """Under which name and aliases the model goes into the registry.

    Attributes
    ----------
    name : str
        Name of the model; its versions count up by themselves.
    aliases : tuple of str
        Aliases that move to the new version; the first is what `score` and `publish` use.
    """

    __pydantic_config__ = _STRICT

    name: str = "galaxy"
    aliases: tuple[str, ...] = ("production",)


@dataclass(frozen=True)
class ScoreConfig:
    """What the stage `score` scores.

    Attributes
    ----------
    model : str or None
        `NAME`, `NAME@VERSION` or `NAME@ALIAS`; None: the one that `register` names.
    images : "test", "all" or "none"
        Which prepared objects' images are put into the database first; images that are there are scored in any case.
    """

    __pydantic_config__ = _STRICT

    model: str | None = None
    images: Literal["test", "all", "none"] = "test"


@dataclass(frozen=True)
class PublishConfig:
    """The service that answers over HTTP."""

    __pydantic_config__ = _STRICT

    name: str = "galaxy-class"
    version: str = "1.0"
    description: str = "Morphology class of a galaxy image"


@dataclass(frozen=True)
class ServeConfig:
    """The HTTP server.

    Attributes
    ----------
    host, port, workers
        Address and number of server processes.
    open_reading : bool
        Whether predictions and lists need no token.
    max_body_bytes : int
        Largest request body.
    max_images : int
        Most images in one request.
    body_timeout_s : float
        Longest time a body may take to arrive.
    threads : int
        Scoring threads of a process; 0 shares the cores among the processes.
    max_waiting : int
        Scoring jobs that may wait in a process before requests are refused with 503.
    max_connections : int
        Connections of a process before further ones are refused with 503.
    requests_per_minute : int
        Largest rate of one token or address, in each process; 0 sets no limit.
    url_hosts : tuple of str
        Hosts that images may be fetched from by URL; empty: fetching is off.
    trusted_proxies : tuple of str
        Addresses of proxies whose X-Forwarded headers are believed.
    job_days : float
        Days until a batch job and its results are deleted.
    """

    __pydantic_config__ = _STRICT

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    open_reading: bool = True
    max_body_bytes: int = 32 * 1024 * 1024
    max_images: int = 256
    body_timeout_s: float = 30.0
    threads: int = 0
    max_waiting: int = 64
    max_connections: int = 2000
    requests_per_minute: int = 0
    url_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    job_days: float = 7.0


@dataclass(frozen=True)
class ClusterConfig:
    """Where Ray runs, and how a survey is cut into work for it.

    Attributes
    ----------
    address : str or None
        "local" (Ray on this machine for the run), "auto" (the cluster this machine is a node of) or HOST:PORT; None: no
        cluster.
    images, output : str or None
        `score`: images (folder, archive, Parquet; path or URL) and folder of the predictions; None: those of `prepare`,
        and `scored` in the workspace.
    catalog : str or None
        `score`: a catalog with positions of loose files and zip members.
    chunk : int
        Images of one task, a multiple of 64.
    partition_rows : int
        Most predictions of one file.
    patience_s : float
        How long a store that fails is waited for.
    workers : int
        Processes that train together; 0: one for each node.
    """

    __pydantic_config__ = _STRICT

    address: str | None = None
    images: str | None = None
    output: str | None = None
    catalog: str | None = None
    chunk: int = 1024
    partition_rows: int = 250_000
    patience_s: float = 300.0
    workers: int = 0


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

    __pydantic_config__ = _STRICT

    workspace: str = "workspace"
    database: str | None = None
    seed: int = 12345
    download: DownloadConfig = field(default_factory=DownloadConfig)
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
        Flags; they win over the file. Text values are read as TOML, then as plain text.

    Raises
    ------
    ConfigError
        With every unknown key ("did you mean") and every wrong value.
    """
    where = str(path) if path is not None else "configuration"
    values = _read_toml(Path(path)) if path is not None else {}
    for key, value in _override_items(overrides):
        _set_dotted(values, key, value)
    return config_from_dict(values, where=where)


def config_from_dict(values: Mapping[str, Any], *, where: str = "configuration") -> Config:
    """Build a `Config` from nested plain values, collecting all faults."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Config).validate_python(dict(values))
    except ValidationError as error:
        faults = [_describe(fault) for fault in error.errors()]
        raise ConfigError(
            f"{len(faults)} fault{'s' if len(faults) > 1 else ''} in the configuration\n  " + "\n  ".join(faults),
            where=where,
        ) from error


def config_to_dict(config: Config) -> dict[str, Any]:
    """Give the resolved configuration as nested plain values (tuples become lists)."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain


def config_to_toml(config: Config) -> str:
    """Write the resolved configuration as TOML text; a key without a value (None) is left out."""
    values = config_to_dict(config)
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if _is_plain(value)]
    for section, fields in values.items():
        if isinstance(fields, dict):
            lines += ["", f"[{section}]"]
            lines += [f"{key} = {_toml(value)}" for key, value in fields.items() if value is not None]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """Write a value as TOML; tables inline, without their keys that have no value."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value)


def _is_plain(value: object) -> bool:
    return value is not None and not isinstance(value, dict)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            "no such configuration file", where=str(path), advice="give the path of a TOML file"
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
        items.append((key.strip(), _toml_value(value.strip())))
    return items


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

"""The sections of the configuration for what comes after training: measure, register, score, publish, serve, scale."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt

from galclass.config.strict import STRICT


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
        Images of right and of wrong predictions in the report.
    frequencies : dict of str to dict of str to float
        Source -> label -> how often it occurs in nature, in any unit: that source is also measured at these shares.
    """

    __pydantic_config__ = STRICT

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
    aliases : tuple of str or None
        Aliases that move to the new version whatever it is worth; the first is what `score`, `sql` and `publish` use.
        None: `production`, by the rule of decision 25 (the first version, or one that is measurably no worse).
    package : str or None
        Also register the model in the package under this name, where there is no model of that name.
    """

    __pydantic_config__ = STRICT

    name: str = "galaxy"
    aliases: tuple[str, ...] | None = None
    package: str | None = None

    @property
    def reference(self) -> str:
        """The registered model that `score` and `sql` use by default."""
        return f"{self.name}@{self.aliases[0]}" if self.aliases else self.name


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

    __pydantic_config__ = STRICT

    model: str | None = None
    images: Literal["test", "all", "none"] = "test"


@dataclass(frozen=True)
class PublishConfig:
    """The HTTP service."""

    __pydantic_config__ = STRICT

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
    provider : str
        What runs the models: "cpu", or "cuda" and others where this onnxruntime has them.
    max_waiting : int
        Scoring jobs that may wait in a process before requests are refused with 503.
    max_connections : int
        Connections of a process before further ones are refused with 503.
    max_connections_per_address : int
        Connections of a process from one address (of IPv6: one network of 64 bits) before further ones are refused with
        503; trusted proxies are exempt; 0 sets no limit.
    allowed_hosts : tuple of str
        Names in Host headers that the server accepts, such as "galaxies.example.org" or "*.example.org"; empty: the
        loopback names and the bind address, or any where `host` is all addresses.
    refusals_per_s : int
        Refused bodies (400, 413, 415, 422) of one address per second that a process refuses without delay; further
        ones wait up to 1 s, valid requests never; 0 sets no limit.
    requests_per_minute : int
        Largest rate of one token or address, over all processes; 0 sets no limit.
    url_hosts : tuple of str
        Hosts that images may be fetched from by URL; empty: fetching is off.
    trusted_proxies : tuple of str
        Addresses of proxies whose X-Forwarded headers are believed.
    max_decode_s : float
        Longest decode of an image by its header, in processor seconds, for HTTP and for the SQL functions; a file of up
        to 64 KiB may take a quarter of it.
    job_days : float
        Days until a batch job and its results are deleted.
    max_jobs : int
        Jobs of all clients that wait or run; as many more may be open.
    client_jobs : int
        Jobs of one token or address that are open, wait or run.
    client_images : int
        Images in jobs of one token or address that wait for their results.
    client_bytes, total_bytes : int
        What the jobs of one token or address, and of all, may store: images, and 4 KiB for each row and its result.
    min_free_bytes : int
        Room that the disk of a SQLite file must keep: below, jobs, labels and publications are refused with 507.
    """

    __pydantic_config__ = STRICT

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    open_reading: bool = True
    max_body_bytes: int = 32 * 1024 * 1024
    max_images: int = 256
    body_timeout_s: float = 30.0
    threads: int = 0
    provider: Literal["cpu", "cuda", "tensorrt", "rocm", "openvino", "coreml"] = "cpu"
    max_waiting: int = 64
    max_connections: int = 2000
    max_connections_per_address: int = 200
    allowed_hosts: tuple[str, ...] = ()
    refusals_per_s: Annotated[int, Ge(0)] = 100
    requests_per_minute: int = 0
    url_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    max_decode_s: float = 1.0
    job_days: Annotated[float, Gt(0)] = 7.0
    max_jobs: Annotated[int, Ge(1)] = 100
    client_jobs: Annotated[int, Ge(1)] = 20
    client_images: Annotated[int, Ge(1)] = 200_000
    client_bytes: Annotated[int, Ge(0)] = 1 << 30
    total_bytes: Annotated[int, Ge(0)] = 8 << 30
    min_free_bytes: Annotated[int, Ge(0)] = 1 << 30


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

    __pydantic_config__ = STRICT

    address: str | None = None
    images: str | None = None
    output: str | None = None
    catalog: str | None = None
    chunk: int = 1024
    partition_rows: int = 250_000
    patience_s: float = 300.0
    workers: int = 0

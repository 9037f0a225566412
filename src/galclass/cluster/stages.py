"""The stages `prepare`, `train` and `score` of the workflow on a cluster, as functions of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from galclass.cluster.inputs import SkyObject
from galclass.config import Config
from galclass.cutouts import LOCAL
from galclass.errors import ClusterError

if TYPE_CHECKING:
    from galclass.cluster.score import ClusterScoreSummary
    from galclass.prepare.summary import PrepareSummary
    from galclass.scoring import Scorer
    from galclass.train.stage import TrainSummary


def prepare_stage(config: Config, *, progress: bool = True) -> PrepareSummary:
    """Fill the prepared folder, byte for byte as one machine does."""
    from galclass.cluster.connect import connected
    from galclass.cluster.prepare import fill_on_cluster
    from galclass.prepare.stage import prepare

    with connected(config.cluster.address or "local"):
        return prepare(config, progress, fill=fill_on_cluster(config.cluster.patience_s))


def train_stage(config: Config, *, resume: bool = False, progress: bool = True) -> TrainSummary:
    """Train with one process on each node, into the shared workspace."""
    from galclass.cluster.connect import connected
    from galclass.cluster.train import train_on_cluster

    with connected(config.cluster.address or "local"):
        return train_on_cluster(config, resume=resume, progress=progress)


def score_stage(
    config: Config, *, model: str | None = None, frame_px: int | None = None, progress: bool = True
) -> ClusterScoreSummary:
    """Score the survey that `cluster.images` names (else the prepared images) into a folder in HATS layout.

    Parameters
    ----------
    config : Config
    model : str, optional
        `NAME[@VERSION|@ALIAS]`, an .onnx file, or "package"; None: `score.model`, else the one that `register` names.
    frame_px : int, optional
        Side of the survey's frame.
    progress : bool
        Show bars.
    """
    from galclass.cluster.score import score_on_cluster

    images, frame = _images(config)
    output = config.cluster.output or str(config.workspace_path / "scored")
    scorer = _scorer(config, model or config.score.model)
    return score_on_cluster(
        images,
        output,
        scorer,
        config.cluster,
        objects=_objects(config),
        frame_px=frame_px or frame,
        progress=progress,
    )


def _images(config: Config) -> tuple[str, int | None]:
    """Return the images and the frame's side: those named for the cluster, for `prepare`, or of the download."""
    if config.cluster.images is not None:
        return config.cluster.images, config.prepare.frame_px
    from galclass.download.configured import configured_sources

    source, *others = configured_sources(config)
    if others:
        raise ClusterError(
            "several sources; a cluster scores one",
            where="prepare.sources",
            advice="name its images with --images",
        )
    return source.images, source.frame_px


def _objects(config: Config) -> Mapping[str, SkyObject] | None:
    catalog = config.cluster.catalog
    if catalog is None:
        return None
    from galclass.catalog import CatalogColumns
    from galclass.database.positions import read_objects

    settings = config.prepare
    rows = read_objects(Path(catalog), format=settings.catalog_format, columns=CatalogColumns.of(settings))
    shared = next(((key, row) for key, row in rows.items() if row.others), None)
    if shared is not None:
        key, row = shared
        raise ClusterError(
            "one image belongs to several objects", where=catalog, expected="one object per image",
            got=f"{', '.join(one.object_id for one in row.all)} for {key}",
        )  # fmt: skip
    return {key: (row.object_id, row.ra, row.dec) for key, row in rows.items()}


def _scorer(config: Config, model: str | None) -> Scorer:
    from galclass.scoring import IN_PACKAGE, Scorer

    limits = LOCAL.with_seconds(config.images.max_decode_s).with_hdu(config.images.hdu)
    if model == IN_PACKAGE:
        return Scorer(limits=limits)
    if model is not None and model.endswith(".onnx"):
        return Scorer(Path(model), limits=limits)
    from galclass.database import Registry, open_database
    from galclass.database.stages import registered_model

    with open_database(config.database_url) as database:
        return Registry(database).get(model or registered_model(database, config)).scorer(limits=limits)

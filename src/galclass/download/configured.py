"""From the configuration to its sources of images: those it names, or what the download stage brought."""

from __future__ import annotations

from dataclasses import replace

from galclass.config import Config, SourceConfig
from galclass.config.paths import filled_in
from galclass.download.sources import open_source
from galclass.errors import ConfigError

_SAME_SETTINGS = (
    *("frame_px", "stored_px", "id_column", "label_column", "file_column", "ra_column", "dec_column"),
    *("table", "labels", "votes"),
)
"""Settings that the section `prepare` and a source have in common."""


def configured_sources(config: Config) -> list[SourceConfig]:
    """Return the sources of `config.prepare` with their paths filled in; whether these exist is not checked.

    One folder of images is the source "local"; its catalog is "" where the configuration names none.

    Raises
    ------
    ConfigError
        If two sources have the same name.
    DownloadError
        If the configuration names no source, and the download is not there or not complete.
    """
    wanted = config.prepare
    if wanted.sources:
        names = [source.name for source in wanted.sources]
        if len(set(names)) < len(names):
            raise ConfigError("two sources have the same name", where="prepare.sources", got=", ".join(names))
        return [_filled_in(source) for source in wanted.sources]
    same = {name: getattr(wanted, name) for name in _SAME_SETTINGS}
    if wanted.images is not None:
        local = SourceConfig("local", wanted.images, wanted.catalog or "", wanted.mapping, wanted.catalog_format)
        return [_filled_in(replace(local, **same))]
    brought = open_source(config)
    mapping = wanted.mapping or (str(brought.mapping) if brought.mapping else None)
    found = SourceConfig(brought.name, str(brought.images), str(brought.catalog), mapping, brought.catalog_format)
    if not brought.our_columns:
        format = brought.catalog_format if wanted.catalog_format == "auto" else wanted.catalog_format
        found = replace(found, catalog_format=format, **same)
    frame_px, stored_px = wanted.frame_px or brought.frame_px, wanted.stored_px or brought.stored_px
    return [_filled_in(replace(found, frame_px=frame_px, stored_px=stored_px))]


def _filled_in(source: SourceConfig) -> SourceConfig:
    mapping = source.mapping if source.mapping is None else filled_in(source.mapping)
    return replace(source, images=filled_in(source.images), catalog=filled_in(source.catalog), mapping=mapping)

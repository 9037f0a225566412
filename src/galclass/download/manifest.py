"""The facts of data sources, as data: URL, checksum, size, licence, citation.

Takes TOML manifests, returns `Source` records. A relative URL is relative to the manifest's folder.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from galclass.errors import DownloadError

BUNDLED = Path(__file__).with_name("sources.toml")
SAMPLE = Path(__file__).parents[3] / "data" / "sample" / "manifest.toml"
SCHEMES = ("file", "http", "https", "s3", "s3a", "az", "azure", "abfs", "abfss", "adl", "gs", "gcs")


@dataclass(frozen=True)
class SourceFile:
    """One file of a source, or a folder of files where `url` ends in "/".

    Attributes
    ----------
    role : str
        "images", "catalog", "mapping", or a name of the user's own.
    url : str
        Absolute URL; a scheme of `SCHEMES`.
    sha256, md5 : str or None
        Hexadecimal checksum of the whole file.
    bytes : int or None
        Size of the file.
    mirrors : tuple of str
        Other URLs of the same bytes, tried in order.
    """

    role: str
    url: str
    sha256: str | None = None
    md5: str | None = None
    bytes: int | None = None
    mirrors: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """File name in the download folder: the last part of the URL's path."""
        return urlsplit(self.url).path.rstrip("/").rpartition("/")[2] or self.role

    @property
    def is_folder(self) -> bool:
        """Whether the URL stands for every file under it."""
        return urlsplit(self.url).path.endswith("/")


@dataclass(frozen=True)
class Source:
    """One source of images and their catalog.

    Attributes
    ----------
    name, title, licence, citation, homepage : str
        What it is, what may be done with it, what to cite, where else to look.
    catalog_format : str
        Name of the catalog reader, or "auto".
    frame_px, stored_px : int or None
        Side of the survey's frame and of what the files hold of it, in px.
    files : tuple of SourceFile
        What there is to fetch.
    """

    name: str
    title: str = ""
    licence: str = ""
    citation: str = ""
    homepage: str = ""
    catalog_format: str = "auto"
    frame_px: int | None = None
    stored_px: int | None = None
    files: tuple[SourceFile, ...] = field(default_factory=tuple)


def known_sources(manifest: Path | str | None = None) -> dict[str, Source]:
    """Return all sources by name: the bundled ones, then those of the user's manifest (which win)."""
    sources = read_manifest(BUNDLED)
    if SAMPLE.is_file():
        sources.update(read_manifest(SAMPLE))
    if manifest is not None:
        sources.update(read_manifest(Path(manifest)))
    return sources


def find_source(name: str, manifest: Path | str | None = None) -> Source:
    """Return one source.

    Raises
    ------
    DownloadError
        If no manifest names it.
    """
    sources = known_sources(manifest)
    if name in sources:
        return sources[name]
    if name == "sample":
        raise DownloadError(
            "the bundled sample is missing",
            where=str(SAMPLE),
            advice="it is part of the project's repository: run from a clone, or name another source",
        )
    close = difflib.get_close_matches(name, sources, n=1)
    raise DownloadError(
        f"unknown source {name!r}",
        where=str(manifest) if manifest is not None else None,
        expected=", ".join(sources),
        advice=f"take {close[0]!r}" if close else "add it to a manifest and set download.manifest",
    )


def read_manifest(path: Path) -> dict[str, Source]:
    """Read the sources of a TOML manifest.

    Raises
    ------
    DownloadError
        With every fault of the file.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DownloadError("manifest not found", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DownloadError(f"not valid TOML: {error}", where=str(path)) from error
    faults: list[str] = []
    sources = {name: _source(name, table, path.parent, faults) for name, table in tables.items()}
    if faults:
        raise DownloadError(f"{len(faults)} fault(s) in the manifest\n  " + "\n  ".join(faults), where=str(path))
    return sources


_SOURCE_TYPES: Mapping[str, type] = {
    **dict.fromkeys(("title", "licence", "citation", "homepage", "catalog_format"), str),
    **dict.fromkeys(("frame_px", "stored_px"), int),
}
_FILE_TYPES: Mapping[str, type] = {"url": str, "sha256": str, "md5": str, "bytes": int, "mirrors": list}


def _source(name: str, table: Any, folder: Path, faults: list[str]) -> Source:
    if not isinstance(table, dict) or not name.replace("-", "_").isidentifier():
        faults.append(f"{name}: a source is a table [name] of letters, digits, '_' and '-'")
        return Source(name)
    table = dict(table)
    files = table.pop("files", {})
    if not isinstance(files, dict) or not files:
        faults.append(f"{name}: has no [{name}.files.<role>] table")
        files = {}
    values = _checked(table, _SOURCE_TYPES, name, faults)
    records = tuple(_file(role, file, folder, f"{name}.files.{role}", faults) for role, file in files.items())
    names = [record.name for record in records]
    faults += [f"{name}: two files are called {each!r}" for each in sorted(set(names)) if names.count(each) > 1]
    return Source(name=name, files=records, **values)


def _file(role: str, table: Any, folder: Path, where: str, faults: list[str]) -> SourceFile:
    values = _checked(table if isinstance(table, dict) else {}, _FILE_TYPES, where, faults)
    for key, digits in (("sha256", 64), ("md5", 32)):
        digest = values.get(key)
        if digest is not None and (len(digest) != digits or set(digest.lower()) - set("0123456789abcdef")):
            faults.append(f"{where}.{key}: expected {digits} hexadecimal digits, got {digest!r}")
    if not values.get("url"):
        faults.append(f"{where}: has no url")
        values["url"] = "file:///missing"
    values["url"] = _absolute(values["url"], folder, f"{where}.url", faults)
    values["mirrors"] = tuple(
        _absolute(mirror, folder, f"{where}.mirrors", faults) for mirror in values.get("mirrors", ())
    )
    return SourceFile(role=role, **values)


def _absolute(url: str, folder: Path, where: str, faults: list[str]) -> str:
    scheme = urlsplit(url).scheme
    if not scheme:
        trailing = "/" if url.endswith("/") else ""
        return (folder / url).resolve().as_uri() + trailing
    if scheme not in SCHEMES:
        faults.append(f"{where}: unknown scheme {scheme!r}; expected one of {', '.join(SCHEMES)}")
    return url


def _checked(table: Mapping[str, Any], types: Mapping[str, type], where: str, faults: list[str]) -> dict[str, Any]:
    values = {}
    for key, value in table.items():
        if key not in types:
            close = difflib.get_close_matches(key, types, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(types)}"
            faults.append(f"{where}.{key}: unknown key; {hint}")
        elif not isinstance(value, types[key]) or isinstance(value, bool):
            faults.append(f"{where}.{key}: expected {types[key].__name__}, got {value!r}")
        else:
            values[key] = value
    return values

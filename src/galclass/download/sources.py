"""A whole source to the workspace: `download` writes `downloads/<source>/`, `open_source` finds it again.

Takes the configuration, returns paths and frame facts; writes the files and `download.json` (what was got from where).
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from galclass.atomic_files import write_text
from galclass.config import Config
from galclass.download.fetch import FetchResult, FetchSettings, fetch
from galclass.download.folders import fetch_folder
from galclass.download.manifest import Source, SourceFile, find_source
from galclass.download.progress import Progress, byte_progress
from galclass.download.stores import shown
from galclass.download.throttle import Throttle
from galclass.errors import DownloadError

RECORD = "download.json"


@dataclass(frozen=True)
class SourceFiles:
    """The location of a downloaded source, and its files.

    Attributes
    ----------
    name : str
        Name of the source.
    images : Path
        A folder or archive for `iter_images`.
    catalog, mapping : Path or None
        For `galclass.catalog.read_catalog`.
    catalog_format : str
        Reader of the catalog.
    frame_px, stored_px : int or None
        Side of the survey's frame and of what the files hold of it; None: each file is a full frame.
    our_columns : bool
        Whether the catalog was written here, so that settings for the columns of a user's own do not apply.
    """

    name: str
    images: Path
    catalog: Path
    mapping: Path | None = None
    catalog_format: str = "auto"
    frame_px: int | None = None
    stored_px: int | None = None
    our_columns: bool = False


@dataclass(frozen=True)
class DownloadSummary:
    """What a download did: files in place, how many of them were fetched now, bytes in all and seconds."""

    source: str
    folder: Path
    files: int
    fetched: int
    bytes: int
    seconds: float

    def __str__(self) -> str:
        done = f"{self.fetched} of {self.files} files fetched" if self.fetched else f"{self.files} files verified"
        return f"{self.source}: {done}, {self.bytes / 1e6:,.1f} MB in {self.seconds:.1f} s, {self.folder}"


def download(config: Config, *, source: str | None = None, progress: bool = True) -> DownloadSummary:
    """Fetch every file of a source, or verify that it is there.

    Parameters
    ----------
    config : Config
        `config.download` names the source; the files go to `<workspace>/downloads/<source>/`.
    source : str, optional
        Another source than the configuration's.
    progress : bool
        Show a bar on the terminal.

    Raises
    ------
    ChecksumError, DownloadError
        Where a file cannot be had; says which URL, what was got, and where else the data is.
    """
    begin = time.monotonic()
    found = find_source(source or config.download.source, config.download.manifest)
    folder = source_folder(config, found.name)
    folder.mkdir(parents=True, exist_ok=True)
    recorded = _recorded_checksums(folder)
    settings = _settings(config)
    with byte_progress(found.name, _total_bytes(found), progress) as bar:
        results = _fetch_all(found, folder, recorded, settings, config.download.parallel, bar)
    _write_record(found, folder, results)
    each = [result for group in results.values() for result in group]
    return DownloadSummary(
        source=found.name,
        folder=folder,
        files=len(each),
        fetched=sum(result.fetched for result in each),
        bytes=sum(result.bytes for result in each),
        seconds=time.monotonic() - begin,
    )


def open_source(config: Config, *, source: str | None = None) -> SourceFiles:
    """Find a source that `download` brought.

    Raises
    ------
    DownloadError
        If it is not there or not complete.
    """
    name = source or config.download.source
    folder = source_folder(config, name)
    record = _read_record(folder)
    if record is None:
        raise DownloadError(f"{name!r} has not been downloaded", where=str(folder), advice="run: galclass download")
    paths = {role: folder / entry["name"] for role, entry in record["files"].items()}
    missing = [str(path) for path in paths.values() if not path.exists()]
    missing += [f"a file for {role!r}" for role in ("images", "catalog") if role not in paths]
    if missing:
        raise DownloadError(f"{name!r} lacks {', '.join(missing)}", where=str(folder), advice="run: galclass download")
    return SourceFiles(
        name=name,
        images=paths["images"],
        catalog=paths["catalog"],
        mapping=paths.get("mapping"),
        catalog_format=record["catalog_format"],
        frame_px=record["frame_px"],
        stored_px=record["stored_px"],
        our_columns=record.get("our_columns", False),
    )


def source_folder(config: Config, name: str) -> Path:
    """Return the folder of a source in the workspace."""
    return config.workspace_path / "downloads" / name


def _fetch_all(
    source: Source,
    folder: Path,
    recorded: dict[tuple[str, str], str],
    settings: FetchSettings,
    parallel: int,
    bar: Progress,
) -> dict[str, list[FetchResult]]:
    def one(file: SourceFile) -> list[FetchResult]:
        if file.is_folder:
            return fetch_folder(file, folder / file.name, settings=settings, parallel=parallel, on_bytes=bar.add)
        known = [recorded.get((file.name, shown(url))) for url in (file.url, *file.mirrors)]
        return [fetch(file, folder, known_sha256=next(filter(None, known), None), settings=settings, on_bytes=bar.add)]

    pool = ThreadPoolExecutor(max(1, parallel), "download")
    try:
        return dict(zip([file.role for file in source.files], pool.map(one, source.files), strict=True))
    except DownloadError as error:
        elsewhere = f"the data is described at {source.homepage}" if source.homepage else "ask its publisher"
        raise type(error)(
            f"{error}\n  the source {source.name!r} is incomplete",
            advice=f"run the same command to resume; {elsewhere}; your own manifest can name another URL",
        ) from error
    finally:  # also on Ctrl-C: fetches under way end within a moment, and keep their parts
        settings.stop.set()
        pool.shutdown(cancel_futures=True)


def _settings(config: Config) -> FetchSettings:
    wanted = config.download
    return FetchSettings(
        retries=wanted.retries,
        read_timeout_s=wanted.read_timeout_s,
        requests=Throttle(wanted.requests_per_s),
        bytes=Throttle(wanted.bytes_per_s),
    )


def _total_bytes(source: Source) -> int | None:
    sizes = [file.bytes for file in source.files]
    return None if None in sizes else sum(size or 0 for size in sizes)


def _write_record(source: Source, folder: Path, results: dict[str, list[FetchResult]]) -> None:
    record = {
        key: getattr(source, key)
        for key in ("name", "title", "licence", "citation", "homepage", "catalog_format", "frame_px", "stored_px")
    }
    files = {file.role: _entry(file, results[file.role]) for file in source.files}
    text = json.dumps({**record, "files": files}, indent=2) + "\n"
    if (folder / RECORD).exists() and (folder / RECORD).read_text(encoding="utf-8") == text:
        return
    write_text(folder / RECORD, text)


def _entry(file: SourceFile, results: list[FetchResult]) -> dict[str, Any]:
    if file.is_folder:
        return {"name": file.name, "count": len(results), "bytes": sum(result.bytes for result in results)}
    result = results[0]
    return {"name": file.name, "url": result.url, "bytes": result.bytes, "sha256": result.sha256}


def _read_record(folder: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        advice = "delete it and run galclass download"
        raise DownloadError(f"not valid JSON: {error}", where=str(folder / RECORD), advice=advice) from error
    return record


def _recorded_checksums(folder: Path) -> dict[tuple[str, str], str]:
    """Return the sha256 of each file by its name and where it came from: another URL may have other bytes."""
    record = _read_record(folder) or {"files": {}}
    return {(entry["name"], entry["url"]): entry["sha256"] for entry in record["files"].values() if "sha256" in entry}

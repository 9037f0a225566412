"""A folder of objects (S3 prefix, Azure container, local folder) to the disk, in parallel, resumable.

Takes a `SourceFile` whose URL ends in "/", returns one result per object; keeps the paths under the prefix.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from galclass.download.fetch import FetchResult, FetchSettings, fetch
from galclass.download.manifest import SourceFile
from galclass.download.stopping import Responses
from galclass.download.stores import explain, shown
from galclass.errors import DownloadError


@dataclass(frozen=True)
class _Listed:
    path: str
    size: int
    modified: float


def fetch_folder(
    file: SourceFile,
    folder: Path,
    *,
    settings: FetchSettings,
    parallel: int,
    on_bytes: Callable[[int], None],
) -> list[FetchResult]:
    """Fetch every object under a URL that is not there in full, or was changed since it was fetched.

    Raises
    ------
    DownloadError
        If the store cannot list (plain HTTP), an object's name points outside, or an object cannot be fetched.
    """

    def one(item: _Listed) -> FetchResult:
        target = folder / item.path
        if target.is_file() and _is_current(target.stat(), item):
            on_bytes(item.size)
            return FetchResult(target, shown(file.url) + item.path, item.size, "", fetched=False)
        record = SourceFile(file.role, file.url + quote(item.path), bytes=item.size)
        return fetch(record, target.parent, settings=settings, on_bytes=on_bytes)

    with ThreadPoolExecutor(max(1, parallel), "folder") as pool:
        return list(pool.map(one, _listed(file, settings)))


def _is_current(there: os.stat_result, item: _Listed) -> bool:
    return there.st_size == item.size and there.st_mtime >= item.modified


def _listed(file: SourceFile, settings: FetchSettings) -> list[_Listed]:
    import obstore
    from obstore.exceptions import BaseError

    if file.url.startswith(("http://", "https://")):
        raise DownloadError(
            "a folder cannot be listed over plain HTTP", where=shown(file.url), advice="name an archive or each file"
        )
    location = settings.stores.open(file.url)
    try:
        batches = obstore.list(location.store, prefix=location.path or None)
        with Responses(settings.stop) as responses:
            items: list[Any] = [item for batch in responses.each(aiter(batches)) for item in batch]
    except (BaseError, OSError) as error:
        raise DownloadError(f"cannot be listed: {explain(error)}", where=shown(file.url)) from error
    begin = len(location.path)
    listed = sorted(
        (_Listed(str(item["path"])[begin:], int(item["size"]), item["last_modified"].timestamp()) for item in items),
        key=lambda item: item.path,
    )
    if not listed:
        raise DownloadError("there is nothing under this URL", where=shown(file.url))
    for item in listed:
        parts = PurePosixPath(item.path)
        if parts.is_absolute() or ".." in parts.parts or "\\" in item.path:
            raise DownloadError("refused: a name that points outside", where=shown(file.url) + item.path)
    return listed

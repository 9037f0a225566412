"""Images by sky position: one cutout for each row of a catalog, at a polite rate, resumable.

Takes a catalog with ra, dec (degrees) and perhaps petroR90_r (arcsec), returns a source like any other: writes
`downloads/cutouts_<service>/` with `images/`, `catalog.parquet`, `rejects.parquet`, `cutouts.jsonl` (which URL gave
which file: the cache) and `download.json`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from galclass.catalog import CatalogColumns, CatalogReport, read_catalog
from galclass.config import Config
from galclass.download.cutout_files import (
    CutoutItem,
    CutoutRequest,
    image_path,
    is_cached,
    keep_image,
    read_journal,
    write_source,
)
from galclass.download.images import ImageReader, check_image
from galclass.download.progress import item_progress
from galclass.download.services import (
    GZ2_SCALE_PER_PETROR90,
    SDSS_ARCSEC_PER_PX,
    SERVICES,
    Cutout,
    CutoutService,
)
from galclass.download.sources import RECORD, source_folder
from galclass.download.throttle import Throttle
from galclass.errors import CatalogError, DownloadError, Rejection
from galclass.image_names import file_stem_of

_MOST_FAILURES_IN_A_ROW = 20
_NOTICE_EVERY_S = 10.0


@dataclass(frozen=True)
class CutoutsSummary:
    """What a run did: images in place, how many were fetched now, rejected rows, seconds."""

    folder: Path
    images: int
    fetched: int
    rejected: int
    seconds: float

    def __str__(self) -> str:
        rate = self.fetched / self.seconds if self.seconds else 0.0
        return (
            f"{self.images} cutouts ({self.fetched} fetched, {self.rejected} rejected) "
            f"in {self.seconds:.1f} s, {rate:.1f} images/s, {self.folder}"
        )


def download_cutouts(
    request: CutoutRequest,
    config: Config,
    *,
    progress: bool = True,
    warn: Callable[[str], None] = lambda text: None,
    notify: Callable[[str], None] = lambda text: None,
) -> CutoutsSummary:
    """Fetch a cutout for every object of a catalog, resuming where an earlier run stopped.

    Parameters
    ----------
    request : CutoutRequest
    config : Config
    progress : bool
        Show a bar.
    warn : callable
        Called before the first request with each remark on the catalog, and if the frames will not be what the packaged
        model expects.
    notify : callable
        Called with what is requested before the first image, and from time to time while the service is being retried.

    Raises
    ------
    CatalogError
        If the catalog has no positions or wrong units.
    DownloadError
        If the request is impossible, or the service no longer responds; fetched images are kept.
    """
    begin = time.monotonic()
    service = _service(request.service)
    _check(request, service)
    folder = source_folder(config, f"cutouts_{service.name}")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    table, rejects = _read(request, config, warn)
    if request.arcsec_per_px is None and "petroR90_r" not in table.column_names:
        warn(
            f"no petroR90_r column: every frame has the same scale of {SDSS_ARCSEC_PER_PX} arcsec per px; "
            "the packaged model expects frames scaled to the galaxy's size"
        )
    items = list(_items(table, request, service, rejects))
    cache = read_journal(folder)
    missing = [item for item in items if not is_cached(item, cache, folder)]
    if any(image_path(item, folder).exists() for item in missing):
        (folder / RECORD).unlink(missing_ok=True)  # no source until all images are of this request
    settings = config.download
    on_retry = _RetryNotices(service.title, notify)
    reader = ImageReader(settings.retries, settings.read_timeout_s, settings.parallel, on_retry=on_retry)
    if missing:
        there = f", {len(items) - len(missing):,} are already here" if len(missing) < len(items) else ""
        notify(
            f"requesting {len(missing):,} images from {service.title}, each up to {settings.retries + 1} times{there}"
        )
    throttle = Throttle(request.requests_per_s or service.requests_per_s)
    with (
        (folder / "cutouts.jsonl").open("a", encoding="utf-8") as journal,
        item_progress(service.title, len(items), progress) as bar,
    ):
        bar.add(len(items) - len(missing))
        refused = set()
        for item, outcome in _fetched(missing, reader, throttle, request.size_px, config.download.parallel):
            if isinstance(outcome, Rejection):
                refused.add(item.object_id)
                if outcome.code != "no_answer":  # what there is is of another request, and shows something else
                    image_path(item, folder).unlink(missing_ok=True)
                rejects.append(_reject(item.object_id, outcome.code, str(outcome)))
            else:
                keep_image(item, outcome, folder, journal)
            bar.add(1)
    images = [item for item in items if item.object_id not in refused]
    write_source(folder, service, request, table, images, rejects)
    fetched = len(missing) - len(refused)
    return CutoutsSummary(folder, len(images), fetched, len(rejects), time.monotonic() - begin)


class _RetryNotices:
    """Reports that a service is being retried, at most once every few seconds."""

    def __init__(self, title: str, notify: Callable[[str], None]) -> None:
        self._title, self._notify = title, notify
        self._lock = threading.Lock()
        self._count, self._next = 0, 0.0

    def __call__(self, reason: str) -> None:
        with self._lock:
            self._count += 1
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + _NOTICE_EVERY_S
            self._notify(f"{self._title} did not respond ({reason}): retrying, {self._count:,} times so far")


def _service(name: str) -> CutoutService:
    if name not in SERVICES:
        raise DownloadError(f"unknown cutout service {name!r}", expected=", ".join(SERVICES))
    return SERVICES[name]


def _check(request: CutoutRequest, service: CutoutService) -> None:
    """Refuse scales and rates that are no positive numbers, and a layer where the service has none."""
    for name, value in (("arcsec_per_px", request.arcsec_per_px), ("requests_per_s", request.requests_per_s)):
        if value is not None and not 0 < value < math.inf:
            raise DownloadError(f"{name} must be a positive number", got=value)
    if request.layer is not None and not service.layer:
        named = ", ".join(one.name for one in SERVICES.values() if one.layer)
        raise DownloadError(f"{service.name} has no layers", expected=f"a layer for {named} only", got=request.layer)


def _read(request: CutoutRequest, config: Config, warn: Callable[[str], None]) -> tuple[Any, list[dict[str, Any]]]:
    report = CatalogReport()
    settings = config.prepare
    columns = CatalogColumns.of(settings)
    table = read_catalog(request.catalog, settings.catalog_format, columns=columns, report=report, any_label=True)
    absent = [name for name in ("ra", "dec") if name not in table.column_names]
    if absent:
        raise CatalogError(
            f"no column {' and '.join(absent)}",
            where=str(request.catalog),
            expected="degrees or sexagesimal, ICRS",
            got=", ".join(report.columns[:12]),
            advice="name them with --ra-column and --dec-column",
        )
    for remark in report.remarks:
        warn(f"catalog: {remark}")
    wanted = [name for name in table.column_names if name not in ("asset_id", "file")]
    rejects = [_reject(fault.object_id, fault.code, fault.reason, fault.row) for fault in report.rejects]
    return table.select(wanted), rejects


def _items(
    table: Any, request: CutoutRequest, service: CutoutService, rejects: list[dict[str, Any]]
) -> Iterator[CutoutItem]:
    taken: set[str] = set()
    for row in table.to_pylist():
        try:
            stem, scale = _stem(row["object_id"], taken), _scale(row, request)
        except Rejection as rejection:
            rejects.append(_reject(row["object_id"], rejection.code, str(rejection)))
            continue
        taken.add(stem.casefold())
        cutout = Cutout(row["ra"], row["dec"], request.size_px, scale)
        yield CutoutItem(row["object_id"], stem, service.url(cutout, base_url=request.base_url, layer=request.layer))


def _stem(object_id: str, taken: set[str]) -> str:
    stem = file_stem_of(object_id, taken)
    if stem is None:
        raise Rejection("id_too_long", "the object id cannot be a file name: it is too long, or too similar to another")
    return stem


def _scale(row: dict[str, Any], request: CutoutRequest) -> float:
    """Return the arcsec per px of a row's image."""
    if row["ra"] is None or row["dec"] is None:
        raise Rejection("no_position", "ra or dec is missing")
    if request.arcsec_per_px is not None or "petroR90_r" not in row:
        return SDSS_ARCSEC_PER_PX if request.arcsec_per_px is None else request.arcsec_per_px
    if row["petroR90_r"] is None or not 0 < row["petroR90_r"] < math.inf:
        raise Rejection("no_size", "petroR90_r is missing or not positive")
    return float(GZ2_SCALE_PER_PETROR90 * row["petroR90_r"])


def _fetched(
    items: list[CutoutItem], reader: ImageReader, throttle: Throttle, size_px: int, parallel: int
) -> Iterator[tuple[CutoutItem, bytes | Rejection]]:
    def one(item: CutoutItem) -> bytes | Rejection:
        throttle.wait()
        try:
            data = reader.read(item.url)
            check_image(data, size_px)
        except Rejection as rejection:
            return rejection
        return data

    failures = 0
    pool = ThreadPoolExecutor(max(1, parallel), "cutouts")
    try:
        for item, outcome in zip(items, pool.map(one, items), strict=True):
            if isinstance(outcome, Rejection) and outcome.code == "no_answer":
                failures += 1
                if failures >= _MOST_FAILURES_IN_A_ROW:
                    raise _dead_service(failures, outcome)
            else:
                failures = 0
            yield item, outcome
    finally:  # also on Ctrl-C: requests under way are abandoned, and nothing of theirs is written
        pool.shutdown(wait=False, cancel_futures=True)


def _dead_service(failures: int, last: Rejection) -> DownloadError:
    return DownloadError(
        f"the service failed {failures} times in a row, last: {last}",
        advice="try again later (the same command resumes), or use another service with --service",
    )


def _reject(object_id: str | None, code: str, reason: str, row: int | None = None) -> dict[str, Any]:
    return {"object_id": object_id, "code": code, "reason": reason, "row": row}

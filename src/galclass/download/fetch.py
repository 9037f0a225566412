"""One file from a URL to the disk: streamed to a temporary file, checked, then moved into place.

Takes a `SourceFile` and a folder, returns the file; writes `<name>.part` and `<name>.part.json` meanwhile. A stopped
fetch resumes where it stopped (HTTP ranges) if the server still has the same file; a finished one is only verified.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from galclass.atomic_files import wait_for_disk
from galclass.download.manifest import SourceFile
from galclass.download.part import Part, begun_url
from galclass.download.stopping import Responses, StoppedError, raise_if_stopped
from galclass.download.stores import Stores, explain, is_permanent, shown
from galclass.download.throttle import Throttle
from galclass.errors import ChecksumError, DownloadError
from galclass.retries import growing_waits

_CHUNK_BYTES = 256 << 10
_LONGEST_WAIT_S = 30.0
_WEB_PAGE = "an HTML page"
_NOT_MODIFIED_KNOWN = 0  # the store's response for "no Last-Modified header"


@dataclass(frozen=True)
class FetchSettings:
    """How patient and how polite a fetch is.

    Attributes
    ----------
    retries : int
        Tries after the first without a byte gained, per URL.
    backoff_s : float
        First pause between tries; doubles up to 30 s, with jitter.
    read_timeout_s : float
        Longest silence of a server.
    requests, bytes : Throttle
        Rates shared by all fetches of a run.
    stop : threading.Event
        Once set, fetches end within a moment, also those whose server is silent, and keep what they have.
    """

    retries: int = 5
    backoff_s: float = 0.5
    read_timeout_s: float = 60.0
    requests: Throttle = field(default_factory=lambda: Throttle(None))
    bytes: Throttle = field(default_factory=lambda: Throttle(None))
    stop: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def stores(self) -> Stores:
        """The connections, shared by all fetches of a run."""
        return Stores(self.read_timeout_s)


@dataclass(frozen=True)
class FetchResult:
    """What a fetch did; `resumed_from` counts the bytes that were there before, `fetched` is False for a no-op."""

    path: Path
    url: str
    bytes: int
    sha256: str
    resumed_from: int = 0
    fetched: bool = True


OnBytes = Callable[[int], None]


def fetch(
    file: SourceFile,
    folder: Path,
    *,
    known_sha256: str | None = None,
    settings: FetchSettings | None = None,
    on_bytes: OnBytes | None = None,
) -> FetchResult:
    """Fetch one file into a folder, or verify that it is there.

    Parameters
    ----------
    file : SourceFile
        URL, mirrors, and what is known of the bytes.
    folder : path
        Where `file.name` goes.
    known_sha256 : str, optional
        Checksum recorded at an earlier download, used when the manifest gives none.
    settings : FetchSettings, optional
        Patience and pace.
    on_bytes : callable, optional
        Gets the number of bytes of each step (for a progress bar).

    Raises
    ------
    ChecksumError
        If every URL gave other bytes than declared; the wrong bytes are deleted.
    StoppedError
        If the run was stopped; the part is kept.
    DownloadError
        If no URL could be fetched; names each with what was got.
    """
    settings = settings or FetchSettings()
    report = on_bytes or (lambda count: None)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file.name
    there = _verified(file, target, known_sha256, settings.stop)
    if there is not None:
        report(there.bytes)
        return there
    failures: list[DownloadError] = []
    begun = begun_url(target)
    for url in sorted((file.url, *file.mirrors), key=lambda url: shown(url) != begun):  # the begun one first
        part = Part(target, url)
        try:
            return _fetch_url(file, part, settings, report)
        except StoppedError:
            raise  # another URL would discard this one's part
        except DownloadError as error:
            failures.append(error)
    raise _all_failed(failures)


def _fetch_url(file: SourceFile, part: Part, settings: FetchSettings, report: OnBytes) -> FetchResult:
    resumed_from = part.bytes if part.can_resume(file.sha256 is not None) else 0
    report(resumed_from)
    _complete(file, part, settings, report)
    result = _check(file, part, settings.stop)
    if result is None and resumed_from:  # the part was of other bytes than the rest
        part.restart()
        resumed_from = 0
        _complete(file, part, settings, report)
        result = _check(file, part, settings.stop)
    if result is None:
        got = f"sha256 {_digest(part.path, settings.stop).sha256}, {part.bytes} bytes, {_looks_like(part.path)}"
        part.restart()
        expected = f"sha256 {file.sha256}" if file.sha256 else f"md5 {file.md5}" if file.md5 else f"{file.bytes} bytes"
        raise ChecksumError(
            "not the declared bytes; they were deleted", where=shown(part.url), expected=expected, got=got
        )
    if not (file.sha256 or file.md5) and _looks_like(part.path) == _WEB_PAGE:  # a portal's error page, sent with 200
        part.restart()
        raise DownloadError("got a web page instead of the file; it was deleted", where=shown(part.url))
    part.finish()
    return FetchResult(part.target, shown(part.url), result.bytes, result.sha256, resumed_from)


def _complete(file: SourceFile, part: Part, settings: FetchSettings, report: OnBytes) -> None:
    failures, waits = 0, growing_waits(settings.backoff_s, _LONGEST_WAIT_S)
    while True:
        before = part.bytes
        try:
            with part.alone():
                _stream(file, part, settings, report)
            return
        except _transport_errors() as error:
            if is_permanent(error):
                raise DownloadError(f"cannot be fetched: {explain(error)}", where=shown(part.url)) from error
            failures = 0 if part.bytes > before else failures + 1
            if failures > settings.retries:
                raise DownloadError(
                    f"gave up after {failures} attempts without a byte: {explain(error)}", where=shown(part.url)
                ) from error
            if not failures:
                waits = growing_waits(settings.backoff_s, _LONGEST_WAIT_S)
            settings.stop.wait(next(waits))


def _stream(file: SourceFile, part: Part, settings: FetchSettings, report: OnBytes) -> None:
    import obstore
    from obstore import exceptions

    location = settings.stores.open(part.url)
    offset = part.bytes if part.can_resume(file.sha256 is not None) else 0
    if offset and offset == part.facts.get("size"):
        return
    settings.requests.wait(stop=settings.stop)
    with Responses(settings.stop) as responses:
        try:
            options = _options(offset, part.facts) if offset else None
            response = responses.wait(lambda: obstore.get_async(location.store, location.path, options=options))
        except (exceptions.NotSupportedError, exceptions.PreconditionError):
            part.restart()  # no ranges, or another version by now
            report(-offset)
            offset = 0
            response = responses.wait(lambda: obstore.get_async(location.store, location.path))
        identity = _identity(response.meta)
        if offset and any(part.facts.get(key) != identity[key] for key in ("e_tag", "last_modified", "size")):
            part.restart()
            report(-offset)
            raise _ChangedError
        if not offset:
            part.identify(identity)
        with part.path.open("ab" if offset else "wb") as sink:
            for chunk in responses.each(aiter(response.stream(min_chunk_size=_CHUNK_BYTES))):
                sink.write(chunk)
                report(len(chunk))
                settings.bytes.wait(len(chunk), stop=settings.stop)
            sink.flush()
            wait_for_disk(sink.fileno())


class _ChangedError(OSError):
    """The server's file is another one than the part's; asked again from the start."""


def _transport_errors() -> tuple[type[Exception], ...]:
    from obstore.exceptions import BaseError

    return (BaseError, OSError)


def _options(offset: int, facts: dict[str, Any]) -> Any:
    options: dict[str, Any] = {"range": {"offset": offset}}
    if facts.get("e_tag"):
        options["if_match"] = facts["e_tag"]
    return options


def _identity(meta: Any) -> dict[str, Any]:
    modified = meta["last_modified"].timestamp()
    return {
        "e_tag": meta["e_tag"],
        "last_modified": None if modified == _NOT_MODIFIED_KNOWN else modified,
        "size": meta["size"],
    }


@dataclass(frozen=True)
class _Digest:
    sha256: str
    md5: str
    bytes: int


def _digest(path: Path, stop: threading.Event) -> _Digest:
    with path.open("rb") as file:
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        size = 0
        while block := file.read(1 << 20):
            raise_if_stopped(stop)
            sha256.update(block)
            md5.update(block)
            size += len(block)
    return _Digest(sha256.hexdigest(), md5.hexdigest(), size)


def _check(file: SourceFile, part: Part, stop: threading.Event) -> _Digest | None:
    if not part.path.exists():
        part.path.touch()
    digest = _digest(part.path, stop)
    return digest if _agrees(file, digest) else None


def _agrees(file: SourceFile, digest: _Digest) -> bool:
    return (
        (file.sha256 is None or file.sha256.lower() == digest.sha256)
        and (file.md5 is None or file.md5.lower() == digest.md5)
        and (file.bytes is None or file.bytes == digest.bytes)
    )


def _verified(file: SourceFile, target: Path, known_sha256: str | None, stop: threading.Event) -> FetchResult | None:
    if not target.is_file():
        return None
    digest = _digest(target, stop)
    declared = file.sha256 or file.md5
    if not _agrees(file, digest) or (not declared and digest.sha256 != known_sha256):
        return None
    return FetchResult(target, shown(file.url), digest.bytes, digest.sha256, fetched=False)


def _looks_like(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if not start:
        return "an empty file"
    return _WEB_PAGE if start.startswith((b"<!doctype html", b"<html")) else "not a web page"


def _all_failed(failures: list[DownloadError]) -> DownloadError:
    if len(failures) == 1:
        return failures[0]
    kind = ChecksumError if all(isinstance(failure, ChecksumError) for failure in failures) else DownloadError
    return kind("no URL returned the file\n  " + "\n  ".join(str(failure) for failure in failures))

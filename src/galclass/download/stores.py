"""URLs to object stores: file, http(s), S3, Azure Blob and Google Storage behind one API (obstore).

Credentials come from the environment (AWS_*, AZURE_*, GOOGLE_*); without any, access is anonymous.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from galclass import __version__

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_CREDENTIALS: Mapping[str, tuple[str, ...]] = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_", "AWS_SKIP_SIGNATURE"),
    "az": (
        *("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_SAS_", "AZURE_STORAGE_TOKEN"),
        *("AZURE_CLIENT_ID", "AZURE_STORAGE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_USE_AZURE_CLI"),
        *("AZURE_SKIP_SIGNATURE", "MSI_ENDPOINT", "IDENTITY_ENDPOINT"),
    ),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SKIP_SIGNATURE"),
}
"""Beginnings of the environment variables that give credentials (obstore reads them itself)."""
_KIND: Mapping[str, str] = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("az", "azure", "abfs", "abfss", "adl"), "az"),
    **dict.fromkeys(("gs", "gcs"), "gs"),
}


@dataclass(frozen=True)
class Location:
    """A store and the path of one object in it, or of a folder ("" is the whole store)."""

    store: ObjectStore
    path: str


class Stores:
    """The stores of a run: one for each server or bucket, so that connections are kept.

    Parameters
    ----------
    read_timeout_s : float
        Longest silence of a server.
    """

    def __init__(self, read_timeout_s: float = 60.0) -> None:
        self._read_timeout_s = read_timeout_s
        self._stores: dict[str, ObjectStore] = {}
        self._lock = threading.Lock()

    def open(self, url: str) -> Location:
        """Return the store and the path of a URL."""
        parts = urlsplit(url)
        # A query (a signature) belongs to the store: it is appended to every path.
        query = parts.query if parts.scheme in ("http", "https") else ""
        root = urlunsplit((parts.scheme, parts.netloc, "/", query, ""))
        with self._lock:
            if root not in self._stores:
                self._stores[root] = _open_store(root, self._read_timeout_s)
        return Location(self._stores[root], unquote(parts.path).lstrip("/"))


def _open_store(root: str, read_timeout_s: float) -> ObjectStore:
    from obstore.store import HTTPStore, LocalStore, from_url

    scheme = urlsplit(root).scheme
    if scheme == "file":
        return LocalStore("/")
    options: dict[str, Any] = {
        "client_options": {
            "allow_http": True,
            "user_agent": f"galclass/{__version__}",
            "connect_timeout": timedelta(seconds=min(10.0, read_timeout_s)),
            "read_timeout": timedelta(seconds=read_timeout_s),
            "timeout": timedelta(days=2),  # of one whole response; a stall is what read_timeout finds
        },
        "retry_config": {"max_retries": 0},  # fetch retries itself, from where it stopped
    }
    if scheme in ("http", "https"):
        return HTTPStore.from_url(root, **options)
    kind = _KIND[scheme]
    if not any(value and name.startswith(_CREDENTIALS[kind]) for name, value in os.environ.items()):
        options["skip_signature"] = True
    return from_url(root.rstrip("/"), **options)


def is_permanent(error: Exception) -> bool:
    """Return whether a retry is useless: missing, forbidden, or another 4xx except rate limits."""
    from obstore import exceptions

    if isinstance(error, FileNotFoundError | PermissionError):
        return True
    if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
        return True
    status = http_status(error)
    return status is not None and 400 <= status < 500 and status not in (408, 425, 429)


def http_status(error: Exception) -> int | None:
    """Return the HTTP status in an obstore error, if it has one."""
    match = re.search(r"status(?: code)?:? (\d{3})", str(error))
    return int(match.group(1)) if match else None


def explain(error: Exception) -> str:
    """Return an obstore error in one short line."""
    text = str(error).split("\n", 1)[0]
    text = text.rpartition("Server returned non-2xx status code: ")[2].rpartition(" - HTTP error: ")[2]
    return re.sub(r"[?&]\S*", "?...", text)[:200].strip() or type(error).__name__


def shown(url: str) -> str:
    """Return a URL for messages and records: without its query, which may hold a secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

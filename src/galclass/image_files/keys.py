"""The image files of one container by the key that joins each to its catalog row.

Takes the `Listing` of a folder, zip or tar, returns `ImageFiles`.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from galclass.image_files import ImageEntry, Listing, shown
from galclass.image_names import object_id_of


@dataclass(frozen=True)
class ImageFiles:
    """The image files of one container.

    Attributes
    ----------
    listing : Listing
        Of a folder, zip or tar.
    names : dict of str to list of str
        Key (`file_key`) -> names inside the container, as text, in the order of reading; one name, unless files of
        several folders have the same key.
    entries : dict of str to ImageEntry
        Name as text -> entry, in the order of reading.
    """

    listing: Listing
    names: dict[str, list[str]]
    entries: dict[str, ImageEntry]

    @property
    def sha256(self) -> str:
        """Hash of all names and stamps, and of what cannot be read or was skipped."""
        stamps = [(name, entry.stamp) for name, entry in self.entries.items()]
        stamps += [(shown(fault.name), fault.reason) for fault in self.listing.faults]
        return stamps_sha256([*stamps, ("skipped", str(self.listing.skipped))])


def stamps_sha256(stamps: Iterable[tuple[str, str]]) -> str:
    """Hash names and stamps, in order."""
    digest = hashlib.sha256()
    for name, stamp in stamps:
        digest.update(f"{name}\0{stamp}\n".encode())
    return digest.hexdigest()


def file_key(name: str) -> str:
    """Return the key of a file: its name without folder and image suffix, composed (NFC), as text."""
    return shown(object_id_of(name))


def row_key(asset_id: str | None) -> str | None:
    """Return the key of a catalog row: its asset_id, composed (NFC) as the names of files are."""
    return asset_id if asset_id is None or asset_id.isascii() else unicodedata.normalize("NFC", asset_id)


def lost_zeros(row_keys: Iterable[str], file_keys: Iterable[str]) -> str | None:
    """Return what to do where keys of rows and files differ by leading zeros alone; None where they do not."""
    files = set(file_keys)
    short = {key.lstrip("0") for key in files if key.isdecimal() and key.startswith("0")}
    if any(key in short and key not in files for key in row_keys):
        return "the ids of the table lost their leading zeros: write them as text (pandas: dtype=str), as the files are"
    return None


def image_files(listing: Listing) -> ImageFiles:
    """Find the key of each file of a container."""
    names: dict[str, list[str]] = {}
    entries: dict[str, ImageEntry] = {}
    for entry in listing:
        name = shown(entry.name)
        names.setdefault(file_key(entry.name), []).append(name)
        entries[name] = entry
    return ImageFiles(listing, names, entries)

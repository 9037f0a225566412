"""Image files in a folder, zip or tar: how every stage lists and reads them.

Takes paths, returns a `Listing` (the images, those that cannot be read, and what was skipped, all by name) and bytes.
Nothing is decoded. What is neither read nor a fault is counted and named: files seen = images + faults + skipped.
"""

from __future__ import annotations

from galclass.image_files.limits import DEFAULT_LIMITS, ArchiveLimits
from galclass.image_files.listing import ImageEntry, Listing, list_images
from galclass.image_files.names import shown
from galclass.image_files.reading import ImageFile, find_images, iter_images, read_image, with_bytes
from galclass.image_files.skipped import FileFault, Skipped
from galclass.image_files.unpacking import unpack
from galclass.image_files.zipped import ZipLocation, read_member

__all__ = [
    "DEFAULT_LIMITS",
    "ArchiveLimits",
    "FileFault",
    "ImageEntry",
    "ImageFile",
    "Listing",
    "Skipped",
    "ZipLocation",
    "find_images",
    "iter_images",
    "list_images",
    "read_image",
    "read_member",
    "shown",
    "unpack",
    "with_bytes",
]

"""Where bytes come from: manifests of sources, fetching, archives and sky cutouts.

Takes the name of a source (or a catalog with positions), returns files and image bytes,
writes `downloads/<source>/` in the workspace with a `download.json` beside the files.
"""

from galclass.download.cutout_files import CutoutRequest
from galclass.download.cutouts import CutoutsSummary, download_cutouts
from galclass.download.fetch import FetchResult, fetch
from galclass.download.manifest import Source, SourceFile, known_sources, read_manifest
from galclass.download.sources import DownloadSummary, SourceFiles, download, open_source
from galclass.image_files import ArchiveLimits, ImageEntry, iter_images, list_images, unpack

__all__ = [
    "ArchiveLimits",
    "CutoutRequest",
    "CutoutsSummary",
    "DownloadSummary",
    "FetchResult",
    "ImageEntry",
    "Source",
    "SourceFile",
    "SourceFiles",
    "download",
    "download_cutouts",
    "fetch",
    "iter_images",
    "known_sources",
    "list_images",
    "open_source",
    "read_manifest",
    "unpack",
]

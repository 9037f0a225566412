"""What makes a folder of partitions a HATS catalog, as the IVOA note of 2025 describes it, and readable by LSDB.

Takes the partitions and their Parquet footers, returns `hats.properties`, `partition_info.csv`, `dataset/_metadata` and
`dataset/_common_metadata`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from galclass import __version__
from galclass.cluster.folder import Folder
from galclass.cluster.partitions import Partition
from galclass.cluster.parts import HEALPIX
from galclass.database.sky import HEALPIX_ORDER

HATS_VERSION = "v1.0"
_SPHERE_PIXELS = 12


def write_hats(
    folder: Folder, partitions: Sequence[Partition], footers: Iterable[bytes], *, schema: pa.Schema, made: datetime
) -> None:
    """Write the files round the partitions; the order of `footers` is that of `partitions`."""
    info = "Norder,Npix\n" + "".join(f"{one.order},{one.pixel}\n" for one in partitions)
    folder.write("partition_info.csv", info.encode())
    folder.write("dataset/_common_metadata", _metadata(schema, []))
    folder.write("dataset/_metadata", _metadata(schema, footers))
    folder.write("hats.properties", _text(properties(folder.location, partitions, made)).encode())


def properties(location: str, partitions: Sequence[Partition], made: datetime) -> dict[str, str]:
    """Return the catalog's properties: those the note requires, then what describes this one."""
    covered = sum(1 / (_SPHERE_PIXELS * 4**one.order) for one in partitions)
    return {
        "obs_collection": PurePosixPath(location).name or "predictions",
        "dataproduct_type": "object",
        "hats_nrows": str(sum(one.rows for one in partitions)),
        "hats_col_ra": "ra",
        "hats_col_dec": "dec",
        "hats_col_healpix": HEALPIX,
        "hats_col_healpix_order": str(HEALPIX_ORDER),
        "hats_npix_suffix": ".parquet",
        "hats_order": str(max(one.order for one in partitions)),
        "hats_max_rows": str(max(one.rows for one in partitions)),
        "moc_sky_fraction": f"{covered:.6g}",
        "hats_builder": f"galclass {__version__}",
        "hats_creation_date": made.strftime("%Y-%m-%dT%H:%MUTC"),
        "hats_version": HATS_VERSION,
    }


def _text(values: Mapping[str, str]) -> str:
    return "#HATS catalog\n" + "".join(f"{key}={value}\n" for key, value in values.items())


def _metadata(schema: pa.Schema, footers: Iterable[bytes]) -> bytes:
    target = io.BytesIO()
    pq.write_metadata(schema, target, metadata_collector=[pq.read_metadata(io.BytesIO(one)) for one in footers])
    return target.getvalue()

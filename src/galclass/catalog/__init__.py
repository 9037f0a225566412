"""Tables in and out: survey catalogs, joins by object id, splits.

Takes text, Parquet, Arrow, FITS, VOTable and ECSV files, returns `pyarrow.Table`s with `object_id` (text), `asset_id`,
`label` and votes; writes tables.
"""

from galclass.catalog.generic import CatalogColumns
from galclass.catalog.read import read_catalog
from galclass.catalog.report import CatalogReport, RowFault
from galclass.catalog.split import named_splits, split_by_object_id
from galclass.catalog.tables import read_table, write_table

__all__ = [
    "CatalogColumns",
    "CatalogReport",
    "RowFault",
    "named_splits",
    "read_catalog",
    "read_table",
    "split_by_object_id",
    "write_table",
]

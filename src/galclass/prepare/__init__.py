"""The prepare stage: images and catalogs of one or several sources -> one packed store of cutouts with its index.

Takes files and catalogs, writes the folder `prepared/` (`store.u8`, `index.parquet`, `rejects.parquet`,
`prepared.json`). Read `stage` first; a worker process imports `worker` alone, so this package imports nothing.
"""

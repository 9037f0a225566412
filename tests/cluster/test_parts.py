"""Part files of a scoring run, without a cluster."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
from tiny_model import tiny_model, tiny_raw_model

from galclass.cluster.parts import part_bytes, read_counts, row_schema
from galclass.scoring import Scorer


def test_raw_votes_stand_after_all_other_columns() -> None:
    scorer = Scorer(tiny_raw_model())
    names = row_schema(scorer.signature).names
    assert names.index("_healpix_29") == len(names) - 1 - 111
    assert all("_raw" in name for name in names[-111:])
    assert names[names.index("ra") - 1].endswith("_debiased_high")
    assert row_schema(Scorer(tiny_model()).signature).names[-3:] == ["ra", "dec", "_healpix_29"]
    answer = scorer.score([b"x"])[0]
    row = {"file": "a", **answer.as_row(), "ra": 10.0, "dec": 5.0}
    table = pq.read_table(io.BytesIO(part_bytes([row], scorer.signature)))
    assert table.column_names == names
    assert table[names[-1]].to_pylist() == [None]


def test_a_part_counts_the_images_that_are_unlike_the_training_data() -> None:
    scorer = Scorer(tiny_model())
    rows = [
        {"file": str(n), **scorer.score([b"x"])[0].as_row(), "flags": flags, "ra": 10.0, "dec": 5.0}
        for n, flags in enumerate(["unlike_training_data", "truncated|unlike_training_data", "truncated", "", None])
    ]
    assert read_counts(io.BytesIO(part_bytes(rows, scorer.signature))).unlike == 2

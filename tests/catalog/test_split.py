"""The split: an object is in one part only, whatever the order of rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from galclass.catalog import read_catalog, split_by_object_id
from galclass.config import load_config
from galclass.errors import CatalogError
from galclass.morphology import leaves_of
from galclass.prepare.plan import fractions_of

FRACTIONS = {"train": 0.7, "validation": 0.15, "test": 0.15}


@pytest.fixture
def catalog(sample_folder) -> pa.Table:
    return read_catalog(sample_folder / "gz2_hart16.csv", mapping=sample_folder / "gz2_filename_mapping.csv")


def parts(table: pa.Table) -> dict[str, str]:
    return dict(zip(table["object_id"].to_pylist(), table["split"].to_pylist(), strict=True))


@pytest.mark.parametrize("fractions", [{}, {"train": 0.5}, {"train": 1.5, "test": -0.5}])
def test_fractions_that_do_not_sum_to_one_are_refused(fractions, catalog) -> None:
    with pytest.raises(CatalogError, match="sum to 1"):
        split_by_object_id(catalog, fractions, 1)


def test_an_object_with_two_labels_is_refused() -> None:
    with pytest.raises(CatalogError, match="two labels"):
        split_by_object_id(pa.table({"object_id": ["a", "a"], "label": ["Er", "Ei"]}), FRACTIONS, 1)


def test_rows_without_ids_are_refused() -> None:
    with pytest.raises(CatalogError, match="no column object_id"):
        split_by_object_id(pa.table({"label": ["Er"]}), FRACTIONS, 1)
    with pytest.raises(CatalogError, match="1 rows have no object_id"):
        split_by_object_id(pa.table({"object_id": ["a", None]}), FRACTIONS, 1)


def test_the_order_of_rows_does_not_matter(catalog) -> None:
    shuffled = catalog.take(pa.array(np.random.default_rng(0).permutation(catalog.num_rows)))
    assert parts(split_by_object_id(catalog, FRACTIONS, 5)) == parts(split_by_object_id(shuffled, FRACTIONS, 5))


def test_the_split_of_a_seed_is_the_same_for_ever() -> None:
    table = pa.table({"object_id": [str(number) for number in range(10)]})
    assert split_by_object_id(table, {"train": 0.5, "test": 0.5}, 12345)["split"].to_pylist() == [
        *("test", "test", "train", "train", "test", "train", "train", "train", "test", "test")
    ]


SHIPPED = {"train": 0.70, "validation": 0.15, "test": 0.15}
"""The fractions of configs/format1.toml, and of the default configuration."""


def shipped_ids(name: str = "shipped_ids") -> dict[str, str]:
    folder = Path(__file__).parents[2] / "configs" / name
    return {one: path.stem for path in folder.glob("*.txt") for one in path.read_text().split()}


def test_the_splits_of_the_sample_are_those_of_the_shipped_model(sample_folder) -> None:
    config = load_config(Path(__file__).parents[2] / "configs" / "demo.toml")
    table = read_catalog(sample_folder / "gz2_hart16.csv", mapping=sample_folder / "gz2_filename_mapping.csv")
    found = parts(split_by_object_id(table, fractions_of(config.prepare), config.seed))
    assert fractions_of(config.prepare) == SHIPPED
    assert len(found) == 703
    assert found == {object_id: split for object_id, split in shipped_ids().items() if object_id in found}


def test_the_splits_of_the_first_models_artifacts_follow_from_their_ids() -> None:
    shipped = {one: split for one, split in shipped_ids("format1_ids").items() if one.startswith("artifact-")}
    table = pa.table({"object_id": sorted(shipped), "label": ["star_or_artifact"] * len(shipped)})
    assert parts(split_by_object_id(table, SHIPPED, 12345)) == shipped


def test_objects_keep_their_split_from_model_to_model() -> None:
    first, now = shipped_ids("format1_ids"), shipped_ids()
    moved = {one for one in first.keys() & now.keys() if first[one] != now[one]}
    assert {(first[one], now[one]) for one in moved} == {("test", "train")}
    assert all(int(one.removeprefix("kaggle-")) > 174_391 for one in moved)  # of another random sample, see training.md
    assert {one.partition("-")[0] for one in first.keys() - now.keys()} == {"artifact"}  # other tables say galaxies


def test_another_seed_gives_another_split(catalog) -> None:
    assert parts(split_by_object_id(catalog, FRACTIONS, 1)) != parts(split_by_object_id(catalog, FRACTIONS, 2))


def test_every_class_has_its_share_in_every_part(catalog) -> None:
    table = split_by_object_id(catalog, FRACTIONS, 12345)
    counts = Counter((leaves_of(row["label"])[0], row["split"]) for row in table.select(["label", "split"]).to_pylist())
    sizes = Counter(leaves_of(label)[0] for label in table["label"].to_pylist())
    for leaf, size in sizes.items():
        if size >= 10:
            assert all(abs(counts[leaf, part] - share * size) <= 1 for part, share in FRACTIONS.items())


def test_all_images_of_an_object_stay_together() -> None:
    ids = [str(number // 3) for number in range(300)]
    table = split_by_object_id(pa.table({"object_id": ids, "label": ["Er"] * 300}), FRACTIONS, 3)
    assert len(set(zip(ids, table["split"].to_pylist(), strict=True))) == 100


def test_few_objects_move_when_some_are_added() -> None:
    small = pa.table({"object_id": [f"o{number}" for number in range(2000)]})
    large = pa.table({"object_id": [f"o{number}" for number in range(2100)]})
    before, after = (parts(split_by_object_id(table, FRACTIONS, 7)) for table in (small, large))
    assert sum(before[key] != after[key] for key in before) < 40


def test_labels_without_a_class_are_split_too() -> None:
    table = pa.table({"object_id": ["a", "b", "c"], "label": ["merger", None, "A"]})
    assert split_by_object_id(table, {"all": 1.0}, 1)["split"].to_pylist() == ["all"] * 3


def test_an_earlier_split_is_replaced(catalog) -> None:
    once = split_by_object_id(catalog, FRACTIONS, 1)
    assert split_by_object_id(once, FRACTIONS, 1).equals(once)

"""A label is as deep as the votes reach, and no deeper."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galclass.catalog import CatalogColumns, CatalogReport, read_catalog
from galclass.catalog.votes import STEMS, label_by_votes
from galclass.catalog.voting import label_from_votes, plurality
from galclass.morphology import LETTERS, QUESTIONS, gz2_class_from_fractions, leaves_of, parse_gz2_class

DATA = Path(__file__).with_name("data")
FACE_ON = ("Sd", "Sc", "Sb", "Sa", "SBd", "SBc", "SBb", "SBa")
SMOOTH = {"t01_smooth_or_features_a01_smooth": 0.9, "t01_smooth_or_features_a02_features_or_disk": 0.07}
SMOOTH |= {"t01_smooth_or_features_a03_star_or_artifact": 0.03}
FEATURES = {"t01_smooth_or_features_a01_smooth": 0.1, "t01_smooth_or_features_a02_features_or_disk": 0.85}
FEATURES |= {"t01_smooth_or_features_a03_star_or_artifact": 0.05}
NOT_EDGE_ON = {"t02_edgeon_a04_yes": 0.05, "t02_edgeon_a05_no": 0.95}
BAR = {"t03_bar_a06_bar": 0.6, "t03_bar_a07_no_bar": 0.4}
BULGE = dict(zip(QUESTIONS["t05_bulge_prominence"].columns, (0, 0.2, 0.8, 0), strict=True))


@pytest.mark.parametrize("nothing", [None, math.nan, 0.0])
@pytest.mark.parametrize(
    ("votes", "label", "leaves", "stopped_at"),
    [
        ({}, None, (), "t01_smooth_or_features"),
        (SMOOTH, "smooth", ("Er", "Ei", "Ec"), "t07_rounded"),
        (FEATURES, "features", ("Se", *FACE_ON), "t02_edgeon"),
        (FEATURES | NOT_EDGE_ON, "features, not edge-on", FACE_ON, "t03_bar"),
        (FEATURES | NOT_EDGE_ON | BULGE, "features, not edge-on", FACE_ON, "t03_bar"),
        (FEATURES | NOT_EDGE_ON | BAR, "features, not edge-on, bar", FACE_ON[4:], "t05_bulge_prominence"),
        (FEATURES | NOT_EDGE_ON | BAR | BULGE, "SBb", ("SBb",), None),
        (FEATURES | {"t02_edgeon_a04_yes": 1, "t02_edgeon_a05_no": 0}, "Se", ("Se",), None),
        (SMOOTH | {"t07_rounded_a17_in_between": 1.0}, "Ei", ("Ei",), None),
        (SMOOTH | {"t07_rounded_a17_in_between": 1.0, "t06_odd_a14_yes": 1.0}, "Ei", ("Ei",), None),
    ],
)
def test_a_question_that_nobody_answered_ends_the_path(votes, label, leaves, stopped_at, nothing) -> None:
    fractions = dict(votes) if nothing is None else dict.fromkeys(STEMS, nothing) | votes
    voted = label_from_votes(fractions)
    assert (voted.label, voted.stopped_at) == (label, stopped_at)
    assert (leaves_of(label) if label else ()) == leaves


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ((math.nan, 0.9, 0.0), 1),
        ((math.nan, 0.3, 0.1), None),  # the unknown answer may have 0.6
        ((0.5, math.nan, math.nan), None),
        ((0.51, math.nan, math.nan), 0),
        ((0.5, 0.5, 0.0), 0),  # the first of equal answers, as in gz2_class
        ((0.0, 0.0, 0.0), None),
        ((math.nan, math.nan, 0.0), None),
    ],
)
def test_a_plurality_that_cannot_be_known_is_none(values, answer) -> None:
    columns = QUESTIONS["t07_rounded"].columns
    assert plurality("t07_rounded", dict(zip(columns, values, strict=True))) == answer


FRACTION = st.one_of(st.just(math.nan), st.just(0.0), st.integers(1, 100).map(lambda value: value / 100))
BLANK = st.sets(st.sampled_from(sorted(QUESTIONS)))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.lists(FRACTION, min_size=37, max_size=37), BLANK, st.sampled_from([math.nan, 0.0]))
def test_every_letter_of_a_label_is_backed_by_votes(values, blank, nothing) -> None:
    fractions = dict(zip(STEMS, values, strict=True))
    fractions |= {stem: nothing for name in blank for stem in QUESTIONS[name].columns}
    label = label_from_votes(fractions).label
    answered = {name for name in QUESTIONS if any(fractions[stem] > 0 for stem in QUESTIONS[name].columns)}
    if label is None:
        assert plurality("t01_smooth_or_features", fractions) is None
        return
    needed = {"t01_smooth_or_features"}
    if label.startswith("features, ") or label[0] == "S":
        needed |= {"t02_edgeon"}
    if label.startswith("features, not edge-on, ") or (label[0] == "S" and label[1] != "e"):
        needed |= {"t03_bar"}
    if label[0] in "ES" and label != "Se":
        parsed = parse_gz2_class(label)
        needed |= {"t07_rounded"} if label[0] == "E" else set()
        needed |= {"t05_bulge_prominence"} if label[0] == "S" and parsed.leaf != "Se" else set()
        needed |= {"t09_bulge_shape"} if parsed.edge_on_bulge else set()
        needed |= {"t04_spiral", "t10_arms_winding", "t11_arms_number"} if parsed.arms else set()
        needed |= {"t06_odd", "t08_odd_feature"} if parsed.odd else set()
    assert needed <= answered


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.integers(1, 100), min_size=37, max_size=37), BLANK)
def test_blanks_make_a_label_coarser_and_never_another(values, blank) -> None:
    whole = {stem: value / 100 for stem, value in zip(STEMS, values, strict=True)}
    assert label_from_votes(whole).label == gz2_class_from_fractions(whole)
    unasked = {stem for name in blank for stem in QUESTIONS[name].columns}
    fractions = {stem: value for stem, value in whole.items() if stem not in unasked}
    voted = label_from_votes(fractions)
    if voted.label is not None:
        assert set(leaves_of(voted.label)) >= set(leaves_of(str(label_from_votes(whole).label)))


def test_letters_name_every_answer_of_their_questions() -> None:
    assert all(len(letters) == len(QUESTIONS[name].answers) for name, letters in LETTERS.items())


def test_published_labels_do_not_change_and_agree_with_the_votes(sample_folder) -> None:
    with (sample_folder / "gz2_hart16.csv").open(newline="") as file:
        published = [row["gz2_class"] for row in csv.DictReader(file)]
    table = read_catalog(sample_folder / "gz2_hart16.csv")
    assert table["label"].to_pylist() == published
    votes = {f"{stem}_debiased": table[f"{stem}_debiased"].combine_chunks() for stem in STEMS}
    report = CatalogReport()
    derived = label_by_votes(votes, ["debiased"], table.num_rows, report).to_pylist()
    report.settle(dict(enumerate(derived, start=1)))
    matrix = np.column_stack(
        [np.nan_to_num(votes[f"{stem}_debiased"].to_numpy(zero_copy_only=False), nan=-1.0) for stem in STEMS]
    )
    before = [gz2_class_from_fractions(dict(zip(STEMS, row, strict=True))) for row in matrix.tolist()]
    same_leaf = [leaves_of(new) == leaves_of(old) for new, old in zip(derived, before, strict=True)]
    assert sum(same_leaf) == table.num_rows - 1  # one row has a blank where it matters: its roundness is not known
    assert report.stopped == {"t07_rounded": 1}
    assert sum(new == old for new, old in zip(derived, published, strict=True)) >= 0.99 * len(published)


def test_real_rows_without_a_class_keep_the_leaf_of_their_votes() -> None:
    report = CatalogReport()
    labels = read_catalog(DATA / "stripe82_rows.csv", report=report)["label"].to_pylist()
    assert labels == ["SBb(o)", "Ei", "Ei(m)", "Er", "Er"]
    assert report.stopped == {}


def write(folder: Path, header: list[str], rows: list[list[object]]) -> Path:
    with (folder / "c.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return folder / "c.csv"


def test_a_blank_published_class_is_filled_from_the_votes_and_a_given_one_stays(tmp_path) -> None:
    names = [f"{stem}_debiased" for stem in SMOOTH]
    path = write(
        tmp_path, ["dr7objid", "gz2_class", *names], [[1, "", *SMOOTH.values()], [2, "Sb2m", *SMOOTH.values()]]
    )
    report = CatalogReport()
    assert read_catalog(path, report=report)["label"].to_pylist() == ["smooth", "Sb2m"]
    assert report.stopped == {"t07_rounded": 1}
    assert "votes stopped early: 1 at t07_rounded" in str(report)
    assert report.remarks == ("labels from votes stopped early: 1 at t07_rounded",)


@pytest.mark.parametrize("kind", ["debiased", "weighted_fraction", "fraction", "count"])
def test_a_generic_table_of_any_kind_of_votes(kind, tmp_path) -> None:
    scale = 20 if kind == "count" else 1
    rows = [["a", *(round(value * scale) if scale > 1 else value for value in SMOOTH.values())], ["b", 0, 0, 0]]
    path = write(tmp_path, ["object_id", *(f"{stem}_{kind}" for stem in SMOOTH)], rows)
    report = CatalogReport()
    assert read_catalog(path, "generic", report=report)["label"].to_pylist() == ["smooth", None]
    assert report.stopped == {"t01_smooth_or_features": 1, "t07_rounded": 1}
    assert report.notes.get("label_from_raw_votes") == (None if kind == "debiased" else 1)


def test_decals_rows_stop_where_their_votes_do(tmp_path) -> None:
    names = ["smooth-or-featured_smooth", "smooth-or-featured_featured-or-disk", "smooth-or-featured_artifact"]
    names += ["disk-edge-on_yes", "disk-edge-on_no", "how-rounded_round", "how-rounded_in-between"]
    header = ["iauname", *(name + "_fraction" for name in names)]
    rows = [["J1.5", 0.1, 0.9, 0, 0, 1, "", ""], ["J1.6", 1, 0, 0, "", "", 0, 0], ["J1.7", 1, 0, 0, "", "", 0.2, 0.8]]
    report = CatalogReport()
    table = read_catalog(write(tmp_path, header, rows), report=report)
    assert table["object_id"].to_pylist() == ["J1.5", "J1.6", "J1.7"]
    assert table["label"].to_pylist() == ["features, not edge-on", "smooth", "Ei"]
    assert report.stopped == {"t03_bar": 1, "t07_rounded": 1}


def test_kaggle_rows_without_a_clean_class_are_counted(tmp_path) -> None:
    names = [f"Class{q}.{a}" for q, each in enumerate(QUESTIONS.values(), 1) for a in range(1, len(each.answers) + 1)]
    blank = [1, *[""] * 37]
    zeros = [2, *[0] * 37]
    smooth = [3, *[0.9 if name == "Class1.1" else 0 for name in names]]
    clean = [4, *[0.9 if name in ("Class1.1", "Class7.1") else 0 for name in names]]
    report = CatalogReport()
    table = read_catalog(write(tmp_path, ["GalaxyID", *names], [blank, zeros, smooth, clean]), report=report)
    assert table["label"].to_pylist() == [None, None, None, "completely_round_smooth"]
    assert report.notes["no_clean_class"] == 1
    assert report.stopped == {"t01_smooth_or_features": 2}
    assert table["t07_rounded_a16_completely_round_weighted_fraction"].to_pylist() == [None, None, None, 1.0]


def test_kaggle_shares_in_percent_are_told(tmp_path) -> None:
    names = [f"Class{q}.{a}" for q, each in enumerate(QUESTIONS.values(), 1) for a in range(1, len(each.answers) + 1)]
    clean = [0.9 if name in ("Class1.1", "Class7.1") else 0 for name in names]
    percent = [100 * value for value in clean]
    path = write(tmp_path, ["GalaxyID", *names], [[1, *clean], [2, *percent], [3, *clean]])
    report = CatalogReport()
    assert read_catalog(path, report=report)["object_id"].to_pylist() == ["1", "3"]
    assert "is 90: vote fractions look like percentages" in report.rejects[0].reason
    with pytest.raises(Exception, match="look like percentages"):
        read_catalog(write(tmp_path, ["GalaxyID", *names], [[1, *percent], [2, *percent]]))


@pytest.mark.parametrize(("spiral", "label"), [("0,0,0", "disk"), (",,", "disk"), ("0,0.1,0.2", "edge_on")])
def test_a_galaxy_zoo_1_spiral_without_votes_for_a_kind_is_a_disk(spiral, label, tmp_path) -> None:
    path = tmp_path / "c.csv"
    path.write_text(f"OBJID,P_EL,P_CW,P_ACW,P_EDGE,P_CS,SPIRAL,ELLIPTICAL\n7,0,{spiral},0.9,1,0\n")
    assert read_catalog(path)["label"].to_pylist() == [label]


def test_raw_fractions_that_add_up_to_more_than_one_are_no_votes(tmp_path) -> None:
    names = [f"t01_smooth_or_features_{answer}_fraction" for answer in ("a01_smooth", "a02_features_or_disk")]
    path = write(tmp_path, ["object_id", *names], [[1, 0.9, 0.8], [2, 0.505, 0.505], [3, 0.2, 0.1]])
    report = CatalogReport()
    assert read_catalog(path, report=report)["object_id"].to_pylist() == ["2", "3"]
    assert "t01_smooth_or_features_*_fraction is 1.7" in report.rejects[0].reason
    path = write(tmp_path, ["object_id", *(name.replace("fraction", "debiased") for name in names)], [[1, 0.9, 0.8]])
    assert read_catalog(path)["label"].to_pylist() == ["smooth"]  # each debiased for itself


def test_a_blank_label_of_a_users_table_is_filled_from_its_votes(tmp_path) -> None:
    name = "t01_smooth_or_features_a01_smooth_fraction"
    path = write(tmp_path, ["object_id", "label", name], [[1, "", 0.9], [2, "odd", 0.9], [3, "Sb", 0.9]])
    report = CatalogReport()
    table = read_catalog(path, columns=CatalogColumns(labels={"odd": ""}), report=report)
    assert table["label"].to_pylist() == ["smooth", None, "Sb"]
    assert report.stopped == {"t07_rounded": 1}
    assert report.notes["label_from_raw_votes"] == 1


def test_one_row_in_percent_is_a_reject_and_a_table_in_percent_an_error(tmp_path) -> None:
    name = "t01_smooth_or_features_a01_smooth_debiased"
    report = CatalogReport()
    path = write(tmp_path, ["object_id", "label", name], [["a", "Er", 0.5], ["b", "Er", 50], ["c", "Er", -0.5]])
    with pytest.raises(Exception, match="look like percentages|outside"):
        read_catalog(path, report=report)
    path = write(tmp_path, ["object_id", "label", name], [["a", "Er", 0.5], ["b", "Er", 50], ["c", "Er", 0.1]])
    assert read_catalog(path, report=report)["object_id"].to_pylist() == ["a", "c"]
    fault = report.rejects[-1]
    assert (fault.code, fault.row, fault.object_id) == ("bad_votes", 2, "b")
    assert fault.reason == f"{name} is 50: vote fractions look like percentages, expected [0, 1]"


@pytest.mark.parametrize(("value", "words"), [("0.36", "look like fractions"), ("-3", "negative")])
def test_counts_that_are_none_are_named(value, words, tmp_path) -> None:
    name = "t01_smooth_or_features_a01_smooth_count"
    report = CatalogReport()
    path = write(tmp_path, ["object_id", "label", name], [["a", "Er", 30], ["b", "Er", value], ["c", "Er", 12]])
    assert read_catalog(path, report=report).num_rows == 2
    assert words in report.rejects[0].reason
    path = write(tmp_path, ["object_id", "label", name], [["a", "Er", value], ["b", "Er", value]])
    with pytest.raises(Exception, match=words):
        read_catalog(path)


def test_labels_differ_by_case_and_spaces(tmp_path) -> None:
    rows = [["a", " Er "], ["b", "er"], ["c", "None"], ["d", "nan"], ["e", "NA"], ["f", "Spiral "], ["g", "Edge-On"]]
    report = CatalogReport()
    table = read_catalog(write(tmp_path, ["object_id", "label"], rows), report=report)
    kept = dict(zip(table["object_id"].to_pylist(), table["label"].to_pylist(), strict=True))
    assert kept == {"a": "Er", "c": None, "d": None, "e": None, "f": "Spiral"}
    assert [fault.reason for fault in report.rejects] == [
        "unknown label 'er' (did you mean Er?)",
        "unknown label 'Edge-On' (did you mean edge_on?)",
    ]


def test_label_numbers_as_text_can_be_renamed(tmp_path) -> None:
    (tmp_path / "c.csv").write_text("object_id,label\n1,1.0\n2,2\n3,\n")
    table = read_catalog(tmp_path / "c.csv", columns=CatalogColumns(labels={"1": "Er", "2": "Sb"}))
    assert table["label"].to_pylist() == ["Er", "Sb", None]


def test_label_numbers_of_a_column_with_gaps_can_be_renamed(tmp_path) -> None:
    import pyarrow.parquet as pq

    from galclass.catalog import CatalogColumns

    pq.write_table(pa.table({"id": ["a", "b"], "label": [3.0, None]}), tmp_path / "c.parquet")
    table = read_catalog(tmp_path / "c.parquet", columns=CatalogColumns(labels={"3": "Sb"}))
    assert table["label"].to_pylist() == ["Sb", None]

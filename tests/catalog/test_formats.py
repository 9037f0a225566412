"""Real rows of the published tables, and made-up rows where only the format is known."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from galclass.catalog import CatalogColumns, CatalogReport, read_catalog
from galclass.errors import CatalogError
from galclass.morphology import QUESTIONS

DATA = Path(__file__).with_name("data")


def write(folder: Path, text: str) -> Path:
    (folder / "c.csv").write_text(text)
    return folder / "c.csv"


def test_gz2_hart16_keeps_all_columns_and_takes_file_keys_from_the_mapping() -> None:
    table = read_catalog(DATA / "hart16_rows.csv", "gz2_hart16", DATA / "mapping_rows.csv")
    assert table.select(["object_id", "asset_id", "label"]).to_pylist() == [
        {"object_id": "587737825678131439", "asset_id": "106587", "label": "Sc+t"},
        {"object_id": "587726016142835881", "asset_id": "16126", "label": "Sb?m(m)"},
        {"object_id": "587736542560715163", "asset_id": "91609", "label": "Ser"},
    ]
    assert table.num_columns == 3 + 5 + 37 * 6
    assert table["t01_smooth_or_features_a02_features_or_disk_count"].to_pylist()[0] == 36
    assert table["ra"].to_pylist()[0] == pytest.approx(126.572601)


def test_without_a_mapping_the_file_key_is_the_object_id() -> None:
    table = read_catalog(DATA / "hart16_rows.csv")
    assert table["asset_id"].to_pylist() == table["object_id"].to_pylist()


def test_a_subset_of_gz2_hart16_is_read_alike(sample_folder) -> None:
    table = read_catalog(sample_folder / "gz2_hart16.csv", mapping=sample_folder / "gz2_filename_mapping.csv")
    assert table.num_rows == 703
    assert table["object_id"].type == table["asset_id"].type == pa.string()


def test_a_table_without_classes_gets_them_from_debiased_votes() -> None:
    table = read_catalog(DATA / "stripe82_rows.csv")
    assert table["label"].null_count == 0
    assert table["label"].to_pylist()[1] == "Ei"


def test_derived_and_published_classes_agree(sample_folder) -> None:
    from galclass.catalog.votes import STEMS, label_by_votes

    table = read_catalog(sample_folder / "gz2_hart16.csv")
    votes = {f"{stem}_debiased": table[f"{stem}_debiased"].combine_chunks() for stem in STEMS}
    derived = label_by_votes(votes, ["debiased"], table.num_rows, CatalogReport()).to_pylist()
    same = sum(a == b for a, b in zip(derived, table["label"].to_pylist(), strict=True))
    assert same / table.num_rows > 0.99


def test_zoo2_main_specz_drops_rows_without_a_spectrum(tmp_path) -> None:
    path = write(
        tmp_path,
        "specobjid,dr8objid,dr7objid,ra,dec,gz2class,t01_smooth_or_features_a01_smooth_debiased\n"
        "1802674929645152256,1237657587107528739,587732591714893851,179.04,60.52,Sc+t,0.0\n"
        "0,1237645943978000000,588017703996096547,10,1,Er,0.9\n"
        "-1,1237645943978000001,588017703996096548,11,1,Ei,0.9\n"
        "1992983900678285312,1237657612329844786,588017703996096564,171.13,41.88,Ser,0.1\n",
    )
    report = CatalogReport()
    table = read_catalog(path, report=report)
    assert table["object_id"].to_pylist() == ["587732591714893851", "588017703996096564"]
    assert table["asset_id"].to_pylist() == ["1802674929645152256", "1992983900678285312"]
    assert [(fault.code, fault.row) for fault in report.dropped] == [("no_spectrum", 2), ("no_spectrum", 3)]
    assert read_catalog(path).num_rows == 2  # dropped by definition: no error without a report


def test_kaggle_probabilities_become_fractions_of_each_question(tmp_path) -> None:
    names = [f"Class{q}.{a}" for q, each in enumerate(QUESTIONS.values(), 1) for a in range(1, len(each.answers) + 1)]
    smooth = dict.fromkeys(names, "0") | {"Class1.1": "0.8", "Class1.2": "0.2", "Class7.2": "0.6", "Class7.1": "0.2"}
    smooth |= {"Class6.2": "1", "Class2.1": "0.05", "Class2.2": "0.15"}
    edge = dict.fromkeys(names, "0") | {"Class1.2": "0.9", "Class1.1": "0.1", "Class2.1": "0.7", "Class2.2": "0.2"}
    rows = [f"{number}," + ",".join(row[name] for name in names) for number, row in ((100008, smooth), (100023, edge))]
    table = read_catalog(write(tmp_path, "GalaxyID," + ",".join(names) + "\n" + "\n".join(rows) + "\n"))
    assert table["label"].to_pylist() == ["in_between_smooth", "edge_on"]
    assert table["object_id"].to_pylist() == ["100008", "100023"]
    assert table["t07_rounded_a17_in_between_weighted_fraction"].to_pylist() == [pytest.approx(0.75), None]
    assert table["t02_edgeon_a04_yes_weighted_fraction"].to_pylist()[0] == pytest.approx(0.25)


def test_some_questions_of_kaggle_are_read_without_labels(tmp_path) -> None:
    names = ["Class1.1", "Class1.2", "Class1.3", "Class7.1", "Class7.2", "Class7.3"]
    text = ",".join(["galaxy_id", "file", *names]) + "\n100008,x.jpg,0.8,0.2,0,0.6,0.2,0\n100023,y.jpg,0,1,0,0,0,0\n"
    table = read_catalog(write(tmp_path, text))
    assert table["object_id"].to_pylist() == ["100008", "100023"]
    assert table["label"].null_count == 2
    assert table["t07_rounded_a16_completely_round_weighted_fraction"].to_pylist() == [pytest.approx(0.75), None]
    assert not any(name.startswith("t02") for name in table.column_names)


def test_question_of_kaggle_without_all_its_answers_is_an_error(tmp_path) -> None:
    text = "GalaxyID,Class1.1,Class1.2,Class1.3,Class7.1,Class7.2\n100008,0.8,0.2,0,0.6,0.2\n"
    with pytest.raises(CatalogError, match=r"Class7\.3"):
        read_catalog(write(tmp_path, text))


def test_galaxy_zoo_1_positions_become_degrees_and_votes_say_which_spiral(tmp_path) -> None:
    path = write(
        tmp_path,
        "OBJID,RA,DEC,NVOTE,P_EL,P_CW,P_ACW,P_EDGE,P_DK,P_MG,P_CS,P_EL_DEBIASED,P_CS_DEBIASED,SPIRAL,ELLIPTICAL,UNCERTAIN\n"
        "587727178986356823,12:00:01.50,-10:30:00.0,59,0.6,0,0,0,0,0,0.1,0.6,0.1,0,0,1\n"
        "587727227300741210,00:00:00.00,+15:30:00.0,18,0.05,0.1,0.1,0.7,0,0,0.9,0.1,0.9,1,0,0\n"
        "587727225153257596,23:59:59.00,-00:30:00.0,68,0.1,0.8,0,0,0,0,0.9,0.1,0.9,1,0,0\n"
        "587730774962536596,00:30:00.00,+15:30:00.0,52,0.9,0,0,0,0,0,0.1,0.9,0.1,0,1,0\n",
    )
    table = read_catalog(path)
    assert table["label"].to_pylist() == [None, "edge_on", "spiral_clockwise", "elliptical"]
    assert table["ra"].to_pylist() == pytest.approx([180.00625, 0, 359.995833333, 7.5])
    assert table["dec"].to_pylist() == pytest.approx([-10.5, 15.5, -0.5, 15.5])


def test_galaxy_zoo_1_flags_alone_say_disk(tmp_path) -> None:
    header = "dr7objid,ra,dec,gz1_flag\n"
    path = write(tmp_path, header + "1,5,6,spiral\n2,5,6,elliptical\n3,5,6,uncertain\n")
    assert read_catalog(path)["label"].to_pylist() == ["disk", "elliptical", None]
    report = CatalogReport()
    table = read_catalog(write(tmp_path, header + "1,5,6,blob\n2,5,6,Spiral\n3,5,6,\n"), report=report)
    assert table["label"].to_pylist() == ["disk", None]
    assert [(fault.row, fault.reason) for fault in report.rejects] == [
        (1, "gz1_flag is 'blob'; expected spiral, elliptical, uncertain")
    ]


@pytest.mark.parametrize(
    ("row", "code", "reason"),
    [
        ("1,.5,.1,.1,.1,.5,1,1", "two_classes", "spiral and elliptical are both 1"),
        ("1,.5,.1,.1,.1,.5,2,0", "unknown_label", "spiral is 2; expected 0 or 1"),
        ("1,50,10,10,10,.5,1,0", "bad_votes", "p_el is 50; expected 0 to 1"),
        ("1,.5,-1,.1,.1,.5,1,0", "bad_votes", "p_cw is -1; expected 0 to 1"),
    ],
)
def test_galaxy_zoo_1_rows_that_contradict_themselves_are_rejects(row, code, reason, tmp_path) -> None:
    header = "OBJID,P_EL,P_CW,P_ACW,P_EDGE,P_CS,SPIRAL,ELLIPTICAL\n"
    report = CatalogReport()
    table = read_catalog(write(tmp_path, f"{header}{row}\n2,.1,.8,.1,0,.9,1,0\n"), report=report)
    assert table["label"].to_pylist() == ["spiral_clockwise"]
    assert [(fault.code, fault.row, fault.reason) for fault in report.rejects] == [(code, 1, reason)]
    with pytest.raises(CatalogError, match=r"row 1: 2 of 2 rows"):
        read_catalog(write(tmp_path, f"{header}{row}\n2{row[1:]}\n"))


def test_a_type_that_efigi_does_not_have_is_no_elliptical(tmp_path) -> None:
    report = CatalogReport()
    table = read_catalog(write(tmp_path, "PGCname,T,Bulge_to_Total\nP1,-5,1\nP2,-99,1\nP3,,1\n"), report=report)
    assert table["label"].to_pylist() == ["elliptical", None]
    assert [(fault.code, fault.object_id) for fault in report.rejects] == [("bad_type", "P2")]


def test_raw_votes_of_galaxy_zoo_2_alone_give_the_clean_classes(tmp_path) -> None:
    names = [*QUESTIONS["t01_smooth_or_features"].columns, *QUESTIONS["t07_rounded"].columns]
    rows = [(40, 2, 0, 39, 1, 0), (20, 19, 2, 5, 5, 5), (0, 0, 0, 0, 0, 0)]
    for kind in ("count", "weight"):
        header = ",".join(["dr7objid", "file", *(f"{name}_{kind}" for name in names)])
        body = "".join(f"{number},x/{number}.png,{','.join(map(str, row))}\n" for number, row in enumerate(rows))
        report = CatalogReport()
        table = read_catalog(write(tmp_path, f"{header}\n{body}"), report=report)
        assert table["label"].to_pylist() == ["completely_round_smooth", None, None]
        assert table["asset_id"].to_pylist() == ["0", "1", "2"]
        assert report.notes["no_clean_class"] == 1
        assert report.stopped == {"t01_smooth_or_features": 1}


def test_columns_that_the_user_names_are_never_passed_over(tmp_path) -> None:
    path = write(tmp_path, "dr7objid,mine,gz2_class,t01_smooth_or_features_a01_smooth_debiased,a,d\n1,Sb,Er,1,5,6\n")
    with pytest.raises(CatalogError, match=r'gz2_hart16 has its own columns.*: label. .*set the format "generic"'):
        read_catalog(path, "gz2_hart16", columns=CatalogColumns(label="mine"))
    for format in ("auto", "gz2_hart16"):
        table = read_catalog(path, format, columns=CatalogColumns(ra="a", dec="d"))
        assert table.select(["label", "ra", "dec"]).to_pylist() == [{"label": "Er", "ra": 5.0, "dec": 6.0}]
    table = read_catalog(path, "gz2_hart16", columns=CatalogColumns(labels={"Er": "elliptical"}))
    assert table["label"].to_pylist() == ["elliptical"]
    target = "t01_smooth_or_feature_a01_smooth_debiased"
    with pytest.raises(CatalogError, match=r"unknown column of votes: t01_smooth_or_feature_.*Did you mean t01_smo"):
        read_catalog(path, columns=CatalogColumns(votes={"a": target}))
    assert read_catalog(path, columns=CatalogColumns(id=" DR7OBJID "))["object_id"].to_pylist() == ["1"]


@pytest.mark.parametrize("name", ["decals_12_rows.csv", "decals_5_rows.csv"])
def test_gz_decals_votes_come_under_gz2_names(name) -> None:
    report = CatalogReport()
    table = read_catalog(DATA / name, report=report)
    assert table["object_id"].to_pylist()[0].startswith("J08")
    smooth = table["t01_smooth_or_features_a01_smooth_fraction"].to_pylist()
    rest = [
        table[f"t01_smooth_or_features_{a}_fraction"].to_pylist()
        for a in ("a02_features_or_disk", "a03_star_or_artifact")
    ]
    assert [sum(parts) for parts in zip(smooth, *rest, strict=True)] == pytest.approx([1.0] * 3)
    assert table["label"].null_count == 0
    assert report.notes["label_from_raw_votes"] > 0


def test_efigi_attributes_are_read_with_undetermined_ones_null() -> None:
    table = read_catalog(DATA / "efigi_rows.txt")
    assert table["object_id"].to_pylist()[:3] == ["PGC0000212", "PGC0000218", "PGC0000243"]
    assert table["label"].to_pylist()[:3] == ["disk", "disk", None]
    assert table["Arm_Strength"].to_pylist()[:2] == [0.25, None]
    assert table["T"].to_pylist()[:3] == [1, 0, -2]


def test_a_generic_table_by_the_usual_names(tmp_path) -> None:
    path = write(tmp_path, "galaxy_id,label,two_sources,file\n100143,edge_on,1,images/100143_b.jpg\n")
    assert read_catalog(path).to_pylist() == [
        {"object_id": "100143", "asset_id": "100143_b", "label": "edge_on", "two_sources": 1}
    ]


def test_a_generic_table_by_the_users_names(tmp_path) -> None:
    path = write(tmp_path, "nr,type,picture,p_smooth,z\n007,round,a/b.c.png,0.25,0.1\n008,none,d.png,0.5,0.2\n")
    columns = CatalogColumns(
        id="nr",
        label="type",
        file="picture",
        votes={"p_smooth": "t01_smooth_or_features_a01_smooth_fraction"},
        labels={"round": "Er", "none": ""},
    )
    assert read_catalog(path, columns=columns).to_pylist() == [
        {
            "object_id": "007",
            "asset_id": "b.c",
            "label": "Er",
            "t01_smooth_or_features_a01_smooth_fraction": 0.25,
            "z": 0.1,
        },
        {
            "object_id": "008",
            "asset_id": "d",
            "label": None,
            "t01_smooth_or_features_a01_smooth_fraction": 0.5,
            "z": 0.2,
        },
    ]


def test_labels_of_another_survey_may_be_kept(tmp_path) -> None:
    path = write(tmp_path, "id,label\n1,Disturbed\n")
    assert read_catalog(path, any_label=True)["label"].to_pylist() == ["Disturbed"]


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["1.0", "0.0", ""], ["1", "0", None]),
        (["TRUE", "FALSE", "NA"], ["True", "False", None]),
        (["true", "False", ""], ["True", "False", None]),
        (["1.0", "0.5", ""], ["1.0", "0.5", None]),
        (["true", "unsure", "1.0"], ["true", "unsure", "1.0"]),
    ],
)
def test_numbers_and_truths_are_the_same_labels_in_text_as_in_other_tables(tmp_path, cells, labels) -> None:
    rows = "\n".join(f"{number},{cell}" for number, cell in enumerate(cells))
    table = read_catalog(write(tmp_path, f"object_id,label\n{rows}\n"), "generic", any_label=True)
    assert table["label"].to_pylist() == labels


@pytest.mark.parametrize("names", [{"1.0": "Er", "0": "Sb"}, {"TRUE": "Er", "false": "Sb"}])
def test_numbers_and_truths_are_renamed_as_they_are_written(tmp_path, names) -> None:
    first, second = names
    path = write(tmp_path, f"object_id,label\n1,{first}\n2,{second}{'.0' if second == '0' else ''}\n")
    table = read_catalog(path, "generic", columns=CatalogColumns(labels=names))
    assert table["label"].to_pylist() == ["Er", "Sb"]

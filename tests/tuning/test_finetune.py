"""`galclass finetune`, `evaluate --catalog` and the sentence on foreign images, as a user runs them."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from tiny_model import tiny_model

from galclass.cli import cli
from galclass.database import Registry, open_database
from galclass.errors import GalclassError, TrainingError
from galclass.tuning.measure import classes_meant


def draw(folder: Path, labels: dict[str, str], seed: int = 0) -> None:
    """Pictures of 64 px, bright above for one label and bright below for others, with noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for name, label in labels.items():
        half = np.linspace(0, 255, 64) if label == "ring" else np.linspace(255, 0, 64)
        picture = half[:, None, None] + rng.normal(0, 25, (64, 64, 3))
        cv2.imwrite(str(folder / f"{name}.png"), picture.clip(0, 255).astype(np.uint8))


def write(path: Path, labels: dict[str, str]) -> Path:
    path.write_text("object_id,label\n" + "".join(f"{key},{label}\n" for key, label in labels.items()))
    return path


LABELS = {f"J{n}": "ring" if n % 2 else "no_ring" for n in range(40)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw(tmp_path / "images", LABELS)
    (tmp_path / "tiny.onnx").write_bytes(tiny_model())
    write(tmp_path / "rings.csv", LABELS)
    return tmp_path


def run(folder: Path, *words: object) -> Result:
    texts = [str(word) for word in words]
    return CliRunner().invoke(cli, [*texts, "--workspace", str(folder / "ws")], catch_exceptions=True)


def finetune(folder: Path, *words: object, catalog: str = "rings.csv") -> Result:
    base = ("--images", folder / "images", "--model", folder / "tiny.onnx", "--quiet")
    return run(folder, "finetune", folder / catalog, *base, *words)


def test_own_labels_become_a_registered_model_that_predicts(folder: Path) -> None:
    done = finetune(folder, "--name", "rings")
    assert done.exit_code == 0, done.output
    assert "fitted to 40 labelled images (20 no_ring, 20 ring)" in done.output
    assert "cross-validated on 40 objects" in done.output
    assert "no out-of-distribution flag: 40 labelled objects, 50 needed" in done.output
    assert "rings@1 registered" in done.output
    output = folder / "out.csv"
    assert run(folder, "predict", folder / "images", "--model", "rings", "--output", output).exit_code == 0
    rows = list(csv.DictReader(output.read_text().splitlines()))
    assert np.mean([row["predicted_class"] == LABELS[row["object_id"]] for row in rows]) > 0.9
    shown = run(folder, "predict", folder / "images", "--model", "rings")
    assert "with rings@1" in shown.output
    assert "spiral" not in shown.output


def test_rows_that_take_no_part_are_named_and_end_with_status_3(folder: Path) -> None:
    (folder / "images" / "J0.png").write_bytes(b"no image")
    write(folder / "rings.csv", {**LABELS, "absent": "ring", "blank": ""})
    done = finetune(folder)
    assert done.exit_code == 3, done.output
    rows = list(csv.DictReader((folder / "ws" / "finetune" / "own" / "rejects.csv").read_text().splitlines()))
    assert {row["object_id"]: row["code"] for row in rows} == {
        "absent": "no_image", "blank": "no_label", "J0": "not_an_image",
    }  # fmt: skip
    assert "39 labelled images" in done.output


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"J1": "ring", "J3": "ring"}, "fewer than two classes"),
        ({**LABELS, **dict.fromkeys([f"J{n}" for n in range(0, 40, 2)], "none")}, "write no_ring or the like"),
        ({"J1": "ring", "J3": "ring", "J0": "no_ring"}, "too few labels of a class"),
        ({"X1": "ring", "X2": "no_ring"}, "no image has a name from the catalog"),
        ({"J1": "", "J2": ""}, "no row has a label"),
        ({**LABELS, "J0": "class", "J2": "class", "J4": "class"}, "other names than 'class' and 'group'"),
        ({**LABELS, "J1": "Ring", "J3": "Ring"}, "got 'Ring' and 'ring'"),
        ({**LABELS, "J1": "a|b"}, "got 'a|b'"),
        ({f"J{n}": f"{n / 7}" for n in range(300)}, "at most 256 different labels, got 300"),
    ],
)
def test_what_cannot_be_fitted_ends_with_one_sentence_and_nothing_written(
    folder: Path, labels: dict[str, str], words: str
) -> None:
    draw(folder / "images", {key: "ring" for key in labels if key.startswith("J")})
    write(folder / "rings.csv", labels)
    done = finetune(folder)
    assert isinstance(done.exception, GalclassError)
    assert "rings.csv" in str(done.exception)
    assert words in str(done.exception)
    assert not (folder / "ws" / "finetune").exists()


def test_rows_that_are_comments_are_told(folder: Path) -> None:
    table = (folder / "rings.csv").read_text()
    (folder / "rings.csv").write_text(table.replace("\nJ5,", "\n#J5,"))
    done = finetune(folder)
    assert "39 labelled images" in done.output
    assert "catalog: 1 comment lines among the rows left out" in done.output
    words = ("--model", "own", "--catalog", folder / "rings.csv", "--images", folder / "images")
    assert "catalog: 1 comment lines among the rows left out" in run(folder, "evaluate", *words).output


def test_too_few_labels_are_told_before_an_image_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from galclass.scoring import Scorer

    write(folder / "rings.csv", {"J1": "ring", "J3": "ring", "J0": "no_ring"})
    monkeypatch.setattr(Scorer, "score", lambda *_, **__: pytest.fail("an image was read"))
    assert isinstance(finetune(folder).exception, TrainingError)


def test_chosen_classes_leave_the_others_out(folder: Path) -> None:
    write(folder / "rings.csv", {**LABELS, **dict.fromkeys(["J0", "J2", "J4"], "unsure")})
    done = finetune(folder, "--classes", "ring,no_ring")
    assert done.exit_code == 3
    assert "(20 ring, 17 no_ring)" in done.output


@pytest.mark.parametrize(
    ("labels", "words", "said"),
    [
        (LABELS, ("--classes", "ring,no_rin"), r"no image is labelled 'no_rin'.*[Pp]erhaps 'no_ring' was meant"),
        ({**LABELS, "J1": "rign"}, (), r"or is 'rign' meant to be 'ring'\?"),
        ({**LABELS, "J1": "No Ring"}, (), r"or is 'No Ring' meant to be 'no_ring'\?"),
    ],
)
def test_slips_in_labels_are_told(folder: Path, labels: dict[str, str], words: tuple[str, ...], said: str) -> None:
    write(folder / "rings.csv", labels)
    with pytest.raises(TrainingError, match=said):
        raise finetune(folder, *words).exception or AssertionError("it was fitted")


def test_a_second_fit_is_not_production_by_itself(folder: Path) -> None:
    finetune(folder)
    write(folder / "rings.csv", {key: LABELS[key] for key in list(LABELS)[:30]})
    done = finetune(folder)
    assert done.exit_code == 0
    assert "own@2 registered" in done.output
    assert "not promoted: none of fewer than 200 labelled images is held out" in done.output
    assert "own@2" in finetune(folder, "--promote").output
    with open_database(f"sqlite:///{folder / 'ws' / 'galclass.db'}") as database:
        assert Registry(database).points_at("own", "production") == 2


def test_with_enough_labels_a_better_fit_becomes_production_and_a_worse_one_does_not(folder: Path) -> None:
    labels = {f"K{n}": "ring" if n % 2 else "no_ring" for n in range(600)}
    draw(folder / "images", labels)
    random = dict(zip(labels, np.random.default_rng(0).permutation(list(labels.values())).tolist(), strict=True))
    for names, wanted in ((random, True), (labels, True), (random, False)):
        write(folder / "rings.csv", {key: str(label) for key, label in names.items()})
        done = finetune(folder)
        assert done.exit_code == 0, done.output
        assert ("not promoted" not in done.output) == wanted, done.output


def test_models_are_measured_on_any_labels_and_compared_on_the_same_objects(folder: Path) -> None:
    finetune(folder, "--name", "rings")
    write(folder / "some.csv", {"J0": "no_ring", "J1": "ring", "J2": "Er", "J3": "ring", "absent": "ring"})
    base = ("--catalog", folder / "some.csv", "--images", folder / "images", "--rejects", folder / "left.csv")
    done = run(folder, "evaluate", "--model", "rings", "--model", "rings@1", *base)
    assert done.exit_code == 3, done.output
    assert "on 3 objects: accuracy" in done.output
    assert "1 objects left out: the model has no class for 'Er' (1)" in done.output
    assert "rings@1 less rings: +0.000 [+0.000, +0.000] on 3 objects" in done.output
    assert "absent,no_image" in (folder / "left.csv").read_text()
    tiny = run(folder, "evaluate", "--model", folder / "tiny.onnx", *base)
    assert "on 1 objects" in tiny.output
    refused = run(folder, "evaluate", "--model", "rings")
    assert refused.exit_code == 2
    assert "--model: only with --catalog" in refused.output


def test_truths_and_numbers_are_the_classes_of_models_that_have_them_as_they_were_written(folder: Path) -> None:
    for names in (("TRUE", "FALSE"), ("1.0", "-2.0")):
        write(folder / "rings.csv", {key: names[value != "ring"] for key, value in LABELS.items()})
        fitted = finetune(folder, "--name", "old", "--classes", ",".join(names))
        assert fitted.exit_code == 0, fitted.output or fitted.exception
        assert f"(20 {names[0]}, 20 {names[1]})" in fitted.output
        measured = run(
            folder, "evaluate", "--model", "old@1" if names[0] == "TRUE" else "old@2",
            "--catalog", folder / "rings.csv", "--images", folder / "images",
        )  # fmt: skip
        assert "the model has no class for" not in measured.output
    assert classes_meant("True", ("TRUE", "FALSE")) == {"TRUE"}
    assert classes_meant("1", ("1.0", "2.0")) == {"1.0"}
    assert classes_meant("1", ("1.0", "1")) == {"1"}
    assert classes_meant("10", ("1.0", "1")) == frozenset()


def test_two_images_of_one_name_are_named_and_neither_is_taken(folder: Path) -> None:
    draw(folder / "images" / "again", {"J1": "ring"}, seed=1)
    done = finetune(folder)
    assert done.exit_code == 3, done.output
    (row,) = csv.DictReader((folder / "ws" / "finetune" / "own" / "rejects.csv").read_text().splitlines())
    assert (row["object_id"], row["code"]) == ("J1", "several_images")
    assert "again/J1.png" in row["reason"]
    assert "39 labelled images" in done.output
    assert "have no label" not in done.output


def test_an_image_that_cannot_be_read_says_why(folder: Path) -> None:
    (folder / "images" / "J0.png").unlink()
    (folder / "images" / "J0.png").symlink_to("nowhere.png")
    finetune(folder)
    (row,) = csv.DictReader((folder / "ws" / "finetune" / "own" / "rejects.csv").read_text().splitlines())
    assert row["code"] == "unreadable"
    assert "empty" not in row["reason"]


def test_objects_that_a_model_was_fitted_to_are_left_out_whatever_table_they_are_in(folder: Path) -> None:
    many = {f"J{n}": "ring" if n % 2 else "no_ring" for n in range(220)}
    draw(folder / "images", many)
    write(folder / "rings.csv", many)
    fitted = finetune(folder, "--name", "rings")
    base = ("--images", folder / "images", "--model", "rings")
    done = run(folder, "evaluate", "--catalog", folder / "rings.csv", *base)
    (kept,) = (line for line in fitted.output.splitlines() if "on held-out objects" in line)
    figure = kept.split("accuracy ")[1].split(" (95")[0]
    count = 220 - int(fitted.output.split("fitted to ")[1].split(" ")[0])
    left_out = f"{220 - count} objects left out: the model was fitted to these ids\n"
    assert f"on {count} objects: accuracy {figure} (95 %)" in done.output
    assert left_out in done.output
    table = pa.table({"name": list(many), "kind": list(many.values()), "mag": [17.5] * 220})
    pq.write_table(table, folder / "others.parquet")
    words = (*base, "--id-column", "name", "--label-column", "kind")
    same = run(folder, "evaluate", "--catalog", folder / "others.parquet", *words)
    assert f"on {count} objects: accuracy {figure} (95 %)" in same.output
    assert left_out in same.output
    new = {f"N{n}": "ring" if n % 2 else "no_ring" for n in range(6)}
    draw(folder / "images", new, seed=3)
    write(folder / "rings.csv", new)
    others = run(folder, "evaluate", "--catalog", folder / "rings.csv", *base)
    assert "on 6 objects" in others.output
    assert "fitted" not in others.output
    write(folder / "rings.csv", LABELS)
    finetune(folder, "--name", "few")
    write(folder / "again.csv", LABELS)
    few = run(folder, "evaluate", "--catalog", folder / "again.csv", *base[:2], "--model", "few")
    assert "the model was fitted to all of them, so this accuracy is too high\n" in few.output
    two = run(folder, "evaluate", "--catalog", folder / "again.csv", *base, "--model", "few")
    assert "few less rings: " in two.output
    unknown = run(folder, "evaluate", "--catalog", folder / "again.csv", *base[:2], "--model", folder / "tiny.onnx")
    assert unknown.exit_code == 1  # it has none of these classes


def test_what_a_model_was_fitted_to_is_shown_as_a_count_and_old_models_say_that_it_is_not_recorded(
    folder: Path,
) -> None:
    finetune(folder, "--name", "few")
    assert '"fitted_ids": {\n      "count": 40\n    }' in run(folder, "models", "show", "few").output
    write(folder / "leaves.csv", dict.fromkeys(LABELS, "Er"))
    words = ("--catalog", folder / "leaves.csv", "--images", folder / "images", "--model", folder / "tiny.onnx")
    assert "which objects the model was fitted to is not recorded" in run(folder, "evaluate", *words).output


def test_models_compared_on_objects_that_one_of_them_was_fitted_to_are_not_compared(folder: Path) -> None:
    keys = list(LABELS)
    for name, part in (("one", keys[:20]), ("two", keys[20:])):
        write(folder / "rings.csv", {key: LABELS[key] for key in part})
        finetune(folder, "--name", name)
    write(folder / "all.csv", LABELS)
    words = ("--catalog", folder / "all.csv", "--images", folder / "images", "--model", "one", "--model", "two")
    done = run(folder, "evaluate", *words)
    assert done.output.count("20 objects left out: the model was fitted to these ids") == 2
    assert "two less one: not compared, there are no two objects that neither was fitted to" in done.output


def test_a_rare_class_is_why_nothing_is_held_out(folder: Path) -> None:
    many = {f"J{n}": "ring" if n % 2 else "no_ring" for n in range(205)} | dict.fromkeys(["J0", "J2", "J4"], "rare")
    draw(folder / "images", many)
    write(folder / "rings.csv", many)
    finetune(folder)
    done = finetune(folder, "--set", "seed=3")
    assert "no image is held out, as too few of the 3 labels of 'rare' would be left to fit" in done.output


def test_what_the_second_model_cannot_read_is_listed_too(folder: Path) -> None:
    finetune(folder, "--name", "rings")
    (folder / "images" / "J0.png").write_bytes(b"no image")
    words = ("--model", "rings", "--model", "rings", "--catalog", folder / "rings.csv", "--images", folder / "images")
    done = run(folder, "evaluate", *words, "--rejects", folder / "left.csv")
    assert done.exit_code == 3
    assert [line.split(",")[0] for line in (folder / "left.csv").read_text().splitlines()] == ["object_id", "J0"]


def test_images_unlike_the_training_data_end_with_a_sentence_and_status_4(folder: Path) -> None:
    labels = {f"K{n}": "ring" if n % 2 else "no_ring" for n in range(60)}
    draw(folder / "images", labels)
    write(folder / "rings.csv", {**LABELS, **labels})
    assert finetune(folder, "--name", "rings").exit_code == 0
    strange = folder / "strange"
    strange.mkdir()
    for number in range(12):
        picture = np.indices((64, 64)).sum(axis=0) // 16 % 2 * 255
        cv2.imwrite(str(strange / f"{number}.png"), np.stack([picture, 255 - picture, 0 * picture], axis=2))
    said = "12 of 12 images are unlike what rings@1 was trained on"
    done = run(folder, "predict", strange, "--model", "rings")
    assert done.exit_code == 4, done.output
    assert said in done.output
    (folder / "mine.csv").write_text("id,mag\n" + "".join(f"{number},17.5\n" for number in range(12)))
    base = ("--model", "rings", "--catalog", folder / "mine.csv")
    joined = run(folder, "predict", strange, *base, "--output", folder / "out.csv")
    assert joined.exit_code == 4, joined.output
    assert said in joined.output
    for number in range(4):
        (strange / f"{number}.png").unlink()
    assert run(folder, "predict", strange, "--model", "rings").exit_code == 0  # eight images are too few to judge
    assert run(folder, "predict", folder / "images", "--model", "rings").exit_code == 0

"""Options of the command line that no other test names: each changes what its command does."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tiny_model import tiny_model
from train.drawn_galaxies import write_prepared

from galclass.cli import cli
from galclass.database import Images, Registry, open_database
from galclass.database.images import NewImage
from galclass.database.shadows import ShadowCounts, ShadowDifference, ShadowPair, Shadows
from galclass.database.types import now


@pytest.fixture
def galclass(tmp_path: Path):
    """Run a command on a workspace of its own."""

    def run(*words: str) -> Result:
        return CliRunner(env={"COLUMNS": "200"}).invoke(cli, [*words, "--workspace", str(tmp_path / "workspace")])

    return run


@pytest.fixture
def pictures(sample_folder: Path) -> list[bytes]:
    """Three galaxies of the sample."""
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        return [archive.read(name) for name in sorted(archive.namelist()) if name.endswith(".jpg")][:3]


def test_a_model_is_registered_with_metrics_card_and_aliases_that_roll_back(galclass, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"accuracy": 0.5}))
    (tmp_path / "card.md").write_text("# A small model\n")
    for seed in (1, 2):
        (tmp_path / "m.onnx").write_bytes(tiny_model(seed))
        card, metrics = str(tmp_path / "card.md"), str(tmp_path / "metrics.json")
        words = ("--alias", "candidate", "--metrics", metrics, "--card", card)
        assert f"galaxy@{seed} (candidate)" in galclass("models", "register", str(tmp_path / "m.onnx"), *words).output
    assert "galaxy@1 (candidate)" in galclass("models", "rollback", "galaxy", "--alias", "candidate").output
    with open_database(f"sqlite:///{tmp_path / 'workspace' / 'galclass.db'}") as database:
        record = Registry(database).get("galaxy@candidate")
    assert (record.metrics, record.card) == ({"accuracy": 0.5}, "# A small model\n")


def test_a_service_is_described_and_its_alias_rolls_back(galclass, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(tiny_model())
    galclass("models", "register", str(tmp_path / "m.onnx"))
    for version in ("1.0", "1.1"):
        done = galclass("publish", "g", "--version", version, "--model", "galaxy", "--description", "rings")
        assert done.exit_code == 0, done.output
    back = galclass("services", "rollback", "g", "--alias", "latest")
    assert back.exit_code == 0, back.output
    assert "1.0" in back.output


def test_images_are_listed_after_an_id_and_near_a_position(galclass, tmp_path: Path, pictures) -> None:
    (tmp_path / "workspace").mkdir()
    with open_database(f"sqlite:///{tmp_path / 'workspace' / 'galclass.db'}", migrate=True) as database:
        new = [NewImage(key, pictures[n], f"{key}.jpg", ra=180.0 + n, dec=0.5) for n, key in enumerate("abc")]
        assert Images(database).add(new).added == 3
    after = galclass("images", "list", "--after", "a").output
    assert [key for key in "abc" if f"{key}.jpg" in after] == ["b", "c"]
    near = galclass("images", "list", "--cone", "181.0", "0.5", "60").output
    assert [key for key in "abc" if f"{key}.jpg" in near] == ["b"]


def test_files_may_hold_the_centre_of_a_larger_frame(galclass, tmp_path: Path, pictures) -> None:
    (tmp_path / "one.jpg").write_bytes(pictures[0])
    words = ("images", "add", str(tmp_path / "one.jpg"), "--frame-px", "848", "--stored-px")
    done = galclass(*words, "424")
    assert done.exit_code == 0, done.output
    with open_database(f"sqlite:///{tmp_path / 'workspace' / 'galclass.db'}") as database:
        assert Images(database).list()[0].frame_px == 848


@pytest.mark.parametrize("command", ["check", "show"])
def test_a_task_sizes_the_output_of_an_auto_topology(galclass, tmp_path: Path, command: str) -> None:
    net = "input X auto; hidden H [4] from X all; output Y auto from H all;"
    (tmp_path / "n.ns").write_text(net)
    sizes = ("--input-nodes", "3")
    binary = CliRunner().invoke(cli, ["topology", command, str(tmp_path / "n.ns"), *sizes, "--task", "binary"])
    assert binary.exit_code == 0, binary.output
    many = ["topology", command, str(tmp_path / "n.ns"), *sizes, "--task", "multi_class", "--classes", "5"]
    assert CliRunner().invoke(cli, many).output != binary.output


def test_a_run_that_was_never_begun_cannot_be_resumed(galclass) -> None:
    done = galclass("train", "--resume")
    assert done.exit_code == 1


def test_weights_to_start_from_are_named_on_the_command_line(galclass, tmp_path: Path) -> None:
    write_prepared(tmp_path / "workspace" / "prepared", ["Er", "Sen"] * 12)
    done = galclass("train", "--quiet", "--set", "train.num_epochs=1", "--initial-weights", str(tmp_path / "none.pt"))
    assert done.exit_code == 1
    assert str(done.exception).startswith(f"{tmp_path / 'none.pt'}: there is no such checkpoint")


def test_a_shadow_lists_at_most_so_many_objects_that_differ(galclass, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(tiny_model())
    galclass("models", "register", str(tmp_path / "m.onnx"))
    galclass("publish", "g", "--version", "1.0", "--model", "galaxy")
    with open_database(f"sqlite:///{tmp_path / 'workspace' / 'galclass.db'}") as database:
        differing = [ShadowDifference(f"object{n}", f"{n:064x}", "Er", "Sb", 0.5, now()) for n in range(3)]
        Shadows(database).add(ShadowPair("g", "1.0", "1.1"), ShadowCounts(compared=5, same_class=2), differing)
    for most, count in (((), 3), (("--most", "1"), 1)):
        printed = galclass("services", "shadow", "g", *most).output
        assert sum(one.object_id in printed for one in differing) == count, printed


def test_the_progress_bar_of_prepare_can_be_left_out(tmp_path: Path, pictures) -> None:
    (tmp_path / "images").mkdir()
    for number, data in enumerate(pictures):
        (tmp_path / "images" / f"g{number}.jpg").write_bytes(data)
    (tmp_path / "labels.csv").write_text("object_id,label\n" + "".join(f"g{n},Er\n" for n in range(3)))

    def errors_of(bar: str) -> str:
        words = ["prepare", "--images", str(tmp_path / "images"), "--catalog", str(tmp_path / "labels.csv"), bar]
        runner = CliRunner(env={"FORCE_COLOR": "1", "COLUMNS": "200"})
        done = runner.invoke(cli, [*words, "--workspace", str(tmp_path / bar), "--set", "prepare.processes=1"])
        assert done.exit_code == 0, done.output
        return done.stderr

    assert "prepare" in errors_of("--progress")
    assert errors_of("--no-progress") == ""

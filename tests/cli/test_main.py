"""The command line as a whole: exit statuses, help, errors in words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from galclass.cli import cli
from galclass.errors import CatalogError, TopologyError


def galclass(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from galclass.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def all_commands(group: click.Group, prefix: str = "") -> list[tuple[str, click.Command]]:
    context = click.Context(group)
    found: list[tuple[str, click.Command]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append((f"{prefix}{name}", command))
        if isinstance(command, click.Group):
            found += all_commands(command, f"{prefix}{name} ")
    return found


def test_an_unknown_command_is_a_usage_error() -> None:
    done = galclass("scoer")
    assert done.returncode == 2
    assert "No such command 'scoer'" in done.stderr


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("scoer", "`galclass score`"),
        ("Fintune", "`galclass finetune`"),
        ("cutout", "`galclass cut` or `galclass download cutouts`"),
        ("migrat", "`galclass db migrate`"),
        ("xyzzy", ""),
    ],
)
def test_a_slip_in_a_command_is_told(word: str, meant: str) -> None:
    error = CliRunner().invoke(cli, [word])
    assert error.exit_code == 2
    assert ("Did you mean" in error.output) == bool(meant)
    assert all(one in error.output for one in meant.split(" or "))


def test_the_shell_completes_commands_and_options() -> None:
    def completed(words: str, position: int) -> list[str]:
        asked = {"_GALCLASS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)}
        return CliRunner().invoke(cli, prog_name="galclass", env=asked).output.split()

    assert completed("galclass fine", 1) == ["plain,finetune"]
    assert "plain,--layers" in completed("galclass finetune --la", 2)
    script = CliRunner().invoke(cli, prog_name="galclass", env={"_GALCLASS_COMPLETE": "bash_source"}).output
    assert "complete -o nosort" in script


def test_an_error_is_one_message_and_no_traceback(tmp_path) -> None:
    done = galclass("run", str(tmp_path / "none.toml"))
    assert done.returncode == 1
    assert "none.toml: configuration file not found" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_stage_names_the_stages(tmp_path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("")
    done = galclass("run", str(config), "--until", "bake", "--workspace", str(tmp_path / "w"))
    assert done.returncode == 1
    assert "unknown stage 'bake'" in done.stderr
    assert "download, prepare, train" in done.stderr


def test_stages_in_the_wrong_order_are_refused(tmp_path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("")
    done = galclass("run", str(config), "--from", "train", "--until", "prepare", "--workspace", str(tmp_path / "w"))
    assert done.returncode == 1
    assert "prepare comes before train" in done.stderr


def test_every_command_has_help_with_an_example() -> None:
    for name, command in all_commands(cli):
        assert command.help, name
        if not isinstance(command, click.Group):
            assert "Example:" in command.help, name


def test_errors_compose_what_where_expected_got_and_advice() -> None:
    error = CatalogError("wrong id", where="a.csv, row 3", expected="text", got="1.2e18", advice="read ids as text")
    assert str(error) == "a.csv, row 3: wrong id (expected text, got 1.2e18). Read ids as text."


def test_a_topology_error_points_at_its_column() -> None:
    error = TopologyError("unknown layer", line=2, column=3, source_line="  x")
    assert str(error) == "line 2, column 3: unknown layer\n    x\n    ^"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "IMAGE", "--output", "/proc/x.csv"], "Error: /proc/x.csv: the predictions cannot be written"),
        (["predict", "IMAGE", "--output", "/proc/x.parquet"], "Error: /proc/x.parquet: the predictions cannot"),
        (["predict", "IMAGE", "--output", "IMAGE/x.csv"], "IMAGE/x.csv: the predictions cannot be written"),
        (["models", "register", "IMAGE", "--workspace", "IMAGE"], "Error: IMAGE: File exists"),
        (["topology", "show", "original", "--svg", "IMAGE/x.svg"], "Error: IMAGE: File exists"),
    ],
)
def test_what_the_system_refuses_is_one_message(tmp_path: Path, words: list[str], message: str) -> None:
    image = tmp_path / "file.jpg"
    image.write_bytes(b"x")
    done = galclass(*(word.replace("IMAGE", str(image)) for word in words))
    assert done.returncode == 1
    assert message.replace("IMAGE", str(image)) in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_a_graph_is_drawn_into_a_new_folder(tmp_path: Path) -> None:
    done = galclass("topology", "show", "original", "--svg", str(tmp_path / "new" / "o.svg"))
    assert done.returncode == 0
    assert (tmp_path / "new" / "o.svg").read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_predict_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    os.mkfifo(tmp_path / "slow.jpg")  # reading it waits for ever
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", "from galclass.cli import main; main()", "predict", str(tmp_path / "slow.jpg")]
    process = subprocess.Popen([*command, "--output", str(tmp_path / "out" / "x.csv")], stderr=subprocess.PIPE)
    with (tmp_path / "slow.jpg").open("wb"):  # opened once somebody reads it
        until = time.monotonic() + 60
        while not list((tmp_path / "out").iterdir()):
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGTERM)
    assert list((tmp_path / "out").iterdir()) == []
    if number == signal.SIGINT:
        assert b"the same command will start over" in errors


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_end_well(flag: str) -> None:
    assert galclass(flag).returncode == 0

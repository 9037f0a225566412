"""`galclass train` from the command line."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from train.drawn_galaxies import quick

from galclass.cli import cli
from galclass.config import config_to_toml


def test_trains_prints_a_line_and_a_remark_and_does_nothing_the_second_time(workspace: Path) -> None:
    (workspace / "config.toml").write_text(config_to_toml(quick(workspace, num_epochs=1)))
    arguments = ["train", "--config", str(workspace / "config.toml"), "--quiet"]
    first = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert first.exit_code == 0
    assert first.output.startswith("train: 48 objects, 1 epochs in ")
    assert first.output.splitlines()[1].startswith("48 labelled training objects are few")
    assert first.output.count("\n") == 2
    second = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert second.output.startswith("train: up to date")


def test_help_has_an_example() -> None:
    assert "Example: galclass train" in CliRunner().invoke(cli, ["train", "--help"]).output

"""Typed configuration: default < file < flag, all faults at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from galclass.config import Config, config_from_dict, config_to_toml, load_config
from galclass.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_every_fault_is_told_at_once_with_what_was_meant(tmp_path: Path) -> None:
    path = write(tmp_path, 'sead = 1\n[train]\nnum_epoch = 3\nmini_batch_size = "many"\n')
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    text = str(caught.value)
    assert "3 faults" in text
    assert "sead: unknown key; did you mean 'seed'?" in text
    assert "train.num_epoch: unknown key; did you mean 'num_epochs'?" in text
    assert "train.mini_batch_size" in text
    assert str(path) in text


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere.toml: configuration file not found"):
        load_config(tmp_path / "nowhere.toml")


def test_broken_toml_gives_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not valid TOML.*line 2"):
        load_config(write(tmp_path, "seed = 1\nseed == 2\n"))


def test_an_override_without_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="'train.topology' sets nothing"):
        load_config(None, ["train.topology"])


def test_a_key_below_a_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'seed' is a value, not a section"):
        load_config(write(tmp_path, "seed = 1\n"), ["seed.x=1"])


def test_a_flag_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    path = write(tmp_path, "seed = 1\n[prepare]\nsize_px = 50\n")
    config = load_config(path, ["seed=2", "train.topology=original"])
    assert (config.seed, config.prepare.size_px, config.train.topology) == (2, 50, "original")
    assert config.evaluate == Config().evaluate


def test_the_resolved_configuration_reads_back_the_same(tmp_path: Path) -> None:
    config = load_config(None, ["seed=7", 'register.aliases=["a", "b"]', "workspace=elsewhere"])
    assert load_config(write(tmp_path, config_to_toml(config))) == config


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_configuration_is_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALCLASS_DATA", "/nowhere")
    load_config(path)


@pytest.mark.parametrize("name", ["num_epochs", "num_iterations", "numIterations"])
def test_epochs_may_be_set_under_their_former_names(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, f"[train]\n{name} = 7\n")
    assert load_config(path).train.num_epochs == load_config(path).train.num_iterations == 7
    assert load_config(path, [f"train.{name}=8"]).train.num_epochs == 8
    assert load_config(path, ["train.num_epochs=9"]).train.num_epochs == 9
    assert config_from_dict({"train": {name: 5}}).train.num_epochs == 5
    assert "num_iterations" not in config_to_toml(load_config(path))


def test_one_setting_under_two_names_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "[train]\nnum_epochs = 7\nnumIterations = 8\n")
    with pytest.raises(ConfigError, match="train.numIterations and train.num_epochs are the same setting"):
        load_config(path)


def test_an_empty_override_restores_the_default(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[train]\nteacher = "answers.npz"\nnum_epochs = 3\n[evaluate.frequencies.clean5]\nspiral = 2\n')
    config = load_config(path, ["train.teacher=", "train.num_iterations = ", "evaluate.frequencies="])
    assert config.train.teacher is None
    assert config.train.num_epochs == Config().train.num_epochs
    assert config.evaluate == Config().evaluate
    with pytest.raises(ConfigError, match="train.taecher: unknown key; did you mean 'teacher'"):
        load_config(path, ["train.taecher="])
    with pytest.raises(ConfigError, match="train.teacher.path"):
        load_config(path, ["train.teacher.path="])

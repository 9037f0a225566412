"""The whole workflow on a slice of the sample: it learns, and a second run does nothing."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from galclass.config import load_config
from galclass.pipeline import STAGES, chosen_stages, run

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """Workspace and summaries of one run of the demo on fewer galaxies."""
    workspace = tmp_path_factory.mktemp("workspace")
    summaries = {result.stage: result.summary for result in run(demo(workspace), progress=False)}
    return workspace, summaries


def demo(workspace: Path):
    overrides = {"workspace": str(workspace), "prepare.limit": 600, "prepare.size_px": 32, "train.num_epochs": 12}
    return load_config(ROOT / "configs" / "demo.toml", overrides)


def test_a_part_of_the_workflow_can_be_chosen() -> None:
    assert chosen_stages("prepare", "evaluate") == ["prepare", "train", "evaluate"]
    assert chosen_stages() == list(STAGES)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_lower_bound_of_accuracy_beats_the_majority_class(finished) -> None:
    workspace, _ = finished
    table = json.loads((workspace / "evaluation" / "metrics.json").read_text())["tables"]["13 classes"]
    assert table["accuracy"][1] > table["majority_rate"]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_every_stage_leaves_its_result(finished) -> None:
    workspace, summaries = finished
    assert list(summaries) == list(STAGES)
    report = (workspace / "evaluation" / "report.html").read_text()
    assert report.count("<svg") >= 3
    assert "data:image/jpeg;base64," in report
    assert 'src="http' not in report
    connection = sqlite3.connect(workspace / "galclass.db")
    scored, unclear = connection.execute(
        "select count(*), sum(predicted_class is null) from galaxy_predictions"
    ).fetchone()
    assert scored > 50
    assert unclear == 0
    services = connection.execute("select name, model_name from galaxy_services order by name").fetchall()
    assert services == [("demo", "demo"), ("galaxy-class", "galaxy")]
    connection.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_second_run_does_nothing(finished) -> None:
    workspace, _ = finished
    before = {
        path: path.stat().st_mtime_ns
        for path in workspace.rglob("*")
        if path.is_file() and "galclass.db" not in path.name
    }
    counts = tables(workspace)
    list(run(demo(workspace), progress=False))
    after = {path: path.stat().st_mtime_ns for path in before}
    assert {p for p in before if before[p] != after[p]} <= {workspace / "config.toml"}
    assert tables(workspace) == counts


def tables(workspace: Path) -> dict[str, int]:
    connection = sqlite3.connect(workspace / "galclass.db")
    names = ("galaxy_models", "galaxy_images", "galaxy_predictions", "galaxy_services", "galaxy_model_alias_log")
    counts = {name: connection.execute(f"select count(*) from {name}").fetchone()[0] for name in names}
    connection.close()
    return counts

"""The workflow on a cluster: `galclass run --cluster`, from the images to the predictions."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from cluster.results import rows_of, rows_of_one_machine

from galclass.cli import cli
from galclass.scoring import Scorer

pytestmark = [pytest.mark.slow(30), pytest.mark.filterwarnings("default")]


def test_run_prepares_trains_and_scores_on_the_cluster(tmp_path: Path, folder: Path, galaxies, cluster) -> None:
    labels = ["Er", "Sen"]
    catalog = tmp_path / "labels.csv"
    rows = [f"{key},{labels[n % 2]},{key}.jpg" for n, key in enumerate(sorted(galaxies))]
    catalog.write_text("\n".join(["object_id,label,file", *rows]))
    settings = {
        "prepare.images": f'"{folder}"',
        "prepare.catalog": f'"{catalog}"',
        "prepare.size_px": 24,
        "train.num_epochs": 1,
        "cluster.chunk": 64,
    }
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    config = tmp_path / "config.toml"
    config.write_text("")
    command = ["run", str(config), "--workspace", str(tmp_path / "ws"), "--cluster", cluster.address, *options]
    result = CliRunner().invoke(cli, [*command, "--from", "prepare", "--until", "score"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    scorer = Scorer(tmp_path / "ws/training/model.onnx", version=1)
    assert rows_of(tmp_path / "ws/scored") == rows_of_one_machine(folder, scorer)

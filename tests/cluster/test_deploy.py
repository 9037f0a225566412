"""The manifests say what the package needs: Ray's version, commands that exist, YAML that KubeRay takes."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import click
import yaml

from galclass.cli import cli

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def ray_version() -> str:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["cluster"]
    (pin,) = [one for one in extras if one.startswith("ray[")]
    return pin.partition("==")[2].removesuffix(".*")


def check_command(words: list[str]) -> None:
    """Parse a galclass command as the command line would."""
    command = cli.get_command(click.Context(cli), words[1])
    assert command is not None
    command.make_context(words[1], words[2:])


def test_the_kubernetes_job_scores_with_the_ray_version_of_the_package() -> None:
    job = yaml.safe_load((DEPLOY / "kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"].startswith(ray_version())
    assert f"rayproject/ray:{cluster['rayVersion']}-" in (DEPLOY / "kuberay.Dockerfile").read_text()
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for container in (group["template"]["spec"]["containers"][0] for group in groups):
        assert container["resources"]["requests"] == container["resources"]["limits"]
    script = shlex.split(job["spec"]["entrypoint"])
    assert script[:2] == ["sh", "-c"]
    check_command(shlex.split(script[2].partition("||")[0]))


def test_the_slurm_script_is_sound_and_runs_a_command_that_exists() -> None:
    path = DEPLOY / "slurm.sh"
    subprocess.run(["bash", "-n", str(path)], check=True)
    found = re.search(r"-- \\\n\s*(galclass score .*)$", path.read_text(), flags=re.MULTILINE)
    assert found is not None
    check_command(shlex.split(found[1].replace("$", "")))

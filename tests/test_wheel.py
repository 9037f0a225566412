"""The wheel as an index would hand it out: it works without extras, and each extra brings what it promises.

Every command runs outside the repository, in an environment of its own (see installed.py).
"""

from __future__ import annotations

import csv
import email
import json
import re
import resource
import shlex
import shutil
import subprocess
import time
import tomllib
import urllib.request
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import click
import pytest
from installed import ROOT, Installed, build_wheel, install
from packaging.requirements import Requirement
from readme_renderer import markdown
from service.live import free_port
from trove_classifiers import classifiers

from galclass.cli import cli
from galclass.extras import MODULES

SAMPLE = ROOT / "data" / "sample"
PREPARED = ("--set", "prepare.images=my_images", "--set", "prepare.catalog=labels.csv")
SMALL = (*PREPARED, "--set", "prepare.size_px=50")
TRAINED = ("--set", "train.topology=original", "--set", "train.num_epochs=1")

# In this order, in one folder: what is done is taken by what follows. Text instead of a status: the extras it asks for.
WITHOUT_EXTRAS: list[tuple[str, int | str]] = [
    ("predict my_images --output predictions.csv", 0),
    ("predict my_images --output predictions.parquet --processes 2", 0),
    ("predict my_images --model galaxy", 1),
    ("download sources --list", 0),
    ("download cutouts --catalog labels.csv", 1),
    ("download cutouts --catalog positions.vot", "astro"),
    ("prepare --no-progress " + " ".join(PREPARED), 0),
    ("similar my_images/{image} --count 2", 0),
    ("topology check original", 0),
    ("topology show original --svg original.svg", 0),
    ("topology export checkpoint.pt --output trained.ns", "train"),
    ("train", "train"),
    ("train --images-from database", 1),
    ("evaluate", "evaluate"),
    ("register", 1),
    ("models register package", 0),
    ("models list", 0),
    ("models show galaxy", 0),
    ("models verify galaxy", 0),
    ("models alias galaxy candidate 1", 0),
    ("models rollback galaxy", 1),
    ("models export galaxy galaxy.onnx", 0),
    ("models delete galaxy@1", 1),
    ("images add my_images --catalog labels.csv", 0),
    ("images list", 0),
    ("train --images-from database", "train,evaluate"),
    ("score --pending", 0),
    ("score --cluster local --images my_images --output scored --model package", "cluster"),
    ("sql 'select predict_galaxy_class(img) from galaxy_images limit 2'", 0),
    ("db migrate", 0),
    ("db migrate --database postgresql://nobody@127.0.0.1:9/none", "postgres"),
    ("db doctor", 0),
    ("db vacuum", 0),
    ("db embed", 0),
    ("db export exported.csv", 0),
    ("db export exported.fits", "astro"),
    ("db install-procedure --dry-run", 0),
    ("db install-procedure --dialect tsql", 0),
    ("publish galaxy-class --model galaxy --version 1.0", 0),
    ("services list", 0),
    ("services show galaxy-class", 0),
    ("services update galaxy-class --model galaxy@1 --version 1.1", 0),
    ("services rollback galaxy-class", 0),
    ("services alias galaxy-class latest 1.1", 0),
    ("services shadow galaxy-class", 0),
    ("services delete galaxy-class 1.0", 0),
    ("tokens create", 0),
    ("tokens list", 0),
    ("tokens revoke 1", 0),
    ("serve", "serve"),
    ("label my_images --want ring", "serve"),
    ("finetune labels.csv --images my_images", "finetune"),
    ("compare workspace another", 2),
    ("cut tile.fits --catalog labels.csv --output cut", "astro"),
    ("run demo.toml", "train,evaluate"),
    ("run demo.toml --from prepare --until prepare --workspace another", 0),
]

ONE_AFTER_ANOTHER = """
import contextlib, io, json, sys
from galclass.cli import main
answers = []
for words in json.load(sys.stdin):
    sys.argv = ["galclass", *words]
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as end:
            answers.append((end.code, said.getvalue()))
json.dump(answers, open("answers.json", "w"))
"""
"""Runs the commands in one process, as starting fifty would take a minute; a traceback ends it."""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built once."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment without extras."""
    return with_files(install(wheel, tmp_path_factory.mktemp("bare") / "env"))


def with_files(installed: Installed) -> Installed:
    """Put forty galaxies with their labels, and a configuration file, into the folder of an environment."""
    with (SAMPLE / "gz2_hart16.csv").open() as file:
        labels = {row["dr7objid"]: row["gz2_class"] for row in csv.DictReader(file)}
    with (SAMPLE / "gz2_filename_mapping.csv").open() as file:
        assets = {row["asset_id"]: row["objid"] for row in csv.DictReader(file)}
    rows = []
    with zipfile.ZipFile(SAMPLE / "images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if assets.get(Path(name).stem) in labels][:40]
        for name in names:
            identifier = assets[Path(name).stem]
            target = installed.work / "my_images" / f"{identifier}.jpg"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(archive.read(name))
            rows.append(f"{identifier},{labels[identifier]}\n")
    (installed.work / "labels.csv").write_text("object_id,label\n" + "".join(rows))
    (installed.work / "positions.vot").write_text("<VOTABLE/>")
    (installed.work / "tile.fits").write_bytes(b"SIMPLE  =                    T".ljust(2880))
    (installed.work / "demo.toml").write_text(
        '[prepare]\nsources = [{name = "mine", images = "my_images", catalog = "labels.csv"}]\n'
    )
    return installed


def words(line: str, installed: Installed) -> list[str]:
    """Split a line of `WITHOUT_EXTRAS`."""
    image = next((installed.work / "my_images").iterdir()).name
    return [word.format(image=image) for word in shlex.split(line)]


@pytest.mark.slow(15)
@pytest.mark.timeout(600)
def test_without_extras_every_command_works_or_names_the_extra_it_needs(bare: Installed) -> None:
    lines = [words(line, bare) for line, _ in WITHOUT_EXTRAS]
    done = subprocess.run(
        [bare.python, "-c", ONE_AFTER_ANOTHER],
        input=json.dumps(lines), cwd=bare.work, env=bare.environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = json.loads((bare.work / "answers.json").read_text())
    wrong = []
    for (line, expected), (status, said) in zip(WITHOUT_EXTRAS, answers, strict=True):
        if isinstance(expected, int):
            right = status == expected and (status == 0 or "pip install" not in said)
        else:
            right = status == 1 and said.strip().count("\n") == 0 and f"'galclass[{expected}]'" in said
        if not right:
            wrong.append(f"galclass {line}\n  expected {expected}, got {status}: {said[-1500:]}")
    assert not wrong, "\n".join(wrong)


def test_every_command_is_tried_without_extras() -> None:
    def leaves(command: click.Command, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        if not isinstance(command, click.Group):
            return [path]
        context = click.Context(command)
        below = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
        return [leaf for name, one in below if one is not None for leaf in leaves(one, (*path, name))]

    tried = [tuple(line.split()) for line, _ in WITHOUT_EXTRAS]
    assert [leaf for leaf in leaves(cli, ()) if leaf not in {line[: len(leaf)] for line in tried}] == []


ALL_HELP = """
import click
from galclass.cli import cli
def walk(command, context):
    assert command.get_help(context)
    if isinstance(command, click.Group):
        return 1 + sum(walk(one, click.Context(one, parent=context, info_name=name)) for name in
                       command.list_commands(context) if (one := command.get_command(context, name)))
    return 1
print(walk(cli, click.Context(cli)))
"""


def test_help_of_everything_needs_no_extra_and_no_time(bare: Installed) -> None:
    done = subprocess.run(
        [bare.python, "-c", ALL_HELP], cwd=bare.work, env=bare.environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40
    assert min(seconds_of_help(bare) for _ in range(5)) < 0.5


def seconds_of_help(installed: Installed) -> float:
    """Processor seconds of `galclass --help`, so that a busy machine does not count."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert installed.run("--help").returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_a_wheel_is_not_found_by_way_of_the_repository(bare: Installed) -> None:
    """The environments hold the wheel and nothing of this checkout: else they would prove nothing."""
    code = "import galclass, importlib.util as u; print(galclass.__file__, [m for m in {} if u.find_spec(m)])"
    modules = sorted({module for brought in MODULES.values() for module in brought})
    done = subprocess.run(
        [bare.python, "-c", code.format(modules)], cwd=bare.work, env=bare.environment(), capture_output=True, text=True
    )
    where, found = done.stdout.strip().split(" ", 1)
    assert Path(where).is_relative_to(bare.python.parent.parent)
    assert found == "[]"


@pytest.mark.slow(15)
@pytest.mark.timeout(600)
def test_train_and_evaluate_each_do_their_stage(wheel: Path, tmp_path: Path) -> None:
    trainer = with_files(install(wheel, tmp_path / "train", ["train"]))
    evaluator = install(wheel, tmp_path / "evaluate", ["evaluate"])
    for command in (("prepare", "--no-progress", *SMALL), ("train", "--quiet", *TRAINED, *SMALL)):
        done = trainer.run(*command)
        assert done.returncode == 0, done.stderr
    assert "'galclass[evaluate]'" in trainer.run("evaluate").stderr
    timm = trainer.run("train", "--set", "train.topology=timm:resnet18", *SMALL, "--workspace", "workspace")
    assert timm.returncode == 1
    assert "'galclass[timm]'" in timm.stderr
    shutil.copytree(trainer.work / "workspace", evaluator.work / "workspace")
    done = evaluator.run("evaluate", *SMALL, "--set", "evaluate.bootstrap=20")
    assert done.returncode == 0, done.stderr
    assert (evaluator.work / "workspace" / "evaluation" / "report.html").exists()
    assert evaluator.run("register").returncode == 0


@pytest.mark.slow(15)
def test_serve_answers(wheel: Path, tmp_path: Path) -> None:
    server = with_files(install(wheel, tmp_path / "serve", ["serve"]))
    for line in ("models register package", "publish galaxy-class --model galaxy --version 1.0"):
        assert server.run(*line.split()).returncode == 0
    port = free_port()
    command = [str(server.python.with_name("galclass")), "serve", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=server.work, env=server.environment(), stdout=log, stderr=log)
    try:
        image = next((server.work / "my_images").iterdir()).read_bytes()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/services/galaxy-class/1.0/predict", image, {"content-type": "image/jpeg"}
        )
        until = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    assert json.load(answer)["predicted_class"]
                break
            except ConnectionError as error:
                refused = error
            except urllib.error.URLError as error:
                refused = error.reason
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < until, refused
            time.sleep(0.1)
    finally:
        process.terminate()
        assert process.wait(40) == -15 or process.returncode == 0


@pytest.mark.slow(15)
def test_astro_reads_and_writes_its_tables(wheel: Path, tmp_path: Path) -> None:
    astronomer = with_files(install(wheel, tmp_path / "astro", ["astro"]))
    read = "Table.read('labels.csv', format='ascii.csv', converters={'object_id': str})"
    make = f"from astropy.table import Table; {read}.write('labels.fits')"
    subprocess.run([astronomer.python, "-c", make], cwd=astronomer.work, check=True)
    lines = ("models register package", "images add my_images --catalog labels.fits", "score --pending")
    for line in (*lines, "db export out.fits", "db export out.vot"):
        done = astronomer.run(*line.split())
        assert done.returncode == 0, (line, done.stderr)
    assert (astronomer.work / "out.fits").stat().st_size > 2880


def test_postgres_brings_the_driver(wheel: Path, tmp_path: Path) -> None:
    client = install(wheel, tmp_path / "postgres", ["postgres"])
    done = client.run("db", "migrate", "--database", f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    assert done.returncode == 1
    assert "Connection refused" in done.stderr or "connection failed" in done.stderr


@pytest.mark.slow(15)
@pytest.mark.timeout(300)
def test_cluster_scores_on_this_machine(wheel: Path, tmp_path: Path) -> None:
    cluster = with_files(install(wheel, tmp_path / "cluster", ["cluster"]))
    line = "score --cluster local --images my_images --output scored --model package"
    done = cluster.run(*line.split())
    assert done.returncode == 0, done.stderr
    assert json.loads((cluster.work / "scored" / "manifest.json").read_text())["partitions"]


def test_the_modules_of_the_extras_are_those_of_pyproject() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    modules_of: dict[str, set[str]] = {}
    for module, names in packages_distributions().items():
        for name in names:
            modules_of.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(module)
    for extra in set(extras) - {"all", "dev", "docs"}:
        asked = [Requirement(text) for text in extras[extra] if not text.startswith("galclass")]
        for one in asked:
            brought = modules_of.get(one.name.lower(), {one.name})  # timm is not installed for the tests
            assert brought & set(MODULES[extra]), f"{extra}: {one.name} brings {brought}"
        assert len(MODULES[extra]) == len(asked)
    assert set(MODULES) == set(extras) - {"all", "dev", "docs"}


def test_the_package_is_fit_for_an_index(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        fields = email.message_from_bytes(archive.read(metadata))
    assert wheel.stat().st_size < 15e6
    assert fields["License-Expression"] == "MIT"
    assert fields["Description-Content-Type"] == "text/markdown"
    assert set(fields.get_all("Classifier")) <= set(classifiers)
    assert {"LICENSE", "NOTICE"} <= set(fields.get_all("License-File"))
    rendered = markdown.render(fields.get_payload())
    assert rendered is not None
    assert "<table>" in rendered
    assert not [name for name in names if name.endswith((".pyc", ".map")) or "/tests/" in name]
    shipped = ("scoring/shipped/galaxy.onnx", "scoring/shipped/fitted_ids.json")
    for needed in ("py.typed", *shipped, "web/index.html", "database/procedures/postgresql.sql"):
        assert f"galclass/{needed}" in names

"""Nothing leaves the machine, and scoring writes only what it was asked for: seen from outside with strace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import httpx2
import pytest
from service.live import free_port
from traces import command, read, traced

SWITCH = "ORT_DISABLE_TELEMETRY"
CI = "CI TF_BUILD GITHUB_ACTIONS GITLAB_CI CIRCLECI TRAVIS JENKINS_URL CODEBUILD_BUILD_ID BUILDKITE TEAMCITY_VERSION"
BY_ITSELF = (SWITCH, *CI.split(), "APPVEYOR", "BITBUCKET_BUILD_NUMBER")
"""Variables that keep onnxruntime silent by themselves, as on machines that run tests."""
IN_PYTHON = """
from pathlib import Path
from galclass import Scorer
images = [path.read_bytes() for path in sorted(Path("my_images").iterdir())]
print(*(one.predicted_class for one in Scorer().score(images)))
"""
COMMAND_LINE = ["-c", "from galclass.cli import main; main()"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home directory, beside the folder `work` with three images in `my_images`."""
    with zipfile.ZipFile(Path(__file__).parent.parent / "data" / "sample" / "images_gz2.zip") as archive:
        for name in [name for name in archive.namelist() if name.endswith(".jpg")][:3]:
            target = tmp_path / "work" / "my_images" / Path(name).name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(name))
    folder = tmp_path / "home"
    folder.mkdir()
    (tmp_path / "tmp").mkdir()
    return folder


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a user who has set nothing."""
    unset = (*BY_ITSELF, "MPLCONFIGDIR", "XDG_CACHE_HOME")
    own = {name: value for name, value in os.environ.items() if name not in unset}
    own |= {"HOME": str(home), "TMPDIR": str(home.parent / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
    own["GALCLASS_CACHE"] = str(home.parent / "cache")  # where it notes which models have passed their trial
    return own | more


def test_the_traces_see_files_and_connections(home: Path, tmp_path: Path) -> None:
    """What they are there to find is found: else their silence would prove nothing."""
    write = "import pathlib; (pathlib.Path.home() / 'id').write_text('1')"
    trace, done = traced(["-c", write], cwd=tmp_path, log=tmp_path / "log", environment=environment(home))
    assert done.returncode == 0, done.stderr
    assert str(home / "id") in {str(name) for name in trace.written}
    look_up = "import socket\ntry: socket.create_connection(('192.0.2.1', 9), 0.01)\nexcept OSError: pass"
    trace, _ = traced(["-c", look_up], cwd=tmp_path, log=tmp_path / "log", environment=environment(home))
    assert len(trace.internet) == 1


@pytest.mark.parametrize(
    ("arguments", "asked_for"),
    [
        (["-c", IN_PYTHON], []),
        ([*COMMAND_LINE, "predict", "my_images", "--output", "out.csv", "--processes", "2"], ["out.csv"]),
        ([*COMMAND_LINE, "predict", "my_images", "--output", "out.parquet"], ["out.parquet"]),
        ([*COMMAND_LINE, "models", "register", "package"], ["workspace"]),
    ],
    ids=["python", "predict", "parquet", "register"],
)
def test_scoring_connects_to_nothing_and_writes_only_what_was_asked_for(
    home: Path, arguments: list[str], asked_for: list[str]
) -> None:
    work = home.parent / "work"
    trace, done = traced(arguments, cwd=work, log=home.parent / "log", environment=environment(home))
    assert done.returncode == 0, done.stderr
    assert trace.internet == ()
    assert trace.outside(home.parent / "tmp", work, home.parent / "cache") == []
    assert (home.parent / "cache").exists() == ("register" in arguments)
    assert sorted(path.name for path in work.iterdir()) == sorted(["my_images", *asked_for])
    assert list((home.parent / "tmp").iterdir()) == []
    assert list(home.iterdir()) == []


def test_a_server_connects_to_nothing_and_writes_only_into_its_workspace(home: Path) -> None:
    work, log, port = home.parent / "work", home.parent / "log", free_port()
    own = environment(home)
    for words in (
        ["models", "register", "package"],
        ["publish", "galaxy-class", "--model", "galaxy", "--version", "1.0"],
    ):
        subprocess.run([sys.executable, *COMMAND_LINE, *words], cwd=work, env=own, check=True, capture_output=True)
    words = [*COMMAND_LINE, "serve", "--port", str(port)]
    with (home.parent / "output").open("wb") as output:
        server = subprocess.Popen(
            [*command(log), sys.executable, *words],
            cwd=work, env=own, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        image = next((work / "my_images").iterdir()).read_bytes()
        url = f"http://127.0.0.1:{port}/v1/services/galaxy-class/1.0/predict"
        answer = _post(server, url, image)
        assert answer.json()["predicted_class"]
        assert httpx2.get(f"http://127.0.0.1:{port}/docs").status_code == 200
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # strace itself does not listen
        server.wait(60)
    trace = read(log, work)
    assert trace.internet == ()
    assert trace.outside(home.parent / "tmp", work / "workspace", home.parent / "cache") == []
    assert list(home.iterdir()) == []


def _post(server: subprocess.Popen[bytes], url: str, image: bytes) -> httpx2.Response:
    """Send an image once the server answers."""
    until = time.monotonic() + 120
    while True:
        try:
            return httpx2.post(url, content=image, headers={"content-type": "image/jpeg"}, timeout=30)
        except httpx2.TransportError:
            assert server.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)


def test_the_switch_is_set_before_any_part_can_import_onnxruntime(home: Path) -> None:
    code = f"import os, galclass.scoring.plpython, galclass.cluster; print(os.environ[{SWITCH!r}])"
    done = subprocess.run([sys.executable, "-c", code], env=environment(home), capture_output=True, text=True)
    assert (done.stdout.strip(), list(home.iterdir())) == ("1", []), done.stderr


@pytest.mark.parametrize(("own", "kept"), [("0", "0"), ("true", "true"), ("", "1")])
def test_a_users_own_setting_wins(home: Path, own: str, kept: str) -> None:
    code = f"import os, galclass; print(os.environ[{SWITCH!r}])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment(home, **{SWITCH: own}), capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == kept, done.stderr


@pytest.mark.parametrize(("own", "warned"), [(None, True), ("1", False), ("0", False)])
def test_an_onnxruntime_that_was_there_first_gets_a_warning(home: Path, own: str | None, warned: bool) -> None:
    given = {} if own is None else {SWITCH: own}
    done = subprocess.run(
        [sys.executable, "-c", "import onnxruntime, galclass"],
        env=environment(home, **given), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ("import galclass first, or set ORT_DISABLE_TELEMETRY=1" in done.stderr) is warned

"""Fetching one file from servers that misbehave; failure paths first."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from interrupts import GOES_ON, press_ctrl_c, start
from traces import strace

from galclass.download.fetch import FetchSettings, fetch
from galclass.download.manifest import SourceFile
from galclass.download.stopping import StoppedError
from galclass.download.throttle import Throttle
from galclass.errors import ChecksumError, DownloadError

HELD = 16 * 65536
"""Bytes after which a server waits, of a file of more."""


def wait_until_held(part: Path) -> None:
    """Wait until a download has written some of what the server sends before it holds."""
    deadline = time.monotonic() + 120
    while not (part.exists() and part.stat().st_size >= 262_144):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_wrong_bytes_are_deleted_and_named(server, behaviour, file_of, body, quick, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=b"<html>" + body[6:])
    with pytest.raises(ChecksumError, match=r"data\.zip: not the declared bytes.*an HTML page"):
        fetch(file_of(), tmp_path, settings=quick)
    assert leftovers(tmp_path) == []


def test_an_error_page_sent_with_200_is_no_file(server, behaviour, file_of, quick, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=b"\n<!DOCTYPE html><title>Sign in</title>")
    with pytest.raises(DownloadError, match="web page instead of the file"):
        fetch(file_of(sha256=None, bytes=None), tmp_path, settings=quick)
    assert leftovers(tmp_path) == []


def test_a_length_that_is_too_short_is_found(server, behaviour, file_of, body, quick, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=body, declared_bytes=1000)
    with pytest.raises(ChecksumError, match="1000 bytes"):
        fetch(file_of(), tmp_path, settings=quick)
    assert leftovers(tmp_path) == []


def test_a_length_that_is_too_long_gives_up_with_the_url(server, behaviour, file_of, body, quick, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=body, declared_bytes=len(body) + 10, ranges=False)
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1.*data\.zip: .*(gave up|declared)"):
        fetch(file_of(), tmp_path, settings=quick)


def test_a_missing_file_is_not_asked_for_again(server, file_of, quick, tmp_path) -> None:
    with pytest.raises(DownloadError, match=r"/data\.zip: cannot be fetched: .*404"):
        fetch(file_of(), tmp_path, settings=quick)
    assert len(server.requests) == 1


def test_nobody_answers(file_of, quick, tmp_path) -> None:
    nobody = replace(file_of(), url="http://127.0.0.1:9/data.zip")
    with pytest.raises(DownloadError, match="gave up after 3 attempts"):
        fetch(nobody, tmp_path, settings=quick)


def test_a_server_that_always_fails_is_asked_so_often(server, behaviour, file_of, quick, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(statuses=[500] * 10)
    with pytest.raises(DownloadError, match="gave up after 3 attempts without a byte: .*500"):
        fetch(file_of(), tmp_path, settings=quick)
    assert len(server.requests) == 3


def test_every_dead_url_is_named(server, file_of, quick, tmp_path) -> None:
    dead = replace(file_of(), mirrors=(server.url + "/mirror.zip",))
    with pytest.raises(DownloadError, match=r"(?s)no URL returned the file.*data\.zip.*mirror\.zip"):
        fetch(dead, tmp_path, settings=quick)


def test_a_secret_in_the_query_is_not_shown(server, file_of, quick, tmp_path) -> None:
    signed = replace(file_of(), url=server.url + "/data.zip?sig=SECRET")
    with pytest.raises(DownloadError) as raised:
        fetch(signed, tmp_path, settings=quick)
    assert "SECRET" not in str(raised.value)
    assert server.requests[0][0] == "/data.zip?sig=SECRET"


def test_errors_that_pass_are_waited_for(server, behaviour, file_of, body, quick, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=body, statuses=[500, 503])
    assert fetch(file_of(), tmp_path, settings=quick).path.read_bytes() == body


def test_a_mirror_takes_over(server, behaviour, file_of, body, quick, tmp_path) -> None:
    server.paths["/mirror.zip"] = behaviour(body=body)
    result = fetch(replace(file_of(), mirrors=(server.url + "/mirror.zip",)), tmp_path, settings=quick)
    assert result.url.endswith("/mirror.zip")
    assert leftovers(tmp_path) == ["data.zip"]


def test_a_part_from_a_mirror_goes_on_from_that_mirror(server, behaviour, file_of, body, quick, tmp_path) -> None:
    file = replace(file_of(), mirrors=(server.url + "/mirror/data.zip",))
    server.paths["/mirror/data.zip"] = behaviour(body=body, e_tag='"v1"', cut_after=[1_000_000])
    with pytest.raises(DownloadError):
        fetch(file, tmp_path, settings=replace(quick, retries=-1))
    fetched = fetch(file, tmp_path, settings=quick)
    assert 0 < fetched.resumed_from < len(body)
    assert fetched.path.read_bytes() == body
    assert server.requests[-1] == ("/mirror/data.zip", f"bytes={fetched.resumed_from}-")


def test_a_cut_connection_goes_on_where_it_stopped(server, behaviour, file_of, body, quick, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=body, e_tag='"v1"', cut_after=[1_000_000, 1_200_000])
    assert fetch(file_of(), tmp_path, settings=quick).path.read_bytes() == body
    starts = [int(wanted.removeprefix("bytes=").rstrip("-")) for _, wanted in server.requests if wanted]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1] < len(body)


def test_without_ranges_it_starts_again(server, behaviour, file_of, body, quick, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=body, ranges=False, cut_after=[1_000_000])
    assert fetch(file_of(), tmp_path, settings=quick).path.read_bytes() == body


def test_a_file_that_changes_between_tries_is_not_mixed(server, behaviour, file_of, body, quick, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=bytes(len(body)), e_tag='"old"', cut_after=[1_000_000])
    with pytest.raises(DownloadError):
        fetch(file_of(), tmp_path, settings=FetchSettings(retries=-1))
    assert "data.zip.part" in leftovers(tmp_path)
    server.paths["/data.zip"] = behaviour(body=body, e_tag='"new"')
    assert fetch(file_of(), tmp_path, settings=quick).path.read_bytes() == body


def test_a_part_of_wrong_bytes_is_thrown_away_once(server, behaviour, file_of, body, quick, tmp_path) -> None:
    (tmp_path / "data.zip.part").write_bytes(bytes(1_000_000))
    facts = {"url": server.url + "/data.zip", "e_tag": None, "last_modified": None, "size": len(body)}
    (tmp_path / "data.zip.part.json").write_text(json.dumps(facts))
    server.paths["/data.zip"] = behaviour(body=body)
    assert fetch(file_of(), tmp_path, settings=quick).path.read_bytes() == body
    assert leftovers(tmp_path) == ["data.zip"]


def test_what_is_known_of_a_part_does_not_wait_for_the_disk(tmp_path) -> None:
    program = "import sys; from pathlib import Path; from galclass.download.part import Part; "
    program += "Part(Path(sys.argv[1]), 'https://a.b/c').identify({'size': 1})"
    trace = [strace(), "-f", "-e", "trace=fsync", "-o", str(tmp_path / "log")]
    subprocess.run([*trace, sys.executable, "-c", program, str(tmp_path / "data.zip")], check=True)
    assert json.loads((tmp_path / "data.zip.part.json").read_text())["size"] == 1
    assert "fsync(" not in (tmp_path / "log").read_text()


def test_without_version_or_checksum_a_part_is_not_trusted(server, behaviour, file_of, body, quick, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=body, cut_after=[1_000_000])
    fetch(file_of(sha256=None, bytes=None), tmp_path, settings=quick)
    assert [wanted for _, wanted in server.requests] == [None, None]


def test_a_second_fetch_verifies_and_asks_nobody(server, behaviour, file_of, body, quick, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=body)
    assert fetch(file_of(), tmp_path, settings=quick).fetched
    assert not fetch(file_of(), tmp_path, settings=quick).fetched
    assert len(server.requests) == 1


def test_a_file_that_rotted_on_disk_is_fetched_again(server, behaviour, file_of, body, quick, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=body)
    (tmp_path / "data.zip").write_bytes(b"rotten" + body[6:])
    assert fetch(file_of(), tmp_path, settings=quick).fetched
    assert (tmp_path / "data.zip").read_bytes() == body


def test_md5_is_checked_where_it_is_all_there_is(server, behaviour, file_of, body, quick, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=body)
    right = hashlib.md5(body, usedforsecurity=False).hexdigest()
    assert fetch(file_of(sha256=None, md5=right), tmp_path, settings=quick).bytes == len(body)
    with pytest.raises(ChecksumError, match="md5"):
        fetch(file_of(sha256=None, md5="0" * 32), tmp_path, settings=quick)


def test_bytes_are_fetched_at_the_wanted_pace(server, behaviour, file_of, body, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=body)
    begin = time.monotonic()
    fetch(file_of(), tmp_path, settings=FetchSettings(bytes=Throttle(10_000_000)))
    assert time.monotonic() - begin > 0.2


def test_a_killed_download_goes_on_and_verifies(server, behaviour, file_of, body, quick, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=body, e_tag='"v1"', hold_after=HELD)
    file = file_of()
    script = (
        "import sys; from pathlib import Path; from galclass.download import SourceFile, fetch\n"
        f"fetch(SourceFile('images', {file.url!r}, sha256={file.sha256!r}), Path({str(tmp_path)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    part = tmp_path / "data.zip.part"
    wait_until_held(part)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "data.zip").exists()
    server.paths["/data.zip"].go_on.set()
    result = fetch(file, tmp_path, settings=quick)
    assert result.resumed_from >= 262_144
    assert result.path.read_bytes() == body
    assert leftovers(tmp_path) == ["data.zip"]


def test_two_processes_do_not_write_one_part(server, behaviour, file_of, body, quick, tmp_path) -> None:
    import fcntl

    server.paths["/data.zip"] = behaviour(body=body)
    with (tmp_path / "data.zip.part.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match="another process is fetching this file"):
            fetch(file_of(), tmp_path, settings=quick)
    assert fetch(file_of(), tmp_path, settings=quick).path.read_bytes() == body
    assert leftovers(tmp_path) == ["data.zip"]


def test_ctrl_c_ends_with_130_and_the_next_run_goes_on(server, behaviour, body, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=body, e_tag='"v1"', hold_after=HELD)
    manifest = tmp_path / "sources.toml"
    digest = hashlib.sha256(body).hexdigest()
    manifest.write_text(f'[web.files.images]\nurl = "{server.url}/data.zip"\nsha256 = "{digest}"\n')
    options = ["--workspace", str(tmp_path), "--set", f"download.manifest={manifest}"]
    process = start("download", "web", *options)
    part = tmp_path / "downloads" / "web" / "data.zip.part"
    wait_until_held(part)
    assert press_ctrl_c(process) == (130, GOES_ON)  # the server goes on being silent
    server.paths["/data.zip"].go_on.set()
    assert leftovers(part.parent) == ["data.zip.part", "data.zip.part.json"]
    assert body.startswith(part.read_bytes())
    asked = len(server.requests)
    again = start("download", "web", *options)
    again.communicate(timeout=120)
    assert again.returncode == 0
    assert server.requests[asked][1] is not None
    assert part.with_name("data.zip").read_bytes() == body


def test_ctrl_c_ends_a_download_whose_server_sends_nothing_and_keeps_the_part_of_an_earlier_run(
    server, behaviour, body, tmp_path
) -> None:
    server.paths["/data.zip"] = behaviour(body=body, e_tag='"v1"', cut_after=[500_000, 0, 0])
    digest = hashlib.sha256(body).hexdigest()
    manifest = tmp_path / "sources.toml"
    urls = f'url = "{server.url}/data.zip"\nmirrors = ["{server.url}/mirror.zip"]\n'
    manifest.write_text(f'[web.files.images]\n{urls}sha256 = "{digest}"\n')
    options = ["--workspace", str(tmp_path), "--set", f"download.manifest={manifest}", "--set", "download.retries=0"]
    record = SourceFile("images", f"{server.url}/data.zip", sha256=digest)
    folder = tmp_path / "downloads" / "web"
    with pytest.raises(DownloadError):
        fetch(record, folder, settings=FetchSettings(retries=0))
    before = (folder / "data.zip.part").read_bytes()
    assert before
    silent = server.paths["/data.zip"] = behaviour(body=body, e_tag='"v1"', silent=True)
    process = start("download", "web", *options)
    assert silent.held.wait(120)
    assert press_ctrl_c(process) == (130, GOES_ON)
    silent.go_on.set()
    assert (folder / "data.zip.part").read_bytes() == before
    assert not [path for path, _ in server.requests if path == "/mirror.zip"]


def test_a_stop_ends_a_pause_for_the_rate_limit(server, behaviour, file_of, body, tmp_path) -> None:
    server.paths["/data.zip"] = behaviour(body=body)
    settings = FetchSettings(bytes=Throttle(1.0))
    with pytest.raises(StoppedError):
        fetch(file_of(), tmp_path, settings=settings, on_bytes=lambda count: count and settings.stop.set())
    assert (tmp_path / "data.zip.part").stat().st_size

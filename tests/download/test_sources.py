"""A whole source into the workspace, through the Python API and the command line."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from galclass.catalog import read_catalog
from galclass.cli import cli
from galclass.cluster.stages import score_stage
from galclass.config import load_config
from galclass.download import download, iter_images, open_source, sources
from galclass.download.configured import configured_sources
from galclass.download.throttle import Throttle
from galclass.errors import ChecksumError, ClusterError, ConfigError, DownloadError


def manifest_for(folder: Path, url: str, homepage: str = "") -> Path:
    text = f'[web]\nhomepage = "{homepage}"\nframe_px = 424\nstored_px = 296\n'
    for role in ("images", "catalog"):
        text += f'[web.files.{role}]\nurl = "{url}/{role}.zip"\n'
    path = folder / "sources.toml"
    path.write_text(text)
    return path


def test_a_dead_link_says_where_else_the_data_is(server, config, tmp_path) -> None:
    manifest = manifest_for(tmp_path, server.url, "https://example.org/data")
    config = load_config(
        None, {"workspace": str(tmp_path), "download.source": "web", "download.manifest": str(manifest)}
    )
    with pytest.raises(DownloadError, match=r"(?s)images\.zip.*404.*described at https://example\.org/data"):
        download(config, progress=False)
    with pytest.raises(DownloadError, match="galclass download"):
        open_source(config)


def test_opening_what_was_not_downloaded_says_what_to_do(config) -> None:
    with pytest.raises(DownloadError, match="Run: galclass download"):
        open_source(config)


def test_opening_what_was_deleted_says_what_to_do(config) -> None:
    summary = download(config, progress=False)
    (summary.folder / "images_gz2.zip").unlink()
    with pytest.raises(DownloadError, match=r"lacks .*images_gz2\.zip"):
        open_source(config)


def test_a_broken_record_says_what_to_do(config) -> None:
    summary = download(config, progress=False)
    (summary.folder / "download.json").write_text("{")
    with pytest.raises(DownloadError, match="not valid JSON"):
        open_source(config)


def test_another_url_without_a_checksum_is_fetched_anew(server, behaviour, tmp_path) -> None:
    server.paths = {f"/{folder}/{role}.zip": behaviour(body=folder.encode())
                    for folder in ("v1", "v2") for role in ("images", "catalog")}  # fmt: skip
    config = load_config(
        None, {"workspace": str(tmp_path), "download.source": "web",
               "download.manifest": str(manifest_for(tmp_path, f"{server.url}/v1"))},
    )  # fmt: skip
    first = download(config, progress=False)
    manifest_for(tmp_path, f"{server.url}/v2")
    assert download(config, progress=False).fetched == 2
    assert (first.folder / "images.zip").read_bytes() == b"v2"
    assert download(config, progress=False).fetched == 0


def test_a_changed_file_without_a_checksum_is_fetched_anew(server, behaviour, tmp_path) -> None:
    server.paths = {"/images.zip": behaviour(body=b"one"), "/catalog.zip": behaviour(body=b"two")}
    manifest = manifest_for(tmp_path, server.url)
    config = load_config(
        None, {"workspace": str(tmp_path), "download.source": "web", "download.manifest": str(manifest)}
    )
    first = download(config, progress=False)
    assert first.fetched == 2
    assert download(config, progress=False).fetched == 0
    (first.folder / "images.zip").write_bytes(b"rot")
    assert download(config, progress=False).fetched == 1
    assert (first.folder / "images.zip").read_bytes() == b"one"


def test_the_sample_comes_through_the_same_path_and_a_second_run_does_nothing(config, sample_folder) -> None:
    first = download(config, progress=False)
    assert (first.files, first.fetched) == (3, 3)
    before = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    second = download(config, progress=False)
    assert (second.files, second.fetched) == (3, 0)
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == before
    files = open_source(config)
    assert (files.frame_px, files.stored_px) == (424, 424)
    names = {name for name, _ in iter_images(files.images)}
    table = read_catalog(files.catalog, files.catalog_format, files.mapping)
    assert {f"images/{asset_id}.jpg" for asset_id in table["asset_id"].to_pylist()} == names
    record = json.loads((first.folder / "download.json").read_text())
    for entry in record["files"].values():
        assert hashlib.sha256((first.folder / entry["name"]).read_bytes()).hexdigest() == entry["sha256"]


def test_a_sample_with_a_wrong_checksum_is_refused(config, sample_folder, tmp_path) -> None:
    text = (sample_folder / "manifest.toml").read_text().replace('url = "', f'url = "{sample_folder.as_uri()}/')
    text = text.replace('sha256 = "', 'sha256 = "0000', 1).replace('"\nbytes', '"\nbytes', 1)
    lines = [line[:-5] + '"' if line.startswith('sha256 = "0000') else line for line in text.splitlines()]
    (tmp_path / "bad.toml").write_text("\n".join(lines))
    config = load_config(None, {"workspace": str(tmp_path), "download.manifest": str(tmp_path / "bad.toml")})
    with pytest.raises(ChecksumError, match="not the declared bytes"):
        download(config, progress=False)


def test_a_folder_source_keeps_paths_and_resumes(sample_folder, tmp_path) -> None:
    for name in ("a/1.jpg", "a/b c/2.jpg", "3.jpg"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "labels.csv").write_text("id,label\n1,Er\n")
    (tmp_path / "m.toml").write_text('[local.files.images]\nurl = "data/"\n[local.files.catalog]\nurl = "labels.csv"\n')
    overrides = {
        "workspace": str(tmp_path / "w"),
        "download.source": "local",
        "download.manifest": str(tmp_path / "m.toml"),
    }
    config = load_config(None, overrides)
    assert download(config, progress=False).fetched == 4
    (tmp_path / "w/downloads/local/data/a/1.jpg").unlink()
    assert download(config, progress=False).fetched == 1
    assert dict(iter_images(open_source(config).images)) == {n: n.encode() for n in ("3.jpg", "a/1.jpg", "a/b c/2.jpg")}


def test_command_line_downloads_lists_and_helps(tmp_path) -> None:
    run = CliRunner()
    result = run.invoke(cli, ["download", "sample", "--workspace", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "3 of 3 files fetched" in result.output
    assert "3 files verified" in run.invoke(cli, ["download", "--workspace", str(tmp_path)]).output
    assert "CC-BY" in run.invoke(cli, ["download", "--list"]).output
    assert "Example:" in run.invoke(cli, ["download", "--help"]).output


def test_the_sources_of_a_configuration_have_their_paths_filled_in(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SURVEY", str(tmp_path))
    one = {"name": "a", "images": "${SURVEY}/a", "catalog": "~/a.csv", "mapping": "${UNSET}/m.csv"}
    config = load_config(None, {"workspace": str(tmp_path), "prepare.sources": [one, one | {"name": "b"}]})
    first, second = configured_sources(config)
    assert (first.images, first.catalog) == (f"{tmp_path}/a", str(Path.home() / "a.csv"))
    assert (first.mapping, second.name) == ("${UNSET}/m.csv", "b")
    local = load_config(None, {"prepare.images": "${SURVEY}/a", "prepare.frame_px": 424, "prepare.id_column": "objid"})
    (found,) = configured_sources(local)
    assert (found.name, found.images, found.catalog) == ("local", f"{tmp_path}/a", "")
    assert (found.frame_px, found.id_column) == (424, "objid")
    with pytest.raises(ConfigError, match="two sources have the same name"):
        configured_sources(load_config(None, {"prepare.sources": [one, one]}))
    with pytest.raises(ClusterError, match="several sources; a cluster scores one"):
        score_stage(config)


def test_bytes_per_s_limits_what_a_download_takes(server, behaviour, tmp_path, monkeypatch) -> None:
    taken: dict[float | None, float] = {}

    class Counted(Throttle):
        def __init__(self, per_s: float | None) -> None:
            super().__init__(None)  # nothing waits here
            self.per_s = per_s

        def wait(self, units: float = 1.0, *, stop: threading.Event | None = None) -> None:
            taken[self.per_s] = taken.get(self.per_s, 0) + units

    monkeypatch.setattr(sources, "Throttle", Counted)
    body = b"object_id,label\n1,Er\n"
    server.paths |= {f"/{role}.zip": behaviour(body=body) for role in ("images", "catalog")}
    given = {"workspace": str(tmp_path), "download.source": "web", "download.requests_per_s": 3.0}
    given |= {"download.manifest": str(manifest_for(tmp_path, server.url)), "download.bytes_per_s": 1000.0}
    download(load_config(None, given), progress=False)
    assert taken == {3.0: 2, 1000.0: 2 * len(body)}

"""Azure Blob, S3 and Google Storage against real servers on this machine: Azurite (npm) and moto's S3 server.

Google's XML interface is that of S3 for reading, so moto's server stands for it too; its tests put through S3.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest
from azurite import ACCOUNT_KEY, create_container, run_azurite, run_server
from azurite import ENVIRONMENT as AZURE
from obstore.store import from_url

from galclass.config import Config, load_config
from galclass.download import SourceFile, download, fetch, iter_images, open_source
from galclass.download.fetch import FetchSettings
from galclass.errors import ChecksumError, DownloadError

AWS = {"AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
AWS_KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
IMPATIENT = FetchSettings(retries=1, backoff_s=0.01, read_timeout_s=5.0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def azurite() -> Iterator[str]:
    yield from run_azurite(free_port())


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    pytest.importorskip("moto", reason="moto is not installed: pip install 'galclass[dev]'")
    port = free_port()
    yield from run_server([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port)


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "AZURITE_", "GOOGLE_")):
            monkeypatch.delenv(name)


def set_environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def create_bucket(url: str, name: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(f"{url}/{name}", method="PUT")) as answer:
        assert answer.status == 200


@pytest.fixture(params=["azure", "s3", "google"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any) -> str:
    """Return the URL of an empty, private bucket whose credentials are in the environment."""
    name = f"b{os.urandom(6).hex()}"
    if request.param == "azure":
        url = request.getfixturevalue("azurite")
        set_environment(monkeypatch, **AZURE, AZURITE_BLOB_STORAGE_URL=url, AZURE_STORAGE_ACCOUNT_KEY=ACCOUNT_KEY)
        create_container(url, name, public=False)
        return f"az://{name}"
    url = request.getfixturevalue("s3")
    set_environment(monkeypatch, **AWS, **AWS_KEYS, AWS_ENDPOINT_URL=url)
    create_bucket(url, name)
    if request.param == "s3":
        return f"s3://{name}"
    account = tmp_path_factory.mktemp("google") / "account.json"
    facts = {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    account.write_text(json.dumps(facts))
    set_environment(monkeypatch, GOOGLE_SERVICE_ACCOUNT=str(account))
    return f"gs://{name}"


def put(bucket: str, path: str, data: bytes) -> None:
    if not bucket.startswith("gs://"):
        obstore.put(from_url(bucket), path, data)
        return
    headers = {"x-amz-acl": "public-read", "Content-Type": "application/octet-stream"}
    address = f"{os.environ['AWS_ENDPOINT_URL']}/{bucket.removeprefix('gs://')}/{path}"
    urllib.request.urlopen(urllib.request.Request(address, data, headers, method="PUT")).close()


def test_a_missing_object_is_named(bucket, tmp_path) -> None:
    with pytest.raises(DownloadError, match=r"://b\w+/none\.zip: cannot be fetched"):
        fetch(SourceFile("images", f"{bucket}/none.zip"), tmp_path, settings=IMPATIENT)


def test_an_empty_folder_is_named(bucket, tmp_path, monkeypatch) -> None:
    config = source_config(tmp_path, f"{bucket}/nothing/", f"{bucket}/labels.csv")
    with pytest.raises(DownloadError, match=r"nothing/: there is nothing under this URL"):
        download(config, progress=False)


def test_wrong_bytes_are_refused(bucket, tmp_path) -> None:
    put(bucket, "images.zip", b"other bytes")
    with pytest.raises(ChecksumError):
        fetch(SourceFile("images", f"{bucket}/images.zip", sha256="0" * 64), tmp_path, settings=IMPATIENT)
    assert list(tmp_path.iterdir()) == []


def test_a_part_goes_on_with_a_range_request(bucket, body, tmp_path) -> None:
    put(bucket, "deep/folder/images.zip", body)
    file = SourceFile("images", f"{bucket}/deep/folder/images.zip", sha256=hashlib.sha256(body).hexdigest())
    whole = fetch(file, tmp_path / "whole", settings=IMPATIENT)
    assert whole.path.read_bytes() == body
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "images.zip.part").write_bytes(body[:1_000_000])
    facts = stopped_at(file, body)
    (tmp_path / "part" / "images.zip.part.json").write_text(facts)
    resumed = fetch(file, tmp_path / "part", settings=IMPATIENT)
    assert resumed.resumed_from == 1_000_000
    assert resumed.path.read_bytes() == body


def stopped_at(file: SourceFile, body: bytes) -> str:
    folder, _, name = file.url.rpartition("/")
    meta = obstore.get(from_url(folder.replace("gs://", "s3://")), name).meta
    identity = {"e_tag": meta["e_tag"], "last_modified": meta["last_modified"].timestamp(), "size": len(body)}
    return json.dumps({"url": file.url, **identity})


def source_config(folder: Path, images: str, catalog: str) -> Config:
    manifest = folder / "sources.toml"
    manifest.write_text(f'[cloud.files.images]\nurl = "{images}"\n[cloud.files.catalog]\nurl = "{catalog}"\n')
    overrides = {"workspace": str(folder / "w"), "download.source": "cloud", "download.manifest": str(manifest)}
    return load_config(None, {**overrides, "download.retries": 1})


def test_a_folder_of_images_comes_in_parallel_and_resumes(bucket, sample_folder, tmp_path) -> None:
    images = dict(list(iter_images(sample_folder / "images_gz2.zip"))[:40])
    for name, data in images.items():
        put(bucket, f"gz2/{name}", data)
    put(bucket, "labels.csv", b"object_id,label\n1,Er\n")
    config = source_config(tmp_path, f"{bucket}/gz2/", f"{bucket}/labels.csv")
    assert download(config, progress=False).fetched == 41
    folder = open_source(config).images
    assert dict(iter_images(folder)) == images
    assert download(config, progress=False).fetched == 0
    name, data = next(iter(images.items()))
    put(bucket, f"gz2/{name}", bytes(len(data)))  # another image of the same size
    os.utime(folder / name, (0, 0))  # clocks of stores count seconds
    assert download(config, progress=False).fetched == 1
    assert (folder / name).read_bytes() == bytes(len(data))


def test_a_public_container_needs_no_credentials(azurite, tmp_path, monkeypatch) -> None:
    create_container(azurite, "open", public=True)
    set_environment(monkeypatch, **AZURE, AZURITE_BLOB_STORAGE_URL=azurite, AZURE_STORAGE_ACCOUNT_KEY=ACCOUNT_KEY)
    put("az://open", "a.zip", b"for all")
    create_container(azurite, "closed", public=False)
    put("az://closed", "a.zip", b"for some")
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    assert fetch(SourceFile("images", "az://open/a.zip"), tmp_path, settings=IMPATIENT).bytes == 7
    with pytest.raises(DownloadError, match="cannot be fetched"):
        fetch(SourceFile("images", "az://closed/a.zip"), tmp_path / "closed", settings=IMPATIENT)


def test_a_public_bucket_needs_no_credentials(s3, tmp_path, monkeypatch) -> None:
    create_bucket(s3, "open-bucket")
    set_environment(monkeypatch, **AWS, AWS_ENDPOINT_URL=s3)
    for name, acl in (("a.zip", "public-read"), ("b.zip", "private")):
        headers = {"x-amz-acl": acl, "Content-Type": "application/zip"}
        request = urllib.request.Request(f"{s3}/open-bucket/{name}", b"for all", headers, method="PUT")
        urllib.request.urlopen(request).close()
    assert fetch(SourceFile("images", "s3://open-bucket/a.zip"), tmp_path, settings=IMPATIENT).bytes == 7
    with pytest.raises(DownloadError, match="403"):
        fetch(SourceFile("images", "s3://open-bucket/b.zip"), tmp_path, settings=IMPATIENT)

"""The OpenAPI document: valid, committed, kept by every answer, and enough to generate a client from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from openapi_spec_validator import validate
from service.live import live_server

from galclass.config import load_config
from galclass.database import Tokens, open_database
from galclass.service.server.app import create_app

ROOT = Path(__file__).resolve().parents[2]


def test_the_documents_are_valid(client: TestClient) -> None:
    validate(client.get("/openapi.json").json())
    validate(client.get("/v1/services/galaxy-class/1.0/openapi.json").json())


def test_the_committed_copy_is_the_code(tmp_path: Path) -> None:
    document = create_app(load_config(None, {"workspace": str(tmp_path)})).openapi()
    committed = json.loads((ROOT / "docs" / "openapi.json").read_text())
    assert json.loads(json.dumps(document)) == committed, "run scripts/write_openapi.py and read the difference"


def test_every_route_has_a_summary_a_description_and_its_refusals(client: TestClient) -> None:
    for path, item in client.get("/openapi.json").json()["paths"].items():
        for method, operation in item.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            if path.startswith("/v1/"):
                assert {"401", "429", "503"} <= set(operation["responses"]), (method, path)


def test_tokens_are_described_and_only_changes_require_one(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"  # so /docs shows Authorize
    optional, required = [{"token": []}, {}], [{"token": []}]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if not path.startswith("/v1/"):
                assert "security" not in operation
            else:
                text = client.request(method, path.replace("{", "").replace("}", "")).text
                assert (operation["security"] == required) == ("this needs a token" in text), (method, path)
                assert operation["security"] in (optional, required)
    one = client.get("/v1/services/galaxy-class/1.0/openapi.json").json()
    assert one["components"]["securitySchemes"] == document["components"]["securitySchemes"]


@pytest.mark.slow(45)
def test_no_answer_to_generated_requests_breaks_the_contract(workspace: Path, tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    shutil.copytree(workspace, folder)
    database = open_database(load_config(None, {"workspace": str(folder)}).database_url)
    token = Tokens(database).create("publisher")
    database.close()
    with live_server(folder) as server:
        command = [
            *(str(Path(sys.executable).parent / "schemathesis"), "run", f"{server.url}/openapi.json"),
            *("--header", f"Authorization: Bearer {token}"),
            *("--exclude-checks", "positive_data_acceptance"),  # a schema cannot say what bytes are a galaxy
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--seed", "1"),
            *("--continue-on-failure", "--no-color", "--generation-database", "none"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert "Traceback" not in server.log.read_text()
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.slow
def test_a_generated_client_works(workspace: Path, tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    shutil.copytree(workspace, folder)
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    generate = [tools / "openapi-python-client", "generate", "--path", ROOT / "docs" / "openapi.json", "--meta", "none"]
    subprocess.run([*generate, "--output-path", tmp_path / "made"], check=True, capture_output=True, env=environment)
    script = """
import sys
from made import Client
from made.api.services_and_models import list_services_v1_services_get as list_services
client = Client(base_url=sys.argv[1])
print([service.name for service in list_services.sync(client=client).services])
"""
    with live_server(folder) as server:
        made = subprocess.run(
            [sys.executable, "-c", script, server.url], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert made.stdout.strip() == "['galaxy-class']", made.stderr

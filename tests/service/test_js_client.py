"""The JavaScript client against a real server, in Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from service.live import live_server
from tiny_model import tiny_model

from galclass.config import load_config
from galclass.database import Tokens, open_database
from galclass.morphology import CLASSES
from galclass.scoring import Scorer

CLIENT = Path(__file__).resolve().parents[2] / "clients" / "js" / "galclass.mjs"


@pytest.fixture(scope="module")
def run_js(tmp_path_factory: pytest.TempPathFactory, workspace: Path, galaxies: dict[str, bytes]) -> Iterator[object]:
    """Run lines of JavaScript with `admin`, `anyone`, `images` and `print`; returns what they print."""
    if shutil.which("node") is None:
        pytest.skip("Node is not installed: make test-deps")
    folder = tmp_path_factory.mktemp("js")
    shutil.copytree(workspace, folder / "workspace")
    for name, data in galaxies.items():
        (folder / f"{name}.jpg").write_bytes(data)
    with open_database(load_config(None, {"workspace": str(folder / "workspace")}).database_url) as database:
        token = Tokens(database).create("admin", "js-test")
    with live_server(folder / "workspace") as server:
        head = f"""
            import {{ Client, ClientError }} from {json.dumps(str(CLIENT))};
            import {{ readFileSync }} from "node:fs";
            const admin = new Client("{server.url}/", {{ token: "{token}" }});
            const anyone = new Client("{server.url}");
            const names = {json.dumps(list(galaxies))};
            const images = names.map((id) => ({{ id, data: readFileSync(`${{id}}.jpg`) }}));
            const print = (value) => console.log(JSON.stringify(value));
            const caught = async (doing) => {{ try {{ await doing; }} catch (error) {{ return error; }} }};
        """
        yield lambda lines: run_node(head + lines, folder)


def run_node(program: str, folder: Path) -> Any:
    """Run a module and return its output as JSON."""
    command = ["node", "--input-type=module", "-e", program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


Run = Callable[[str], Any]


def test_predictions_are_the_scorers(run_js: Run, galaxies: dict[str, bytes]) -> None:
    records = run_js(
        'const service = await anyone.getService("galaxy-class");'
        'print(await service.predict([...images, { id: "bad", data: new Blob(["no image"]) }]));'
    )
    expected = Scorer(tiny_model(0)).score(list(galaxies.values()), object_ids=list(galaxies))
    assert [record["object_id"] for record in records] == [*galaxies, "bad"]
    assert records[-1]["error"]["code"] == "not_an_image"
    for record, answer in zip(records, expected, strict=False):
        assert record["predicted_class"] == answer.predicted_class
        values = [record["probabilities"][leaf] for leaf in CLASSES]
        assert values == pytest.approx(list(answer.probabilities), abs=1e-5)


def test_one_image_and_none(run_js: Run) -> None:
    found = run_js(
        'const service = await anyone.getService("galaxy-class");'
        "const one = await service.predict(images.slice(0, 1));"
        "print([one.length, await service.predict([]), await service.batch([])]);"
    )
    assert found == [1, [], []]


def test_a_batch_gives_what_predict_gives(run_js: Run) -> None:
    one, many = run_js(
        'const service = await anyone.getService("galaxy-class");'
        "print([await service.predict(images), await service.batch(images, { pollMs: 50 })]);"
    )
    assert [row["object_id"] for row in many] == [row["object_id"] for row in one]
    assert [row["predicted_class"] for row in many] == [row["predicted_class"] for row in one]


def test_versions_are_published_moved_and_deleted(run_js: Run) -> None:
    found = run_js(
        'await admin.publishService("from-js", { model: "galaxy@1", version: "1.0" });'
        'await admin.publishService("from-js", { model: "galaxy@2", version: "1.1" });'
        'const back = (await admin.rollbackService("from-js")).record.version;'
        'const stable = (await admin.moveAlias("from-js", "stable", "1.1")).record.version;'
        'const versions = (await anyone.listServices("from-js")).map((one) => one.version);'
        'const service = await anyone.getService("from-js", "stable");'
        "const title = (await service.openapi()).info.title;"
        "const classes = Object.keys((await service.capabilities()).classes).length;"
        'const refused = await caught(admin.deleteService("from-js", "1.1"));'
        "print({ back, stable, versions, title, classes, refused: [refused.code, refused.status] });"
    )
    assert found == {
        "back": "1.0",
        "stable": "1.1",
        "versions": ["1.0", "1.1"],
        "title": "from-js",
        "classes": 13,
        "refused": ["conflict", 409],
    }


def test_a_refusal_carries_the_servers_words_and_a_number_is_no_id(run_js: Run) -> None:
    found = run_js(
        'const unknown = await caught(anyone.getService("no/such?thing"));'
        'const service = await anyone.getService("galaxy-class");'
        "const number = await caught(service.predict([{ ...images[0], id: 587722981742084144 }]));"
        "print([unknown instanceof ClientError, unknown.status, unknown.code, number.message]);"
    )
    assert found[:2] == [True, 404]
    assert "18 digits" in found[3]


def test_a_busy_server_is_asked_again_and_not_for_ever(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("Node is not installed: make test-deps")
    program = f"""
        import {{ Client }} from {json.dumps(str(CLIENT))};
        import {{ createServer }} from "node:http";
        let asked = 0, free = 3;
        const server = createServer((request, response) => {{
          asked += 1;
          const busy = asked < free;
          response.writeHead(busy ? 503 : 200, {{ "Retry-After": "2", Connection: "close" }});
          response.end(busy ? '{{"error": {{"code": "overloaded", "message": "busy"}}}}' : '{{"services": []}}');
        }}).listen(0, "127.0.0.1", async () => {{
          const waits = [];
          const wait = async (ms) => waits.push(ms);
          const client = new Client(`http://127.0.0.1:${{server.address().port}}`, {{ wait }});
          const found = await client.listServices();
          const first = asked;
          free = 1000;
          const error = await client.listServices().catch((error) => error.code);
          console.log(JSON.stringify({{ found, first, second: asked - first, error, waits }}));
          server.close();
        }});
    """
    found = run_node(program, tmp_path)
    assert found == {"found": [], "first": 3, "second": 4, "error": "overloaded", "waits": [2000] * 5}


def test_a_pause_is_a_minute_at_most_and_a_second_for_a_date() -> None:
    if shutil.which("node") is None:
        pytest.skip("Node is not installed: make test-deps")
    program = f"""
        import {{ pauseOf }} from {json.dumps(str(CLIENT))};
        const headers = [null, "3", "9999", "-1", "Wed, 21 Oct 2026 07:28:00 GMT"];
        console.log(JSON.stringify(headers.map(pauseOf)));
    """
    assert run_node(program, CLIENT.parent) == [1, 3, 60, 0, 1]

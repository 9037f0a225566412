"""The generated T-SQL: it parses, both forms return the same columns, and a real service answers the REST body."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from database.tsql_grammar import parse_tsql
from service.live import LiveServer, live_server
from sqlglot import exp
from sqlglot.errors import ParseError
from tiny_model import OWN_CLASSES, tiny_model, tiny_own_model

from galclass.cli import cli
from galclass.database import Registry, Services, Tokens, open_database
from galclass.database.procedure import DEFAULT_URL, procedure_sql
from galclass.errors import DatabaseError
from galclass.morphology import CLASSES
from galclass.scoring import Scorer

REST = procedure_sql("tsql-rest")


@pytest.mark.parametrize("dialect", ["tsql", "tsql-rest"])
def test_the_text_parses_to_the_end(dialect: str) -> None:
    statements = parse_tsql(procedure_sql(dialect))
    (procedure,) = [one for one in statements if isinstance(one, exp.Create) and one.args["kind"] == "PROCEDURE"]
    called = {one.name for one in procedure.find_all(exp.Execute, exp.ExecuteSql)}
    assert called == (
        {"sp_execute_external_script"} if dialect == "tsql" else {"sp_executesql", "sp_invoke_external_rest_endpoint"}
    )


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("@method = N'POST',", "@method N'POST',"),
        ("INSERT INTO #answers (position, record)", "INSERT INTO #answers position, record)"),
        ("THROW 50002, @problem, 1", "THROW 50002, @problem"),
        ("FOR JSON PATH, ROOT('images')", "FOR JASON PATH, ROOT('images')"),
        ("'$.predicted_class',", "'$.predicted_class'"),
        ("EXECUTE @status = sp_invoke", "EXECUTE @status @first = sp_invoke"),
    ],
)
def test_a_slip_in_the_text_does_not_parse(right: str, wrong: str) -> None:
    assert right in REST
    with pytest.raises((ParseError, AssertionError)):
        parse_tsql(REST.replace(right, wrong, 1))


def test_both_forms_return_the_same_columns() -> None:
    inside = re.search(r"WITH RESULT SETS \(\((.*?)\)\);", procedure_sql("tsql"), re.DOTALL)
    assert inside
    expected = re.findall(r"^\s+(\w+) [A-Z]", inside[1], re.MULTILINE)
    assert list(_selected()) == expected
    assert len(expected) > 200


def _selected() -> dict[str, str]:
    """Columns of the last SELECT and the JSON path of each, from the parsed text."""
    procedure = parse_tsql(REST)[-1]
    (opened,) = [one for one in procedure.find_all(exp.OpenJSON) if len(one.expressions) > 100]
    paths = {one.this.name: one.args["path"].name for one in opened.expressions}
    select = opened.find_ancestor(exp.Select)
    return {one.alias_or_name: paths.get(one.alias_or_name, "") for one in select.expressions}


def test_own_classes_have_their_columns_in_both_forms(tmp_path: Path) -> None:
    with open_database(f"sqlite:///{tmp_path}/galclass.db", migrate=True) as database:
        Registry(database).register(tiny_own_model(), name="rings")
    base = ["db", "install-procedure", "--database", f"sqlite:///{tmp_path}/galclass.db", "--model", "rings"]
    for dialect in ("tsql", "tsql-rest"):
        sql = CliRunner().invoke(cli, [*base, "--dialect", dialect]).output
        assert sql.strip() == procedure_sql(dialect, model="rings", classes=OWN_CLASSES).strip()
        parse_tsql(sql)
        assert "predicted_Er" not in sql
        assert "[predicted_no ring] FLOAT" in sql
        assert "[predicted_it's 100 % unclear] FLOAT" in sql
    rest = procedure_sql("tsql-rest", classes=OWN_CLASSES)
    assert "predicted_ring FLOAT '$.probabilities.ring'," in rest
    assert """FLOAT '$.probabilities."it''s 100 % unclear"',""" in rest
    assert "probabilities NVARCHAR(MAX) '$.probabilities' AS JSON" in rest


def test_a_class_is_never_cut_to_the_length_of_a_leaf() -> None:
    """OPENJSON gives NULL for a text that is longer than its column."""
    widths = dict(re.findall(r"(\w+) NVARCHAR\((\w+)\) '\$\.", REST))
    assert all(width == "MAX" or int(width) >= 64 for width in widths.values()), widths


@pytest.mark.parametrize("own", [False, True])
def test_the_python_of_the_first_form_gives_the_columns_that_it_declares(own: bool, galaxies: dict[str, bytes]) -> None:
    sql = procedure_sql("tsql", classes=OWN_CLASSES) if own else procedure_sql("tsql")
    script = re.search(r"@script = N'(.*?)\n',", sql, re.DOTALL)
    declared = re.search(r"WITH RESULT SETS \(\((.*?)\)\);", sql, re.DOTALL)
    assert script
    assert declared
    names = re.findall(r"^\s+(?:\[([^\]]+)\]|(\w+)) [A-Z]", declared[1], re.MULTILINE)
    few = list(galaxies.items())[:3]
    images = pandas.DataFrame({"object_id": [*dict(few), "bad"], "img": [*dict(few).values(), b"x"], "frame_px": None})
    space = {"images": images, "model": tiny_own_model() if own else tiny_model(0), "model_id": "m"}
    exec(script[1].replace("''", "'"), space)
    made = space["predictions"]
    assert list(made.columns) == [quoted or plain for quoted, plain in names]
    classes = OWN_CLASSES if own else CLASSES
    for row in made.to_dict("records")[:3]:
        assert json.loads(row["probabilities"]) == {name: row[f"predicted_{name}"] for name in classes}
    assert pandas.isna(made["probabilities"][3])


def test_the_header_says_that_it_was_not_run_and_what_it_needs() -> None:
    for dialect, words in (
        ("tsql", ["Python 3.11", "built for 3.10", "CREATE EXTERNAL LANGUAGE", "external scripts enabled"]),
        ("tsql-rest", ["SQL Server 2025", "external rest endpoint enabled", "HTTPEndpointHeaders", "HTTPS"]),
    ):
        head = procedure_sql(dialect).partition("SET ANSI_NULLS")[0]
        assert head.startswith("-- GENERATED, NOT RUN AGAINST A SERVER")
        assert [word for word in words if word not in head] == []


@pytest.mark.parametrize(
    "url", ["http://h/v1/services/a/b", "https://h/v1/services/a'/b", "https://h/", "https://h]/v1/services/a/b"]
)
def test_only_a_service_over_https_is_called(url: str) -> None:
    with pytest.raises(DatabaseError, match="not a published service"):
        procedure_sql("tsql-rest", url=url)


def test_the_command_prints_it() -> None:
    url = "https://stars.example.org:8443/v1/services/mine/1.0"
    done = CliRunner().invoke(cli, ["db", "install-procedure", "--dialect", "tsql-rest", "--url", url])
    assert done.output.strip() == procedure_sql("tsql-rest", url=url).strip()
    assert "@credential = [https://stars.example.org:8443]" in done.output
    assert CliRunner().invoke(cli, ["db", "install-procedure", "--dialect", "tsql", "--url", url]).exit_code == 2


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, str]]:
    """A server whose reading needs a token, and a reader's token."""
    folder = tmp_path_factory.mktemp("rest")
    with open_database(f"{folder}/galclass.db", migrate=True) as database:
        Registry(database).register(tiny_model(0))
        Services(database).publish("galaxy-class", "1.0", "galaxy", 1)
        token = Tokens(database).create("reader", "sql-server")
    with live_server(folder, settings=("serve.open_reading=false",)) as server:
        yield server, token


@pytest.fixture(scope="module")
def https(
    served: tuple[LiveServer, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, ssl.SSLContext]]:
    """A port that speaks TLS in front of the server, and a context that trusts its certificate."""
    folder = tmp_path_factory.mktemp("tls")
    certificate = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, folder / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, context, served[0].port), daemon=True).start()
        yield listener.getsockname()[1], ssl.create_default_context(cafile=str(certificate))


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder / "certificate.pem"


def _serve(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        with (
            context.wrap_socket(plain, server_side=True) as link,
            socket.create_connection(("127.0.0.1", port)) as behind,
        ):
            _pass_on(link, behind)


def _pass_on(link: ssl.SSLSocket, behind: socket.socket) -> None:
    """Pass a request on, then its response: a TLS connection is not for two threads at once."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += link.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    while len(body) < length:
        body += link.recv(65536)
    with suppress(OSError):  # a request without a credential is refused before its body is read
        behind.sendall(head + b"\r\n\r\n" + body)
    with suppress(OSError):
        while data := behind.recv(65536):
            link.sendall(data)


def _body(images: list[tuple[str, bytes | None]]) -> str:
    """What FOR JSON PATH, ROOT('images') writes: no blanks, and each / behind a backslash."""
    rows = [{"id": key, "img": base64.b64encode(data or b"").decode()} for key, data in images]
    return json.dumps({"images": rows}, separators=(",", ":")).replace("/", "\\/")


def _post(
    port: int, context: ssl.SSLContext, body: str, token: str | None, path: str = "/v1/services/galaxy-class/1.0"
) -> Any:
    with closing(http.client.HTTPSConnection("localhost", port, context=context)) as connection:
        return _answer(connection, body, token, path)


def _answer(connection: http.client.HTTPSConnection, body: str, token: str | None, path: str) -> Any:
    headers = {"Content-Type": "application/json; charset=utf-8", "Accept": "application/json", "Host": "localhost"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    connection.request("POST", f"{path}/predict?frame_px=424", body, headers | {"Connection": "close"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def _at(record: Any, path: str) -> Any:
    for key in path.removeprefix("$.").split("."):
        record = record.get(key) if isinstance(record, dict) else None
    return record


def test_a_service_answers_the_body_and_each_path_leads_to_the_rows_value(
    served, https, galaxies: dict[str, bytes]
) -> None:
    few = list(galaxies.items())[:5]
    status, answer = _post(*https, _body([*few, ("nothing", None), ("bad", b"no image")]), served[1])
    assert status == 200
    records = answer["predictions"]
    assert [record["object_id"] for record in records] == [*dict(few), "nothing", "bad"]
    assert [record["error"]["code"] for record in records[-2:]] == ["empty", "not_an_image"]
    images = [data for _, data in few]
    scored = Scorer(tiny_model(0), version=1).score(images, object_ids=list(dict(few)), frame_px=424)
    paths = {column: path for column, path in _selected().items() if path}
    assert len(paths) > 200
    for prediction, record in zip(scored, records, strict=False):
        row = prediction.as_row()
        for column in (
            "object_id",
            "predicted_class",
            "predicted_group",
            "model_name",
            "model_version",
            "model_sha256",
        ):
            assert _at(record, paths[column]) == row[column]
        floats = [column for column in paths if isinstance(row.get(column), float)]
        assert len(floats) >= 13
        for column in floats:
            assert _at(record, paths[column]) == pytest.approx(row[column], abs=1e-5)
        missing = [column for column in paths if column not in row and _at(record, paths[column]) is not None]
        assert [column for column in missing if not column.startswith(("error", "probabilities"))] == []


def test_one_image_is_a_list_too_and_a_missing_credential_is_said(served, https, galaxies: dict[str, bytes]) -> None:
    galaxy = next(iter(galaxies.values()))
    status, answer = _post(*https, _body([("one", galaxy)]), served[1])
    assert (status, len(answer["predictions"])) == (200, 1)
    status, answer = _post(*https, _body([("one", galaxy)]), None)
    assert status == 401
    assert answer["error"]["message"]  # what the procedure's THROW shows: $.result.error.message
    assert "$.result.error.message" in REST
    assert DEFAULT_URL in REST

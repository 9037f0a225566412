"""Two models compared on the labelled objects that both have answered; the objects behind a cell of a matrix."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from tiny_model import model_fitted_to, tiny_model

from galclass.database import Database, Registry, score_pending
from galclass.database.compare import paired_difference
from galclass.database.desk_labels import give_label
from galclass.database.labels import NewLabel, add_labels
from galclass.morphology import CLASSES, GROUPS


def ask(client: TestClient, **query: str) -> dict[str, object]:
    found = client.get("/v1/comparison", params={"first": "galaxy@1", "second": "galaxy@2", **query})
    assert found.status_code == 200, found.text
    return dict(found.json())


def test_nothing_in_common_is_said_not_guessed(client: TestClient, galaxies: dict[str, bytes]) -> None:
    found = ask(client)
    assert (found["count"], found["right"], found["difference"]) == (0, [0, 0], None)
    assert client.get("/v1/comparison", params={"first": "galaxy@1", "second": "galaxy@9"}).status_code == 404
    assert client.get("/v1/comparison", params={"first": "galaxy@1"}).status_code == 422


def test_each_is_right_where_the_newest_label_agrees(
    client: TestClient, galaxies: dict[str, bytes], database: Database
) -> None:
    score_pending(database, "galaxy@2")
    rows = {}
    for version in (1, 2):
        answer = client.get("/v1/predictions", params={"model": f"galaxy@{version}"}).json()
        rows[version] = {row["object_id"]: row["predicted_class"] for row in answer["predictions"]}
    differ = [key for key in galaxies if rows[1][key] != rows[2][key]]
    assert len(differ) >= 3  # the models of the tests are random
    first, second, third = differ[:3]
    add_labels(database, [NewLabel(first, rows[1][first], "a"), NewLabel(second, rows[1][second], "a")])
    add_labels(database, [NewLabel(second, rows[2][second], "b"), NewLabel(third, "no word of ours", "a")])
    give_label(database, "rings", third, "ring", "ann")
    found = ask(client)
    assert (found["count"], found["right"]) == (2, [1, 1])
    assert (found["only_first"], found["only_second"]) == ([first], [second])
    assert found["difference"][0] == 0  # type: ignore[index]
    assert ask(client, second="galaxy@1")["difference"] == [0, 0, 0]


def test_objects_that_a_model_was_fitted_to_are_left_out(
    client: TestClient, galaxies: dict[str, bytes], database: Database
) -> None:
    keys = sorted(galaxies)
    with_record = model_fitted_to(keys[:4])
    Registry(database).register(with_record, aliases=())
    score_pending(database, "galaxy@3")
    add_labels(database, [NewLabel(key, "Er", "a") for key in keys[:6]])
    found = ask(client, second="galaxy@3")
    assert (found["count"], found["left_out"]) == (2, 4)
    add_labels(database, [NewLabel(key, "no word of ours", "b") for key in keys[4:6]])
    alone = ask(client, second="galaxy@3")
    assert (alone["count"], alone["left_out"], alone["difference"]) == (0, 4, None)
    assert ask(client)["left_out"] == 0


@pytest.mark.parametrize(
    ("only_first", "only_second", "count", "expected"),
    [(0, 0, 0, None), (0, 10, 10, (1, 1, 1)), (5, 15, 100, (0.1, 0.0146, 0.1854)), (1, 0, 1, (-1, -1, -1))],
)
def test_the_interval_is_that_of_paired_shares(
    only_first: int, only_second: int, count: int, expected: tuple[float, ...] | None
) -> None:
    found = paired_difference(only_first, only_second, count)
    assert found is None if expected is None else found == pytest.approx(expected, abs=1e-3)


NAMES = [*CLASSES]
GROUP_NAMES = [*GROUPS]


def matrix(names: list[str]) -> dict[str, object]:
    return {
        "names": names,
        "confusion": [[row * 100 + column for column, _ in enumerate(names)] for row, _ in enumerate(names)],
    }


@pytest.fixture
def measured(database: Database) -> Database:
    """A model, galaxy@3, with an evaluation and stored predictions."""
    tables = {"13 classes": matrix(NAMES), "4 groups": matrix(GROUP_NAMES), "no matrix": {"names": NAMES}}
    Registry(database).register(tiny_model(5), metrics={"tables": tables}, aliases=())
    score_pending(database, "galaxy@3")
    return database


def cell(client: TestClient, volunteers: str, predicted: str, table: str = "13 classes") -> dict[str, object]:
    query = {"model": "galaxy@3", "table": table, "volunteers": volunteers, "predicted": predicted}
    found = client.get("/v1/confusion", params=query)
    assert found.status_code == 200, found.text
    return dict(found.json())


def test_a_cell_holds_the_labelled_objects_that_a_model_puts_there(
    client: TestClient, measured: Database, galaxies: dict[str, bytes]
) -> None:
    assert cell(client, "Sb", "Er") == {"count": 600, "total": 0, "labelled": 0, "objects": []}
    answer = client.get("/v1/predictions", params={"model": "galaxy@3"}).json()["predictions"]
    given = {row["object_id"]: row["predicted_class"] for row in answer}
    first, second, third, fourth, *_ = sorted(galaxies)
    labels = [NewLabel(first, "Sb2m", "a"), NewLabel(second, "SBb", "a"), NewLabel(third, "spiral", "a")]
    add_labels(measured, labels)
    give_label(measured, "rings", fourth, "Sb", "ann")
    found = cell(client, "Sb", given[first])
    assert found["objects"] == [{"object_id": first, "label": "Sb2m", "predicted_class": given[first]}]
    assert (found["total"], found["labelled"]) == (1, 3)
    group = next(name for name, leaves in GROUPS.items() if given[second] in leaves)
    assert [one["object_id"] for one in cell(client, "BarredSpiral", group, "4 groups")["objects"]] == [second]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"volunteers": "ring"}, 404), ({"predicted": ""}, 404), ({"table": "none"}, 404),
        ({"table": "no matrix"}, 404),
        ({"model": "galaxy@9"}, 404), ({"model": "galaxy@2"}, 404), ({"model": "; drop table"}, 422),
        ({"table": "x" * 101}, 422),
    ],
)  # fmt: skip
def test_a_cell_that_is_none_is_refused(
    client: TestClient, measured: Database, changed: dict[str, str], status: int
) -> None:
    query = {"model": "galaxy@3", "table": "13 classes", "volunteers": "Sb", "predicted": "Er"}
    assert client.get("/v1/confusion", params=query | changed).status_code == status

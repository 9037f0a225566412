"""Two models compared on the labelled objects that both have answered."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from galclass.database import Database, score_pending
from galclass.database.compare import paired_difference
from galclass.database.desk_labels import give_label
from galclass.database.labels import NewLabel, add_labels


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


@pytest.mark.parametrize(
    ("only_first", "only_second", "count", "expected"),
    [(0, 0, 0, None), (0, 10, 10, (1, 1, 1)), (5, 15, 100, (0.1, 0.0146, 0.1854)), (1, 0, 1, (-1, -1, -1))],
)
def test_the_interval_is_that_of_paired_shares(
    only_first: int, only_second: int, count: int, expected: tuple[float, ...] | None
) -> None:
    found = paired_difference(only_first, only_second, count)
    assert found is None if expected is None else found == pytest.approx(expected, abs=1e-3)

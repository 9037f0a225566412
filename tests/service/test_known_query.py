"""Query parameters that a route does not take."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient


@pytest.mark.parametrize(
    ("path", "name", "said"),
    [
        ("/v1/predictions?offset=50", "offset", "model, class, group"),
        ("/v1/predictions?groop=Spiral", "groop", "did you mean group"),
        ("/v1/predictions?predicted_class=Er", "predicted_class", "class"),
        ("/v1/predictions/export?page=2", "page", "class"),
        ("/v1/labels?objectid=1", "objectid", "did you mean object_id"),
        ("/v1/models?limit=3", "limit", "expected none"),
        ("/v1/images/1?size=3", "size", "expected none"),
        ("/v1/map?modle=galaxy", "modle", "did you mean model"),
        ("/v1/predictions?%00=1", "'\\x00'", "model"),
        ("/v1/predictions?=1", "", "model"),
    ],
)
def test_a_parameter_that_is_not_taken_is_refused_by_name(client: TestClient, path: str, name: str, said: str) -> None:
    response = client.get(path)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["field"]) == (422, "invalid", name)
    assert said in error["message"].lower() or said in error["message"]


def test_a_parameter_given_twice_is_refused_where_it_has_one_value(client: TestClient) -> None:
    response = client.get("/v1/predictions?class=Er&class=Se")
    assert response.status_code == 422
    assert response.json()["error"]["message"].startswith("the query parameter class comes 2 times")
    assert client.get("/v1/predictions?class=Er").status_code == 200


def test_posts_are_checked_too(client: TestClient) -> None:
    response = client.post("/v1/services/galaxy-class/1.0/predict?frame=424", content=b"x")
    assert response.json()["error"]["field"] == "frame"
    assert "did you mean frame_px" in response.json()["error"]["message"].lower()


def test_every_route_of_the_api_is_checked_and_lists_may_repeat(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    for path, item in document["paths"].items():
        if not path.startswith("/v1"):
            continue
        for method in item:
            response = client.request(method, re.sub(r"\{[^}]*\}", "1", path), params={"no_such": "1"})
            assert (response.status_code, response.json()["error"]["field"]) == (422, "no_such"), (method, path)
    listed = client.get("/v1/desks/rings?target=ring&classes=a&classes=b")
    assert "times" not in listed.text


def test_health_checks_and_the_page_take_any(client: TestClient) -> None:
    for path in ("/healthz?t=1", "/?utm_source=mail", "/openapi.json?v=2"):
        assert client.get(path).status_code == 200

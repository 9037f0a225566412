"""Responses that do not come whole, refused tokens, missing services: images are kept, the reader is asked once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from web.steps import choose, tally

PREDICT = re.compile(r"/predict\?")
SERVICES = re.compile(r"/v1/services$")


@pytest.fixture
def twelve(site: Any) -> list[Path]:
    return sorted(site.pictures.glob("*.jpg"))[:12]


def add(page: Any, paths: list[Path]) -> None:
    page.locator("input[type=file]").first.set_input_files(paths)


@pytest.mark.parametrize("body", ["<html>Log in to the network</html>", '{"predicted_class": "S'])
def test_a_response_that_is_not_the_servers_is_no_fault_of_the_image(page: Any, twelve: list[Path], body: str) -> None:
    others = [body] * 3

    def answer(route: Any) -> None:
        route.fulfill(status=200, body=others.pop(), content_type="application/json") if others else route.continue_()

    page.route(PREDICT, answer)
    choose(page, *twelve)
    assert tally(page) == "12 classified"
    assert page.locator("#banner").is_hidden()


def test_cancelling_the_token_asks_once_and_keeps_all_images(page: Any, twelve: list[Path]) -> None:
    refusal = {"error": {"code": "unauthorized", "message": "a token is needed"}}
    page.route(PREDICT, lambda route: route.fulfill(status=401, json=refusal))
    add(page, twelve)
    dialog = page.locator("dialog", has_text="Access token")
    dialog.get_by_role("button", name="Cancel").click()
    page.locator(".tally", has_text="12 not classified").wait_for()
    assert dialog.count() == 0
    page.unroute(PREDICT)
    page.get_by_role("button", name="Retry 12").click()
    page.locator(".tally", has_text=re.compile("^12 classified$")).wait_for()


def test_images_wait_for_a_service_to_be_published(page: Any, twelve: list[Path]) -> None:
    page.route(SERVICES, lambda route: route.fulfill(json={"services": []}))
    page.reload()
    page.locator("#in-use", has_text="No service is published yet").wait_for()
    add(page, twelve[:3])
    page.locator(".tally", has_text="3 not classified").wait_for()
    page.unroute(SERVICES)
    page.get_by_role("button", name="Retry 3").click()
    page.locator(".tally", has_text=re.compile("^3 classified$")).wait_for()
    page.locator("#in-use", has_text="galaxy-class 1.0").wait_for()

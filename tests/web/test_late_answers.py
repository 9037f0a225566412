"""Responses that come late or out of order: what the reader chose last stands, and nothing opens over it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from web.steps import Held, after_response

ONE_ROW = re.compile(r"/v1/predictions\?.*object_id=")


def similar_of_the_first(page: Any, site: Any) -> Any:
    """The first similar galaxy in the details of the catalog's first row."""
    page.goto(f"{site.url}#/catalog?sort=object_id")
    page.locator(".listing .as-link").first.click()
    page.get_by_role("tab", name="Similar").click()
    figure = page.locator(".similar .turned").nth(7)
    figure.wait_for()
    return figure


@pytest.mark.parametrize("key", ["ArrowRight", "Escape"])
def test_a_neighbour_that_comes_late_does_not_open_over_what_the_reader_went_on_to(
    page: Any, site: Any, key: str
) -> None:
    similar_of_the_first(page, site)
    held = Held(page, ONE_ROW)
    names = page.locator(".listing .as-link").all_text_contents()
    figures = page.locator(".similar .neighbour")
    ids = [str(one.get_attribute("aria-label")).removeprefix("Open ") for one in figures.all()]
    elsewhere = [index for index, name in enumerate(ids) if name not in names]
    assert elsewhere  # the page has 50 of 60 rows
    figures.nth(elsewhere[0]).click()
    held.wait()
    page.keyboard.press(key)
    after_response(page, ONE_ROW, held.release)
    if key == "Escape":
        assert page.locator(".detail[open]").count() == 0
    else:
        assert page.locator(".detail .position").text_content() == "2 of 50"


def test_a_comparison_that_comes_late_does_not_open_over_another_image(page: Any, site: Any) -> None:
    figure = similar_of_the_first(page, site)
    held = Held(page, ONE_ROW)
    figure.get_by_role("button", name="Compare").click()
    held.wait()
    page.keyboard.press("ArrowRight")
    after_response(page, ONE_ROW, held.release)
    assert page.locator(".side-by-side").count() == 0


def test_a_double_click_compares_once(page: Any, site: Any) -> None:
    figure = similar_of_the_first(page, site)
    held = Held(page, ONE_ROW)
    for count in (1, 2):
        figure.get_by_role("button", name="Compare").click()
        held.wait(count)
    for route in held.routes:
        after_response(page, ONE_ROW, route.continue_)
    page.locator(".side-by-side[open]").wait_for()
    assert page.locator(".side-by-side").count() == 1


def test_a_galaxy_of_the_sky_map_that_the_server_refuses_is_told(page: Any, site: Any) -> None:
    refusal = {"error": {"code": "internal", "message": "the database is being replaced"}}
    page.route(ONE_ROW, lambda route: route.fulfill(status=500, json=refusal))
    page.goto(f"{site.url}#/catalog?view=sky")
    page.locator(".sky").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator(".notice", has_text="The database is being replaced.").wait_for()

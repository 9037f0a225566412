"""Classify in windows of all sizes: results in the first screen, cards that fill the window, nothing out of place."""

from __future__ import annotations

from typing import Any

import pytest
from web.steps import choose

SIZES = {"phone": (390, 844), "tablet": (768, 1024), "laptop": (1280, 600), "screen": (1920, 1080)}


def test_cards_fill_a_window_that_grows_and_shrinks(page: Any, site: Any) -> None:
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:50])
    edge = "(side) => Math.max(...[...document.querySelectorAll('.gallery > li')].map((one) => one.getBoundingClientRect()[side]))"  # noqa: E501
    for mode in ("Cards", "Grid"):
        page.get_by_role("button", name=mode).click()
        for width, height in ((1280, 400), (1280, 3000), (390, 3000), (1900, 700), (390, 600)):
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            all_of = page.evaluate("() => document.querySelector('.gallery').getBoundingClientRect().bottom")
            assert page.evaluate(edge, "bottom") >= min(height, all_of) - 1, (mode, width, height)
            assert page.evaluate(edge, "right") <= width, (mode, width, height)


@pytest.mark.parametrize("size", SIZES)
def test_results_are_in_the_first_screen_and_the_strip_stays(browser: Any, site: Any, size: str) -> None:
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto(site.url)
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:30])
    top = page.locator(".card").first.bounding_box()["y"]
    assert top < 0.5 * height
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    page.mouse.wheel(0, 3000)
    page.wait_for_function("() => window.scrollY > 500")
    assert page.locator(".atlas").bounding_box()["y"] >= 0
    assert page.locator(".instrument").bounding_box()["height"] < 0.4 * height
    page.close()


def test_a_phone_has_one_line_of_views_and_nothing_in_another_place(page: Any, site: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:3])
    views = [link.bounding_box() for link in page.locator(".masthead nav a").all()]
    assert len({round(box["y"]) for box in views}) == 1
    card = page.locator(".card").first.bounding_box()
    buttons = [one.bounding_box() for one in page.locator(".intake button:visible").all()]
    assert max(box["x"] + box["width"] for box in buttons) <= card["x"] + card["width"] + 0.5
    code = page.locator(".station.group-Artifact .code").bounding_box()
    assert code["y"] + code["height"] <= page.locator(".headline").bounding_box()["y"]

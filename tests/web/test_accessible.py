"""Keyboard and screen reader: axe-core finds nothing serious, and no mouse is needed."""

from __future__ import annotations

from typing import Any

import pytest
from web.steps import axe_faults, choose

pytest.importorskip("axe_playwright_python", reason="axe-core is not installed (make test-deps)")


def open_unguarded(browser: Any, site: Any, scheme: str, width: int) -> Any:
    """A page whose policy lets the test evaluate axe-core; everything else is as served."""
    context = browser.new_context(
        bypass_csp=True, color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(site.url)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious(browser: Any, site: Any, scheme: str, width: int) -> None:
    page = open_unguarded(browser, site, scheme, width)
    assert axe_faults(page) == []
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:4])
    assert axe_faults(page) == []
    page.locator(".card .open").first.click()
    page.locator(".explain .views img").nth(7).wait_for()
    assert axe_faults(page) == []
    for name in ("Votes", "Similar", "Facts"):
        page.get_by_role("tab", name=name).click()
        page.locator(".detail:not(:has([aria-busy]))").wait_for()
        assert axe_faults(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Grid").click()
    page.keyboard.press("?")
    page.locator("dialog.help").wait_for()
    assert axe_faults(page) == []
    page.keyboard.press("Escape")
    if page.locator(".unfold").is_visible():
        page.locator(".unfold").click()
        assert axe_faults(page) == []
    page.get_by_role("button", name="Clear", exact=True).click()
    page.locator(".notice").wait_for()
    assert axe_faults(page) == []
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["catalog", "catalog?view=sky", "models", "models/galaxy/99", "services"])
def test_axe_finds_nothing_serious_in_the_other_views(browser: Any, site: Any, scheme: str, view: str) -> None:
    page = open_unguarded(browser, site, scheme, 1280)
    page.goto(f"{site.url}#/{view}")
    page.locator(".listing, .sky").first.wait_for()
    page.locator("main:not(:has([aria-busy]))").wait_for()
    assert axe_faults(page) == []
    page.context.close()


def test_a_keyboard_alone_opens_walks_and_closes_the_details(page: Any, site: Any) -> None:
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:3])
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.classList.contains('open')"):
            break
    page.keyboard.press("Enter")
    assert page.locator(".detail .position").text_content() == "1 of 3"
    page.keyboard.press("ArrowRight")
    assert page.locator(".detail .position").text_content() == "2 of 3"
    page.keyboard.press("Escape")
    assert page.locator(".detail").is_hidden()
    assert page.evaluate("() => document.activeElement.classList.contains('open')")


def test_the_end_of_the_work_is_announced(page: Any, site: Any) -> None:
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:2])
    page.locator("#announcer", has_text="All finished: 2 classified.").wait_for(state="attached")


def test_the_colours_can_be_chosen_and_are_kept(page: Any) -> None:
    button = page.locator("#theme")
    button.click()
    button.click()
    assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"

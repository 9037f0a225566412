"""Dialogs, comparisons and notices in the dark at three widths: nothing is cut off, axe finds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from web.site_of_test import Site
from web.steps import axe_faults, choose
from web.test_desk import labelled, open_desk

WIDTHS = (360, 800, 1440)
LONG = "long-" + "x" * 59

CUT_OFF = """() => {
  const faults = document.documentElement.scrollWidth > innerWidth ? ["the page is wider than the window"] : [];
  const dialog = document.querySelector("dialog[open]");
  const within = "dialog[open], dialog[open] *";
  const parts = document.querySelectorAll(dialog ? within : "#notices *, .compare *");
  for (const one of parts) {
    if (one.closest("svg, .visually-hidden") || !one.checkVisibility()) continue;
    const { left, right, width } = one.getBoundingClientRect();
    if (width && (left < 0 || right > innerWidth)) faults.push(`${one.outerHTML.slice(0, 80)}: ${left} to ${right}`);
  }
  if (dialog && dialog.scrollWidth > dialog.clientWidth) faults.push("the dialog scrolls sideways");
  return faults;
}"""


@pytest.fixture(params=WIDTHS)
def dark(browser: Any, desk_site: Site, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A dark page with a publisher's token, whose policy lets the test evaluate axe-core."""
    pytest.importorskip("axe_playwright_python", reason="axe-core is not installed (make test-deps)")
    viewport = {"width": request.param, "height": 800}
    context = browser.new_context(bypass_csp=True, color_scheme="dark", viewport=viewport, reduced_motion="reduce")
    context.add_init_script(f"sessionStorage.setItem('galclass-token', {desk_site.token!r})")
    page = context.new_page()
    page.set_default_timeout(15_000)
    yield page
    context.close()


def assert_whole(page: Any) -> None:
    assert page.evaluate(CUT_OFF) == []
    assert axe_faults(page) == []


def test_the_dialog_that_saves_a_model_holds_long_names(dark: Any, desk_site: Site) -> None:
    open_desk(dark, desk_site, f"save-{dark.viewport_size['width']}")
    for key in "12121212":
        dark.keyboard.press(key)
    labelled(dark, 8)
    dark.keyboard.press("l")
    dark.locator(".ranked li").first.wait_for()
    dark.get_by_role("button", name="Save as a model").click()
    assert_whole(dark)
    dark.get_by_label("Name of the model").fill(LONG)
    dark.get_by_role("button", name="Save", exact=True).click()
    dark.locator("dialog", has_text=f"Registered as {LONG}").wait_for()
    assert_whole(dark)
    dark.goto(f"{desk_site.url}#/models/galaxy/1")
    choice = dark.get_by_label("On the same labelled galaxies")
    choice.select_option(f"{LONG}@1")
    dark.locator(".comparison", has_text=LONG).wait_for()
    assert_whole(dark)


def test_a_refusal_is_a_notice_within_the_window(dark: Any, desk_site: Site) -> None:
    dark.goto(f"{desk_site.url}#/label/bad?target=a%7Cb")
    dark.locator(".notice", has_text="A class cannot have this name").wait_for()
    assert_whole(dark)


def test_side_by_side_and_help_fit_over_results(dark: Any, desk_site: Site) -> None:
    dark.goto(desk_site.url)
    choose(dark, *sorted(desk_site.pictures.glob("*.jpg"))[:2])
    assert dark.evaluate(CUT_OFF) == []
    dark.locator(".card .open").first.click()
    dark.get_by_role("tab", name="Similar").click()
    dark.locator(".own-similar .as-link").first.click()
    dark.locator(".side-by-side .one-side").nth(1).wait_for()
    assert_whole(dark)
    dark.keyboard.press("Escape")
    dark.keyboard.press("Escape")
    dark.keyboard.press("?")
    assert dark.locator("dialog.help .shortcuts kbd", has_text="Esc").count() == 2
    assert dark.locator("dialog.help .shortcuts kbd", has_text="then").count() == 0
    assert_whole(dark)

"""Catalog, labels, models and services on the real API."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from site_of_test import GALAXIES, HOSTILE_ID


def give_token(page: Any, token: str) -> None:
    page.locator("dialog input[type=password]").fill(token)
    page.get_by_role("button", name="Use token").click()


def open_view(page: Any, name: str) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name=name).click()
    page.get_by_role("heading", name=name, exact=True).wait_for()


def test_a_malformed_cone_is_refused_in_words(page: Any) -> None:
    open_view(page, "Catalog")
    field = page.get_by_label("Cone")
    field.fill("north")
    field.press("Tab")
    assert "cone" in page.get_by_role("alert").text_content().lower()


def test_the_catalog_pages_through_all_galaxies(page: Any) -> None:
    open_view(page, "Catalog")
    page.get_by_text(f"Page 1 of 2, {GALAXIES} galaxies").first.wait_for()
    assert page.locator(".listing tbody tr").count() == 50
    page.get_by_role("button", name="Next", exact=True).first.click()
    page.get_by_text("Page 2 of 2").first.wait_for()
    assert page.locator(".listing tbody tr").count() == GALAXIES - 50


def test_the_catalog_filters_by_class_and_keeps_the_filter_in_the_address(page: Any) -> None:
    open_view(page, "Catalog")
    cls = page.locator(".class-cell .code").first.text_content()
    page.get_by_label("Class", exact=True).select_option(cls)
    page.get_by_text("Page 1 of 1").wait_for()
    assert set(page.locator(".class-cell .code").all_text_contents()) == {cls}
    assert f"class={cls}" in page.url
    page.reload()
    page.get_by_text("Page 1 of 1").wait_for()
    assert set(page.locator(".class-cell .code").all_text_contents()) == {cls}


def test_object_ids_are_never_markup(page: Any) -> None:
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    open_view(page, "Catalog")
    page.get_by_role("button", name=HOSTILE_ID).click()
    page.locator(".explain .views img").nth(7).wait_for()
    page.get_by_role("tab", name="Facts").click()
    assert HOSTILE_ID in page.locator(".detail .facts").text_content()
    assert page.locator("img[onerror]").count() == 0


def test_a_cone_finds_the_galaxies_inside(page: Any) -> None:
    open_view(page, "Catalog")
    field = page.get_by_label("Cone")
    field.fill("15.0, 0.5, 1.5")
    field.press("Tab")
    page.get_by_text("3 galaxies").wait_for()


def test_the_catalog_downloads_as_parquet(page: Any) -> None:
    open_view(page, "Catalog")
    page.get_by_text("Page 1 of 2").first.wait_for()
    with page.expect_download() as started:
        page.get_by_role("button", name="Page as Parquet").click()
    table = pq.read_table(Path(started.value.path()))
    assert table.num_rows == 50
    assert table["object_id"].type == "string"


def test_a_label_by_hand_is_stored_with_a_token_alone(page: Any, site: Any) -> None:
    open_view(page, "Catalog")
    page.get_by_role("button", name="Label the most useful next").click()
    page.locator(".results:not([aria-busy])").wait_for()
    first = page.locator(".listing .as-link").first
    object_id = first.text_content()
    first.click()
    page.get_by_role("button", name=re.compile("^Sb,")).click()
    give_token(page, site.token)
    page.locator("#announcer", has_text=f"Stored Sb for {object_id}.").wait_for(state="attached")
    answer = page.request.get(f"{site.url}v1/labels?object_id={object_id}").json()
    assert answer[0]["label"] == "Sb"
    assert answer[0]["labelled_by"] == "admin-of-test"


def test_a_model_shows_its_matrix_card_and_hash(page: Any) -> None:
    open_view(page, "Models")
    page.get_by_role("heading", name="galaxy, version 1").wait_for()
    assert page.locator(".confusion td.cell").count() == 16
    assert page.locator(".reliability circle").count() == 3
    assert "It knows nothing." in page.locator(".model-card").text_content()
    page.get_by_role("link", name="galaxy 2").click()
    page.get_by_role("heading", name="galaxy, version 2").wait_for()


def test_publishing_and_rolling_back_needs_a_token(page: Any, site: Any) -> None:
    open_view(page, "Services")
    page.get_by_label("Version", exact=True).fill("1.1")
    page.get_by_label("Model", exact=True).select_option("galaxy@2")
    page.get_by_role("button", name="Publish").click()
    give_token(page, "galclass_wrong")
    page.locator("dialog").wait_for()
    give_token(page, site.token)
    page.get_by_text("Published galaxy-class 1.1.").first.wait_for()
    page.locator(".listing tbody tr").nth(1).wait_for()
    page.get_by_role("button", name="Roll back latest").click()
    page.get_by_text("Rolled galaxy-class back.").first.wait_for()
    page.get_by_role("button", name="Delete 1.1").wait_for()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete 1.1").click()
    page.get_by_text("Deleted galaxy-class 1.1.").first.wait_for()


@pytest.mark.parametrize("view", ["Catalog", "Models", "Services"])
def test_no_view_is_wider_than_a_phone(browser: Any, site: Any, view: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.goto(f"{site.url}#/{view.lower()}")
    page.locator(".listing").first.wait_for()
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    page.close()

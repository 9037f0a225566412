"""Catalog, labels, models and services on the real API."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from web.site_of_test import GALAXIES, HOSTILE_ID

from galclass.catalog import read_table
from galclass.morphology import CLASSES


def give_token(page: Any, token: str) -> None:
    page.locator("dialog input[type=password]").fill(token)
    page.get_by_role("button", name="Use token").click()


def open_view(page: Any, name: str) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name=name).click()
    page.get_by_role("heading", name=name, exact=True).wait_for()


def set_cone(page: Any, text: str) -> None:
    field = page.get_by_label("Cone")
    field.fill(text)
    field.press("Tab")


def test_a_malformed_cone_is_refused_with_the_part_that_is_wrong(page: Any) -> None:
    open_view(page, "Catalog")
    for text, part in (
        ("north", "the radius is missing"),
        ("10:00:28.6 +95:12:21 30 arcsec", "the declination +95:12:21 is outside"),
        ("10:00:28.6 +02:12:21 30 parsec", "the unit of the radius"),
    ):
        set_cone(page, text)
        page.get_by_role("alert").filter(has_text=part).wait_for()
    assert page.get_by_label("Cone").input_value() == "10:00:28.6 +02:12:21 30 parsec"


@pytest.mark.parametrize("text", ["01:00:00 +00:30:00 90 arcmin", "15.0 0.5 1.5", "15.0, 0.5, 1.5 deg"])
def test_a_cone_is_taken_as_typed_and_sorted_by_distance(page: Any, text: str) -> None:
    open_view(page, "Catalog")
    set_cone(page, text)
    page.get_by_text("3 galaxies").wait_for()
    distances = page.locator(".separation").all_text_contents()
    assert distances[0] == "0.0\u2033"
    assert len(distances) == 3
    page.go_back()
    page.get_by_text(f"{GALAXIES} galaxies").first.wait_for()
    assert page.get_by_label("Cone").input_value() == ""


def test_an_object_is_found_by_part_of_its_id(page: Any) -> None:
    open_view(page, "Catalog")
    object_id = page.locator(".listing .as-link").nth(3).text_content()
    page.get_by_label("Object id contains").wait_for()
    page.keyboard.press("/")
    page.keyboard.type(object_id[1:])
    page.keyboard.press("Enter")
    page.locator(".results:not([aria-busy])").wait_for()
    page.get_by_role("button", name=object_id, exact=True).wait_for()
    assert all(object_id[1:] in text for text in page.locator(".listing .as-link").all_text_contents())


@pytest.mark.parametrize("kind", ["CSV", "Parquet", "FITS", "VOTable"])
def test_every_filtered_row_is_downloaded(page: Any, tmp_path: Path, kind: str) -> None:
    open_view(page, "Catalog")
    page.get_by_text("Page 1 of 2").first.wait_for()
    with page.expect_download() as started:
        page.get_by_role("button", name=f"All rows as {kind}").click()
    path = tmp_path / started.value.suggested_filename
    started.value.save_as(path)
    table = read_table(path)
    assert table.num_rows == GALAXIES
    assert {"human_label", "labelled_by", "labelled_at", "ra", "dec"} <= set(table.column_names)
    page.locator(".notice", has_text=f"{GALAXIES} rows written").wait_for()


def test_the_sky_map_shows_the_objects_and_opens_them_by_key(page: Any) -> None:
    open_view(page, "Catalog")
    page.get_by_role("button", name="Sky map").click()
    canvas = page.get_by_role("img", name=f"Sky map of {GALAXIES} galaxies")
    canvas.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    told = page.locator(".sky-place .note").text_content()
    page.keyboard.press("Enter")
    page.locator(".detail[open]").wait_for()
    page.get_by_role("tab", name="Facts").click()
    assert told.split(":")[0] in page.locator(".detail .facts").text_content()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="List objects nearby").click()
    page.locator(".separation").first.wait_for()
    assert page.locator(".listing .as-link").first.text_content() == told.split(":")[0]


def test_a_neighbour_opens_from_the_details(page: Any) -> None:
    open_view(page, "Catalog")
    page.locator(".listing .as-link").first.click()
    page.get_by_role("tab", name="Similar").click()
    neighbour = page.locator(".similar .neighbour").first
    object_id = neighbour.get_attribute("aria-label").removeprefix("Open ")
    neighbour.click()
    page.get_by_role("tab", name="Facts").click()
    page.locator(".detail .facts", has_text=object_id).wait_for()


def test_a_version_that_is_not_there_is_said(page: Any, site: Any) -> None:
    for address, told in (
        ("models/galaxy/99", "No version 99 of a model galaxy is registered"),
        ("models/nothing/1", "No version 1 of a model nothing is registered"),
    ):
        page.goto(f"{site.url}#/{address}")
        page.get_by_role("alert").filter(has_text=told).wait_for()
        assert page.get_by_role("heading", level=2).count() == 0
    page.goto(f"{site.url}#/models/galaxy/2")
    page.get_by_role("heading", name="galaxy, version 2").wait_for()


def test_models_are_listed_with_accuracy_and_interval(page: Any) -> None:
    open_view(page, "Models")
    page.locator(".listing .measured").nth(1).wait_for()
    cells = page.locator(".listing .measured").all_text_contents()
    assert cells[0] == "0.600 0.500 to 0.700, 4 groups, 30 galaxies"
    assert "not evaluated" in cells


def test_the_title_names_the_view_and_help_opens_from_everywhere(page: Any) -> None:
    for key, name in (("k", "Catalog"), ("m", "Models"), ("s", "Services"), ("c", "Classify")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_function("(title) => document.title === title", arg=f"{name} \u00b7 galclass")
        for _ in range(5):
            page.keyboard.press("?")
            page.locator("dialog.help[open]").wait_for()
            assert page.locator("dialog.help").count() == 1
            page.keyboard.press("Escape")
            page.locator("dialog.help").wait_for(state="detached", timeout=5000)


def test_help_has_the_key_to_every_class(page: Any) -> None:
    page.get_by_role("button", name="Help").click()
    assert page.locator(".class-key li b").all_text_contents() == list(CLASSES)
    page.get_by_role("button", name="Close").click()
    assert page.evaluate("() => document.activeElement.id") == "help"


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
    page.locator(".confusion td.cell").nth(15).wait_for()
    assert page.locator(".confusion td.cell").count() == 16
    page.locator(".reliability circle").nth(2).wait_for()
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
    if view == "Catalog":
        overflow = page.locator(".scroller").evaluate("one => one.scrollWidth - one.clientWidth")
        assert overflow <= 0
    page.close()


@pytest.mark.parametrize("address", ["models/%", "models/%E0%A4", "label/%", "models/galaxy/%25", "galaxy/unknown"])
def test_odd_addresses_are_told_and_do_not_hang(page: Any, site: Any, address: str) -> None:
    for other in ("catalog", address, "services", address):
        page.goto(f"{site.url}#/{other}")
    page.locator("main:not([aria-busy]) h1").wait_for()
    page.locator("main p", has_text="Loading…").wait_for(state="detached")
    if address.startswith("models/"):
        page.locator(".fault", has_text="is registered. Choose one of those above").wait_for()


def test_a_page_beyond_the_last_leads_back_and_a_missing_model_is_told(page: Any, site: Any) -> None:
    page.goto(f"{site.url}#/catalog?page=99")
    page.get_by_text("Page 99 of 2").first.wait_for()
    page.get_by_role("button", name="Previous").first.click()
    page.get_by_text("Page 2 of 2").first.wait_for()
    page.goto(f"{site.url}#/map?model=gone@7")
    page.locator(".notice", has_text="gone@7 is not registered: this is the map of galaxy@1").wait_for()


def test_a_stored_class_without_probabilities_has_none_on_the_page(page: Any, site: Any) -> None:
    first = page.request.get(f"{site.url}v1/predictions?page_size=3").json()
    empty = {"predicted_class": "Sb", "predicted_group": None, "probability": None}
    for row, probabilities in zip(first["predictions"], (None, {}, None), strict=True):
        row |= {**empty, "probabilities": probabilities, "ra": 10.0, "dec": None}
    first["predictions"][2]["predicted_class"] = None
    page.route("**/v1/predictions?*", lambda route: route.fulfill(json=first))
    page.goto(f"{site.url}#/catalog")
    page.locator(".listing .as-link").first.wait_for()
    assert "%" not in page.locator(".listing tbody").inner_text()
    page.locator(".listing .as-link").first.click()
    assert page.locator(".detail h2").inner_text().split("\n") == ["Sb", "spiral with obvious bulge"]
    for key in ("ArrowRight", "ArrowLeft", "4", "1"):
        page.keyboard.press(key)
        text = page.locator(".detail").inner_text()
        assert [word for word in ("NaN", "undefined", "null", "under 1 %") if word in text] == []

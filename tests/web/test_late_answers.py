"""Responses that come late or out of order: what the reader chose last stands, and nothing opens over it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from web.steps import Held, after_response, choose
from web.test_labels import labels_file

TWO_FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
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


def test_a_view_whose_code_comes_late_takes_no_focus(page: Any) -> None:
    held = Held(page, "**/js/map.js")
    page.reload()
    page.get_by_role("link", name="Map").click()
    held.wait()
    page.get_by_role("link", name="Catalog").click()
    field = page.get_by_label("Object id contains")
    field.fill("58")
    held.release()
    page.evaluate(f"() => import('./js/map.js').then(() => {TWO_FRAMES})")
    assert field.evaluate("(field) => field === document.activeElement")


@pytest.mark.parametrize("module", ["report.js", "report-labels.js"])
def test_what_needs_more_code_waits_for_a_lost_server(page: Any, site: Any, tmp_path: Path, module: str) -> None:
    page.route(f"**/js/{module}", lambda route: route.abort())
    page.reload()
    choose(page, sorted(site.pictures.glob("*.jpg"))[0])
    name = sorted(site.pictures.glob("*.jpg"))[0].stem
    path = labels_file(tmp_path, "Eve", {"object_id": name, "label": "Sb", "labelled_at": "2026-11-01T10:00:00Z"})
    if module == "report.js":
        page.get_by_role("button", name="Report").click()
    else:
        page.locator("input[type=file]").first.set_input_files(path)
    page.locator("#banner", has_text="is not responding").wait_for()
    page.unroute(f"**/js/{module}")
    told = "1 image written to galclass-report.html." if module == "report.js" else "1 label added to images"
    page.get_by_text(told).wait_for()


def test_the_model_chosen_last_is_the_one_of_the_catalog(page: Any, site: Any) -> None:
    page.goto(f"{site.url}#/catalog")
    model = page.get_by_label("Model", exact=True)
    kinds = re.compile(r"/v1/models/galaxy/2$")
    held = Held(page, kinds)
    model.select_option("galaxy@2")
    held.wait()
    model.select_option("galaxy@1")
    page.wait_for_url("**model=galaxy%401**")
    after_response(page, kinds, held.release)
    assert "galaxy%401" in page.url


def test_a_comparison_that_comes_late_does_not_show_when_none_is_chosen(page: Any, site: Any) -> None:
    page.goto(f"{site.url}#/models/galaxy/1")
    choice = page.get_by_label("On the same labelled galaxies")
    held = Held(page, "**/v1/comparison?*")
    choice.select_option("galaxy@2")
    held.wait()
    choice.select_option("")
    after_response(page, "**/v1/comparison?*", held.release)
    assert page.locator(".comparison").text_content() == ""


def test_a_refusal_of_a_service_that_comes_late_is_told_in_another_view(page: Any, site: Any) -> None:
    page.evaluate("(token) => sessionStorage.setItem('galclass-token', token)", site.token)
    page.goto(f"{site.url}#/services")
    page.reload()
    held = Held(page, "**/rollback")
    page.get_by_role("button", name="Roll back latest").click()
    held.wait()
    page.get_by_role("link", name="Models").click()
    page.get_by_role("heading", name="Models", exact=True).wait_for()
    held.routes[0].abort()
    page.locator(".notice", has_text="The server did not respond").wait_for()


def test_the_details_of_a_fits_image_show_its_picture_when_it_comes(page: Any, tmp_path: Path) -> None:
    fits_builders = pytest.importorskip("fits_builders", reason="astropy is not installed")
    path = tmp_path / "galaxy.fits"
    path.write_bytes(fits_builders.as_file(fits_builders.drawn(128)))
    held = Held(page, re.compile("/cutout"))
    choose(page, path)
    held.wait()
    page.locator(".card .open").click()
    page.locator(".detail .no-picture").wait_for()
    held.release()
    page.locator(".detail .rule", has_text="px").wait_for()
    assert page.locator(".detail .no-picture").is_hidden()

"""The map: places, keys, selection, labels, images of the visit, cells of a matrix, a server that changes under it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web.site_of_test import GALAXIES, Site
from web.steps import axe_faults, choose

from galclass.database import Images, NewImage, Registry
from galclass.database.embeddings import Embeddings
from galclass.database.schema import images


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Iterator[Site]:
    """A site of its own with all embeddings of galaxy@1, which its one service answers with."""
    site = Site(tmp_path_factory.mktemp("map"), sample_folder)
    site.start()
    fill(site)
    yield site
    site.kill()


def fill(site: Any) -> None:
    database = site.database()
    Embeddings(database).fill(Registry(database).get("galaxy@1").scorer())
    database.close()


@pytest.fixture
def map_page(browser: Any, mapped: Any) -> Iterator[Any]:
    """A page at the map; errors of its scripts fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(30_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{mapped.url}#/map?model=galaxy@1")
    page.locator(".map-canvas[width]").wait_for()
    yield page
    context.close()
    assert not faults


def selected(page: Any) -> str:
    return str(page.locator(".selection .selected").text_content())


def press(page: Any, *keys: str) -> None:
    page.locator(".map-canvas[width]").focus()  # laid out
    for key in keys:
        page.keyboard.press(key)


def test_what_is_stored_is_drawn_with_its_pictures(map_page: Any) -> None:
    map_page.locator(".map-class").first.wait_for()
    key = map_page.locator(".map-class").all_text_contents()
    assert sum(int(text.split()[-1].replace(",", "")) for text in key) == GALAXIES
    map_page.wait_for_function(
        """() => {
            const canvas = document.querySelector(".map-canvas");
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const colours = new Set();
            for (let at = 0; at < data.length; at += 4) colours.add(data.slice(at, at + 3).join());
            return colours.size > 500; // frames alone have at most a few
        }"""
    )


def test_keys_choose_select_zoom_and_clear(map_page: Any) -> None:
    said = []
    for _ in range(5):
        press(map_page, "ArrowRight")
        said.append(map_page.locator(".map-current").text_content())
    assert said[0]
    assert len(set(said)) > 1
    press(map_page, " ")
    assert selected(map_page) == "1 galaxy selected"
    press(map_page, " ")
    assert "selected" not in selected(map_page)
    press(map_page, "v")
    assert selected(map_page) == f"{GALAXIES} galaxies selected"
    press(map_page, *["+"] * 5, "v")
    assert selected(map_page) != f"{GALAXIES} galaxies selected"
    press(map_page, "0", "v")
    assert selected(map_page) == f"{GALAXIES} galaxies selected"
    press(map_page, "Escape")
    assert map_page.locator(".selection-tools").is_hidden()


def test_a_lasso_and_the_key_choose_what_is_selected(map_page: Any) -> None:
    box = map_page.locator(".map-canvas").bounding_box()
    assert box is not None
    map_page.keyboard.down("Shift")
    map_page.mouse.move(box["x"] + 5, box["y"] + 5)
    map_page.mouse.down()
    for x, y in ((0.5, 0.01), (0.5, 0.99), (0.01, 0.99)):
        map_page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
    map_page.mouse.up()
    map_page.keyboard.up("Shift")
    left = int(selected(map_page).split()[0])
    assert 0 < left < GALAXIES
    name, count = map_page.locator(".map-class").first.text_content().split()
    map_page.locator(".map-class").first.click()
    press(map_page, "v")
    assert selected(map_page).startswith(f"{count} galax")
    assert map_page.locator(".selection-tools .note").first.text_content() == f"{count} {name}"
    map_page.get_by_role("button", name="Show all").click()
    press(map_page, "v")
    assert selected(map_page) == f"{GALAXIES} galaxies selected"


def test_a_selection_is_labelled_and_taken_back(map_page: Any, mapped: Any) -> None:
    press(map_page, "ArrowRight", " ", "ArrowLeft")
    map_page.get_by_label("At the desk").select_option("a class of your own")
    map_page.get_by_label("Class", exact=True).fill("lens")
    map_page.get_by_role("button", name="Label", exact=True).click()
    map_page.locator("dialog input[type=password]").fill(mapped.token)
    map_page.get_by_role("button", name="Use token").click()
    map_page.get_by_text("1 labelled lens.").wait_for()
    desks = map_page.request.get(f"{mapped.url}v1/desks").json()["desks"]
    assert [(one["name"], one["counts"]) for one in desks if one["name"] == "lens"] == [("lens", {"lens": 1})]
    map_page.get_by_role("button", name="Take back").click()
    map_page.get_by_text("1 label taken back.").wait_for()
    assert all(one["name"] != "lens" for one in map_page.request.get(f"{mapped.url}v1/desks").json()["desks"])


def test_an_object_opens_and_closes_with_the_keyboard(map_page: Any) -> None:
    for _ in range(5):
        press(map_page, "ArrowRight", "Enter")
        map_page.locator(".detail[open]").wait_for()
        map_page.keyboard.press("Escape")
        map_page.locator(".detail[open]").wait_for(state="hidden")
        assert map_page.evaluate("() => document.activeElement.classList.contains('map-canvas')")


def test_images_of_the_visit_land_among_the_stored_ones(map_page: Any, mapped: Any) -> None:
    map_page.get_by_role("link", name="Classify").click()
    pictures = sorted(mapped.pictures.glob("*.jpg"))[:3]
    choose(map_page, *pictures)
    map_page.get_by_role("link", name="Map").click()
    map_page.get_by_text("Yours: 3").wait_for()
    stored, mine = map_page.evaluate(
        """async (id) => {
            const { placeOf } = await import("./js/map-points.js");
            const { store } = await import("./js/visit.js");
            const map = await (await fetch("v1/map?model=galaxy@1")).json();
            const item = store.items.find(({ objectId }) => objectId === id);
            const at = map.object_id.indexOf(id);
            return [[map.x[at] * 1.4, map.y[at]], placeOf(map.axes, item.embedding)];
        }""",
        pictures[0].stem,
    )
    assert mine == pytest.approx(stored, abs=0.01)  # the same picture lies in the same place
    press(map_page, "v")
    assert selected(map_page) == f"{GALAXIES + 3} galaxies selected"
    map_page.get_by_role("group", name="Label all selected").get_by_role("button", name="Sb", exact=True)
    map_page.reload()
    map_page.get_by_text("Yours: 3").wait_for()


def test_a_selection_labelled_twice_keeps_the_labels_of_images_of_the_visit(map_page: Any, mapped: Any) -> None:
    map_page.get_by_role("link", name="Classify").click()
    choose(map_page, *sorted(mapped.pictures.glob("*.jpg"))[:3])
    map_page.get_by_role("link", name="Map").click()
    map_page.get_by_text("Yours: 3").wait_for()
    press(map_page, "v")
    map_page.evaluate(
        "() => void import('./js/token.js').then(({ askForToken, timesAsked }) => askForToken('x', timesAsked()))"
    )
    map_page.locator("dialog input[type=password]").fill(mapped.token)
    map_page.get_by_role("button", name="Use token").click()
    for _ in range(2):
        map_page.get_by_role("button", name="Sb", exact=True).click()
        map_page.get_by_text("3 images of this visit labelled Sb in this browser").wait_for()
        map_page.get_by_role("button", name="Take back").click()
        map_page.get_by_text(f"{GALAXIES} labels taken back.").wait_for()
    labels = map_page.evaluate(
        "async () => (await import('./js/visit.js')).store.items.map(({ labels }) => labels.you?.label)"
    )
    assert labels == ["Sb"] * 3


def test_the_map_follows_back_and_a_window_that_grows(map_page: Any) -> None:
    for width in (500, 1500, 900):
        map_page.set_viewport_size({"width": width, "height": 800})
        map_page.wait_for_function(
            """() => {
                const one = document.querySelector(".map-canvas");
                return one.width === Math.round(one.clientWidth * Math.min(2, devicePixelRatio));
            }"""
        )
    map_page.get_by_role("link", name="Models").click()
    map_page.get_by_role("heading", name="Models", exact=True).wait_for()
    map_page.go_back()
    map_page.locator(".map-canvas[width]").wait_for()
    press(map_page, "0", "v")
    assert selected(map_page) == f"{GALAXIES} galaxies selected"


def test_a_cell_of_the_matrix_shows_its_galaxies_and_selects_them(map_page: Any, mapped: Any) -> None:
    map_page.goto(f"{mapped.url}#/models/galaxy/1")
    cell = map_page.locator(".cell button")
    cell.first.wait_for()
    found = None
    for n in range(cell.count()):
        cell.nth(n).click()
        map_page.locator(".cell-galaxies:not([aria-busy]) h4").wait_for()
        found = map_page.locator(".cell-galaxies .neighbour")
        if found.count():
            break
        assert map_page.get_by_text("stored with a prediction of this model").count()
    assert found is not None
    count = found.count()
    assert count
    map_page.get_by_role("link", name="Show them on the map").click()
    map_page.locator(".selection .selected", has_text=f"{count} galax").wait_for()


def test_a_new_stored_image_comes_to_the_map(map_page: Any, mapped: Any) -> None:
    database = mapped.database()
    Images(database).add([NewImage("new one", next(iter(mapped.pictures.glob("*.jpg"))).read_bytes())])
    database.close()
    map_page.reload()
    map_page.get_by_text("1 of 61 stored galaxies are not on this map yet").wait_for()
    map_page.get_by_role("button", name="Compute them").click()
    map_page.locator("dialog input[type=password]").fill(mapped.token)
    map_page.get_by_role("button", name="Use token").click()
    map_page.locator(".desk-filling").wait_for(state="hidden")
    press(map_page, "0", "v")
    assert selected(map_page) == f"{GALAXIES + 1} galaxies selected"
    database = mapped.database()
    with database.write() as connection:
        connection.execute(images.delete().where(images.c.object_id == "new one"))
    database.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_the_map(map_page: Any, scheme: str) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe-core is not installed (make test-deps)")
    map_page.emulate_media(color_scheme=scheme)
    assert axe_faults(map_page) == []
    press(map_page, "v")
    map_page.locator(".selected-pictures li").nth(10).wait_for()
    assert axe_faults(map_page) == []

"""The map while responses are late or out of order, images come and go, and labels are given twice."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from web.steps import Held, after_response, choose
from web.test_map import map_page, mapped, press, selected

from galclass.database.desk_labels import GALAXY_ZOO, take_back
from galclass.database.labels import human_labels

__all__ = ["map_page", "mapped"]  # the fixtures of the map's tests

MAP = re.compile(r"/v1/map\?")
LABELS = re.compile(r"/v1/desks/[^/]+/labels$")
EMBEDDING = re.compile(r"/predict\?.*embedding=true")
SPOT = """async (name) => {
    const { placeOf } = await import("./js/map-points.js");
    const { store } = await import("./js/visit.js");
    const map = await (await fetch("v1/map?model=galaxy@1")).json();
    const [x, y] = placeOf(map.axes, store.items.find((item) => item.name === name).embedding);
    const { clientWidth, clientHeight } = document.querySelector(".map-canvas");
    const scale = Math.min(clientWidth / 1.4, clientHeight) * 0.9;
    return { x: (x - 0.7) * scale + clientWidth / 2, y: (0.5 - y) * scale + clientHeight / 2 };
}"""
"""Where an image of the visit lies on the canvas that shows the whole map."""


@pytest.fixture
def labeller(map_page: Any, mapped: Any) -> Any:
    """A map whose tab knows a publisher's token."""
    map_page.evaluate("(token) => sessionStorage.setItem('galclass-token', token)", mapped.token)
    map_page.reload()
    map_page.locator(".map-canvas[width]").wait_for()
    return map_page


def labels_of(mapped: Any) -> dict[str, str]:
    with mapped.database() as database:
        return {one.object_id: one.label for one in human_labels(database)[0] if one.labelled_by == "admin-of-test"}


def test_a_map_that_comes_late_does_not_replace_the_one_chosen_since(map_page: Any) -> None:
    body = map_page.request.get(map_page.url.split("#")[0] + "v1/map?model=galaxy@1").json()
    body |= {"object_id": body["object_id"][::-1]}
    late = Held(map_page, re.compile(r"/v1/map\?model=galaxy(%40|@)2"))
    map_page.get_by_label("Model").select_option("galaxy@2")
    with map_page.expect_response(MAP):
        map_page.get_by_label("Model").select_option("galaxy@1")
    map_page.locator(".map-place:not([aria-busy]) .map-canvas").wait_for()
    after_response(map_page, MAP, lambda: late.wait()[0].fulfill(json=body))
    press(map_page, "ArrowRight")
    told = str(map_page.locator(".map-current").text_content())
    assert told
    press(map_page, "Enter")
    map_page.get_by_role("tab", name="Facts").click()
    object_id = map_page.locator(".facts dd .copied").first.text_content()
    assert f", {object_id} " in told


def test_a_selected_image_stays_selected_when_others_join_the_map(labeller: Any, mapped: Any) -> None:
    page = labeller
    first, second, third = sorted(mapped.pictures.glob("*.jpg"))[3:6]
    page.get_by_role("link", name="Classify").click()
    page.get_by_text("Files are cut from larger frames").click()
    frame = page.get_by_label("Side of the full frame")
    frame.fill("848")
    choose(page, first)
    frame.fill("")
    choose(page, second)
    refusals = [{"status": 422, "json": {"error": {"code": "busy", "message": "not now"}}}]
    page.route(EMBEDDING, lambda route: route.fulfill(**refusals.pop()) if refusals else route.continue_())
    page.get_by_role("link", name="Map").click()
    page.get_by_text("Yours: 1").wait_for()
    press(page, "0")
    page.locator(".map-canvas").click(position=page.evaluate(SPOT, second.name), modifiers=["Shift"])
    page.locator(".map-current", has_text=f"{second.name}, selected").wait_for()
    page.evaluate(
        """async ([name, bytes]) => {
            const { takeImages } = await import("./js/visit.js");
            takeImages([{ file: new File([new Uint8Array(bytes)], name, { type: "image/jpeg" }), name }]);
        }""",
        [third.name, list(third.read_bytes())],
    )
    page.get_by_text("Yours: 3").wait_for()
    assert selected(page) == "1 galaxy selected"
    page.get_by_role("button", name="Sb", exact=True).click()
    page.get_by_text("1 image of this visit labelled Sb in this browser").wait_for()
    labels = page.evaluate(
        """async () => {
            const { store } = await import('./js/visit.js');
            return store.items.flatMap(({ name, labels }) => (labels.you ? [name] : []));
        }"""
    )
    assert labels == [second.name]


def test_a_file_that_vanishes_keeps_no_other_image_off_the_map(map_page: Any, mapped: Any, tmp_path: Path) -> None:
    copies = [Path(shutil.copy(path, tmp_path)) for path in sorted(mapped.pictures.glob("*.jpg"))[:3]]
    map_page.get_by_role("link", name="Classify").click()
    choose(map_page, *copies)
    copies[0].unlink()
    map_page.get_by_role("link", name="Map").click()
    map_page.get_by_text("Yours: 2").wait_for()
    assert map_page.locator("#banner").is_hidden()


def test_a_selection_ends_with_the_images_that_are_cleared(map_page: Any, mapped: Any) -> None:
    map_page.get_by_role("link", name="Classify").click()
    choose(map_page, *sorted(mapped.pictures.glob("*.jpg"))[:2])
    map_page.get_by_role("link", name="Map").click()
    map_page.get_by_text("Yours: 2").wait_for()
    press(map_page, "v")
    assert selected(map_page) == "62 galaxies selected"
    map_page.evaluate("async () => (await import('./js/visit.js')).store.clear()")
    map_page.locator(".selection .selected", has_text="60 galaxies selected").wait_for()


def test_a_double_click_on_a_class_can_be_taken_back(labeller: Any, mapped: Any) -> None:
    press(labeller, "ArrowRight", " ")
    held = Held(labeller, LABELS)
    button = labeller.get_by_role("button", name="Sb", exact=True)
    button.click()
    held.wait()
    button.click()
    held.release()
    labeller.get_by_text("1 labelled Sb.").wait_for()
    assert list(labels_of(mapped).values()) == ["Sb"]
    labeller.get_by_role("button", name="Take back").click()
    labeller.get_by_text("1 label taken back.").wait_for()
    assert labels_of(mapped) == {}


def test_leaving_the_map_while_it_labels_says_how_many_have_labels(labeller: Any, mapped: Any) -> None:
    press(labeller, "v")
    held = Held(labeller, LABELS)
    labeller.get_by_role("button", name="Sb", exact=True).click()
    held.wait()
    labeller.get_by_role("link", name="Models").click()
    held.release()
    told = "Labelling ended when you left the map: 1 of 60 were labelled Sb."
    labeller.locator(".notice", has_text=told).wait_for()
    ((object_id, label),) = labels_of(mapped).items()
    assert label == "Sb"
    with mapped.database() as database:
        take_back(database, GALAXY_ZOO, object_id, "admin-of-test")


def test_a_galaxy_that_comes_late_does_not_open_over_the_one_opened_since(map_page: Any) -> None:
    rows = re.compile(r"/v1/predictions\?.*object_id=")
    press(map_page, "ArrowRight")
    held = Held(map_page, rows, most=1)
    press(map_page, "Enter")
    held.wait()
    press(map_page, "ArrowLeft")
    told = str(map_page.locator(".map-current").text_content())
    press(map_page, "Enter")
    map_page.get_by_role("tab", name="Facts").click()
    object_id = str(map_page.locator(".facts dd .copied").first.text_content())
    assert f", {object_id} " in told
    after_response(map_page, rows, held.release)
    assert map_page.locator(".facts dd .copied").first.text_content() == object_id


def test_a_class_shown_alone_stays_alone_on_the_next_map(map_page: Any) -> None:
    name, count = map_page.locator(".map-class").first.text_content().split()
    map_page.locator(".map-class").first.click()
    for model in ("galaxy@2", "galaxy@1"):
        with map_page.expect_response(MAP):
            map_page.get_by_label("Model").select_option(model)
    map_page.locator(".map-place:not([aria-busy]) .map-canvas[width]").wait_for()
    assert map_page.locator(".map-class[aria-pressed=true] b").all_text_contents() == [name]
    press(map_page, "0", "v")
    assert map_page.locator(".selection-tools .note").first.text_content() == f"{count} {name}"


def test_a_class_that_the_next_map_lacks_hides_nothing_there(map_page: Any) -> None:
    name = str(map_page.locator(".map-class b").first.text_content())
    body = map_page.request.get(map_page.url.split("#")[0] + "v1/map?model=galaxy@1").json()
    body["classes"] = ["other" if one == name else one for one in body["classes"]]
    map_page.locator(".map-class").first.click()
    map_page.route(re.compile(r"/v1/map\?model=galaxy(%40|@)2"), lambda route: route.fulfill(json=body))
    map_page.get_by_label("Model").select_option("galaxy@2")
    map_page.locator(".map-class", has_text="other").wait_for()
    press(map_page, "0", "v")
    assert selected(map_page) == "60 galaxies selected"

"""What the server refuses after the reader closed a dialog or left a view is told; files that vanish meanwhile, too."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from web.site_of_test import Site
from web.steps import Held, after_response, choose, tally
from web.test_desk import desk, labelled, open_desk, shown
from web.test_labels import drop, labels_file
from web.test_map import map_page, mapped, press

__all__ = ["desk", "map_page", "mapped"]  # fixtures of other tests

LABELS = re.compile("/v1/labels$")
REFUSAL = {"error": {"code": "internal", "message": "the disk is full"}}
AT = {"label": "Sb", "labelled_at": "2026-11-01T10:00:00Z"}


@pytest.fixture
def publisher(page: Any, site: Site) -> Any:
    """A page whose tab knows an admin's token."""
    page.evaluate("(token) => sessionStorage.setItem('galclass-token', token)", site.token)
    page.reload()
    return page


def label_in_catalog(page: Any, site: Site) -> Held:
    """Click a class in the details of the first unlabelled galaxy; the request is held."""
    page.goto(f"{site.url}#/catalog?unlabelled=true")
    held = Held(page, LABELS, method="POST")
    page.locator(".listing .as-link").first.click()
    page.locator(".label-choice[data-label=Sb]").click()
    held.wait()
    return held


def test_a_label_refused_after_the_details_were_closed_is_told(publisher: Any, site: Site) -> None:
    held = label_in_catalog(publisher, site)
    publisher.keyboard.press("Escape")
    held.routes[0].fulfill(status=500, json=REFUSAL)
    publisher.locator(".notice", has_text="is not labelled: The disk is full.").wait_for()


@pytest.mark.parametrize("leaves", [False, True], ids=["closed", "left"])
def test_a_label_stored_after_the_details_were_closed_opens_nothing(publisher: Any, site: Site, leaves: bool) -> None:
    held = label_in_catalog(publisher, site)
    body = {**held.routes[0].request.post_data_json, "labelled_by": "x", "labelled_at": AT["labelled_at"]}
    publisher.keyboard.press("Escape")
    if leaves:
        publisher.get_by_role("link", name="Models").click()
        publisher.get_by_role("heading", name="Models", exact=True).wait_for()
    after_response(publisher, LABELS, lambda: held.routes[0].fulfill(status=201, json=body))
    publisher.wait_for_function("() => document.querySelector('#announcer').textContent.startsWith('Stored')")
    assert publisher.locator("dialog[open]").count() == 0


@pytest.mark.parametrize("refused", [False, True], ids=["stored", "refused"])
def test_a_report_closed_while_it_is_stored_says_how_that_ended(
    publisher: Any, site: Site, tmp_path: Path, refused: bool
) -> None:
    drop(publisher, labels_file(tmp_path, "Eve", {"object_id": "not here", **AT}))
    held = Held(publisher, "**/v1/labels/report")
    publisher.get_by_role("button", name="Store in the catalog").click()
    held.wait()
    publisher.get_by_role("button", name="Close").click()
    if refused:
        held.routes[0].fulfill(status=500, json=REFUSAL)
    else:
        held.release()
    told = "The disk is full. Before that: Nothing stored." if refused else "1 of objects not in the catalog"
    publisher.locator(".notice", has_text=f"labels.json: {'' if refused else '0 stored'}").filter(
        has_text=told
    ).wait_for()


@pytest.mark.parametrize("refused", [False, True], ids=["saved", "refused"])
def test_a_model_whose_dialog_was_closed_is_told(desk: Any, desk_site: Site, refused: bool) -> None:
    name = f"closed-save-{refused}".lower()
    open_desk(desk, desk_site, name)
    for key in "12121212":
        desk.keyboard.press(key)
    labelled(desk, 8)
    desk.keyboard.press("l")
    desk.get_by_role("button", name="Save as a model").click()
    held = Held(desk, re.compile("/model$"), method="POST")
    desk.get_by_role("button", name="Save", exact=True).click()
    held.wait()
    desk.get_by_role("button", name="Close").click()
    if refused:
        held.routes[0].fulfill(status=500, json=REFUSAL)
    else:
        held.release()
    desk.locator(".notice", has_text="The disk is full." if refused else f"Registered as {name} 1").wait_for()


def test_a_file_that_vanishes_while_it_is_classified_keeps_its_class(page: Any, site: Site, tmp_path: Path) -> None:
    first, second = sorted(site.pictures.glob("*.jpg"))[:2]
    choose(page, first)
    record = page.evaluate("async () => (await import('./js/visit.js')).store.items[0].record")
    copy = Path(shutil.copy(second, tmp_path))
    held = Held(page, re.compile(r"/predict\?"))
    page.locator("input[type=file]").first.set_input_files(copy)
    held.wait()
    copy.unlink()
    held.routes[0].fulfill(json={**record, "object_id": copy.stem})
    page.locator('progress.idle[max="2"][value="2"]').wait_for(state="attached")
    assert tally(page) == "2 classified"


def test_a_report_that_vanished_holds_up_no_other(page: Any, site: Site, tmp_path: Path) -> None:
    gone = labels_file(tmp_path, "Eve", {"object_id": "x", **AT}, name="gone.json")
    there = labels_file(tmp_path, "Eve", {"object_id": "x", **AT}, name="there.json")
    held = Held(page, "**/js/report-labels.js")
    page.reload()
    drop(page, gone, there)
    held.wait()
    gone.unlink()
    held.release()
    page.get_by_role("dialog", name="1 label by Eve").wait_for()
    page.locator(".notice", has_text="gone.json is left out: it has changed or vanished").wait_for()


def lose_first_delete(page: Any) -> list[str]:
    """The server deletes the label, but its first response is lost."""
    lost: list[str] = []

    def answer(route: Any) -> None:
        if route.request.method != "DELETE" or lost:
            route.fallback()
            return
        lost.append(route.request.url)
        assert route.fetch().ok
        route.abort()

    page.route(re.compile(r"/v1/desks/[^/]+/labels/"), answer)
    return lost


def test_undo_whose_response_was_lost_is_done(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "lost-undo")
    galaxy = shown(desk)
    for key in "12":
        desk.keyboard.press(key)
    labelled(desk, 2)
    lost = lose_first_delete(desk)
    desk.keyboard.press("Backspace")
    labelled(desk, 1)
    desk.keyboard.press("Backspace")
    desk.locator(".desk-progress", has_text="0 labelled").wait_for()
    assert shown(desk) == galaxy
    assert len(lost) == 1
    assert desk.locator(".notice").count() == 0


def test_take_back_goes_on_after_a_lost_response(map_page: Any, mapped: Any) -> None:
    map_page.evaluate("(token) => sessionStorage.setItem('galclass-token', token)", mapped.token)
    map_page.reload()
    press(map_page, "ArrowRight", " ", "ArrowLeft", " ")
    map_page.get_by_role("button", name="Sb", exact=True).click()
    map_page.get_by_text("2 labelled Sb.").wait_for()
    lose_first_delete(map_page)
    map_page.get_by_role("button", name="Take back").click()
    map_page.get_by_text("2 labels taken back.").wait_for()

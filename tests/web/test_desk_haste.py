"""The label desk in haste: undo while labels are on their way, labels changed and undone, notes, broken responses."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tiny_model import tiny_model
from web.site_of_test import Site
from web.steps import TIMEOUT_MS, Held, after_response
from web.test_desk import desk, labelled, open_desk, shown

from galclass.database import Registry, Services, Tokens
from galclass.database.desk_labels import desk_labels, give_label

__all__ = ["desk"]  # the fixture of the desk's tests

LABELS = re.compile(r"/v1/desks/[^/]+/labels$")


def stored(site: Site, name: str) -> dict[str, tuple[str | None, str]]:
    """The labels of a desk by object: the class and the note."""
    with site.database() as database:
        return {one.object_id: (one.label, one.note) for one in desk_labels(database, name)}


def test_undo_means_the_label_that_was_newest_when_it_was_pressed(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "haste")
    held = Held(desk, LABELS)
    seen = []
    for key in ("1", "1", "Backspace", "2", "1"):
        seen.append(shown(desk))
        desk.keyboard.press(key)
    first, second, _, again, third = seen
    assert again == second
    held.wait()
    held.release()
    labelled(desk, 3)
    assert {name: label for name, (label, _) in stored(desk_site, "haste").items()} == {
        first: "ring", second: "no ring", third: "ring",
    }  # fmt: skip


def test_a_galaxy_labelled_and_undone_again_and_again_has_no_label(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "back-and-forth")
    galaxy = shown(desk)
    for key in "1212":
        assert shown(desk) == galaxy
        desk.keyboard.press(key)
        desk.keyboard.press("Backspace")
    desk.keyboard.press("x")
    desk.locator(".desk-progress", has_text="1 undecided").wait_for()
    assert stored(desk_site, "back-and-forth") == {galaxy: (None, "")}


def test_undo_brings_back_the_label_and_the_note_that_were_replaced(desk: Any, desk_site: Site) -> None:
    names = sorted(path.stem for path in desk_site.pictures.glob("*.jpg"))[:6]
    given = {name: "ring" if n % 2 else "no ring" for n, name in enumerate(names)}
    with desk_site.database() as database:
        for name, label in given.items():
            give_label(database, "old", name, label, "admin-of-test", "faint")
    open_desk(desk, desk_site, "old")
    labelled(desk, 6)
    for name in names[:3]:
        desk.keyboard.press("l")
        desk.locator(f'.ranked-cell[title="{name}"]').click()
        assert shown(desk) == name
        for key in ("1", "Backspace", "2", "Backspace"):
            desk.keyboard.press(key)
    desk.keyboard.press("x")
    desk.locator(".desk-progress", has_text="1 undecided").wait_for()
    found = stored(desk_site, "old")
    assert found.pop(names[2]) == (None, "faint")
    assert found == {name: (given[name], "faint") for name in names if name != names[2]}


def test_a_note_stays_with_its_galaxy(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "note")
    for key in (" ", "x"):
        desk.keyboard.press("n")
        desk.keyboard.type("a tail")
        desk.keyboard.press("Escape")
        desk.keyboard.press(key)
        assert desk.get_by_label("Note for this galaxy").input_value() == ""
    refusal = {"error": {"code": "invalid", "message": "it is not a note"}}
    desk.route(LABELS, lambda route: route.fulfill(status=422, json=refusal))
    before = shown(desk)
    desk.keyboard.press("n")
    desk.keyboard.type("a long tail")
    desk.keyboard.press("Escape")
    desk.keyboard.press("1")
    desk.locator(".notice", has_text="It is not a note").wait_for()
    desk.keyboard.press(" ")
    assert shown(desk) == before
    assert desk.get_by_label("Note for this galaxy").input_value() == "a long tail"


@pytest.mark.parametrize("broken", ["<html>", ""], ids=["another server's", "empty"])
def test_a_broken_response_loses_no_later_label(desk: Any, desk_site: Site, broken: str) -> None:
    name = f"broken-{len(broken)}"
    open_desk(desk, desk_site, name)
    bodies = [broken]
    desk.route(LABELS, lambda route: route.fulfill(status=201, body=bodies.pop()) if bodies else route.continue_())
    for key in "12121212":
        desk.keyboard.press(key)
    labelled(desk, 8)
    assert len(stored(desk_site, name)) == 8


def test_keys_faster_than_the_server_are_not_told_that_all_is_labelled(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "fast")
    held = Held(desk, re.compile(r"/v1/desks/fast\?"))
    while (name := shown(desk)) and "galaxies" not in name:
        desk.keyboard.press("1")
    assert name == "The next galaxies are on their way."
    held.release()
    desk.locator(".desk:not(.empty)").wait_for()
    while shown(desk) != "Every galaxy is labelled.":
        desk.keyboard.press("2")
    assert len(stored(desk_site, "fast")) == 60


def test_labels_of_two_people_survive_a_lost_network_and_a_server_with_a_newer_model(
    browser: Any, desk: Any, desk_site: Site
) -> None:
    with desk_site.database() as database:
        token = Tokens(database).create("publisher", "second-of-test")
    context = browser.new_context()
    context.add_init_script(f"sessionStorage.setItem('galclass-token', {token!r})")
    second = context.new_page()
    given: list[dict[str, str]] = [{}, {}]
    for page in (desk, second):
        open_desk(page, desk_site, "lost")

    def press(keys: str) -> None:
        for key in keys:
            for page, labels in zip((desk, second), given, strict=True):
                labels[shown(page)] = {"1": "ring", "2": "no ring"}[key]
                page.keyboard.press(key)

    press("12")
    desk.context.set_offline(True)
    press("211")
    desk_site.kill()
    press("12")
    with desk_site.database() as database:
        newer = Registry(database).register(tiny_model(7), aliases=())
        Services(database).publish("galaxy-class", "7.0", "galaxy", newer.version, "A newer model")
    desk_site.start()
    desk.context.set_offline(False)
    people = ("admin-of-test", "second-of-test")
    found: list[Any] = []
    while sum(map(len, given)) > len(found):  # the test's time limit ends it
        second.wait_for_timeout(50)
        with desk_site.database() as database:
            found = desk_labels(database, "lost")
    stored_by = [{one.object_id: one.label for one in found if one.labelled_by == name} for name in people]
    assert stored_by == given
    for page in (desk, second):
        page.locator("#banner").wait_for(state="hidden", timeout=TIMEOUT_MS)
    context.close()


def test_undo_of_an_earlier_visit_shows_its_galaxy_at_once(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "earlier")
    seen = []
    for key in "12":
        seen.append(shown(desk))
        desk.keyboard.press(key)
    labelled(desk, 2)
    desk.reload()
    labelled(desk, 2)
    held = Held(desk, re.compile(r"/v1/desks/earlier/labels/"))
    for galaxy in reversed(seen):
        desk.keyboard.press("Backspace")
        assert shown(desk) == galaxy
    desk.keyboard.press("2")
    held.wait()
    held.release()
    labelled(desk, 1)
    desk.locator(".desk-key", has_text="no ring").locator(".count", has_text="1").wait_for()
    assert stored(desk_site, "earlier") == {seen[0]: ("no ring", "")}


def test_a_desk_that_is_entered_again_waits_for_the_labels_on_their_way(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "again")
    held = Held(desk, LABELS)
    first = shown(desk)
    desk.keyboard.press("1")
    held.wait()
    desk.get_by_role("link", name="All desks").click()
    desk.locator(".desk-form").wait_for()
    desk.go_back()
    desk.locator(".desk h1").wait_for()
    held.release()
    labelled(desk, 1)
    assert shown(desk) != first


def with_embeddings_to_come(desk: Any, name: str) -> None:
    """The desk's first state says that ten images have been read."""
    states: list[Any] = []

    def answer(route: Any) -> None:
        if states:
            return route.fallback()
        states.append(route)
        response = route.fetch()
        body = response.json()
        return route.fulfill(response=response, json={**body, "embeddings": {**body["embeddings"], "done": 10}})

    desk.route(re.compile(rf"/v1/desks/{name}\?"), answer)


def progress(done: int, *, running: bool) -> dict[str, Any]:
    return {"total": 60, "done": done, "failed": 0, "running": running}


def test_a_state_that_comes_late_does_not_replace_a_newer_one(desk: Any, desk_site: Site) -> None:
    old = desk.request.get(
        f"{desk_site.url}v1/desks/late?target=ring&model=galaxy@1&count=30",
        headers={"Authorization": f"Bearer {desk_site.token}"},
    ).json()
    state = re.compile(r"/v1/desks/late\?")
    held = Held(desk, state, most=1)
    with_embeddings_to_come(desk, "late")
    desk.route("**/v1/embeddings?*", lambda route: route.fulfill(status=202, json=progress(60, running=False)))
    desk.goto(f"{desk_site.url}#/label/late?target=ring&class=no+ring&model=galaxy@1")
    held.wait()
    desk.keyboard.press("1")
    labelled(desk, 1)
    after_response(desk, state, lambda: held.routes[0].fulfill(json=old))
    assert "1 labelled" in desk.locator(".desk-progress").text_content()


def test_a_server_started_again_is_asked_to_go_on_with_the_embeddings(desk: Any, desk_site: Site) -> None:
    with_embeddings_to_come(desk, "restarted")
    answers = [progress(60, running=False), progress(20, running=False), progress(15, running=True)]
    asked: list[str] = []

    def answer(route: Any) -> None:
        asked.append(route.request.method)
        route.fulfill(status=202, json=answers.pop())

    desk.route("**/v1/embeddings?*", answer)
    desk.goto(f"{desk_site.url}#/label/restarted?target=ring&model=galaxy@1")
    desk.locator(".desk-filling", has_text="Reading images: 20 of 60").wait_for()
    desk.locator(".desk-filling").wait_for(state="hidden")
    assert asked == ["POST", "GET", "POST"]


def test_the_keys_that_go_to_another_view_are_no_classes(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "many", ("ring", *(f"class {n}" for n in range(20))))
    desk.locator(".desk-key kbd", has_text="P").wait_for()
    sent: list[str] = []
    desk.on("request", lambda request: sent.append(request.url) if LABELS.search(request.url) else None)
    desk.keyboard.press("g")
    desk.keyboard.press("p")
    desk.get_by_role("heading", name="Map", exact=True).wait_for()
    assert sent == []


def test_all_galaxies_whose_labels_are_refused_come_back(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "refused")
    held = Held(desk, LABELS, most=3)
    seen = []
    for key in "121":
        seen.append(shown(desk))
        desk.keyboard.press(key)
    fault = {"error": {"code": "internal", "message": "the disk is full"}}
    for number, galaxy in enumerate(seen):
        held.wait(number + 1)[number].fulfill(status=500, json=fault)
        desk.locator(".desk-before", has_text=f"{galaxy} is not labelled; it comes next.").wait_for()
    desk.keyboard.press(" ")
    for key, galaxy in zip("121", seen, strict=True):
        assert shown(desk) == galaxy
        desk.keyboard.press(key)
    labelled(desk, 3)
    assert set(stored(desk_site, "refused")) == set(seen)

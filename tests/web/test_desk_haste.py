"""The label desk in haste: undo while labels are on their way, labels changed and undone, notes, broken responses."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tiny_model import tiny_model
from web.site_of_test import Site
from web.steps import TIMEOUT_MS
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
    held: list[Any] = []
    is_slow = [True]
    desk.route(LABELS, lambda route: held.append(route) if is_slow[0] else route.continue_())
    seen = []
    for key in ("1", "1", "Backspace", "2", "1"):
        seen.append(shown(desk))
        desk.keyboard.press(key)
    first, second, _, again, third = seen
    assert again == second
    is_slow[0] = False
    held.pop().continue_()
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
    held: list[Any] = []
    is_slow = [True]
    state = re.compile(r"/v1/desks/fast\?")
    desk.route(state, lambda route: held.append(route) if is_slow[0] else route.continue_())
    while (name := shown(desk)) and "galaxies" not in name:
        desk.keyboard.press("1")
    assert name == "The next galaxies are on their way."
    is_slow[0] = False
    for route in held:
        route.continue_()
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

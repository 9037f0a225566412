"""The label desk when the server refuses labels or stops reading images: what the reader is doing goes on."""

from __future__ import annotations

import re
from typing import Any

from web.site_of_test import Site
from web.steps import Held
from web.test_desk import desk, labelled, open_desk, shown
from web.test_desk_haste import LABELS, progress, stored, with_embeddings_to_come

__all__ = ["desk"]  # the fixture of the desk's tests

REFUSAL = {"error": {"code": "internal", "message": "the disk is full"}}


def test_a_refused_galaxy_comes_next_and_not_under_the_readers_key(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "refused-next")
    held = Held(desk, LABELS, most=1)
    first = shown(desk)
    desk.keyboard.press("1")
    held.wait()
    second = shown(desk)
    desk.keyboard.press("n")
    desk.keyboard.type("a tail")
    held.routes[0].fulfill(status=500, json=REFUSAL)
    desk.locator(".notice", has_text="The disk is full.").wait_for()
    assert shown(desk) == second
    assert desk.get_by_label("Note for this galaxy").input_value() == "a tail"
    desk.locator(".desk-before", has_text=f"{first} is not labelled; it comes next.").wait_for()
    desk.keyboard.press("Escape")
    desk.keyboard.press("2")
    assert shown(desk) == first
    desk.keyboard.press("1")
    labelled(desk, 2)
    assert stored(desk_site, "refused-next") == {first: ("ring", ""), second: ("no ring", "a tail")}


def test_a_refused_galaxy_that_was_undone_is_shown_once(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "refused-undone")
    held = Held(desk, LABELS, most=1)
    first = shown(desk)
    desk.keyboard.press("1")
    held.wait()
    desk.keyboard.press("Backspace")
    assert shown(desk) == first
    held.routes[0].fulfill(status=500, json=REFUSAL)
    desk.locator(".notice", has_text="The disk is full.").wait_for()
    desk.keyboard.press("2")
    seen = []
    for _ in range(5):
        seen.append(shown(desk))
        desk.keyboard.press("1")
    assert first not in seen
    labelled(desk, 6)


def test_a_refused_galaxy_labelled_meanwhile_does_not_come_again(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "refused-again")
    for key in "12121212":
        desk.keyboard.press(key)
    labelled(desk, 8)
    held = Held(desk, LABELS, most=1)
    first = shown(desk)
    desk.keyboard.press("1")
    held.wait()
    held.routes[0].fulfill(status=500, json=REFUSAL)
    desk.locator(".notice", has_text="The disk is full.").wait_for()
    desk.keyboard.press("l")
    desk.locator(f'.ranked-cell[title="{first}"]').click()
    desk.keyboard.press("2")
    seen = []
    for _ in range(5):
        seen.append(shown(desk))
        desk.keyboard.press("1")
    assert first not in seen
    labelled(desk, 14)


def test_a_server_that_never_goes_on_with_the_embeddings_is_left_alone(desk: Any, desk_site: Site) -> None:
    with_embeddings_to_come(desk, "stuck")
    asked: list[str] = []

    def answer(route: Any) -> None:
        asked.append(route.request.method)
        route.fulfill(status=202, json=progress(10, running=False))

    desk.route(re.compile("/v1/embeddings"), answer)
    desk.goto(f"{desk_site.url}#/label/stuck?target=ring&model=galaxy@1")
    desk.locator(".notice", has_text="The server does not go on reading images").wait_for()
    assert desk.locator(".desk-filling").is_hidden()
    assert asked == ["POST"] * 4

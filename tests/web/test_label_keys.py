"""Labels by keys, pressed often and in haste: nothing is removed, doubled or given to another galaxy."""

from __future__ import annotations

import re
from typing import Any

import pytest
from web.steps import TIMEOUT_MS, Held, choose, until

from galclass.database.desk_labels import GALAXY_ZOO, take_back
from galclass.database.labels import human_labels

LABELS = "v1/labels"


@pytest.fixture
def labelling(page: Any, site: Any) -> Any:
    """The details of the first of five images, where keys label."""
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:5])
    page.locator(".card .open").first.click()
    page.keyboard.press("l")
    page.locator(".detail.labelling").wait_for()
    return page


def position(page: Any) -> str:
    return str(page.locator(".detail .position").text_content())


def test_the_same_key_again_keeps_the_label(labelling: Any) -> None:
    for _ in range(4):
        for _ in range(5):
            labelling.keyboard.press("3")
        for _ in range(4):
            labelling.keyboard.press("ArrowLeft")
    for number in range(1, 6):
        labelling.locator(".label .note", has_text="Labelled Ec by you.").wait_for()
        assert position(labelling) == f"{number} of 5"
        labelling.keyboard.press("ArrowRight")


def test_a_key_held_down_labels_one_image(labelling: Any) -> None:
    for _ in range(4):
        labelling.keyboard.down("3")  # the second and later ones are repeats
    labelling.keyboard.up("3")
    assert position(labelling) == "2 of 5"
    labelling.locator(".label .note", has_text="Not labelled yet").wait_for()


def test_a_late_response_does_not_turn_back_to_a_galaxy_that_was_left(page: Any, site: Any) -> None:
    held = Held(page, re.compile(LABELS))
    page.evaluate("(token) => sessionStorage.setItem('galclass-token', token)", site.token)
    page.goto(f"{site.url}#/catalog?unlabelled=true")
    page.reload()
    page.locator(".listing .as-link").first.click()
    page.keyboard.press("l")
    for key in ("1", "2"):
        page.keyboard.press(key)
    shown = position(page)
    sent = [route.request.post_data_json for route in held.wait(2)]
    with page.expect_response(re.compile(LABELS)):
        held.routes[0].fulfill(status=201, json={**sent[0], "labelled_by": "x", "labelled_at": "2026-01-01T00:00:00Z"})
    page.wait_for_function("() => document.querySelector('#announcer').textContent.startsWith('Stored')")
    held.routes[1].abort()
    assert len({one["object_id"] for one in sent}) == 2
    assert position(page) == shown


def test_labels_given_while_the_server_is_away_are_stored_when_it_is_back(page: Any, site: Any) -> None:
    page.evaluate("(token) => sessionStorage.setItem('galclass-token', token)", site.token)
    page.goto(f"{site.url}#/catalog?sort=object_id&page=2")
    page.reload()
    page.locator(".listing .as-link").first.click()
    page.keyboard.press("l")
    page.locator(".detail.labelling").wait_for()
    page.wait_for_load_state("networkidle")
    site.kill()
    try:
        for key in "12":
            page.keyboard.press(key)
        page.locator("#banner", has_text="is not responding").wait_for(timeout=TIMEOUT_MS)
    finally:
        site.start()
    page.locator("#banner").wait_for(state="hidden", timeout=TIMEOUT_MS)
    until(page, "async () => (await (await fetch('v1/labels')).json()).length > 1")
    with site.database() as database:
        given = {one.object_id: one.label for one in human_labels(database)[0] if one.labelled_by == "admin-of-test"}
        for object_id in given:
            take_back(database, GALAXY_ZOO, object_id, "admin-of-test")  # other tests begin without labels
    assert sorted(given.values()) == ["Ei", "Er"]

"""What ends on the map by itself: labelling stopped by another label, redraws that the reader did not ask for."""

from __future__ import annotations

import re
from typing import Any

import pytest
from web.steps import Held
from web.test_map import map_page, mapped, press, selected
from web.test_map_races import LABELS, MAP, labeller, labels_of

from galclass.database.desk_labels import GALAXY_ZOO, take_back

__all__ = ["labeller", "map_page", "mapped"]  # the fixtures of the map's tests

EMBEDDINGS = re.compile(r"/v1/embeddings\?")


def test_labelling_stopped_by_a_label_at_another_desk_can_be_taken_back(labeller: Any, mapped: Any) -> None:
    press(labeller, "v")
    held = Held(labeller, LABELS, most=1)
    labeller.get_by_role("button", name="Sb", exact=True).click()
    held.wait()
    labeller.get_by_role("button", name="Clear selection").click()
    press(labeller, "ArrowRight", " ")
    labeller.get_by_label("At the desk").select_option("a class of your own")
    labeller.get_by_label("Class", exact=True).fill("lens")
    labeller.get_by_role("button", name="Label", exact=True).click()
    held.release()
    labeller.get_by_text("1 labelled lens.").wait_for()
    assert list(labels_of(mapped).values()) == ["Sb"]
    notice = labeller.locator(".notice", has_text="Another label stopped this one: 1 of 60 were labelled Sb.")
    labeller.get_by_role("complementary", name="Selection").get_by_role("button", name="Take back").click()
    labeller.get_by_text("1 label taken back.").wait_for()
    with labeller.expect_response(re.compile("/v1/desks/galaxy-zoo/labels/")):
        notice.get_by_role("button", name="Take back").click()
    labeller.get_by_text("1 label taken back.").wait_for()
    assert labels_of(mapped) == {}


@pytest.mark.parametrize("busy", ["labelling", "details"])
def test_a_map_that_changes_by_itself_waits_for_the_reader(labeller: Any, mapped: Any, busy: str) -> None:
    labeller.clock.install()
    body = labeller.request.get(f"{mapped.url}v1/map?model=galaxy@1").json()
    lacking = [{**body, "embedded": body["embedded"] - 1}]
    labeller.route(MAP, lambda route: route.fulfill(json=lacking.pop()) if lacking else route.continue_())
    labeller.reload()
    computing = Held(labeller, EMBEDDINGS)
    labeller.get_by_role("button", name="Compute them").click()
    computing.wait()
    maps: list[str] = []
    labeller.on("request", lambda request: maps.append(request.url) if MAP.search(request.url) else None)
    press(labeller, "ArrowRight", " ")
    labels = Held(labeller, LABELS)
    if busy == "labelling":
        labeller.get_by_role("button", name="Sb", exact=True).click()
        labels.wait()
    else:
        press(labeller, "Enter")
        labeller.locator(".detail[open]").wait_for()
    with labeller.expect_response(EMBEDDINGS):
        computing.routes[0].fulfill(json={"total": 60, "done": 60, "failed": 0, "running": False})
    labeller.clock.run_for(3000)
    assert maps == []
    with labeller.expect_response(MAP):
        if busy == "labelling":
            labels.release()
            labeller.get_by_text("1 labelled Sb.").wait_for()
        else:
            labeller.keyboard.press("Escape")
        labeller.clock.run_for(2000)
    labeller.locator(".map-place:not([aria-busy]) .map-canvas[width]").wait_for()
    assert selected(labeller) == "1 galaxy selected"
    with mapped.database() as database:
        for object_id in labels_of(mapped):
            take_back(database, GALAXY_ZOO, object_id, "admin-of-test")

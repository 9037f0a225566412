"""Clicked twice, or again while the server is slow: done once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from web.site_of_test import Site
from web.steps import Held, choose
from web.test_desk import desk, labelled, open_desk, shown
from web.test_labels import labels_file

from galclass.database import Services
from galclass.database.desk_labels import GALAXY_ZOO, desk_labels, take_back

__all__ = ["desk"]  # the fixture of the desk's tests

TWICE = """(button) => {
    for (const detail of [1, 2]) button.dispatchEvent(new MouseEvent("click", { bubbles: true, detail }));
}"""
"""A double click that no busy machine draws out."""


def test_a_double_click_at_the_desk_labels_one_galaxy_and_undoes_one(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "double")
    first = shown(desk)
    desk.locator(".desk-key", has_text="no ring").evaluate(TWICE)
    labelled(desk, 1)
    desk.locator(".desk-key").first.evaluate(TWICE)
    labelled(desk, 2)
    desk.get_by_role("button", name="Undo").evaluate(TWICE)
    labelled(desk, 1)
    with desk_site.database() as database:
        assert [one.object_id for one in desk_labels(database, "double")] == [first]


def test_a_double_click_on_a_class_labels_the_image(page: Any, site: Any) -> None:
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:1])
    page.locator(".card .open").click()
    choice = page.locator(".label-choice[data-label=Sb]")
    choice.evaluate(TWICE)
    assert choice.get_attribute("aria-pressed") == "true"
    choice.evaluate("(button) => button.click()")
    assert choice.get_attribute("aria-pressed") == "false"


def test_the_last_of_two_labels_given_in_haste_is_the_one_that_is_stored(page: Any, site: Any) -> None:
    page.evaluate("(token) => sessionStorage.setItem('galclass-token', token)", site.token)
    page.goto(f"{site.url}#/catalog?sort=object_id")
    page.reload()
    name = page.locator(".listing .as-link").nth(7).text_content()
    page.locator(".listing .as-link").nth(7).click()
    labels = re.compile("/v1/labels$")
    held = Held(page, labels, most=1)
    page.locator(".label-choice[data-label=Sb]").click()
    held.wait()
    page.locator(".label-choice[data-label=Sa]").click()
    page.keyboard.press("ArrowRight")  # both are out of sight
    page.keyboard.press("ArrowLeft")
    with page.expect_response(lambda one: one.request.method == "POST" and "Sa" in str(one.request.post_data)):
        held.release()
    stored = page.request.get(f"{site.url}v1/labels?object_id={name}").json()
    assert [one["label"] for one in stored] == ["Sa"]
    with site.database() as database:
        take_back(database, GALAXY_ZOO, str(name), "admin-of-test")


def test_a_service_is_rolled_back_once_while_the_server_is_slow(desk: Any, desk_site: Site) -> None:
    with desk_site.database() as database:
        for version in ("1.0", "1.1", "1.2"):
            Services(database).publish("slow-service", version, "galaxy", 1, "")
    desk.goto(f"{desk_site.url}#/services")
    button = desk.locator(".sheet-block", has=desk.get_by_role("heading", name="slow-service"))
    held = Held(desk, re.compile("/rollback$"), method="POST")
    button.get_by_role("button", name="Roll back latest").click()
    held.wait()
    button.get_by_role("button", name="Roll back latest").click()
    held.release()
    desk.get_by_text("Rolled slow-service back.").first.wait_for()
    assert len(held.routes) == 1
    log = desk.request.get(f"{desk_site.url}v1/services/slow-service/log").json()["events"]
    assert [one["action"] for one in log].count("rollback") == 1


def test_a_desk_is_saved_once_while_the_server_is_slow_and_a_lost_response_is_told(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "slow-save")
    for key in "12121212":
        desk.keyboard.press(key)
    labelled(desk, 8)
    desk.keyboard.press("l")
    desk.get_by_role("button", name="Save as a model").click()
    save = desk.get_by_role("button", name="Save", exact=True)
    held = Held(desk, re.compile("/model$"), method="POST")
    save.click()
    held.wait()
    save.click()
    for route in held.routes:
        route.abort()
    desk.locator("dialog", has_text="The server did not respond: look under Models").wait_for()
    save.click()
    held.wait(2)[1].continue_()
    desk.locator("dialog", has_text="Registered as slow-save 1").wait_for()


def test_an_image_is_sent_again_once(page: Any, site: Any) -> None:
    predict = re.compile(r"/predict\?")
    page.route(predict, lambda route: route.fulfill(status=408, json={}))
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:1])
    retry = page.locator(".card").get_by_role("button", name="Retry")
    retry.wait_for()
    page.unroute(predict)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if predict.search(request.url) else None)
    retry.evaluate(TWICE)
    page.locator(".tally", has_text=re.compile("^1 classified$")).wait_for()
    assert len(sent) == 1


def test_labels_of_a_report_are_stored_once(page: Any, site: Any, tmp_path: Path) -> None:
    page.evaluate("(token) => sessionStorage.setItem('galclass-token', token)", site.token)
    page.reload()
    name = sorted(site.pictures.glob("*.jpg"))[0].stem
    path = labels_file(tmp_path, "Eve", {"object_id": name, "label": "Sb", "labelled_at": "2026-11-01T10:00:00Z"})
    page.locator("input[type=file]").first.set_input_files(path)
    held = Held(page, re.compile("/labels/report$"), method="POST")
    page.get_by_role("button", name="Store in the catalog").evaluate(TWICE)
    held.wait()
    held.release()
    page.get_by_text("1 stored, 0 stored before").wait_for()
    assert len(held.routes) == 1

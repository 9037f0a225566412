"""The label desk in the browser: keys again and again, undo, reload, two people, a token taken away, hostile names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from web.site_of_test import HOSTILE_ID, Site
from web.steps import axe_faults

from galclass.config import load_config
from galclass.database import Tokens, open_database

TIMES = 5

KEPT = """window.made = 0;
    const kept = new Set();
    const [create, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
    const tell = () => document.body?.classList.toggle("keeps", kept.size > 0);
    URL.createObjectURL = (blob) => {
        const url = create.call(URL, blob);
        window.made += 1;
        kept.add(url);
        tell();
        return url;
    };
    URL.revokeObjectURL = (url) => { kept.delete(url); tell(); revoke.call(URL, url); };"""
"""Counts the object URLs made, and marks the page while it keeps some."""


@pytest.fixture
def desk(browser: Any, desk_site: Site, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page whose tab knows a publisher's token, at a desk named after the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    context.add_init_script(f"sessionStorage.setItem('galclass-token', {desk_site.token!r})")
    page = context.new_page()
    page.set_default_timeout(15_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
    yield page
    context.close()
    assert not faults


def open_desk(page: Any, site: Site, name: str, classes: tuple[str, ...] = ("ring", "no ring")) -> None:
    target, *others = classes
    rest = "".join(f"&class={quote(one)}" for one in others)
    page.goto(f"{site.url}#/label/{name}?target={quote(target)}{rest}&model=galaxy@1")
    page.locator(".desk:not(.empty) .object-name", has_text="5").or_(page.locator(".desk:not(.empty)")).first.wait_for()
    page.locator(".desk-filling").wait_for(state="hidden")
    page.locator(".desk-progress", has_text="of 60").wait_for()


def shown(page: Any) -> str:
    return str(page.locator(".object-name").text_content())


def labelled(page: Any, count: int) -> None:
    page.locator(".desk-progress", has_text=f"{count} labelled of").wait_for()


def test_keys_label_as_often_as_they_are_pressed_and_undo_goes_all_the_way_back(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "keys")
    seen = []
    for _ in range(TIMES):
        for key in ("1", "2"):
            seen.append(shown(desk))
            desk.keyboard.press(key)
    assert len(set(seen)) == 2 * TIMES
    labelled(desk, 10)
    desk.reload()
    labelled(desk, 10)
    for count in range(9, 9 - TIMES, -1):
        desk.keyboard.press("Backspace")
        labelled(desk, count)
        assert shown(desk) == seen[count]
    for _ in range(12):
        desk.keyboard.press("Backspace")
    labelled(desk, 0)
    desk.locator(".desk-before", has_text="There is nothing to undo").wait_for()


def test_skipping_and_not_telling_go_on_and_leave_no_class(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "skips")
    seen = []
    for _ in range(TIMES):
        for key in (" ", "x"):
            seen.append(shown(desk))
            desk.keyboard.press(key)
    assert len(set(seen)) == 2 * TIMES
    desk.locator(".desk-progress", has_text=f"{TIMES} undecided").wait_for()
    labelled(desk, 0)


def test_space_skips_after_a_click_and_notes_are_typed_not_obeyed(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "notes")
    desk.locator(".desk-key", has_text="no ring").click()
    labelled(desk, 1)
    for _ in range(TIMES):
        before = shown(desk)
        desk.keyboard.press(" ")
        assert shown(desk) != before
    desk.keyboard.press("n")
    desk.keyboard.type("1 x 2 faint")
    before = shown(desk)
    desk.keyboard.press("Escape")
    desk.keyboard.press("1")
    labelled(desk, 2)
    state = desk.request.get(
        f"{desk_site.url}v1/desks/notes?target=ring&model=galaxy@1",
        headers={"Authorization": f"Bearer {desk_site.token}"},
    ).json()
    newest = state["mine"][0]
    assert (newest["object_id"], newest["label"], newest["note"]) == (before, "ring", "1 x 2 faint")


def test_twenty_keys_give_a_ranked_list_and_a_model(desk: Any, desk_site: Site) -> None:
    desk.goto(f"{desk_site.url}#/label")
    desk.get_by_label("What are you looking for?").fill("Ring!")
    desk.keyboard.press("Enter")
    desk.locator(".desk-progress", has_text="of 60").wait_for()
    assert "#/label/ring?" in desk.url
    for n in range(20):
        desk.keyboard.press("12"[n % 2])
    labelled(desk, 20)
    desk.locator(".desk-estimate", has_text="cross-validated on 20").wait_for()
    for part in (".desk-left", ".desk-keys", ".desk-estimate"):  # nothing is said of the galaxy shown
        assert "expected" not in desk.locator(part).inner_text()
    desk.keyboard.press("1")  # shown before there was a head
    labelled(desk, 21)
    desk.keyboard.press("2")
    desk.locator(".desk-before", has_text="the head expected").wait_for()
    labelled(desk, 22)
    for _ in range(TIMES):
        desk.keyboard.press("l")
        desk.locator(".ranked li").nth(59).wait_for()
        desk.keyboard.press("l")
        assert desk.locator(".desk-keys").is_visible()
    desk.keyboard.press("l")
    desk.locator(".ranked-cell").first.wait_for()
    shares = desk.locator(".ranked-cell .line span:first-child").all_text_contents()
    assert len(shares) == 60
    with desk.expect_download() as download:
        desk.get_by_role("button", name="CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == "object_id,probability,label"
    assert len(lines) == 61
    desk.get_by_role("button", name="Save as a model").click()
    desk.get_by_label("Publish as service").fill("ring-finder")
    desk.get_by_role("button", name="Save", exact=True).click()
    desk.locator("dialog", has_text="Registered as ring 1, published as ring-finder 1.0").wait_for()
    desk.get_by_role("link", name="ring 1").click()
    desk.locator(".sheet-block", has_text="A head of the label desk").wait_for()


def test_fewer_than_ten_of_a_class_are_too_few(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "few")
    desk.locator(".desk-estimate", has_text="Nothing is ranked yet: 3 labels of ring").wait_for()
    for key in "121212":
        desk.keyboard.press(key)
    desk.locator(".desk-estimate", has_text="Too few labels").wait_for()


def test_back_and_reload_keep_the_desk_and_what_was_labelled(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "back")
    desk.keyboard.press("1")
    labelled(desk, 1)
    desk.get_by_role("link", name="All desks").click()
    desk.locator(".listing", has_text="ring 1").wait_for()
    for _ in range(TIMES):
        desk.go_back()
        labelled(desk, 1)
        desk.go_forward()
        desk.locator(".desk-form").wait_for()
    desk.keyboard.press("1")  # the keys of a desk that was left do nothing
    desk.go_back()
    labelled(desk, 1)


def test_class_names_are_never_markup_and_get_a_key(desk: Any, desk_site: Site) -> None:
    hostile = '<img src=x onerror="alert(1)">'
    open_desk(desk, desk_site, "hostile", (hostile, "环", "constructor"))
    desk.get_by_placeholder("Another class").fill("=cmd()")
    desk.keyboard.press("Enter")
    desk.locator(".desk-key .what", has_text="=cmd()").wait_for()
    assert desk.locator(".desk-key .what").all_text_contents() == [hostile, "环", "constructor", "=cmd()"]
    for key in "1234":
        desk.keyboard.press(key)
    labelled(desk, 4)
    assert desk.locator(".desk-key .count").all_text_contents() == ["1"] * 4
    assert HOSTILE_ID not in desk.locator("body").evaluate(
        "body => [...body.querySelectorAll('img')].map((i) => i.src)"
    )


def test_a_name_that_is_none_is_said(desk: Any, desk_site: Site) -> None:
    desk.goto(f"{desk_site.url}#/label/bad?target={quote('a|b')}")
    desk.locator(".notice", has_text="A class cannot have this name").wait_for()


def test_the_galaxy_zoo_desk_gives_the_labels_of_the_catalog(desk: Any, desk_site: Site) -> None:
    desk.goto(f"{desk_site.url}#/label/galaxy-zoo?target=Sb&model=galaxy@1")
    desk.locator(".desk-progress", has_text="of 60").wait_for()
    assert desk.locator(".desk-key kbd").all_text_contents() == [*"123456789QWER"]
    before = shown(desk)
    desk.keyboard.press("r")
    labelled(desk, 1)
    rows = desk.request.get(f"{desk_site.url}v1/labels").json()
    assert [(row["object_id"], row["label"]) for row in rows] == [(before, "A")]


def test_a_token_taken_away_is_asked_for_and_the_galaxy_comes_back(browser: Any, desk_site: Site) -> None:
    config = load_config(desk_site.config_path)
    with open_database(config.database_url) as database:
        secret = Tokens(database).create("publisher", "passing")
        (number,) = [one.id for one in Tokens(database).list() if one.label == "passing"]
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.add_init_script(
            f"if (!sessionStorage.getItem('been')) sessionStorage.setItem('galclass-token', {secret!r});"
            "sessionStorage.setItem('been', 'here')"
        )
        page = context.new_page()
        open_desk(page, desk_site, "taken")
        page.keyboard.press("1")
        labelled(page, 1)
        Tokens(database).revoke(number)
    while page.request.get(f"{desk_site.url}v1/desks", headers={"Authorization": f"Bearer {secret}"}).status != 401:
        page.wait_for_timeout(20)  # until the server knows
    before = shown(page)
    page.keyboard.press("2")
    page.locator("dialog", has_text="Access token").get_by_role("button", name="Cancel").click()
    page.locator(".desk-before", has_text=f"{before} is not labelled; it comes next.").wait_for()
    page.keyboard.press(" ")
    assert shown(page) == before
    page.keyboard.press("2")
    page.get_by_label("Token", exact=True).fill(desk_site.token)
    page.get_by_role("button", name="Use token").click()
    labelled(page, 2)
    context.close()


def test_pictures_seen_at_the_desk_are_freed(desk: Any, desk_site: Site) -> None:
    desk.add_init_script(KEPT)
    open_desk(desk, desk_site, "freed")
    for _ in range(TIMES):
        desk.locator(".viewer .rule", has_text="px").wait_for(state="attached")
        desk.keyboard.press(" ")
        desk.keyboard.press(" ")  # this one is gone before it is drawn
    desk.locator(".viewer .rule", has_text="px").wait_for(state="attached")
    assert desk.evaluate("() => window.made") > TIMES
    desk.locator("body:not(.keeps)").wait_for()


def test_a_desk_fits_windows_that_shrink_and_grow(desk: Any, desk_site: Site) -> None:
    open_desk(desk, desk_site, "sizes")
    for width, height in ((1280, 600), (390, 844), (1920, 1080)):
        desk.set_viewport_size({"width": width, "height": height})
        assert desk.evaluate("document.documentElement.scrollWidth") <= width
        boxes = [desk.locator(one).bounding_box() for one in (".desk .viewer", ".desk-key >> nth=0")]
        assert all(box["y"] + box["height"] <= height and box["height"] > 30 for box in boxes)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_at_the_desk(browser: Any, desk_site: Site, scheme: str) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe-core is not installed (make test-deps)")
    context = browser.new_context(
        bypass_csp=True, color_scheme=scheme, viewport={"width": 1280, "height": 800}, reduced_motion="reduce"
    )
    context.add_init_script(f"sessionStorage.setItem('galclass-token', {desk_site.token!r})")
    page = context.new_page()
    page.goto(f"{desk_site.url}#/label")
    page.locator(".desk-form").wait_for()
    assert axe_faults(page) == []
    open_desk(page, desk_site, f"axe-{scheme}")
    for key in "121212":
        page.keyboard.press(key)
    labelled(page, 6)
    assert axe_faults(page) == []
    page.keyboard.press("l")
    page.locator(".ranked li").first.wait_for()
    assert axe_faults(page) == []
    page.get_by_role("button", name="Save as a model").click()
    assert axe_faults(page) == []
    context.close()

"""A day's work in Classify: keys pressed often, Back, reload, Clear, closed windows, a server that fails."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from web.steps import TIMEOUT_MS, choose, saved, tally, wait_until_finished

TIMES = 5
PREDICT = re.compile(r"/predict\?")


@pytest.fixture
def three(site: Any) -> list[Path]:
    return sorted(site.pictures.glob("*.jpg"))[:3]


@pytest.fixture
def asked(page: Any) -> list[str]:
    """The addresses of images sent to be classified; a busy server may want an image again until it is finished."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if PREDICT.search(request.url) else None)
    return sent


def test_back_and_reload_keep_every_image_and_ask_for_none_again(
    page: Any, asked: list[str], three: list[Path]
) -> None:
    choose(page, *three)
    saved(page, 3)
    asked.clear()
    for _ in range(TIMES):
        page.reload()
        page.locator(".tally", has_text="3 classified").wait_for()
    page.goto("about:blank")
    page.go_back()
    page.locator(".tally", has_text="3 classified").wait_for()
    assert page.locator(".card img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert asked == []


def test_a_reload_waits_for_the_lock_of_the_page_before_it(page: Any, asked: list[str], three: list[Path]) -> None:
    choose(page, *three)
    saved(page, 3)
    asked.clear()
    other = page.context.new_page()
    other.goto(page.url.split("#")[0] + "healthz")
    name = page.evaluate("async () => (await navigator.locks.query()).held.map(({ name }) => name)[0]")
    other.evaluate(
        """(name) => new Promise((held) => navigator.locks.request(
            name, () => new Promise((free) => { window.free = free; held(); setTimeout(free, 700); })
        ) && setTimeout(held, 100))""",
        name,
    )  # gets the lock as soon as the reload lets it go, and keeps it for a while
    page.reload()
    page.locator(".tally", has_text="3 classified").wait_for()
    assert asked == []


def test_images_that_were_waiting_go_on_after_a_reload(page: Any, three: list[Path]) -> None:
    page.route(PREDICT, lambda route: None)  # an answer that never comes
    page.locator("input[type=file]").first.set_input_files(three)
    page.locator(".tally", has_text="0 of 3 finished").wait_for()
    saved(page, 3, "all")
    page.unroute(PREDICT)
    page.reload()
    page.locator(".tally", has_text="3 classified").wait_for()


def test_clear_can_be_undone_again_and_again_and_after_a_reload(page: Any, asked: list[str], three: list[Path]) -> None:
    choose(page, *three)
    asked.clear()
    for _ in range(TIMES):
        page.get_by_role("button", name="Clear", exact=True).click()
        assert page.locator(".card").count() == 0
        page.locator(".notice", has_text="3 images cleared").get_by_role("button", name="Undo").click()
        page.locator(".tally", has_text="3 classified").wait_for()
    page.get_by_role("button", name="Clear", exact=True).click()
    saved(page, 3, "cleared")
    page.reload()
    page.get_by_role("button", name="Bring back 3 cleared").click()
    page.locator(".tally", has_text="3 classified").wait_for()
    assert asked == []


def test_images_cleared_on_their_way_are_classified_after_undo(page: Any, three: list[Path]) -> None:
    page.route(PREDICT, lambda route: None)
    page.locator("input[type=file]").first.set_input_files(three)
    page.locator(".tally", has_text="0 of 3 finished").wait_for()
    page.get_by_role("button", name="Clear", exact=True).click()
    page.unroute(PREDICT)
    page.get_by_role("button", name="Undo").click()
    page.locator(".tally", has_text="3 classified").wait_for()


WITHOUT_LOCKS = "Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })"
"""What a page of a plain address other than this machine's finds."""


@pytest.mark.parametrize("script", ["", WITHOUT_LOCKS], ids=["locks", "no locks"])
def test_two_windows_keep_their_own_images(page: Any, site: Any, three: list[Path], script: str) -> None:
    if script:
        page.context.add_init_script(script)
        page.reload()
    choose(page, *three)
    saved(page, 3)
    other = page.context.new_page()
    other.goto(site.url)
    other.get_by_role("button", name="Choose images").wait_for()
    choose(other, three[0])
    assert tally(other) == "1 classified"
    page.reload()
    page.locator(".tally", has_text="3 classified").wait_for()


@pytest.mark.parametrize("script", ["", WITHOUT_LOCKS], ids=["locks", "no locks"])
def test_a_closed_window_is_gone_on_with_in_the_next(page: Any, site: Any, three: list[Path], script: str) -> None:
    if script:
        page.context.add_init_script(script)
        page.reload()
    choose(page, *three)
    saved(page, 3)
    other = page.context.new_page()
    page.close()
    other.goto(site.url)
    other.locator(".tally", has_text="3 classified").wait_for()


@pytest.mark.parametrize("script", ["", WITHOUT_LOCKS], ids=["locks", "no locks"])
def test_a_window_that_crashed_is_gone_on_with_in_the_next(
    page: Any, site: Any, three: list[Path], script: str
) -> None:
    if script:
        page.context.add_init_script(script)
        page.reload()
    choose(page, *three)
    saved(page, 3)
    other = page.context.new_page()
    from playwright.sync_api import Error

    with page.expect_event("crash"), pytest.raises(Error, match="crash"):
        page.goto("chrome://crash")
    other.goto(site.url)
    other.locator(".tally", has_text="3 classified").wait_for()


def test_a_window_that_was_taken_for_dead_goes_on_in_a_session_of_its_own(
    page: Any, site: Any, three: list[Path]
) -> None:
    page.context.add_init_script(WITHOUT_LOCKS)
    page.reload()
    choose(page, *three[:2])
    saved(page, 2)
    page.evaluate("() => void (BroadcastChannel.prototype.postMessage = () => {})")  # as one that is blocked
    other = page.context.new_page()
    other.goto(site.url)
    other.locator(".tally", has_text="2 classified").wait_for()
    choose(page, three[2])
    choose(other, three[2])
    saved(page, 6)
    for window in (page, other):
        window.reload()
        window.locator(".tally", has_text="3 classified").wait_for()


def test_an_empty_window_closed_last_does_not_hide_the_images_of_another(
    page: Any, site: Any, three: list[Path]
) -> None:
    choose(page, *three)
    saved(page, 3)
    others = [page.context.new_page() for _ in range(3)]
    for other in others:
        other.goto(site.url)
        other.get_by_role("button", name="Choose images").wait_for()
    last = page.context.new_page()
    for one in (page, *others):
        with one.expect_event("close"):
            one.close(run_before_unload=True)
    last.goto(site.url)
    last.locator(".tally", has_text="3 classified").wait_for()


def test_a_filter_set_while_results_arrive_stays(page: Any, site: Any) -> None:
    held: list[Any] = []
    page.route(PREDICT, lambda route: held.append(route))  # noqa: PLW0108  # playwright sets an attribute on it
    page.locator("input[type=file]").first.set_input_files(sorted(site.pictures.glob("*.jpg"))[:12])
    answered = 0
    chosen = None
    while answered < 12:
        page.wait_for_timeout(20)
        while held:
            held.pop(0).continue_()
            answered += 1
        if chosen is None and answered >= 4:
            filled = page.locator(".station:not(.empty):has(.count:not(:empty))").first
            chosen = filled.locator(".code").text_content()  # by its code: the first one is another when more arrive
            station = page.locator(".station", has=page.locator(".code", has_text=re.compile(f"^{chosen}$")))
            station.click()
            assert station.get_attribute("aria-pressed") == "true"
    wait_until_finished(page)
    pressed = page.locator(".station[aria-pressed=true]")
    assert pressed.locator(".code").text_content() == chosen
    assert set(page.locator(".card .code").all_text_contents()) == {chosen}
    for _ in range(TIMES):
        pressed.click()
        page.locator(".tally", has_text=re.compile("^12 classified$")).wait_for()
        page.locator(".station", has=page.get_by_text(chosen, exact=True)).click()
        page.locator(".tally", has_text="shown").wait_for()


def test_images_are_filtered_by_group_flag_and_name(page: Any, site: Any, tmp_path: Path) -> None:
    galaxies = sorted(site.pictures.glob("*.jpg"))[:10]
    named = tmp_path / "Odd one.jpg"
    named.write_bytes(galaxies[0].read_bytes())
    choose(page, *galaxies, named)
    page.get_by_label("Name contains").fill("odd ONE")
    page.locator(".tally", has_text="1 shown").wait_for()
    assert page.locator(".card .file").text_content() == "Odd one.jpg"
    page.get_by_role("button", name="Show all").click()
    page.locator(".tally", has_text=re.compile("^11 classified$")).wait_for()
    group = page.locator(".card .group").first.text_content()
    page.get_by_label("Group", exact=True).select_option(label=group)
    assert set(page.locator(".card .group").all_text_contents()) == {group}
    page.get_by_label("Group", exact=True).select_option("")
    page.get_by_label("Flags").select_option("none")
    assert page.locator(".card .chip.warning").count() == 0


def test_the_grid_is_small_keeps_the_order_and_opens_the_details(page: Any, site: Any) -> None:
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:12])
    page.get_by_label("Order").select_option("uncertain")
    page.get_by_role("button", name="Grid").click()
    cells = page.locator(".cell-card")
    assert cells.count() == 12
    assert cells.last.bounding_box()["y"] < 900
    shares = [int(text.strip(" %<>")) for text in page.locator(".cell-card .percent").all_text_contents()]
    assert shares == sorted(shares)
    cells.nth(4).get_by_role("button").click()
    page.locator(".detail[open]").wait_for()
    page.keyboard.press("Escape")
    assert page.evaluate("() => document.activeElement.closest('.cell-card') !== null")


def picture(path: Path, **options: Any) -> Path:
    """A blob of light as a file of the kind of its suffix."""
    image = Image.radial_gradient("L").point(lambda level: 255 - level).convert("RGB")
    image.save(path, **options)
    return path


SVG = """<?xml version="1.0"?><!-- drawn --><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">
<rect width="100" height="100"/><circle cx="50" cy="50" r="20" fill="#fda"/>
<script>document.title = "ran"</script></svg>"""


def test_what_the_browser_can_draw_is_converted(page: Any, tmp_path: Path) -> None:
    drawn = tmp_path / "drawn.svg"
    drawn.write_text(SVG)
    files = [picture(tmp_path / name) for name in ("a.webp", "b.gif", "c.png", "d.bmp")]
    choose(page, *files, drawn)
    assert tally(page) == "5 classified"
    said = page.locator(".card .file").all_text_contents()
    assert said == [
        "a.webp (converted from WebP)",
        "b.gif (converted from GIF)",
        "c.png",
        "d.bmp",
        "drawn.svg (converted from SVG)",
    ]
    assert page.title() == "Classify · galclass"


def test_a_converted_picture_is_answered_as_the_same_picture_in_png(page: Any, tmp_path: Path) -> None:
    choose(page, picture(tmp_path / "a.webp", lossless=True), picture(tmp_path / "b.png"))
    classes = page.locator(".card .class").all_text_contents()
    assert classes[0] == classes[1]


NOT_DRAWN = {
    "x.tif": b"II*\0" + bytes(60),
    "x.heic": b"\0\0\0\x18ftypheic" + bytes(60),
    "x.jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60),
    "x.zip": b"PK\x03\x04" + bytes(60),
    "x.pdf": b"%PDF-1.7" + bytes(60),
    "torn.webp": b"RIFF\x20\0\0\0WEBPVP8 " + bytes(8),
}


def test_what_it_cannot_draw_is_rejected_by_the_name_of_its_format(page: Any, tmp_path: Path) -> None:
    for name, content in NOT_DRAWN.items():
        (tmp_path / name).write_bytes(content)
    choose(page, *[tmp_path / name for name in NOT_DRAWN])
    reasons = page.locator(".card .reason").all_text_contents()
    formats = ["TIFF", "HEIC", "JPEG 2000", "ZIP", "PDF", "WebP"]
    assert [kind for kind, reason in zip(formats, reasons, strict=True) if f"This is a {kind} file" not in reason] == []


def test_a_fault_of_the_server_is_tried_again_and_then_left_to_the_reader(page: Any, three: list[Path]) -> None:
    page.clock.install()
    page.route(PREDICT, lambda route: route.fulfill(status=500, json={"error": {"code": "internal", "message": "no"}}))
    page.locator("input[type=file]").first.set_input_files(three)
    while "3 not classified" not in tally(page):  # the test's time limit ends it
        page.clock.run_for(500)
    page.unroute(PREDICT)
    page.locator(".card").first.get_by_role("button", name="Retry").click()
    for expected in ("1 classified, 2 not classified", "3 classified"):
        while tally(page) != expected:
            page.clock.run_for(200)
        if expected != "3 classified":
            page.get_by_role("button", name="Retry 2").click()


def test_one_fault_of_the_server_is_not_seen(page: Any, three: list[Path]) -> None:
    faults = [500, 500]

    def answer(route: Any) -> None:
        route.fulfill(status=faults.pop(), body="no") if faults else route.continue_()

    page.route(PREDICT, answer)
    choose(page, *three)
    assert tally(page) == "3 classified"


def test_files_left_out_are_told_to_everyone(page: Any, tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    (tmp_path / "night" / "notes.txt").write_text("seeing was poor")
    picture(tmp_path / "night" / "a.png")
    page.locator("input[webkitdirectory]").set_input_files(tmp_path / "night")
    notice = page.locator(".notice", has_text="1 file left out, not images: night/notes.txt")
    notice.wait_for()
    box = notice.bounding_box()
    assert 0 < box["y"] < 900 - box["height"] + 1
    notice.get_by_role("button", name="Dismiss").click()
    assert notice.count() == 0


def test_the_tabs_say_that_the_server_is_away_and_go_on_when_it_is_back(page: Any, site: Any) -> None:
    page.get_by_role("link", name="Services").wait_for()
    page.wait_for_load_state("networkidle")
    site.kill()
    try:
        for name in ("Models", "Services", "Catalog"):
            page.get_by_role("navigation", name="Main").get_by_role("link", name=name).click()
            page.get_by_role("heading", name=name, exact=True).wait_for()
            page.locator("#banner", has_text="is not responding").wait_for()
    finally:
        site.start()
    page.locator(".listing tbody tr").first.wait_for(timeout=TIMEOUT_MS)
    assert page.locator("#banner").is_hidden()


def test_arrow_keys_walk_as_often_as_they_are_pressed(page: Any, site: Any) -> None:
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:8])
    page.locator(".card .open").first.click()
    position = page.locator(".detail .position")
    for step in range(2, 2 + TIMES):
        page.keyboard.press("ArrowRight")
        assert position.text_content() == f"{step} of 8"
    page.get_by_role("tab", name="Votes").click()
    for step in range(5, 5 - TIMES, -1):
        page.keyboard.press("ArrowLeft")
        assert position.text_content() == f"{step} of 8"
    page.keyboard.press("ArrowLeft")
    assert position.text_content() == "1 of 8"
    page.get_by_role("button", name="Next image").click()
    for step in (3, 4):
        page.keyboard.press("ArrowRight")
        assert position.text_content() == f"{step} of 8"
    assert page.evaluate("() => document.querySelector('.detail').contains(document.activeElement)")
    name = page.locator(".detail .viewer img").get_attribute("alt").removeprefix("Image of ")
    page.keyboard.press("Escape")
    page.wait_for_function("(name) => document.activeElement.ariaLabel === `Details of ${name}`", arg=name)

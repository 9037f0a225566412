"""The keyboard alone: whatever a button does to itself, the focus stays in the page."""

from __future__ import annotations

from typing import Any

from web.steps import choose

THREE_FRAMES = """async () => {
    for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
}"""
FOCUSED = "() => document.activeElement !== document.body"


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).press("Enter")
    page.wait_for_function(FOCUSED)
    page.evaluate(THREE_FRAMES)
    assert page.evaluate(FOCUSED), name


def test_buttons_that_go_away_leave_the_focus_in_the_page(page: Any, site: Any) -> None:
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:3])
    for _ in range(3):
        page.get_by_label("Name contains").fill("none")
        for name in ("Show all", "Clear", "Undo", "CSV", "Dismiss", "Report", "Dismiss"):
            press(page, name)


def test_the_choice_of_a_service_keeps_the_focus(page: Any, site: Any) -> None:
    services = page.request.get(f"{site.url}v1/services").json()["services"]
    both = {"services": [*services, services[0] | {"name": "other"}]}
    page.route("**/v1/services", lambda route: route.fulfill(json=both))
    page.reload()
    menu = page.get_by_label("Service that classifies")
    menu.focus()
    for wanted in ("other", "galaxy-class") * 2:
        page.keyboard.press("ArrowDown" if wanted == "other" else "ArrowUp")
        page.wait_for_function("(name) => document.activeElement.value === name", arg=wanted)

"""Tokens on the page: a wrong one, a closed server, one that is taken away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web.steps import choose, tally


@pytest.fixture
def three(site: Any) -> list[Path]:
    return sorted(site.pictures.glob("*.jpg"))[:3]


@pytest.fixture
def closed(site: Any) -> Iterator[Any]:
    """The site as a server that answers nobody without a token."""
    site.kill()
    site.start(open_reading=False)
    yield site
    site.kill()
    site.start()


def test_a_wrong_token_breaks_nothing(page: Any, three: list[Path]) -> None:
    page.evaluate("() => sessionStorage.setItem('galclass-token', 'galclass_wrong')")
    page.reload()
    page.locator(".notice", has_text="not accepted").wait_for()
    choose(page, *three)
    assert tally(page) == "3 classified"
    page.get_by_role("link", name="Catalog").click()
    page.locator(".listing").wait_for()
    assert page.locator("dialog[open]").count() == 0


def test_a_closed_server_asks_once_and_again_after_a_wrong_token(browser: Any, closed: Any, three: list[Path]) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{closed.url}#/models")
    page.locator("dialog input[type=password]").wait_for()
    assert page.locator("dialog[open]").count() == 1
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("alert").first.get_by_role("button", name="Try again").click()
    for secret in ("galclass_wrong", "nonsense", closed.token):
        page.locator("dialog input[type=password]").fill(secret)
        page.get_by_role("button", name="Use token").click()
    page.locator(".listing").first.wait_for()
    page.get_by_role("link", name="Classify").click()
    choose(page, *three)
    assert tally(page) == "3 classified"
    context.close()


@pytest.mark.parametrize("answer", ["Cancel", "Use token"])
def test_a_request_refused_after_the_readers_answer_does_not_ask_again(browser: Any, closed: Any, answer: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    late: list[Any] = []
    answered = False
    page.route(
        re.compile("/v1/(services|models)$"), lambda route: route.continue_() if answered else late.append(route)
    )
    page.goto(f"{closed.url}#/catalog")
    page.locator("dialog input[type=password]").fill(closed.token)
    early = len(late)
    page.get_by_role("button", name=answer).click()
    page.get_by_role("button", name="Try again").or_(page.locator(".listing")).first.wait_for()
    answered = True
    refusal = {"error": {"code": "forbidden", "message": "the token's role is too low"}}
    assert early
    for number, route in enumerate(late):
        if answer == "Use token" and number < early:
            route.fulfill(status=403, json=refusal)  # a 401 would be sent again with the token before anyone asks
        else:
            route.continue_()
    line = "galaxy" if answer == "Use token" else "needs a token"
    page.locator("#in-use", has_text=line).wait_for()
    assert page.locator("dialog[open]").count() == 0
    context.close()


def test_a_token_taken_away_is_asked_for_again(browser: Any, closed: Any, three: list[Path]) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(closed.url)
    page.locator("dialog input[type=password]").fill(closed.token)
    page.get_by_role("button", name="Use token").click()
    choose(page, three[0])
    page.evaluate(
        """async () => {
            const { forgetToken, currentToken } = await import("./js/token.js");
            forgetToken(currentToken());
        }"""
    )
    page.locator("input[type=file]").first.set_input_files(three[1:])
    page.locator("dialog input[type=password]").fill(closed.token)
    page.get_by_role("button", name="Use token").click()
    page.locator(".tally", has_text="3 classified").wait_for()
    context.close()


def test_pictures_fetched_with_a_token_are_freed_when_they_are_drawn(page: Any, site: Any) -> None:
    page.add_init_script(
        """window.kept = new Set();
        const [create, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
        URL.createObjectURL = (blob) => { const url = create.call(URL, blob); window.kept.add(url); return url; };
        URL.revokeObjectURL = (url) => { window.kept.delete(url); revoke.call(URL, url); };"""
    )
    page.evaluate("(token) => sessionStorage.setItem('galclass-token', token)", site.token)
    page.goto(f"{site.url}#/catalog?page=2")
    page.reload()
    drawn = """() => {
        const images = [...document.querySelectorAll(".thumb img")];
        return images.length && images.every((one) => one.complete && one.naturalWidth);
    }"""
    for number, name in ((2, "Previous"), (1, "Next"), (2, "Previous"), (1, "Next")):
        page.get_by_text(f"Page {number} of 2").first.wait_for()
        page.wait_for_function(drawn)
        page.get_by_role("button", name=name, exact=True).first.click()
    page.get_by_text("Page 2 of 2").first.wait_for()
    page.wait_for_function(drawn)
    page.wait_for_function("() => window.kept.size === 0")

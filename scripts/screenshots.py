"""Take the pictures of the page that the README and the docs show.

Needs a server on real data (`make demo`) and Chromium. Takes its address, writes PNGs into docs/images/.

    .venv/bin/python scripts/screenshots.py --url http://127.0.0.1:8000/

With `--all FOLDER` it takes every view on desktop and phone, light and dark, to be looked at.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
LOOKS = {
    "desktop-light": ({"width": 1280, "height": 900}, "light"),
    "desktop-dark": ({"width": 1280, "height": 900}, "dark"),
    "phone-light": ({"width": 390, "height": 844}, "light"),
    "tablet-light": ({"width": 768, "height": 1024}, "light"),
    "wide-dark": ({"width": 1920, "height": 1080}, "dark"),
    "phone-dark": ({"width": 390, "height": 844}, "dark"),
    "tall-light": ({"width": 1280, "height": 1150}, "light"),
}
DOCS = {
    "tall-light": {"classify": "page", "models": "models"},
    "desktop-light": {"detail": "detail", "catalog": "catalog"},
    "desktop-dark": {"explain": "explain"},
    "phone-dark": {"cards": "phone"},
}
"""The pictures in docs/images/: look -> view -> name."""

SETTLE_MS = 900  # transitions and pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000/")
    parser.add_argument("--chromium", default=os.environ.get("GALCLASS_CHROMIUM") or shutil.which("chromium"))
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="take every view in every look")
    given = parser.parse_args()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=given.chromium, args=FLAGS)
        for look in LOOKS if given.all else DOCS:
            size, scheme = LOOKS[look]
            context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
            for view, page in views(context.new_page(), given.url):
                if given.all:
                    take(page, given.all / f"{view}-{look}.png")
                elif view in DOCS[look]:
                    take(page, IMAGES / f"{DOCS[look][view]}.png")
            context.close()
        browser.close()


def views(page: Page, url: str) -> Iterator[tuple[str, Page]]:
    """Go from view to view; each is ready to be taken when it is given."""
    page.goto(url)
    page.get_by_role("button", name="Try examples").click()
    page.locator(".toolbar:not(.asleep)").wait_for()
    page.locator(".tally", has_text="12 classified").wait_for()
    yield "classify", page
    page.mouse.wheel(0, 200)
    yield "cards", page
    page.get_by_role("button", name="Grid").click()
    yield "grid", page
    page.get_by_role("button", name="Cards").click()
    page.locator(".card .open").first.click()
    page.locator(".explain .views img").nth(7).wait_for()
    yield "detail", page
    page.locator(".explain").scroll_into_view_if_needed()
    yield "explain", page
    for name in ("Votes", "Similar", "Facts"):
        page.get_by_role("tab", name=name).click()
        page.locator(".detail:not(:has([aria-busy]))").wait_for()
        yield name.lower(), page
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    yield "help", page
    page.keyboard.press("Escape")
    for view in ("catalog", "models", "services"):
        page.goto(f"{url}#/{view}")
        page.locator(".listing").first.wait_for()
        page.locator("main:not(:has([aria-busy]))").wait_for()
        yield view, page


def take(page: Page, path: Path) -> None:
    """Wait until nothing moves, and write the picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path)
    print(path)


if __name__ == "__main__":
    main()

"""Take the pictures of the page that the README and the docs show.

Needs a server on real data (`make demo`) and Chromium. Takes its address, writes PNGs into docs/images/.

    .venv/bin/python scripts/screenshots.py --url http://127.0.0.1:8000/
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SETTLE_MS = 900  # transitions and pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000/")
    parser.add_argument("--chromium", default=os.environ.get("GALCLASS_CHROMIUM") or shutil.which("chromium"))
    parser.add_argument("--output", type=Path, default=IMAGES)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=given.chromium, args=FLAGS)
        for name, size, scheme in (
            ("desktop-light", DESKTOP, "light"),
            ("desktop-dark", DESKTOP, "dark"),
            ("phone-light", PHONE, "light"),
            ("phone-dark", PHONE, "dark"),
        ):
            context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
            take_all(context.new_page(), given.url, lambda view, name=name: given.output / f"{view}-{name}.png")
            context.close()
        browser.close()


def take_all(page: Page, url: str, path_of: Any) -> None:
    """Take every view at one size and in one colour scheme."""
    page.goto(url)
    page.get_by_role("button", name="Try examples").click()
    page.locator(".toolbar:not(.asleep)").wait_for()
    page.locator("progress.idle").wait_for(state="attached")
    take(page, path_of("classify"))
    page.locator(".card .open").first.click()
    page.locator(".explain .views img").nth(7).wait_for()
    take(page, path_of("detail"))
    page.locator(".explain").scroll_into_view_if_needed()
    take(page, path_of("explain"))
    page.keyboard.press("Escape")
    for view in ("catalog", "models", "services"):
        page.goto(f"{url}#/{view}")
        page.locator(".listing").first.wait_for()
        take(page, path_of(view))


def take(page: Page, path: Path) -> None:
    """Wait until nothing moves, and write the picture."""
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path)
    print(path)


if __name__ == "__main__":
    main()

"""Files that change or vanish on the disk after they were chosen: they are named, and hold up nothing else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from web.steps import Held, choose, wait_until_finished

PREDICT = re.compile(r"/predict\?")
EMBEDDING = re.compile(r"/predict\?.*embedding=true")


@pytest.fixture
def copies(site: Any, tmp_path: Path) -> list[Path]:
    """Ten images that a test may remove."""
    return [Path(shutil.copy(path, tmp_path)) for path in sorted(site.pictures.glob("*.jpg"))[:10]]


def test_files_that_vanish_on_their_way_hold_up_no_other(page: Any, copies: list[Path]) -> None:
    held = Held(page, PREDICT, most=4)
    page.locator("input[type=file]").first.set_input_files(copies)
    routes = held.wait(4)
    for path in copies[:4]:
        path.unlink()
    for route in routes:
        route.abort()  # the server is lost for a moment, and asked again
    wait_until_finished(page)
    assert page.locator(".tally").text_content() == "6 classified, 4 rejected"
    page.locator(".card .reason", has_text="The file cannot be read").nth(3).wait_for()


def test_images_are_sent_once_for_their_embeddings_however_many_wait_for_them(page: Any, copies: list[Path]) -> None:
    choose(page, *copies[:3])
    held = Held(page, EMBEDDING)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if EMBEDDING.search(request.url) else None)
    page.locator(".card .open").first.click()
    page.get_by_role("tab", name="Similar").click()
    held.wait()
    with page.expect_request("**/similar?*"):
        page.keyboard.press("ArrowRight")
    held.release()
    page.locator(".own-similar .neighbour").nth(1).wait_for()
    assert len(sent) == 1

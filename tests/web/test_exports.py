"""What the page writes into files: the same rules for ids and formulas as everywhere, and no markup from names."""

from __future__ import annotations

import csv
import io
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from web.steps import choose, wait_until_finished

from galclass.csv_cells import guarded
from galclass.image_names import IMAGE_SUFFIXES, object_id_of

CELLS = ["=1", " =1", "\t=1", "\r=1", "\n1", "'=1", "''=1", "\u00a0-1+1", "\ufeff@x", "\u200b+1", "＝1", "\u0085=1"]  # noqa: RUF001
CELLS += ["-12", "-05:12:33.1", "+12 30 15", "-", "--", "-e1", "-1e5", "'a'", "J1.5", "a=b", "", "\x1f=1", "-1:2 3"]
NAMES = [
    "J1.5",
    "J1.5.jpg",
    "C:\\sky\\J1.6.PNG",
    "a/b/c.tar.jpeg",
    ".jpg",
    "e\u0301.jpg",
    "x.JPG.jpg",
    "x.webp",
    "a.b\n.png",
]
NAMES += [f"x{suffix}" for suffix in sorted(IMAGE_SUFFIXES)]


def test_the_page_has_the_rules_of_the_rest(page: Any) -> None:
    cells = "async (texts) => { const { field } = await import('./js/downloads.js'); return texts.map(field); }"
    written = [guarded(text) for text in CELLS]
    assert page.evaluate(cells, CELLS) == [
        f'"{text}"' if any(sign in text for sign in ',"\r\n') else text for text in written
    ]
    names = "async (names) => { const { idOfFile } = await import('./js/store.js'); return names.map(idOfFile); }"
    assert page.evaluate(names, NAMES) == [object_id_of(name) for name in NAMES]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.handlers: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.handlers |= {key for key, _ in attrs if key.startswith("on")}


def test_the_report_of_the_page_holds_no_markup_of_names(page: Any, site: Any, tmp_path: Path) -> None:
    hostile = tmp_path / "<script>alert(1)<b><img src=x onerror=alert(2)>.jpg"
    hostile.write_bytes(next(site.pictures.glob("*.jpg")).read_bytes())
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    choose(page, hostile)
    page.locator(".card .class").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Report").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    found = _Tags()
    found.feed(text)
    assert "&lt;script&gt;alert(1)" in text
    assert (found.tags["script"], found.tags["b"], found.tags["img"]) == (2, 0, 1)  # the report's own
    assert not found.handlers


def test_files_of_a_folder_that_are_left_out_are_named(page: Any, site: Any, tmp_path: Path) -> None:
    folder = tmp_path / "night"
    folder.mkdir()
    for name in ("notes.txt", "old.tif", "J1.5.jfif"):
        (folder / name).write_bytes(next(site.pictures.glob("*.jpg")).read_bytes())
    page.locator("input[webkitdirectory]").set_input_files(str(folder))
    wait_until_finished(page)
    assert "notes.txt" in page.get_by_text("1 file left out").text_content()
    files = page.locator(".card.done .file").all_text_contents()
    assert sorted(files) == ["night/J1.5.jfif", "night/old.tif"]  # JPEGs, whatever their names say


def test_a_file_tells_what_is_not_in_it_and_names_images_that_failed(page: Any, site: Any) -> None:
    paths = sorted(site.pictures.glob("*.jpg"))[:6]
    choose(page, *paths[:3])
    page.route("**/predict?*", lambda route: route.fulfill(status=408, json={}))
    choose(page, paths[3])
    page.locator(".tally", has_text="1 not classified").wait_for()
    page.unroute("**/predict?*")
    page.route("**/predict?*", lambda _: None)  # an answer that never comes
    page.locator("input[type=file]").first.set_input_files(paths[4:])
    page.locator(".tally", has_text="4 of 6 finished").wait_for()
    for _ in range(3):
        with page.expect_download() as started:
            page.get_by_role("button", name="CSV", exact=True).press("Enter")
        page.locator(".notice", has_text="4 images written to galclass.csv. Not in it: 2 not finished.").wait_for()
        assert page.evaluate("() => document.activeElement.textContent") == "CSV"
    rows = list(csv.DictReader(io.StringIO(started.value.path().read_text())))
    assert [row["file"] for row in rows] == [path.name for path in paths[:4]]
    assert rows[3]["error"]
    assert not rows[3]["predicted_class"]
    page.get_by_label("Name contains").fill(paths[0].stem)
    page.locator(".tally", has_text="1 shown").wait_for()
    with page.expect_download():
        page.get_by_role("button", name="Report", exact=True).click()
    told = "1 image written to galclass-report.html. Not in it: 5 hidden by filters."
    page.locator(".notice", has_text=told).wait_for()

"""Classify: bad files and odd names first, then what a visitor does."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from web.site_of_test import VOTES
from web.steps import choose, tally, wait_until_finished

from galclass.morphology import CLASSES
from galclass.scoring.prediction import ROW_COLUMNS


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [("empty.jpg", b"", "The file is empty."), ("text.jpg", b"no picture at all, only words", "")],
)
def test_a_bad_file_is_rejected_with_its_reason(
    page: Any, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    choose(page, path)
    card = page.locator(".card.rejected")
    assert "1 rejected" in tally(page)
    assert len(card.locator(".reason").text_content()) > 10
    assert reason in card.locator(".reason").text_content()


def test_a_truncated_galaxy_does_not_stop_the_others(page: Any, site: Any, tmp_path: Path) -> None:
    galaxies = sorted(site.pictures.glob("*.jpg"))[:3]
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(galaxies[0].read_bytes()[:300])
    choose(page, galaxies[0], torn, *galaxies[1:])
    assert tally(page).startswith("3 classified, 1 rejected")


def test_file_names_are_never_markup(page: Any, site: Any, tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)><b>.jpg"
    path = tmp_path / hostile
    path.write_bytes(next(site.pictures.glob("*.jpg")).read_bytes())
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    choose(page, path)
    assert page.locator(".card .file").text_content() == hostile
    assert page.locator(".card b").count() == 0
    page.locator(".card .open").click()
    page.get_by_role("tab", name="Facts").click()
    assert hostile in page.locator(".detail .facts").text_content()
    assert page.locator(".detail .facts b").count() == 0


def test_the_page_loads_nothing_inline_and_nothing_from_elsewhere(browser: Any, site: Any) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    answer = page.goto(site.url)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe-inline" not in policy
    assert all(url.startswith(site.url) for url in asked)
    page.close()


def test_a_card_shows_class_group_and_the_thirteen_probabilities_of_the_api(page: Any, site: Any) -> None:
    galaxy = sorted(site.pictures.glob("*.jpg"))[0]
    record = page.request.post(
        f"{site.url}v1/services/galaxy-class/1.0/predict?object_id={galaxy.stem}",
        data=galaxy.read_bytes(),
        headers={"Content-Type": "image/jpeg"},
    ).json()
    choose(page, galaxy)
    card = page.locator(".card.done")
    assert card.locator(".code").text_content() == record["predicted_class"]
    assert card.locator(".column").count() == len(CLASSES)
    heights = card.locator(".column").evaluate_all(
        "all => all.map((one) => parseFloat(getComputedStyle(one, '::before').height) / one.clientHeight)"
    )
    assert heights == pytest.approx([record["probabilities"][leaf] for leaf in CLASSES], abs=0.01)


def test_images_can_be_dropped(page: Any, site: Any) -> None:
    galaxy = sorted(site.pictures.glob("*.jpg"))[0]
    page.evaluate(
        """([name, bytes]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/jpeg" }));
            const options = { bubbles: true, cancelable: true, dataTransfer: transfer };
            for (const kind of ["dragenter", "dragover", "drop"])
                document.body.dispatchEvent(new DragEvent(kind, options));
        }""",
        [galaxy.name, list(galaxy.read_bytes())],
    )
    wait_until_finished(page)
    assert tally(page) == "1 classified"


def test_images_can_be_pasted(page: Any, site: Any) -> None:
    galaxy = sorted(site.pictures.glob("*.jpg"))[0]
    page.evaluate(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "clip.jpg", { type: "image/jpeg" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer }));
        }""",
        list(galaxy.read_bytes()),
    )
    wait_until_finished(page)
    assert tally(page) == "1 classified"


def test_a_folder_gives_its_images_alone(page: Any, site: Any, tmp_path: Path) -> None:
    inner = tmp_path / "night" / "field"
    inner.mkdir(parents=True)
    for galaxy in sorted(site.pictures.glob("*.jpg"))[:3]:
        (inner / galaxy.name).write_bytes(galaxy.read_bytes())
    (inner / "notes.txt").write_text("seeing was poor")
    page.locator("input[webkitdirectory]").set_input_files(tmp_path / "night")
    wait_until_finished(page)
    assert tally(page) == "3 classified"


def test_examples_show_the_volunteers_beside_the_model(page: Any) -> None:
    page.get_by_role("button", name="Try examples").click()
    page.locator(".tally", has_text=re.compile("^12 classified$")).wait_for()
    said = page.locator(".card .beside").all_text_contents()
    assert {text.split(":")[0] for text in said} <= {"Volunteers ✓ agree", "Volunteers ✗ say"}
    agreeing = sum("agree" in text for text in said)
    assert page.locator(".agreement").text_content() == f"Volunteers agree on {agreeing} of 12 examples"
    with page.expect_request(re.compile("/v1/examples.*draw=1")):  # another draw
        page.get_by_role("button", name="Try examples").click()
    page.locator(".tally", has_text=re.compile("^24 classified$")).wait_for()


def test_the_fork_filters_by_class(page: Any, site: Any) -> None:
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:20])
    station = page.locator(".station:not(.empty)").first
    cls, count = station.locator(".code").text_content(), station.locator(".count").text_content()
    station.click()
    assert station.get_attribute("aria-pressed") == "true"  # at once: not with the next frame
    assert f"{count} shown" in tally(page)
    assert set(page.locator(".card .code").all_text_contents()) == {cls}
    page.get_by_role("button", name="Show all").click()
    page.locator(".tally", has_text=re.compile("^20 classified$")).wait_for()


def test_the_least_certain_image_comes_first_when_asked(page: Any, site: Any) -> None:
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:12])
    page.get_by_label("Order").select_option("uncertain")
    shares = [text.rstrip(" %").lstrip("<>") for text in page.locator(".card .percent").all_text_contents()]
    assert [int(share) for share in shares] == sorted(int(share) for share in shares)


def test_the_csv_has_the_columns_of_the_record(page: Any, site: Any, tmp_path: Path) -> None:
    bad = tmp_path / "=1+1.jpg"
    bad.write_bytes(b"not a picture")
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:3], bad)
    with page.expect_download() as started:
        page.get_by_role("button", name="CSV").click()
    text = Path(started.value.path()).read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    votes = [f"{answer}_debiased{end}" for answer in VOTES for end in ("", "_low", "_high")]
    assert list(rows[0]) == ["file", *ROW_COLUMNS, *votes]
    assert len(rows) == 4
    assert rows[3]["file"] == "'=1+1.jpg"  # no spreadsheet formula
    assert rows[3]["error"]
    assert sum(float(rows[0][f"predicted_{leaf}"]) for leaf in CLASSES) == pytest.approx(1, abs=1e-4)


def test_the_report_needs_nothing_from_outside(page: Any, site: Any, browser: Any, tmp_path: Path) -> None:
    hostile = tmp_path / "<script>alert(1)</script>.jpg".replace("/", "_")
    hostile.write_bytes(next(site.pictures.glob("*.jpg")).read_bytes())
    choose(page, hostile, *sorted(site.pictures.glob("*.jpg"))[:3])
    with page.expect_download() as started:
        page.get_by_role("button", name="Report").click()
    report = tmp_path / "report.html"
    started.value.save_as(report)
    other = browser.new_page()
    other.on("dialog", lambda dialog: pytest.fail("a script ran"))
    other.goto(report.as_uri())
    assert other.locator("li").count() == 4
    scripts = other.locator("script").evaluate_all("all => all.map(one => one.id || one.textContent.slice(0, 20))")
    assert scripts == ["galclass-report", "(function labelling("]  # its images, and the classes that a reader chooses
    assert all(src.startswith("data:") for src in other.locator("img").evaluate_all("all => all.map(i => i.src)"))
    assert other.locator("img").first.evaluate("image => image.naturalWidth") > 0
    other.close()


def test_a_declared_frame_is_sent_with_every_file(page: Any, site: Any) -> None:
    page.get_by_text("Files are cut from larger frames").click()
    page.get_by_label("Side of the full frame").fill("848")
    with page.expect_request(re.compile("frame_px=848")):
        choose(page, sorted(site.pictures.glob("*.jpg"))[0])
    assert tally(page) == "1 classified"


def test_parquet_has_the_rows_of_the_csv_and_the_types_of_the_service(page: Any, site: Any, tmp_path: Path) -> None:
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(b"no image")
    galaxies = sorted(site.pictures.glob("*.jpg"))[:3]
    choose(page, *galaxies, torn)
    page.locator(".card .open").first.click()
    page.keyboard.press("l")
    page.keyboard.press("r")
    page.keyboard.press("Escape")
    files = []
    for name in ("Parquet", "CSV"):
        with page.expect_download() as started:
            page.get_by_role("button", name=name, exact=True).click()
        files.append(Path(started.value.path()))
    table = pq.read_table(files[0])
    rows = list(csv.DictReader(io.StringIO(files[1].read_text())))
    assert table["object_id"].to_pylist() == [path.stem for path in (*galaxies, torn)]
    assert table["human_label"].to_pylist() == ["A", None, None, None]
    assert table["labelled_by"][0].as_py() == "you"
    assert table.column_names == list(rows[0])
    for mine, other in zip(table.to_pylist(), rows, strict=True):
        assert {name: "" if value is None else value for name, value in mine.items()} == {
            name: float(text) if text and isinstance(mine[name], float | int) else text for name, text in other.items()
        }
    body = {"images": {"name": galaxies[0].name, "mimeType": "image/jpeg", "buffer": galaxies[0].read_bytes()}}
    address = f"{site.url}v1/services/galaxy-class/1.0/predict"
    served = page.request.post(address, multipart=body, headers={"Accept": "application/vnd.apache.parquet"})
    theirs = pq.read_table(pa.BufferReader(served.body()))
    assert set(theirs.column_names) <= set(table.column_names)
    for name in theirs.column_names:
        assert theirs.schema.field(name).type == table.schema.field(name).type, name
        if name != "scored_at":
            assert theirs[name][0] == table[name][0], name


@pytest.mark.parametrize("count", [0, 1, 8, 9, 1000])
def test_a_parquet_file_of_the_page_is_read_as_it_was_written(page: Any, count: int) -> None:
    texts = ["", None, "a,b\n", "環\U0001f30c"]
    rows = [
        {"text": texts[n % 4], "ra": None if n % 5 == 1 else n / 7, "version": None if n % 3 else n}
        for n in range(count)
    ]
    write = """async (rows) => {
        const { asParquet } = await import('./js/parquet.js');
        const parts = asParquet(rows, [['text', 'string'], ['ra', 'float64'], ['version', 'int32']]);
        return [...new Uint8Array(await new Blob(parts).arrayBuffer())];
    }"""
    table = pq.read_table(pa.BufferReader(bytes(page.evaluate(write, rows))))
    assert [str(field.type) for field in table.schema] == ["string", "double", "int32"]
    assert table.to_pylist() == rows

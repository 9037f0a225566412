"""Labels of one's own images: by keys, in a report and back out of it, hostile reports; FITS pictures; neighbours."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from web.steps import axe_faults, choose, saved, tally

from galclass.database.labels import human_labels


@pytest.fixture
def three(page: Any, site: Any) -> list[Path]:
    """Three classified images."""
    paths = sorted(site.pictures.glob("*.jpg"))[:3]
    choose(page, *paths)
    return paths


def downloaded(page: Any, name: str, folder: Path) -> Path:
    with page.expect_download() as started:
        page.get_by_role("button", name=name, exact=True).click()
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def rows_of(page: Any, folder: Path) -> dict[str, dict[str, str]]:
    text = downloaded(page, "CSV", folder).read_text()
    return {row["object_id"]: row for row in csv.DictReader(io.StringIO(text))}


def drop(page: Any, *paths: Path) -> None:
    page.locator("input[type=file]").first.set_input_files(paths)


def write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def labels_file(folder: Path, author: str, *labels: dict[str, Any], name: str = "labels.json") -> Path:
    return write(folder, name, {"format": "galclass-labels", "version": 1, "author": author, "labels": list(labels)})


def test_keys_label_and_go_on_and_a_reload_keeps_them(page: Any, three: list[Path], tmp_path: Path) -> None:
    page.locator(".card .open").first.click()
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("Your name").press("Tab")
    page.locator("#detail-panel").focus()
    for key in ("l", "1", "2", "q"):  # Er, Ei; the tenth class, SBc
        page.keyboard.press(key)
    page.keyboard.press("l")
    page.keyboard.press("2")
    assert page.get_by_role("tab", name="Votes").get_attribute("aria-selected") == "true"
    assert page.locator(".detail .position").text_content() == "3 of 3"
    page.locator(".label .note", has_text="Labelled SBc by Ann.").wait_for()
    page.keyboard.press("Escape")
    saved(page, 3, "labelled")
    page.reload()
    page.locator(".tally", has_text="3 classified").wait_for()
    rows = rows_of(page, tmp_path)
    assert [(rows[path.stem]["human_label"], rows[path.stem]["labelled_by"]) for path in three] == [
        ("Er", "Ann"), ("Ei", "Ann"), ("SBc", "Ann"),
    ]  # fmt: skip


def test_a_second_press_takes_a_label_back(page: Any, three: list[Path], tmp_path: Path) -> None:
    page.locator(".card .open").first.click()
    choice = page.locator(".label-choice[data-label=Sb]")
    for n in range(5):
        choice.click()
        assert choice.get_attribute("aria-pressed") == str(n % 2 == 0).lower()
    choice.click()
    page.keyboard.press("Escape")
    assert "human_label" not in next(iter(rows_of(page, tmp_path).values()))


def test_labels_given_in_a_report_come_back_with_their_author(
    page: Any, browser: Any, site: Any, three: list[Path], tmp_path: Path
) -> None:
    report = downloaded(page, "Report", tmp_path)
    context = browser.new_context(offline=True, accept_downloads=True)
    away = context.new_page()
    faults: list[str] = []
    away.on("pageerror", lambda error: faults.append(str(error)))
    away.goto(report.as_uri())
    away.locator("select").nth(0).select_option("Sb")
    away.locator("select").nth(2).select_option("A")
    away.get_by_role("button", name="Save labels").click()
    away.get_by_text("Write your name first.").wait_for()
    away.get_by_label("Your name").fill("Ada Lovelace")
    small = downloaded(away, "Save labels", tmp_path)
    whole = tmp_path / "whole.html"
    downloaded(away, "Save this report with the labels", tmp_path).rename(whole)
    away.goto(whole.as_uri())  # the saved report goes on where it was left
    assert [one.input_value() for one in away.locator("select").all()] == ["Sb", "", "A"]
    context.close()
    assert not faults

    drop(page, small)
    page.get_by_text("2 labels added to images of this visit.").wait_for()
    page.get_by_role("button", name="Store in the catalog").click()
    page.locator("dialog input[type=password]").fill(site.token)
    page.get_by_role("button", name="Use token").click()
    page.get_by_text("2 stored, 0 stored before").wait_for()
    page.locator("dialog").get_by_role("button", name="Close").click()
    drop(page, whole)
    page.get_by_text("2 already known.").wait_for()
    page.get_by_role("button", name="Store in the catalog").click()
    page.get_by_text("0 stored, 2 stored before").wait_for()
    page.locator("dialog").get_by_role("button", name="Close").click()
    rows = rows_of(page, tmp_path)
    said = [(rows[path.stem]["human_label"], rows[path.stem]["labelled_by"]) for path in three]
    assert said == [("Sb", "Ada Lovelace"), ("", ""), ("A", "Ada Lovelace")]
    database = site.database()
    stored = {
        one.object_id: one.label for one in human_labels(database)[0] if one.labelled_by == "Ada Lovelace (report)"
    }
    database.close()
    assert stored == {three[0].stem: "Sb", three[2].stem: "A"}


def test_every_label_of_a_file_is_counted(page: Any, three: list[Path], tmp_path: Path) -> None:
    first, second, third = (path.stem for path in three)
    at = {"labelled_at": "2026-11-01T10:00:00Z"}
    drop(
        page,
        labels_file(
            tmp_path, "Bob", {"object_id": first, "label": "Sa", **at}, {"object_id": second, "label": "Sa", **at}
        ),
    )
    page.get_by_text("2 labels added to images of this visit.").wait_for()
    page.keyboard.press("Escape")
    newer, older = {"labelled_at": "2026-11-02T10:00:00Z"}, {"labelled_at": "2026-10-01T10:00:00Z"}
    drop(page, labels_file(
        tmp_path, "Bob", {"object_id": first, "label": "Sb", **newer}, {"object_id": second, "label": "Sc", **older},
        {"object_id": third, "label": "Er", **at}, {"object_id": third, "label": "Er", **at},
        {"object_id": "elsewhere", "label": "A", **at}, {"object_id": first, "size_bytes": 1, "label": "A", **at},
        {"object_id": "x", "label": "ring", **at}, {"object_id": "y", "label": "Sb", "labelled_at": "soon"}, None,
    ))  # fmt: skip
    said = page.locator("dialog .outcome").text_content()
    assert said == (
        "1 label added to images of this visit; 1 replacing an earlier one by the same person; 1 already known;"
        " 1 older than the one kept here; 2 of images that are not on this page; 3 refused."
    )
    assert page.locator("dialog .log li").all_text_contents() == [
        "x: ring is not a class", "y: it does not say when", "a label of no object",
    ]  # fmt: skip
    page.keyboard.press("Escape")
    drop(page, labels_file(tmp_path, "Eve", {"object_id": first, "label": "A", **newer}))
    page.get_by_text("1 label added").wait_for()
    page.keyboard.press("Escape")
    assert set(rows_of(page, tmp_path)[first]["all_labels"].split("|")) == {"Bob: Sb", "Eve: A"}


def test_a_refusal_in_the_midst_of_a_report_says_what_was_stored_before(page: Any, site: Any, tmp_path: Path) -> None:
    page.evaluate("(token) => sessionStorage.setItem('galclass-token', token)", site.token)
    page.reload()
    at = {"label": "Sb", "labelled_at": "2026-11-01T10:00:00Z"}
    drop(page, labels_file(tmp_path, "Eve", *({"object_id": f"x{n}", **at} for n in range(201))))
    fault = {"error": {"code": "internal", "message": "the disk is full"}}

    def answer(route: Any) -> None:
        last = len(route.request.post_data_json["labels"]) == 1
        route.fulfill(status=500, json=fault) if last else route.continue_()

    page.route("**/v1/labels/report", answer)
    page.get_by_role("button", name="Store in the catalog").click()
    page.get_by_text("The disk is full. Before that: 0 stored, 0 stored before").wait_for()


SCRIPT = '<script type="application/json" id="galclass-report">'
HOSTILE = {
    "a script": (
        "<script>document.title = 'ran'</script><img src=x onerror=\"document.title = 'ran'\">",
        "not a galclass report",
    ),
    "two of them": (SCRIPT + "{}</script>" + SCRIPT + "{}</script>", "not a galclass report"),
    "cut off": (SCRIPT + '{"format": "galclass-rep', "cannot be read"),
    "another version": (SCRIPT + '{"format": "galclass-report", "version": 2, "labels": []}</script>', "version 2"),
    "no list": (SCRIPT + '{"format": "galclass-report", "version": 1, "labels": {"length": 1e9}}</script>', "no list"),
    "too many": (SCRIPT + json.dumps({"format": "galclass-report", "version": 1, "author": "a", "labels": [1] * 10001})
                 + "</script>", "10,001 labels"),
    "no author": (SCRIPT + '{"format": "galclass-report", "version": 1, "labels": [1]}</script>', "who gave"),
    "a long author": (SCRIPT + json.dumps({"format": "galclass-report", "version": 1, "author": "a" * 61,
                                           "labels": [1]}) + "</script>", "who gave"),
    "none at all": (
        SCRIPT + '{"format": "galclass-report", "version": 1, "labels": []}</script>',
        "contains no labels",
    ),
    "null": (SCRIPT + "null</script>", "not a galclass report"),
}  # fmt: skip


def test_hostile_reports_are_refused_with_the_reason(page: Any, three: list[Path], tmp_path: Path) -> None:
    for n, (content, reason) in enumerate(HOSTILE.values()):
        drop(page, write(tmp_path, f"report{n}.html", content))
        page.locator(".notice", has_text=f"report{n}.html").filter(has_text=reason).wait_for()
    drop(page, write(tmp_path, "deep.json", "[" * 100_000 + "]" * 100_000))
    page.locator(".notice", has_text="deep.json is left out").wait_for()
    assert page.title() == "Classify · galclass"
    assert page.locator("dialog[open]").count() == 0
    assert tally(page) == "3 classified"


def test_names_cannot_break_out_of_a_report(page: Any, browser: Any, site: Any, tmp_path: Path) -> None:
    hostile = '<img src=x onerror=alert(1)>&lt;script id="galclass-report">.jpg'
    path = tmp_path / hostile
    path.write_bytes(next(site.pictures.glob("*.jpg")).read_bytes())
    choose(page, path)
    report = downloaded(page, "Report", tmp_path)
    away = browser.new_page()
    away.on("dialog", lambda dialog: pytest.fail("a script ran"))
    away.goto(report.as_uri())
    away.locator("select").select_option("Sb")
    away.get_by_text("1 of 1 labelled, not saved yet.").wait_for()
    assert away.get_by_text(hostile, exact=True).count() == 1
    away.close()
    drop(page, report)
    page.locator(".notice", has_text="galclass-report.html contains no labels").wait_for()


def test_fits_is_classified_and_shows_what_the_model_saw(page: Any, site: Any, tmp_path: Path) -> None:
    fits_builders = pytest.importorskip("fits_builders", reason="astropy is not installed")
    path = tmp_path / "galaxy.fits"
    path.write_bytes(fits_builders.as_file(fits_builders.drawn(128)))
    packed = tmp_path / "packed.fits.gz"
    import gzip

    packed.write_bytes(gzip.compress(path.read_bytes()))
    torn = tmp_path / "torn.fits"
    torn.write_bytes(path.read_bytes()[:4000])
    choose(page, path, packed, torn)
    assert tally(page) == "2 classified, 1 rejected"
    drawn = "() => [...document.querySelectorAll('.card.done .plate img')].filter((one) => one.naturalWidth === 256).length === 2"  # noqa: E501
    page.wait_for_function(drawn)
    saved(page, 2, "drawn")
    page.reload()
    page.wait_for_function(drawn)
    page.locator(".card.done .open").first.click()
    page.wait_for_function("() => document.querySelector('.detail .viewer img').naturalWidth === 256")


def test_similar_images_of_the_visit_open_and_are_compared(page: Any, three: list[Path]) -> None:
    page.locator(".card .open").first.click()
    page.get_by_role("tab", name="Similar").click()
    own = page.locator(".own-similar")
    own.locator(".neighbour").nth(1).wait_for()
    assert own.locator(".neighbour").count() == 2
    for place in (".own-similar", ".similar"):
        page.locator(f"{place} .as-link").first.click()
        page.locator(".side-by-side .one-side").nth(1).wait_for()
        page.keyboard.press("Escape")
        page.locator(".side-by-side").wait_for(state="detached")
        assert page.locator(".detail[open]").count() == 1
    own.locator(".neighbour").first.click()
    page.locator(".detail .position", has_text="of 3").wait_for()
    assert page.locator(".detail .position").text_content() != "1 of 3"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_comparison_and_report(
    browser: Any, site: Any, tmp_path: Path, scheme: str
) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe-core is not installed (make test-deps)")
    context = browser.new_context(bypass_csp=True, color_scheme=scheme, accept_downloads=True)
    page = context.new_page()
    page.goto(site.url)
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:2])
    report = downloaded(page, "Report", tmp_path)
    page.locator(".card .open").first.click()
    page.keyboard.press("l")
    page.get_by_role("tab", name="Similar").click()
    page.locator(".own-similar .as-link").first.click()
    page.locator(".side-by-side .one-side").nth(1).wait_for()
    assert axe_faults(page) == []
    page.keyboard.press("Escape")
    assert axe_faults(page) == []
    page.goto(report.as_uri())
    assert axe_faults(page) == []
    context.close()

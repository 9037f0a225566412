"""A model of classes of one's own, published as the next version of a service."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from tiny_model import OWN_CLASSES, tiny_own_model
from web.site_of_test import Site
from web.steps import axe_faults, choose

from galclass.database import Registry, Services, score_pending

KEYS = {"1": "it's 100 % unclear", "2": "no ring", "3": "ring"}
"""The classes in the order of their names."""

FINETUNED = {
    "tables": {"own classes, cross-validated": {"count": 60, "names": [*OWN_CLASSES], "accuracy": [0.7, 0.6, 0.8]}}
}
"""What galclass finetune registers of a model with fewer than 200 images."""


@pytest.fixture(scope="module")
def own_site(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Iterator[Site]:
    """A workspace whose service `galaxy-class` answers with own classes from version 1.1 on."""
    site = Site(tmp_path_factory.mktemp("own"), sample_folder)
    with site.database() as database:
        Registry(database).register(tiny_own_model(), name="rings", metrics=FINETUNED, aliases=())
        Services(database).publish("galaxy-class", "1.1", "rings", 1, "Rings")
        score_pending(database, "rings@1")
    site.start()
    yield site
    site.kill()


@pytest.fixture
def own(browser: Any, own_site: Site) -> Iterator[Any]:
    """A page on that workspace; errors of its scripts fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True, bypass_csp=True)
    page = context.new_page()
    page.set_default_timeout(15_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(own_site.url)
    yield page
    context.close()
    assert not faults


def pictures(site: Site, count: int) -> list[Path]:
    return sorted(site.pictures.glob("*.jpg"))[:count]


def rows_of(page: Any) -> list[dict[str, str]]:
    with page.expect_download() as started:
        page.get_by_role("button", name="CSV", exact=True).click()
    return list(csv.DictReader(io.StringIO(started.value.path().read_text())))


def test_cards_show_own_classes_with_their_probabilities(own: Any, own_site: Site) -> None:
    choose(own, *pictures(own_site, 12))
    assert own.locator(".card").count() == 12
    rows = rows_of(own)
    assert own.locator(".card .code").all_text_contents() == [row["predicted_class"] for row in rows]
    for card, row in zip(own.locator(".card").all(), rows, strict=True):
        assert sorted(card.locator(".own-line .what").all_text_contents()) == sorted(OWN_CLASSES)
        share = round(100 * float(row[f"predicted_{row['predicted_class']}"]))
        assert card.locator(".own-line.chosen .value").text_content() in (f"{share} %", ">99 %")
        assert "null" not in card.inner_text()
    pytest.importorskip("axe_playwright_python", reason="axe-core is not installed (make test-deps)")
    assert axe_faults(own) == []


def test_images_are_filtered_by_own_classes_and_own_ones_are_no_artifacts(own: Any, own_site: Site) -> None:
    choose(own, *pictures(own_site, 12))
    classes = own.locator(".card .code").all_text_contents()
    menu = own.get_by_label("Class", exact=True)
    for cls in sorted(set(classes)):
        menu.select_option(cls)
        own.locator(".tally", has_text=f"{classes.count(cls)} shown" if len(set(classes)) > 1 else "12").wait_for()
        assert set(own.locator(".card .code").all_text_contents()) == {cls}
    menu.select_option("")
    own.get_by_label("Group", exact=True).select_option("Artifact")
    own.locator(".tally", has_text="0 shown").wait_for()


def test_details_and_keys_know_the_own_classes_and_a_report_brings_them_back(
    own: Any, own_site: Site, tmp_path: Path
) -> None:
    three = pictures(own_site, 3)
    choose(own, *three)
    own.locator(".card .open").first.click()
    detail = own.locator(".detail[open]")
    assert sorted(detail.locator(".spread tbody th").all_text_contents()) == sorted(OWN_CLASSES)
    detail.locator(".explained").wait_for()
    text = detail.inner_text()
    assert [word for word in ("undefined", "null", "NaN") if word in text] == []
    choices = detail.locator(".label-choice").evaluate_all("all => all.map((one) => one.dataset.label)")
    assert choices == [*KEYS.values()]
    for key in "l321":
        own.keyboard.press(key)
    own.keyboard.press("Escape")
    assert [row["human_label"] for row in rows_of(own)] == [KEYS[key] for key in "321"]
    with own.expect_download() as started:
        own.get_by_role("button", name="Report", exact=True).click()
    report = tmp_path / "report.html"
    started.value.save_as(report)
    away = own.context.new_page()
    away.goto(report.as_uri())
    assert away.locator("meter").count() >= 3
    away.locator("select").nth(0).select_option("no ring")
    away.get_by_label("Your name").fill("Ada")
    with away.expect_download() as started:
        away.get_by_role("button", name="Save labels").click()
    labels = tmp_path / "labels.json"
    started.value.save_as(labels)
    own.locator("input[type=file]").first.set_input_files(labels)
    own.get_by_text("1 label added to images of this visit.").wait_for()
    own.get_by_role("button", name="Store in the catalog").click()
    own.get_by_text("1 left out: the catalog takes the Galaxy Zoo classes alone").wait_for()
    own.get_by_role("dialog").get_by_role("button", name="Close").click()
    assert "Ada: no ring" in rows_of(own)[0]["all_labels"]


def test_stored_galaxies_of_own_classes_open_in_the_catalog_and_side_by_side(own: Any, own_site: Site) -> None:
    own.goto(f"{own_site.url}#/catalog?model=rings%401")
    own.locator(".listing .as-link").first.click()
    assert sorted(own.locator(".detail[open] .spread tbody th").all_text_contents()) == sorted(OWN_CLASSES)
    own.keyboard.press("3")
    own.locator(".detail[open] .turned .as-link").first.click()
    own.locator(".side-by-side[open] .spread").nth(1).wait_for()


def test_the_catalog_filters_by_own_classes_and_keeps_a_class_that_the_next_model_has(own: Any, own_site: Site) -> None:
    own.goto(f"{own_site.url}#/catalog")
    menu, model = own.get_by_label("Class", exact=True), own.get_by_label("Model", exact=True)
    menu.select_option("Sb")
    model.select_option("galaxy@2")
    own.wait_for_url("**model=galaxy%402**")
    own.locator("select[name=class] option[value=Sb]:checked").wait_for(state="attached")
    model.select_option("rings@1")
    own.locator("select[name=class] option[value=ring]").wait_for(state="attached")
    assert menu.locator("option").all_text_contents() == ["All", *OWN_CLASSES]
    assert own.get_by_label("Group", exact=True).locator("option").all_text_contents() == ["All"]
    cls = own.locator(".class-cell .code").first.text_content()
    menu.select_option(cls)
    own.wait_for_url(f"**class={quote_plus(cls)}**")
    own.locator(".results:not([aria-busy])").wait_for()
    assert set(own.locator(".class-cell .code").all_text_contents()) == {cls}
    own.go_back()
    own.locator("select[name=class] option[value='']:checked").wait_for(state="attached")
    own.goto(f"{own_site.url}#/catalog?class=gone")
    own.locator("select[name=class] option[value=gone]:checked").wait_for(state="attached")
    own.locator(".fault", has_text="gone").wait_for()


def test_another_version_becomes_the_latest_while_results_are_on_screen(own: Any, own_site: Site) -> None:
    paths = pictures(own_site, 6)
    choose(own, *paths[:3])
    own.get_by_role("link", name="Services").click()
    own.get_by_role("button", name="Make 1.0 the latest").click()
    own.locator("dialog input[type=password]").fill(own_site.token)
    own.get_by_role("button", name="Use token").click()
    own.locator("#in-use", has_text="galaxy-class 1.0, model galaxy 1").wait_for()
    own.get_by_role("link", name="Classify").click()
    choose(own, *paths[3:])
    for _ in range(3):
        own.get_by_role("button", name="Clear", exact=True).click()
        own.locator(".notice", has_text="6 images cleared").get_by_role("button", name="Undo").click()
        own.locator(".tally", has_text="6 classified").wait_for()
    assert [own.locator(".card").nth(n).locator(".own-lines").count() for n in range(6)] == [1, 1, 1, 0, 0, 0]
    rows = rows_of(own)
    assert [row["model_name"] for row in rows] == ["rings"] * 3 + ["galaxy"] * 3
    assert [bool(row["predicted_ring"]) for row in rows] == [True] * 3 + [False] * 3
    assert [bool(row["predicted_Sb"]) for row in rows] == [False] * 3 + [True] * 3
    with own.expect_download() as started:
        own.get_by_role("button", name="Report", exact=True).click()
    report = started.value.path().read_text()
    lines = re.findall(r"<p>Model (\w+), version 1, sha256 \w+: (\d+ images)</p>", report)
    assert lines == [("rings", "3 images"), ("galaxy", "3 images")]
    own.get_by_label("Order").select_option("class")
    own.locator(".card .open").first.click()
    for _ in range(7):
        own.keyboard.press("ArrowRight")
    assert own.locator(".detail .position").text_content() == "6 of 6"
    with own_site.database() as database:
        Services(database).alias("galaxy-class", "latest", "1.1")


def test_a_finetuned_model_has_a_page_with_what_was_measured(own: Any, own_site: Site) -> None:
    own.goto(f"{own_site.url}#/models/rings/1")
    own.locator(".figures tbody", has_text="own classes, cross-validated").wait_for()
    figures = own.locator(".figures tbody td").all_inner_texts()
    assert figures == ["60", "0.700 0.600 to 0.800", "", "", ""]


def test_a_card_that_fails_takes_no_other_with_it(browser: Any, own_site: Site) -> None:
    page = browser.new_page()
    page.goto(own_site.url)
    choose(page, *pictures(own_site, 3))
    page.evaluate(
        """async () => {
            const { store } = await import("./js/visit.js");
            const [first] = store.items;
            store.update(first, { record: { ...first.record, probabilities: null } });
        }"""
    )
    page.locator(".gallery .fault", has_text="The page cannot show").wait_for()
    assert page.locator(".card .code").count() == 2
    page.close()


def test_a_workspace_with_functions_alone_says_that_none_classifies(browser: Any, own_site: Site) -> None:
    page = browser.new_page()
    services = page.request.get(f"{own_site.url}v1/services").json()
    for service in services["services"]:
        service |= {"model": None, "function": {"path": "rings:ring"}}
    page.route("**/v1/services", lambda route: route.fulfill(json=services))
    page.goto(own_site.url)
    page.locator("#in-use", has_text="No published service classifies images, only functions are").wait_for()
    page.locator("input[type=file]").first.set_input_files(pictures(own_site, 1))
    page.locator(".card .reason", has_text="No published service classifies images").wait_for()
    page.close()


def test_the_sky_map_opens_galaxies_by_the_model_chosen_there(own: Any, own_site: Site) -> None:
    own.goto(f"{own_site.url}#/catalog?model=rings%401")
    own.locator(".class-cell .code").first.wait_for()
    own.get_by_role("button", name="Sky map").click()
    own.get_by_label("Model", exact=True).select_option("galaxy@1")
    own.wait_for_url("**model=galaxy%401**")
    own.locator(".results:not([aria-busy]) .sky").focus()
    own.keyboard.press("ArrowRight")
    told = str(own.locator(".sky-place .note").text_content()).split(": ")[1].split(",")[0]
    own.keyboard.press("Enter")
    assert own.locator(".detail[open] h2 .code").text_content() == told

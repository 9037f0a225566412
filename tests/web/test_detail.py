"""The details of one image: which model speaks, what can change its class, votes as a tree, tools, facts."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest
from web.site_of_test import VOTES
from web.steps import choose, wait_until_finished

from galclass.morphology import QUESTIONS

TIMES = 5


def open_first(page: Any, site: Any, count: int = 2) -> None:
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:count])
    page.locator(".card .open").first.click()


def tab(page: Any, name: str) -> Any:
    page.get_by_role("tab", name=name).click()
    return page.locator("#detail-panel")


def test_the_tree_of_the_page_is_that_of_the_package(page: Any) -> None:
    tree = page.evaluate("async () => (await import('./js/tree.js')).TREE")
    ours = {
        name: [[answer.column, answer.leads_to] for answer in question.answers] for name, question in QUESTIONS.items()
    }
    assert {name: [[code, leads] for code, _, leads in answers] for name, (_, answers) in tree.items()} == ours
    order = page.evaluate("async () => (await import('./js/tree.js')).ORDER")
    assert sorted(order) == sorted(QUESTIONS)
    for name, question in QUESTIONS.items():
        assert all(order.index(name) < order.index(one.leads_to) for one in question.answers if one.leads_to)


WALK = """async (votes) => {
    const { walkTree } = await import("./js/tree.js");
    return Object.fromEntries(walkTree(votes).map(({ question, reach, answers }) =>
        [question, { reach, shares: answers.map(({ share }) => share) }]));
}"""


def test_the_branches_are_as_wide_as_the_volunteers_who_get_there(page: Any) -> None:
    votes = {
        "t01_smooth_or_features_a01_smooth": 0.2,
        "t01_smooth_or_features_a02_features_or_disk": 0.7,
        "t01_smooth_or_features_a03_star_or_artifact": 0.1,
        "t02_edgeon_a04_yes": 0.25,
        "t02_edgeon_a05_no": 0.25,  # scaled to a sum of 1
        "t07_rounded_a16_completely_round": 0.0,
        "t07_rounded_a17_in_between": 0.0,
    }
    walked = page.evaluate(WALK, {name: {"fraction": value} for name, value in votes.items()})
    assert walked["t02_edgeon"]["reach"] == pytest.approx(0.7)
    assert walked["t02_edgeon"]["shares"] == pytest.approx([0.35, 0.35])
    assert walked["t07_rounded"]["shares"] == [0, 0]
    assert "t03_bar" not in walked


def test_the_tree_is_drawn_by_the_votes(page: Any, site: Any) -> None:
    galaxy = sorted(site.pictures.glob("*.jpg"))[0]
    address = f"{site.url}v1/services/galaxy-class/1.0/predict"
    jpeg = {"Content-Type": "image/jpeg"}
    record = page.request.post(address, data=galaxy.read_bytes(), headers=jpeg).json()
    smooth, features = (record["vote_fractions"][name]["fraction"] for name in VOTES[:2])
    open_first(page, site)
    panel = tab(page, "Votes")
    segments = panel.locator(".segment")
    widths = segments.evaluate_all("all => all.map((one) => Number(one.getAttribute('width')))")
    assert widths[0] / widths[1] == pytest.approx(smooth / features, rel=0.01)
    assert panel.locator(".votes").count() == 2


def test_ticks_of_the_volunteers_stand_only_where_somebody_was_asked(page: Any) -> None:
    examples = page.request.get(page.url + "v1/examples?draw=0&count=12").json()["examples"]
    page.get_by_role("button", name="Try examples").click()
    wait_until_finished(page)
    page.locator(".card .open").first.click()
    panel = tab(page, "Votes")
    seen = set()
    for number, example in enumerate(examples):
        if number:
            page.keyboard.press("ArrowRight")
        told = [name for name in VOTES if name in example["votes"]]
        assert panel.locator(".mark").count() == len(told), example["object_id"]
        seen.add(len(told))
    assert len(seen) > 1  # smooth galaxies: nobody was asked about a bar


def test_what_can_change_the_class_is_shown(page: Any, site: Any) -> None:
    galaxy = sorted(site.pictures.glob("*.jpg"))[0]
    address = f"{site.url}v1/services/galaxy-class/1.0/explain"
    body = page.request.post(address, data=galaxy.read_bytes(), headers={"Content-Type": "image/jpeg"}).json()
    open_first(page, site)
    section = page.locator("section.explain")
    section.locator(".views img").nth(len(body["variations"]) + 7).wait_for()
    changed = [one for one in body["variations"] if one["predicted_class"] != body["predicted_class"]]
    assert section.locator(".turned.other").count() >= len(changed)
    assert (f"{len(changed)} of" if changed else "Still") in section.text_content()
    assert "Rotated and mirrored, eight views:" in section.text_content()
    assert page.locator(".heat").evaluate("image => image.decode().then(() => image.naturalWidth > 0)")


def test_views_that_cannot_differ_are_not_shown_as_agreement(page: Any, site: Any) -> None:
    def symmetric(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "turning_changes": False})

    page.route(re.compile("/explain"), symmetric)
    open_first(page, site)
    section = page.locator("section.explain")
    section.get_by_text("do not change this model’s probabilities").wait_for()
    assert "agree" not in section.text_content().lower()
    assert section.locator("figcaption", has_text="turned").count() == 0


def test_the_catalog_explains_by_the_model_of_the_row(page: Any, site: Any) -> None:
    """The service answers with galaxy@1; rows of galaxy@2 are explained by galaxy@2."""
    page.route(
        re.compile("/v1/predictions"),
        lambda route: route.fulfill(json=rows_of_version_two(page, site, route)),
    )
    page.goto(f"{site.url}#/catalog")
    with page.expect_response(re.compile("/explain")) as answered, page.expect_response(re.compile("/similar")) as near:
        page.locator(".listing .as-link").first.click()
    assert (answered.value.status, near.value.status) == (200, 200)
    assert "galaxy%402" in answered.value.url
    assert "galaxy%402" in near.value.url
    page.locator("section.explain", has_text="By galaxy, version 2").wait_for()


def rows_of_version_two(page: Any, site: Any, route: Any) -> dict[str, Any]:
    body: dict[str, Any] = route.fetch().json()
    for row in body["predictions"]:
        row["model_version"] = 2
    return body


def test_a_stored_class_that_the_model_no_longer_gives_is_said(page: Any, site: Any) -> None:
    page.route(
        re.compile("/v1/predictions"),
        lambda route: route.fulfill(json=rows_of_version_two(page, site, route)),
    )
    page.goto(f"{site.url}#/catalog")
    page.locator(".listing .as-link").first.wait_for()
    rows = page.request.get(f"{site.url}v1/predictions").json()["predictions"]
    now = {}
    for row in rows[:8]:
        path = f"{site.url}v1/images/{quote(row['object_id'])}/explain?model=galaxy@2"
        now[row["object_id"]] = page.request.get(path).json()["predicted_class"]
    differs = [row["object_id"] for row in rows[:8] if row["predicted_class"] != now[row["object_id"]]]
    same = [row["object_id"] for row in rows[:8] if row["object_id"] not in differs]
    for object_id, faults in ((differs[0], 1), *((key, 0) for key in same[:1])):
        page.get_by_role("button", name=object_id, exact=True).click()
        page.locator("section.explain h3").wait_for()
        assert page.locator("section.explain .fault").count() == faults
        page.keyboard.press("Escape")


def test_the_picture_is_zoomed_inverted_and_stretched_by_keys(page: Any, site: Any) -> None:
    open_first(page, site)
    image = page.locator(".viewer img")
    level = page.locator(".level")
    page.wait_for_function("() => document.querySelector('.rule').textContent.endsWith('px')")
    for expected in ("1.5 ×", "2 ×", "3 ×", "4 ×", "6 ×"):
        page.keyboard.press("+")
        assert level.text_content() == expected
    assert "scale(6)" in image.get_attribute("style")
    for _ in range(TIMES):
        page.keyboard.press("-")
    assert level.text_content() == "1 ×"
    for expected in ("invert(1)", "none", "invert(1)", "none", "invert(1)"):
        page.keyboard.press("i")
        assert expected in image.evaluate("image => image.style.filter")
    names = []
    for _ in range(TIMES):
        page.keyboard.press("s")
        names.append(page.get_by_label("Stretch").input_value())
    assert names == ["asinh", "strong asinh", "linear", "asinh", "strong asinh"]
    page.keyboard.press("ArrowRight")
    assert "invert(1)" in image.evaluate("image => image.style.filter")  # stays from image to image


def test_the_scale_bar_follows_the_size_of_the_picture(page: Any, site: Any) -> None:
    open_first(page, site)
    shown_px = """() => {
        const [image, rule] = [".viewer img", ".viewer .rule"].map((one) => document.querySelector(one));
        const scale = Math.min(image.clientWidth / image.naturalWidth, image.clientHeight / image.naturalHeight);
        return rule.getBoundingClientRect().width / scale / parseFloat(rule.textContent);
    }"""
    page.locator(".viewer .rule", has_text="px").wait_for()
    for width, height in ((390, 844), (500, 900), (1280, 900)):
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.evaluate(shown_px) == pytest.approx(1, abs=0.02)


def test_the_tabs_are_reached_by_number_and_the_head_stays(page: Any, site: Any) -> None:
    open_first(page, site)
    for _ in range(TIMES):
        for number, name in enumerate(("Why", "Votes", "Similar", "Facts"), start=1):
            page.keyboard.press(str(number))
            assert page.get_by_role("tab", name=name).get_attribute("aria-selected") == "true"
    page.keyboard.press("1")
    page.locator(".explain .views img").first.wait_for()
    page.locator(".detail").evaluate("dialog => dialog.scrollTo(0, 10000)")
    box = page.locator(".detail-head").bounding_box()
    assert box["y"] >= 0
    assert page.locator("#detail-title").is_visible()


def test_ids_can_be_copied_and_positions_lead_to_the_surveys(page: Any, site: Any) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{site.url}#/catalog")
    button = page.locator(".listing .as-link").first
    object_id = button.text_content()
    button.click()
    panel = tab(page, "Facts")
    panel.get_by_role("button", name=f"Copy {object_id}").click()
    panel.get_by_role("button", name=f"Copy {object_id}", exact=True).get_by_text("copied").wait_for()
    assert page.evaluate("() => navigator.clipboard.readText()") == object_id
    links = panel.locator("a[href^=https]").evaluate_all("all => all.map((link) => [link.rel, link.host])")
    assert {host for _, host in links} >= {"skyserver.sdss.org", "simbad.cds.unistra.fr"}
    assert all("noreferrer" in rel for rel, _ in links)


@pytest.mark.parametrize(
    ("ra", "dec", "text"),
    [
        (150.119167, 2.205556, "10:00:28.60 +02:12:20.0"),
        (0, -0.5, "00:00:00.00 -00:30:00.0"),
        (359.9999999, 89.9999999, "00:00:00.00 +90:00:00.0"),
    ],
)
def test_positions_are_written_in_hours_and_degrees(page: Any, ra: float, dec: float, text: str) -> None:
    made = page.evaluate("async ([ra, dec]) => (await import('./js/facts.js')).sexagesimal(ra, dec)", [ra, dec])
    assert made == text


def test_raw_votes_stand_beside_the_debiased_ones_and_draw_the_tree(page: Any, site: Any) -> None:
    def with_raw(route: Any) -> None:
        record = route.fetch().json()
        half = {"fraction": 0.5, "low": 0.4, "high": 0.6}
        route.fulfill(json={**record, "raw_vote_fractions": {name: half for name in VOTES[:2]}})

    page.route(re.compile(r"/predict\?"), with_raw)
    open_first(page, site)
    panel = tab(page, "Votes")
    assert panel.locator(".ring").count() == 2
    assert panel.get_by_text("raw 50 %").count() == 2
    widths = panel.locator(".segment").evaluate_all("all => all.map((one) => Number(one.getAttribute('width')))")
    assert widths[0] == widths[1]

"""Two models on the page: compared on the same galaxies, and which of two measured ones classifies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_model import model_fitted_to, tiny_model
from web.site_of_test import METRICS, Site

from galclass.config import load_config
from galclass.database import Registry, Services, open_database, score_pending
from galclass.database.labels import NewLabel, add_labels


@pytest.fixture(scope="module")
def models_site(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Iterator[Site]:
    """A site of its own: services published here would classify the images of other tests."""
    site = Site(tmp_path_factory.mktemp("models"), sample_folder)
    site.start()
    yield site
    site.kill()


def better(accuracy: float) -> dict[str, Any]:
    """An evaluation like that of the first model, with another accuracy."""
    table = {**METRICS["tables"]["4 groups"], "accuracy": [accuracy, accuracy - 0.05, accuracy + 0.05]}
    return {**METRICS, "tables": {"4 groups": table}}


def test_the_more_accurate_of_two_measured_models_classifies(browser: Any, models_site: Any) -> None:
    config = load_config(models_site.config_path)
    with open_database(config.database_url) as database:
        for seed, accuracy, name in ((5, 0.9, "sharp"), (6, 0.3, "blunt")):
            Registry(database).register(tiny_model(seed), name=name, metrics=better(accuracy))
            Services(database).publish(f"{name}-service", "1.0", name, 1, "")
    page = browser.new_context().new_page()
    page.goto(models_site.url)
    select = page.locator(".in-use select")
    select.wait_for()
    select.locator("option").nth(1).wait_for(state="attached")
    options = select.locator("option").all_text_contents()
    assert select.input_value() == "sharp-service"
    assert options[0].endswith("(90 % right, 4 groups), the most accurate")
    assert [text.split()[0] for text in options[:3]] == ["sharp-service", "galaxy-class", "blunt-service"]
    page.context.close()


def test_two_models_are_compared_on_the_same_galaxies(browser: Any, models_site: Any) -> None:
    config = load_config(models_site.config_path)
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{models_site.url}#/models/galaxy/1")
    choice = page.get_by_label("On the same labelled galaxies")
    choice.select_option("galaxy@2")
    page.locator(".comparison", has_text="No labelled galaxy has a stored prediction from both").wait_for()
    with open_database(config.database_url) as database:
        score_pending(database, "galaxy@2")
        rows = page.request.get(f"{models_site.url}v1/predictions?model=galaxy@2&page_size=60").json()["predictions"]
        add_labels(database, [NewLabel(row["object_id"], row["predicted_class"], "a catalog") for row in rows])
    for _ in range(5):
        choice.select_option("")
        choice.select_option("galaxy@2")
        page.locator(".comparison", has_text="galaxy@2 is better.").wait_for()
    assert page.locator(".differing a").count() > 3
    page.locator(".differing a").first.click()
    page.locator(".catalog-list tbody tr").first.wait_for()
    page.context.close()


def test_a_comparison_says_how_many_galaxies_a_model_was_fitted_to(browser: Any, models_site: Any) -> None:
    config = load_config(models_site.config_path)
    page = browser.new_context().new_page()
    rows = page.request.get(f"{models_site.url}v1/predictions?model=galaxy@1&page_size=60").json()["predictions"]
    keys = [row["object_id"] for row in rows]
    with open_database(config.database_url) as database:
        add_labels(database, [NewLabel(key, "Er", "for taught") for key in keys])
        for name, seen in (("taught", keys[2:]), ("crammed", keys)):
            Registry(database).register(model_fitted_to(seen), name=name)
            score_pending(database, f"{name}@1")
    page.goto(f"{models_site.url}#/models/galaxy/1")
    choice = page.get_by_label("On the same labelled galaxies")
    choice.select_option("taught@1")
    left_out = f"{len(keys) - 2} left out: one of the models was fitted to these ids."
    page.locator(".comparison", has_text="On 2 labelled galaxies galaxy@1 is right on").wait_for()
    assert left_out in page.locator(".comparison").inner_text()
    choice.select_option("crammed@1")
    page.locator(".comparison", has_text="There is nothing to compare on. Labelled galaxies").wait_for()
    page.context.close()


def test_a_version_published_while_the_page_is_open_classifies_when_the_reader_comes_back(
    browser: Any, models_site: Site
) -> None:
    page = browser.new_context().new_page()
    page.clock.install()
    page.goto(models_site.url)
    page.locator("#in-use", has_text="model ").wait_for()
    service = page.evaluate("import('./js/service.js').then(({currentService}) => currentService())")
    config = load_config(models_site.config_path)
    with open_database(config.database_url) as database:
        model = service["model"]
        Services(database).publish(service["name"], "9.0", model["name"], model["version"], "A later version")
    page.route("**/v1/services", lambda route: route.abort())
    page.clock.run_for(61_000)
    with page.expect_event("requestfailed"):
        come_back(page)
    page.unroute("**/v1/services")
    come_back(page)  # too early to ask again
    assert not page.locator("#in-use", has_text="9.0").count()
    assert not page.locator("#banner").is_visible()
    page.clock.run_for(61_000)
    come_back(page)
    page.locator("#in-use", has_text=f"{service['name']} 9.0").wait_for()
    text = f"earlier results are those of {service['name']} {service['version']}"
    page.locator("#notices .notice", has_text=text).wait_for()
    with open_database(config.database_url) as database:
        Services(database).publish("a-further-service", "1.0", model["name"], model["version"], "")
    page.clock.run_for(61_000)
    come_back(page)
    page.locator(".in-use option", has_text="a-further-service 1.0").wait_for(state="attached")
    page.context.close()


def test_the_first_version_published_while_the_page_is_open_is_named(browser: Any, models_site: Site) -> None:
    page = browser.new_context().new_page()
    page.clock.install()
    page.route("**/v1/services", lambda route: route.fulfill(json={"services": []}))
    page.goto(models_site.url)
    page.locator("#in-use", has_text="No service is published yet").wait_for()
    page.unroute("**/v1/services")
    page.clock.run_for(61_000)
    come_back(page)
    page.locator("#in-use", has_text="galaxy-class").wait_for()
    page.context.close()


def come_back(page: Any) -> None:
    page.evaluate("window.dispatchEvent(new Event('focus'))")

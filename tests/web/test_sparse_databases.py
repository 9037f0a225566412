"""Databases with nothing in them, and with NULL wherever a column may have it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from web.site_of_test import Site

from galclass.database.schema import images, labels, predictions

VIEWS = ("catalog", "catalog?view=sky", "map", "models", "services", "label")


@pytest.fixture(scope="module")
def sparse_site(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Iterator[Site]:
    """A workspace whose first objects have NULL in every column that may have it; four of them have a class."""
    site = Site(tmp_path_factory.mktemp("sparse"), sample_folder)
    with site.database() as database, database.write() as connection:
        ids = list(connection.scalars(select(images.c.object_id).order_by(images.c.object_id)))
        for table, chosen in ((images, ids[:8]), (predictions, ids[:4])):
            empty = {column.name: None for column in table.c if column.nullable}
            connection.execute(update(table).where(table.c.object_id.in_(chosen)).values(empty))
        classed = {column.name: None for column in predictions.c if column.nullable} | {"predicted_class": "Sb"}
        connection.execute(update(predictions).where(predictions.c.object_id.in_(ids[4:8])).values(classed))
    site.start()
    yield site
    site.kill()


def open_view(page: Any, site: Site, view: str) -> None:
    page.goto("about:blank")
    page.goto(f"{site.url}#/{view}")
    page.locator("main:not([aria-busy]) h1").wait_for()
    page.wait_for_function("() => !document.querySelector('main [aria-busy=true]')")
    page.locator("main p", has_text="Loading…").wait_for(state="detached")


def test_details_of_an_object_without_image_give_the_reason_in_every_tab(browser: Any, sparse_site: Site) -> None:
    page = browser.new_page()
    open_view(page, sparse_site, "catalog")
    page.get_by_text("no prediction").first.wait_for()
    page.locator(".listing .as-link").first.click()
    for tab in ("Why", "Votes", "Similar"):
        page.get_by_role("tab", name=tab).click()
        page.locator("#detail-panel .fault", has_text="No image is stored for this object.").wait_for()
    page.get_by_role("tab", name="Facts").click()
    text = page.locator(".detail").inner_text()
    assert [word for word in ("NaN", "undefined", "null", "cannot compare") if word in text] == []
    page.close()


def test_every_view_of_an_empty_database_says_what_is_missing(browser: Any, sparse_site: Site) -> None:
    with sparse_site.database() as database, database.write() as connection:
        for table in (predictions, labels, images):
            connection.execute(delete(table))
    page = browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    told = {}
    for view in VIEWS:
        open_view(page, sparse_site, view)
        told[view] = page.locator("main").inner_text()
    assert faults == []
    assert "No stored prediction matches these filters." in told["catalog"]
    assert "No galaxy with a position matches these filters." in told["catalog?view=sky"]
    assert "No image is stored." in told["map"]
    page.close()

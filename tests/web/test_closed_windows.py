"""Windows closed long ago: what the browser keeps of them, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from web.steps import choose, until

CLOSED_IN_ORDER = """async () => {
  const database = await new Promise((resolve) => {
    const request = indexedDB.open("galclass");
    request.onsuccess = () => resolve(request.result);
  });
  const transaction = database.transaction(["sessions", "items"], "readwrite");
  const request = transaction.objectStore("items").getAll();
  request.onsuccess = () => {
    const byName = request.result.sort((a, b) => (a.name < b.name ? -1 : 1));
    const sessions = transaction.objectStore("sessions");
    byName.forEach(({ session }, savedAt) => sessions.put({ id: session, savedAt, cleared: [] }));
  };
  await new Promise((resolve) => { transaction.oncomplete = resolve; });
  database.close();
}"""
"""Whether a window that closes still writes when it did is up to the browser."""


def opened(context: Any, site: Any) -> Any:
    page = context.new_page()
    page.goto(site.url)
    page.get_by_role("button", name="Choose images").wait_for()
    return page


def close(*pages: Any) -> None:
    for page in pages:
        with page.expect_event("close"):
            page.close(run_before_unload=True)


def label(page: Any, cls: str) -> None:
    page.locator(".card .open").click()
    page.locator(f".label-choice[data-label={cls}]").click()
    page.keyboard.press("Escape")


def test_older_windows_with_labels_are_kept_and_the_images_of_others_counted(page: Any, site: Any) -> None:
    paths: list[Path] = sorted(site.pictures.glob("*.jpg"))[:5]
    windows = [page, *(opened(page.context, site) for _ in paths[1:])]
    for window, path in zip(windows, paths, strict=True):
        choose(window, path)
        if path == paths[0]:
            label(window, "Sb")
    last = page.context.new_page()
    last.goto(site.url + "healthz")
    close(*windows)
    until(last, "async () => !(await navigator.locks.query()).held.length")  # the windows are gone
    last.evaluate(CLOSED_IN_ORDER)
    last.goto(site.url)
    last.locator(".notice", has_text="1 image without labels, of windows closed before the last 3").wait_for()
    last.locator(".notice", has_text="1 older window with labels kept: open this page in further windows").wait_for()
    further = [opened(page.context, site) for _ in range(3)]
    further[-1].locator(".tally", has_text="1 classified").wait_for()
    further[-1].locator(".card .open").click()
    further[-1].locator(".label .note", has_text="Labelled Sb by you.").wait_for()
    assert further[-1].locator(".notice", has_text="older window").count() == 0


def test_clear_says_how_many_of_the_images_have_labels(page: Any, site: Any) -> None:
    choose(page, *sorted(site.pictures.glob("*.jpg"))[:2])
    page.locator(".card .open").first.click()
    page.locator(".label-choice[data-label=Sb]").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Clear", exact=True).click()
    page.locator(".notice", has_text="2 images cleared, 1 with labels.").wait_for()

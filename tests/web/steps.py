"""Steps that several tests take on the page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

TIMEOUT_MS = 30_000


def choose(page: Any, *paths: Path) -> None:
    """Choose files and wait until they and all before them are finished."""
    before = page.evaluate(
        """async () => {
            const { restored, store } = await import("./js/visit.js");
            await restored;
            return store.items.length;
        }"""
    )
    page.locator("input[type=file]").first.set_input_files(paths)
    total = before + len(paths)  # idle alone may be what the toolbar says of those before
    progress = page.locator(f'progress.idle[max="{total}"][value="{total}"]')
    progress.wait_for(state="attached", timeout=TIMEOUT_MS)


def wait_until_finished(page: Any) -> None:
    page.locator(".toolbar:not(.asleep)").wait_for(timeout=TIMEOUT_MS)
    page.locator("progress.idle").wait_for(state="attached", timeout=TIMEOUT_MS)


def until(page: Any, function: str, arg: Any = None) -> None:
    """Wait until a function of the page returns something true; `wait_for_function` takes a promise for true."""
    while not page.evaluate(function, arg):  # the test's time limit ends it
        page.wait_for_timeout(20)


def saved(page: Any, count: int, what: str = "finished") -> None:
    """Wait until so many images are in the browser's database: all, or those finished, labelled, drawn or cleared."""
    until(
        page,
        """async ([count, what]) => {
            const database = await new Promise((done) => {
                const opening = indexedDB.open("galclass", 1);
                opening.onsuccess = () => done(opening.result);
            });
            const rowsOf = async (name) => {
                const reading = database.transaction(name).objectStore(name).getAll();
                return new Promise((done) => (reading.onsuccess = () => done(reading.result)));
            };
            const [items, sessions] = [await rowsOf("items"), await rowsOf("sessions")];
            database.close();
            const counts = {
                all: items.length,
                finished: items.filter(({ status }) => !["waiting", "sending"].includes(status)).length,
                labelled: items.filter(({ labels }) => Object.keys(labels).length).length,
                drawn: items.filter(({ preview }) => preview).length,
                cleared: sessions.flatMap(({ cleared }) => cleared).length,
            };
            return counts[what] === count;
        }""",
        [count, what],
    )


def tally(page: Any) -> str:
    return str(page.locator(".tally").text_content())


class Held:
    """Requests of a page that match, held until the test releases them; the first `most`, or all.

    A request is seen by `page.expect_request` before it is held: `wait` waits until it is.
    """

    def __init__(self, page: Any, pattern: Any, *, most: float = math.inf, method: str | None = None) -> None:
        self.routes: list[Any] = []
        self._page = page
        self._most = most
        self._method = method
        page.route(pattern, self._answer)

    def _answer(self, route: Any) -> None:
        if self._method not in (None, route.request.method) or len(self.routes) >= self._most:
            route.fallback()
        else:
            self.routes.append(route)

    def wait(self, count: int = 1) -> list[Any]:
        """Wait until so many are held, and return them."""
        while len(self.routes) < count:  # the test's time limit ends it
            self._page.wait_for_timeout(20)
        return self.routes

    def release(self) -> None:
        """Let all go on that are held, and hold no more."""
        self._most = 0
        for route in self.routes:
            route.continue_()


def after_response(page: Any, pattern: Any, release: Any) -> None:
    """Release a held response and wait until the page has taken it in: two frames after its last byte."""
    with page.expect_response(pattern) as response:
        release()
    response.value.finished()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def axe_faults(page: Any) -> list[str]:
    """Return the serious and critical faults that axe-core finds, as "rule: element"."""
    from axe_playwright_python.base import AXE_FILE_PATH

    if page.evaluate("() => window.axe === undefined"):  # half a megabyte, once for each document
        page.evaluate(Path(AXE_FILE_PATH).read_text() + ";0")
    found = page.evaluate("() => axe.run({ resultTypes: ['violations'] })")  # the others' elements are not described
    return [
        f"{fault['id']}: {node['html'][:120]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]

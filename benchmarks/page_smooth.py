"""How fast the page is in Chromium: first paint, the first prediction, 500 images, and frames while scrolling them.

    python benchmarks/page_smooth.py [--images 500] [--rounds 5]

Starts a server on the bundled sample (with the small model of the tests) and a headless Chromium on the same machine,
which draws without a GPU. Prints the first contentful paint (median of fresh pages), seconds from choosing the files to
the last prediction, cards in the document, and the frame times while the list is scrolled by 700 px a frame.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "web")]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SCROLL = """async () => {
    const frames = [];
    window.scrollTo(0, 0);
    let last = performance.now();
    for (let step = 0; step < 120; step += 1) {
        window.scrollBy(0, 700);
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        frames.push(now - last);
        last = now;
    }
    return frames;
}"""


def first_paint_ms(browser: Browser, url: str) -> float:
    page = browser.new_page()
    page.goto(url)
    page.locator(".station").first.wait_for()
    paint = page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.close()
    return float(paint)


def classify(page: Page, paths: list[Path]) -> float:
    """Seconds from choosing the files to the last prediction."""
    begin = time.perf_counter()
    page.locator("input[type=file]").first.set_input_files(paths)
    page.locator(".tally", has_text=f"{len(paths)} classified").wait_for(timeout=300_000)
    return time.perf_counter() - begin


def copies(pictures: Path, folder: Path, count: int) -> list[Path]:
    galaxies = sorted(pictures.glob("*.jpg"))
    paths = [folder / f"galaxy_{n:03}.jpg" for n in range(count)]
    for n, path in enumerate(paths):
        shutil.copy(galaxies[n % len(galaxies)], path)
    return paths


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--images", type=int, default=500)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    from site_of_test import Site

    chromium = os.environ.get("GALCLASS_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        site = Site(Path(name), ROOT / "data" / "sample")
        site.start()
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        paints = [first_paint_ms(browser, site.url) for _ in range(chosen.rounds)]
        print(f"first contentful paint: median {statistics.median(paints):.0f} ms, longest {max(paints):.0f} ms")
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(site.url)
        (Path(name) / "many").mkdir()
        one, *many = copies(site.pictures, Path(name) / "many", chosen.images)
        print(f"one image: {classify(page, [one]):.2f} s to the answer")
        page = browser.new_page(viewport={"width": 1280, "height": 900})  # without the images of the one before
        page.goto(site.url)
        seconds = classify(page, [one, *many])
        print(f"{chosen.images} images: {seconds:.1f} s, {chosen.images / seconds:.0f} images/s")
        print(f"cards in the document: {page.locator('.card').count()}")
        frames = sorted(page.evaluate(SCROLL))
        print(
            f"frames while scrolling: median {statistics.median(frames):.0f} ms,"
            f" 95 % {frames[int(0.95 * len(frames))]:.0f} ms, longest {frames[-1]:.0f} ms"
        )
        browser.close()
        site.kill()


if __name__ == "__main__":
    main()

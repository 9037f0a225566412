"""How smoothly the map moves in Chromium: frames per second while 10,000 thumbnails are panned for 5 s.

    python benchmarks/page_map.py WORKSPACE [--galaxies 10000]

Makes the workspace if there is none yet: copies of the sample's pictures with the embeddings of the model in the
package, scattered a little, so that nothing waits for a model. Then starts the server and a headless Chromium, which
draws without a GPU, waits until all pictures are there and pans by pointer events, one a frame: the whole map, then
magnified three times.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from galclass.config import config_to_toml, load_config
from galclass.database import Database, Images, NewImage, Registry, open_database
from galclass.database.embeddings import Embeddings
from galclass.scoring import Prediction, Scorer

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PORT = 8799
PAN = """async (seconds) => {
    const canvas = document.querySelector(".map-canvas");
    const box = canvas.getBoundingClientRect();
    const fire = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type, {
        pointerId: 1, button: 0, buttons: 1, clientX: box.left + x, clientY: box.top + y, bubbles: true }));
    canvas.setPointerCapture = () => {};
    const [middleX, middleY, reach] = [box.width / 2, box.height / 2, Math.min(box.width, box.height) / 2];
    fire("pointerdown", middleX, middleY);
    const frames = [];
    const start = performance.now();
    let last = start;
    while (last - start < 1000 * seconds) {
        const turn = (last - start) / 1000 * 2;
        fire("pointermove", middleX + reach * Math.sin(turn), middleY + 0.6 * reach * Math.sin(1.7 * turn));
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        frames.push(now - last);
        last = now;
    }
    fire("pointerup", middleX, middleY);
    return frames;
}"""


class Scattered:
    """Stands in for a scorer: returns copies of known embeddings in turn, each slightly perturbed."""

    def __init__(self, sha256: str, known: list[Prediction]) -> None:
        self.sha256 = sha256
        self._known = known
        self._rng = np.random.default_rng(0)
        self._spread = np.std([one.embedding for one in known], axis=0) / 6

    def score(
        self, images: list[bytes | None], *, object_ids: list[str], frame_px: list[int | None]
    ) -> list[Prediction]:
        """Return predictions with embeddings as an embedder does."""
        return [self._of(object_id) for object_id in object_ids]

    def _of(self, object_id: str) -> Prediction:
        one = self._known[int(object_id) % len(self._known)]
        moved = one.embedding + self._rng.normal(size=self._spread.shape) * self._spread
        return replace(one, object_id=object_id, embedding=moved.astype(np.float32))


def fill(database: Database, count: int) -> None:
    """Store galaxies, the model in the package and embeddings."""
    scorer = Scorer()
    model = Path(scorer_file()).read_bytes()
    Registry(database).register(model)
    with zipfile.ZipFile(ROOT / "data" / "sample" / "images_gz2.zip") as archive:
        pictures = [archive.read(name) for name in sorted(archive.namelist()) if name.endswith(".jpg")]
    copies = (NewImage(f"{n:06}", pictures[n % len(pictures)] + b"\0" * (n // len(pictures))) for n in range(count))
    Images(database).add(copies)
    Embeddings(database).fill(Scattered(scorer.sha256, scorer.score(pictures)))


def scorer_file() -> Path:
    """Return the file of the model in the package."""
    return ROOT / "src" / "galclass" / "scoring" / "shipped" / "galaxy.onnx"


def wait_for(url: str) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise SystemExit("the server does not start")


def report(title: str, frames: list[float]) -> None:
    frames = sorted(frames)
    slow = frames[int(0.95 * len(frames))]
    print(f"{title}: median {1000 / statistics.median(frames):.0f} frames/s, 95 % of frames within {slow:.0f} ms")


def measure(page: Page, url: str) -> None:
    page.set_default_timeout(90_000)
    page.goto(f"{url}#/map?model=galaxy@1")
    page.locator(".map-canvas").wait_for()
    begin = time.perf_counter()
    page.wait_for_load_state("networkidle")
    print(f"all pictures there after {time.perf_counter() - begin:.1f} s")
    report("whole map", page.evaluate(PAN, 5))
    page.locator(".map-canvas").focus()
    for _ in range(4):
        page.keyboard.press("+")
    page.wait_for_timeout(500)
    report("magnified three times", page.evaluate(PAN, 5))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("workspace", type=Path)
    options.add_argument("--galaxies", type=int, default=10_000)
    options.add_argument("--fill-only", action="store_true", help="make the workspace and end")
    chosen = options.parse_args()
    config = load_config(None, {"workspace": str(chosen.workspace), "serve.port": PORT})
    settings = chosen.workspace / "galclass.toml"
    if not settings.is_file():
        chosen.workspace.mkdir(parents=True, exist_ok=True)
        with open_database(config.database_url) as database:
            fill(database, chosen.galaxies)
        settings.write_text(config_to_toml(config))
    if chosen.fill_only:
        return
    code = "from galclass.cli import main; main()"
    server = subprocess.Popen([sys.executable, "-c", code, "serve", "--config", str(settings)])
    try:
        wait_for(f"http://127.0.0.1:{PORT}/healthz")
        with sync_playwright() as driver:
            chromium = os.environ.get("GALCLASS_CHROMIUM") or shutil.which("chromium")
            browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
            measure(browser.new_page(viewport={"width": 1280, "height": 900}), f"http://127.0.0.1:{PORT}/")
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()

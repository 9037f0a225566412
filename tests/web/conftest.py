"""Chromium on the real server. Without the browser or playwright these tests are skipped and named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = os.environ.get("GALCLASS_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
ADDRESS_BAR = "WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup"
"""Pages of Chromium's own for suggestions below the address bar, loaded with each window: a third of its work here."""
PLAYWRIGHTS = (
    "AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,"
    "LensOverlay,MediaRouter,PaintHolding,ThirdPartyStoragePartitioning,AvoidCorsURLLoaderRestartOnRedirect,"
    "OptimizationHints,NetworkTimeServiceQuerying,AimEnabled,PreconnectToSearch"
)
"""What Playwright 1.65 switches off: Chromium reads the last `--disable-features` alone."""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={PLAYWRIGHTS},{ADDRESS_BAR}",
]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Iterator[Any]:
    """The workspace with its server running."""
    from web.site_of_test import Site

    site = Site(tmp_path_factory.mktemp("web"), sample_folder)
    site.start()
    yield site
    site.kill()


@pytest.fixture(scope="session")
def desk_site(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Iterator[Any]:
    """A workspace of its own with its server: labels and models made here concern no other test."""
    from web.site_of_test import Site

    site = Site(tmp_path_factory.mktemp("desk"), sample_folder)
    site.start()
    yield site
    site.kill()


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """One headless Chromium until other tests follow: left running, its event loop would break asyncio.run in them."""
    if CHROMIUM is None:
        pytest.skip("no Chromium (make test-deps installs it)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (make test-deps)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, site: Any) -> Iterator[Any]:
    """A fresh desktop page at the start; errors of its scripts and broken policies fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(15_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
    page.goto(site.url)
    yield page
    context.close()
    assert not faults

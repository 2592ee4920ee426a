"""Chromium without a screen, for tests of what people look at."""

import json
import shutil
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
SIZES = [(360, "light"), (360, "dark"), (1440, "light"), (1440, "dark")]


def open_browser(profile: Path, *flags: str):
    """Return a Chromium of its own, with nothing remembered; the test is skipped where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: make test installs it")
    if not CHROMIUM or not DRIVER:
        pytest.skip("chromium and chromedriver are not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))


def show(browser, address: str, *, width: int = 1440, scheme: str = "light") -> None:
    """Open an address on a screen of some width, by day or by night."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(address)


def drop(browser, selector: str, *paths: Path) -> None:
    """Drop files and folders on an element, as from a file manager; it must show that it takes them."""
    box = browser.execute_script("return document.querySelector(arguments[0]).getBoundingClientRect()", selector)
    place = {"x": box["left"] + box["width"] / 2, "y": box["top"] + box["height"] / 2}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, **place, "data": data})
        marked = browser.find_elements("css selector", f"{selector}.over")
        assert bool(marked) == (kind != "drop"), kind


def requested(browser) -> list[str]:
    """Return every address that the browser asked for since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def width_needed(browser) -> int:
    """Return how wide the page is, whatever the screen is."""
    return browser.execute_script("return document.documentElement.scrollWidth")

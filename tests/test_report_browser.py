"""The page in a real browser: Chromium, without a screen."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_report import LABELS, evaluated, full_report

from audionet.report import Report, write_report

pytestmark = pytest.mark.slow

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


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator:
    """A Chromium of its own, with nothing remembered."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: make test installs it")
    if not CHROMIUM or not DRIVER:
        pytest.skip("chromium and chromedriver are not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def report_path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, full_report())
    return path


def show(browser, path: Path, *, width: int = 1440, scheme: str = "light") -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(path.as_uri())


def requested(browser) -> list[str]:
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def test_the_page_loads_alone_and_without_an_error(browser, report_path):
    browser.get("about:blank")
    browser.get_log("browser"), browser.get_log("performance")
    show(browser, report_path)
    browser.execute_async_script("const done = arguments[0]; setTimeout(done, 500)")
    assert browser.get_log("browser") == []
    urls = requested(browser)
    assert report_path.as_uri() in urls
    assert not [url for url in urls if not url.startswith(("data:", "file:"))]
    assert len([url for url in urls if url.startswith("file:")]) == 1


def test_every_player_plays(browser, report_path):
    show(browser, report_path)
    played = browser.execute_async_script(
        "const done = arguments[0];"
        "Promise.all([...document.querySelectorAll('audio')].map(async player => {"
        "  await player.play(); player.pause(); return player.duration;"
        "})).then(done, error => done(String(error)))"
    )
    assert len(played) == 2
    assert all(duration == pytest.approx(2.0, abs=0.2) for duration in played), played


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_every_figure_is_visible(browser, report_path, width, scheme):
    show(browser, report_path, width=width, scheme=scheme)
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('figure svg, .clips img, audio')].map(each => {"
        "  const box = each.getBoundingClientRect(); return [box.width, box.height];"
        "})"
    )
    assert len(boxes) >= 12
    assert all(across > 100 and down > 20 for across, down in boxes), boxes
    pictures = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert pictures and all(pictures)


@pytest.mark.parametrize("width", [320, 360, 768, 1440])
def test_nothing_sticks_out_of_the_page(browser, report_path, width):
    show(browser, report_path, width=width)
    browser.execute_script("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(browser, report_path, scheme):
    show(browser, report_path, scheme=scheme)
    colours = browser.execute_script(
        "const style = getComputedStyle(document.documentElement);"
        "return ['paper', 'ink', 'muted', 'accent', 'other'].map(name => style.getPropertyValue('--' + name).trim())"
    )
    paper, *texts = map(luminance, colours)
    contrasts = [(max(paper, text) + 0.05) / (min(paper, text) + 0.05) for text in texts]
    assert min(contrasts) >= 4.5, contrasts  # WCAG 2, level AA
    plot_text = browser.execute_script("return getComputedStyle(document.querySelector('figure svg text')).fill")
    assert plot_text != "rgb(0, 0, 0)"


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour such as #1d1c19. Source: WCAG 2.2."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return float(sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True)))


def test_a_label_that_looks_like_a_script_is_shown_and_not_run(browser, report_path):
    show(browser, report_path)
    assert "<script>alert(1)</script>" in browser.execute_script("return document.body.innerText")
    assert browser.execute_script("return document.scripts.length") == 0


def test_the_keyboard_reaches_links_plots_tables_and_players(browser, report_path):
    show(browser, report_path)
    reachable = browser.execute_script(
        "return [...document.querySelectorAll('a[href], summary, audio, .scroll')].map(each => each.tabIndex)"
    )
    assert len(reachable) > 20 and min(reachable) >= 0


def test_a_thousand_labels_stay_usable(browser, tmp_path):
    labels = tuple(f"{LABELS[1]} {number}" for number in range(1000))
    write_report(tmp_path / "report.html", Report("Many", evaluation=evaluated(labels, recordings=1, unknown=0)))
    show(browser, tmp_path / "report.html", width=360)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    assert browser.execute_script("return document.documentElement.scrollHeight") < 8000

"""The page in a real browser: Chromium, without a screen."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import SIZES, open_browser, requested, show, width_needed
from test_report import LABELS, evaluated, full_report

from audionet.reports.report import Report, write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator:
    """A Chromium of its own, with nothing remembered."""
    driver = open_browser(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def report_path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, full_report())
    return path


def test_the_page_loads_alone_and_without_an_error(browser, report_path):
    browser.get("about:blank")
    browser.get_log("browser"), browser.get_log("performance")
    show(browser, report_path.as_uri())
    browser.execute_async_script("const done = arguments[0]; setTimeout(done, 500)")
    assert browser.get_log("browser") == []
    urls = requested(browser)
    assert report_path.as_uri() in urls
    assert not [url for url in urls if not url.startswith(("data:", "file:"))]
    assert len([url for url in urls if url.startswith("file:")]) == 1


def test_every_player_plays(browser, report_path):
    show(browser, report_path.as_uri())
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
    show(browser, report_path.as_uri(), width=width, scheme=scheme)
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('figure svg, .pictures img, audio')].map(each => {"
        "  const box = each.getBoundingClientRect(); return [box.width, box.height];"
        "})"
    )
    assert len(boxes) >= 12
    assert all(across > 90 and down > 20 for across, down in boxes), boxes
    pictures = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert pictures and all(pictures)


@pytest.mark.parametrize("width", [320, 360, 768, 1440])
def test_nothing_sticks_out_of_the_page(browser, report_path, width):
    show(browser, report_path.as_uri(), width=width)
    browser.execute_script("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert width_needed(browser) <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(browser, report_path, scheme):
    show(browser, report_path.as_uri(), scheme=scheme)
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
    show(browser, report_path.as_uri())
    assert "<script>alert(1)</script>" in browser.execute_script("return document.body.innerText")
    assert browser.execute_script("return document.scripts.length") == 1  # that of the table


def test_the_table_of_recordings_sorts_by_any_column(browser, report_path):
    show(browser, report_path.as_uri())
    column = (
        "return [...document.querySelectorAll('.recordings tbody tr')].map(row => "
        "row.cells[arguments[0]].dataset.value ?? row.cells[arguments[0]].textContent.trim())"
    )
    for number in (0, 4):
        header = browser.find_elements("css selector", ".recordings thead th")[number]
        browser.execute_script("arguments[0].querySelector('button').click()", header)
        values = browser.execute_script(column, number)
        assert values == sorted(values) and header.get_attribute("aria-sort") == "ascending"
        browser.execute_script("arguments[0].querySelector('button').click()", header)
        assert browser.execute_script(column, number) == sorted(values, reverse=True)


def test_a_cell_of_the_confusion_matrix_shows_its_recordings_alone(browser, report_path):
    show(browser, report_path.as_uri())
    pair = browser.execute_script("return document.querySelector('svg a').getAttribute('xlink:href').slice(1)")
    browser.execute_script(f"location.hash = '{pair}'")
    visible = "return [...document.querySelectorAll('.recordings tbody tr')].filter(row => !row.hidden)"
    browser.execute_async_script("setTimeout(arguments[0], 200)")
    shown = browser.execute_script(visible + ".map(row => row.dataset.pair)")
    assert shown and set(shown) == {pair}
    browser.execute_script("document.querySelector('#shown button').click()")
    assert len(browser.execute_script(visible)) == 15


def test_the_keyboard_reaches_links_plots_tables_and_players(browser, report_path):
    show(browser, report_path.as_uri())
    reachable = browser.execute_script(
        "return [...document.querySelectorAll('a[href], summary, audio, .scroll')].map(each => each.tabIndex)"
    )
    assert len(reachable) > 20 and min(reachable) >= 0


def test_a_thousand_labels_stay_usable(browser, tmp_path):
    labels = tuple(f"{LABELS[1]} {number}" for number in range(1000))
    write_report(tmp_path / "report.html", Report("Many", evaluation=evaluated(labels, recordings=1, unknown=0)))
    show(browser, (tmp_path / "report.html").as_uri(), width=360)
    assert width_needed(browser) <= 360
    assert browser.execute_script("return document.documentElement.scrollHeight") < 8000

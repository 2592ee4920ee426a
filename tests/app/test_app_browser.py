"""The page in a real browser: Chromium, without a screen, with a microphone that plays a file."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("selenium", reason="selenium is not installed: make test installs it")

from app_client import served
from browsing import SIZES, drop, open_browser, requested, show, width_needed
from conftest import SAMPLE_AUDIO, names_below, tone, voice, write_sound
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.slow

PAGES = ["/", "/image", "/teach", "/runs", "/api"]
WAIT_SECONDS = 60


@pytest.fixture(scope="module")
def taught_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("taught") / "taught"


@pytest.fixture(scope="module")
def address(saved, speakers, taught_dir) -> Iterator[str]:
    folders = ("--model", saved / "retrained_model", "--taught_dir", taught_dir, "--examples_dir", speakers)
    with served(*folders, "--runs_dir", taught_dir.parent / "runs", "--max_megabytes", 3) as (address, _):
        yield address


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator:
    """A Chromium whose microphone hears bob."""
    folder = tmp_path_factory.mktemp("chromium")
    heard = write_sound(folder / "heard.wav", voice("bob", seed=101, seconds=8))
    driver = open_browser(
        folder / "profile",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={heard}",
    )
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, address):
    """The browser, which must neither complain nor ask anybody else for anything."""
    chromium.get("about:blank")
    chromium.get_log("browser"), chromium.get_log("performance")
    yield chromium
    complaints = [entry for entry in chromium.get_log("browser") if " - Failed to load" not in entry["message"]]
    assert complaints == []
    assert [url for url in requested(chromium) if not url.startswith((address, "data:", "blob:", "about:"))] == []


def element(browser, selector: str):
    return browser.find_element("css selector", selector)


def wait_for(browser, selector: str, *, seconds: float = WAIT_SECONDS):
    """Return the first element of a selector as soon as it is to be seen."""

    def found(browser):
        shown = [each for each in browser.find_elements("css selector", selector) if each.is_displayed()]
        return shown[0] if shown else False

    return WebDriverWait(browser, seconds, poll_frequency=0.1).until(found, f"{selector} was not to be seen")


def first_label(browser) -> str:
    wait_for(browser, "#result")
    return element(browser, "#bars tr:first-child th").text


def downloads(browser, folder: Path) -> None:
    """Let the browser save files to a folder."""
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})


def saved_file(browser, folder: Path, name: str) -> str:
    """Return what a file holds as soon as it was saved."""
    WebDriverWait(browser, WAIT_SECONDS).until(lambda _: (folder / name).is_file(), f"{name} was not saved")
    return (folder / name).read_text()


def conversation(speakers, tmp_path) -> Path:
    """Alice for 8 s, and then bob."""
    turns = [speakers / name / f"{number}.mp3" for name in ("alice", "bob") for number in (0, 1)]
    return write_sound(tmp_path / "both.wav", np.concatenate([soundfile.read(turn)[0] for turn in turns]))


def test_a_timeline_is_zoomed_filtered_and_saved(browser, address, speakers, tmp_path):
    downloads(browser, tmp_path)
    show(browser, address)
    element(browser, "#file").send_keys(str(conversation(speakers, tmp_path)))
    wait_for(browser, "#talk")
    assert not element(browser, "#bars").is_displayed()
    assert [row.text.split()[0] for row in browser.find_elements("css selector", "#talk tbody tr")][:2] in (
        ["alice", "bob"],
        ["bob", "alice"],
    )
    element(browser, "#zoom-in").click()
    width = "return document.querySelector('#wide').clientWidth / document.querySelector('#window').clientWidth"
    assert browser.execute_script(width) == pytest.approx(2, abs=0.01)
    marks = [mark.text for mark in browser.find_elements("css selector", "#seconds span, #hertz span")]
    assert "0 s" in marks and "1 kHz" in marks
    (alice,) = [each for each in browser.find_elements("css selector", ".filter") if each.text == "alice"]
    alice.click()
    assert alice.get_attribute("aria-pressed") == "false"
    shown = [each.text for each in browser.find_elements("css selector", "#segments li") if each.is_displayed()]
    assert shown and not any("alice" in text for text in shown)
    for kind, name, begins in (
        ("csv", "both.csv", "file,start_seconds"),
        ("audacity", "both.txt", "0.0"),
        ("raven", "both.selections.txt", "Selection"),
        ("rttm", "both.rttm", "SPEAKER both 1"),
        ("srt", "both.srt", "1\n00:00:0"),
    ):
        element(browser, f"#download option[value={kind}]").click()
        assert saved_file(browser, tmp_path, name).startswith(begins)


def test_many_files_become_a_table_that_is_saved(browser, address, speakers, tmp_path):
    downloads(browser, tmp_path)
    (tmp_path / 'a, "b".mp3').write_bytes(b"no sound")
    files = [*(speakers / name / "0.mp3" for name in ("alice", "bob", "carol")), tmp_path / 'a, "b".mp3']
    show(browser, address, width=360)
    element(browser, "#file").send_keys("\n".join(map(str, files)))
    wait_for(browser, "#batch-rows tr:nth-child(4)")
    assert width_needed(browser) <= 360
    element(browser, "#batch-save").click()
    rows = list(csv.DictReader(io.StringIO(saved_file(browser, tmp_path, "labels.csv"))))
    assert [row["label"] for row in rows] == ["alice", "bob", "carol", ""]
    assert rows[3]["file"] == 'a, "b".mp3' and "cannot be decoded" in rows[3]["error"]


def test_a_folder_is_dropped_and_each_recording_in_it_has_a_row(browser, address, speakers, tmp_path):
    downloads(browser, tmp_path)
    for name, speaker in (("monday/10.mp3", "bob"), ("monday/9.mp3", "alice"), ("monday/late/1.mp3", "carol")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((speakers / speaker / "0.mp3").read_bytes())
    for name in ("monday/notes.txt", "monday/.hidden.mp3", "monday/cover.jpg", "broken.mp3"):
        (tmp_path / name).write_text("no sound")
    show(browser, address)
    drop(browser, "#drop", tmp_path / "monday", tmp_path / "broken.mp3")
    wait_for(browser, "#batch-rows tr:nth-child(4)")
    element(browser, "#batch-save").click()
    rows = list(csv.DictReader(io.StringIO(saved_file(browser, tmp_path, "labels.csv"))))
    assert [(row["file"], row["nearest"]) for row in rows] == [
        ("broken.mp3", ""),
        ("monday/9.mp3", "alice"),
        ("monday/10.mp3", "bob"),
        ("monday/late/1.mp3", "carol"),
    ]
    assert "it holds text" in rows[0]["error"]
    element(browser, "#batch-rows tr:nth-child(3) button").click()
    assert first_label(browser) == "bob"
    assert len(browser.find_elements("css selector", "#batch-rows tr")) == 4


def test_several_files_are_dropped_on_the_card_of_a_label(browser, address, speakers, tmp_path):
    show(browser, f"{address}/teach")
    element(browser, "#name").send_keys("dora\n")
    drop(browser, ".card", speakers / "alice" / "0.mp3", speakers / "alice" / "1.mp3")
    wait_for(browser, '[aria-label="Remove clip 002.wav of dora"]')
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "notes.txt").write_text("no sound")
    drop(browser, ".card", tmp_path / "nothing")
    assert wait_for(browser, "#error").text == "nothing holds no recording. Drop another folder, or files."
    for name in ("001", "002"):
        wait_for(browser, f'[aria-label="Remove clip {name}.wav of dora"]').click()


def test_a_microphone_is_answered_while_it_is_open(browser, address):
    show(browser, address, width=360)
    button = element(browser, "#listen-live")
    button.click()
    WebDriverWait(browser, WAIT_SECONDS).until(lambda _: element(browser, "#live-label").text == "bob")
    assert float(element(browser, "#level").get_attribute("value")) > -60
    assert "bob" in element(browser, "#history").text
    assert width_needed(browser) <= 360
    button.click()
    assert button.text == "Listen live"


def test_a_long_file_is_cancelled(browser, address, tmp_path):
    sound = np.tile(voice("bob", seed=3, seconds=20), 15)
    soundfile.write(tmp_path / "long.mp3", sound, 16_000)
    show(browser, address)
    element(browser, "#file").send_keys(str(tmp_path / "long.mp3"))
    wait_for(browser, "#busy-cancel").click()
    assert not element(browser, "#busy").is_displayed() and not element(browser, "#error").is_displayed()


def test_an_answer_is_corrected_and_the_clip_joins_its_label(browser, address, speakers):
    show(browser, address)
    element(browser, "#file").send_keys(str(speakers / "bob" / "1.mp3"))
    first_label(browser)
    element(browser, "#right").send_keys("tux\n")
    wait_for(browser, "#corrected")
    assert "Kept as a clip of tux. Training needs clips of a second label" in element(browser, "#corrected").text
    assert not element(browser, "#train-again").is_enabled()
    show(browser, f"{address}/teach")
    wait_for(browser, '[aria-label="Remove clip 001.wav of tux"]').click()


def test_background_noise_has_a_card_and_a_training_can_be_cancelled(browser, address, speakers):
    show(browser, f"{address}/teach")
    wait_for(browser, "#background").click()
    assert "Background and other voices" in element(browser, "#cards").text
    for name in ("alice", "bob"):
        element(browser, "#name").send_keys(f"{name}\n")
        element(browser, f'[aria-label="Choose files of {name}"]').send_keys(str(speakers / name / "0.mp3"))
        wait_for(browser, f'[aria-label="Remove clip 001.wav of {name}"]')
    element(browser, "#train").click()
    wait_for(browser, "#cancel").click()
    WebDriverWait(browser, WAIT_SECONDS).until(lambda _: "Cancelled" in element(browser, "#training-words").text)
    element(browser, "#forget").click()
    browser.switch_to.alert.accept()
    wait_for(browser, "#train:disabled")


def test_a_file_is_labelled_and_can_be_seen_and_heard(browser, address, speakers):
    show(browser, address)
    element(browser, "#file").send_keys(str(speakers / "bob" / "0.mp3"))
    assert first_label(browser) == element(browser, "#label").text == "bob"
    assert "sure" in element(browser, "#probability").text
    assert len(browser.find_elements("css selector", "#bars tr")) == 3
    assert browser.execute_script("return document.querySelector('#spectrogram').naturalWidth") > 100
    seconds = browser.execute_async_script(
        "const done = arguments[0], player = document.querySelector('#player');"
        "player.play().then(() => { player.pause(); done(player.duration); }, error => done(String(error)))"
    )
    assert seconds == pytest.approx(4.0, abs=0.2)


def test_what_a_microphone_hears_is_labelled(browser, address):
    show(browser, address)
    record = element(browser, "#record")
    record.click()
    wait_for(browser, "#record.recording")
    browser.execute_async_script("setTimeout(arguments[0], 4500)")
    assert record.text.startswith("Stop")
    record.click()
    assert first_label(browser) == "bob"
    assert record.text == "Record"


def test_an_example_is_one_press_away(browser, address):
    show(browser, address)
    (example,) = [each for each in browser.find_elements("css selector", ".example") if "carol 0" in each.text]
    example.click()
    assert first_label(browser) == "carol"


def test_a_place_in_a_sound_can_be_clicked_and_typed(browser, address, speakers, tmp_path):
    show(browser, address)
    element(browser, "#file").send_keys(str(conversation(speakers, tmp_path)))
    wait_for(browser, "#segments button")
    segments = browser.find_elements("css selector", "#segments button")
    assert "alice" in segments[0].text and "bob" in segments[-1].text and "0:16" in segments[-1].text
    segments[-1].click()
    moment = "return document.querySelector('#player').currentTime"
    assert browser.execute_script(moment) == pytest.approx(8.0, abs=1.5)
    browser.execute_script("document.querySelector('#player').pause()")
    plots = element(browser, "#plots")
    plots.send_keys("\ue011")  # Home
    assert browser.execute_script(moment) == 0
    plots.send_keys("\ue014")  # right
    assert browser.execute_script(moment) == pytest.approx(1.0, abs=0.1)
    assert plots.get_attribute("aria-valuetext") == "0:01 of 0:16"


def test_what_speaks_for_an_answer_is_shown_and_said(browser, address, speakers):
    show(browser, address, width=360)
    element(browser, "#file").send_keys(str(speakers / "bob" / "0.mp3"))
    first_label(browser)
    element(browser, "#explain").click()
    wait_for(browser, "#reason-shown")
    assert "bob" in element(browser, "#reason-words").text
    assert browser.execute_script("return document.querySelector('#reason-picture').naturalWidth") > 500
    assert width_needed(browser) <= 360


def test_a_picture_is_labelled(browser, address, drawn):
    show(browser, f"{address}/image")
    element(browser, "#file").send_keys(str(drawn / "carol" / "0_00000.jpg"))
    assert first_label(browser) == "carol"
    assert browser.execute_script("return document.querySelector('#picture').naturalWidth") > 100


@pytest.mark.parametrize(("name", "size", "words"), [("a.mp3", 900, "cannot be decoded"), ("b.wav", 3_100_000, "3 MB")])
def test_a_wrong_file_is_explained_and_the_next_one_works(browser, address, speakers, tmp_path, name, size, words):
    (tmp_path / name).write_bytes(b"x" * size)
    show(browser, address)
    element(browser, "#file").send_keys(str(tmp_path / name))
    error = wait_for(browser, "#error")
    assert name in error.text and words in error.text and error.get_attribute("role") == "alert"
    element(browser, "#file").send_keys(str(speakers / "alice" / "0.mp3"))
    assert first_label(browser) == "alice"
    assert not element(browser, "#error").is_displayed()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("width", [320, 360, 768, 1440])
def test_nothing_sticks_out_of_a_page(browser, address, path, width):
    show(browser, address + path, width=width)
    assert width_needed(browser) <= width


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_an_answer_fits_every_screen(browser, address, speakers, width, scheme):
    show(browser, address, width=width, scheme=scheme)
    element(browser, "#file").send_keys(str(speakers / "bob" / "1.mp3"))
    first_label(browser)
    assert width_needed(browser) <= width
    for selector in ("#waveform", "#spectrogram", "#player", "#bars"):
        box = element(browser, selector).size
        assert box["width"] > 200 and box["height"] > 20, selector


@pytest.mark.parametrize("path", PAGES)
def test_every_control_has_a_name_and_is_reached_by_keyboard(browser, address, speakers, path):
    show(browser, address + path)
    if path == "/teach":
        element(browser, "#name").send_keys("alice\n")
    if path == "/":
        element(browser, "#file").send_keys(str(speakers / "alice" / "0.mp3"))
        first_label(browser)
    controls = browser.find_elements("css selector", "button, input, select, a[href], audio, [role=slider]")
    assert len(controls) >= 6
    for control in filter(WebElement.is_displayed, controls):
        assert control.accessible_name, control.get_attribute("outerHTML")
        assert control.get_attribute("tabIndex") == "0", control.get_attribute("outerHTML")


def test_a_label_is_added_without_training(browser, address, tmp_path):
    show(browser, f"{address}/teach")
    element(browser, "#name").send_keys("whistle\n")
    sound = write_sound(tmp_path / "whistle.wav", tone(3000, 4.0))
    element(browser, '[aria-label="Choose files of whistle"]').send_keys(str(sound))
    wait_for(browser, "#extend-button:enabled").click()
    wait_for(browser, "#extended a")
    assert "It knows alice, bob, carol, whistle now" in element(browser, "#extended").text
    in_use = element(browser, "#model option:checked").text
    assert in_use.startswith("Taught") and in_use in element(browser, "#extend-button").text
    element(browser, "#extended a").click()
    assert element(browser, "#model option:checked").text == in_use
    element(browser, "#file").send_keys(str(sound))
    assert first_label(browser) == "whistle"
    show(browser, f"{address}/runs")
    element(browser, ".rename").click()
    browser.switch_to.alert.send_keys("With whistle")
    browser.switch_to.alert.accept()
    wait_for(browser, '.models li[data-name="With whistle"]')
    downloads(browser, tmp_path)
    element(browser, ".download option[value=folder]").click()
    WebDriverWait(browser, WAIT_SECONDS).until(lambda _: (tmp_path / "With whistle.zip").is_file())
    element(browser, ".models .remove").click()
    browser.switch_to.alert.accept()
    WebDriverWait(browser, WAIT_SECONDS).until(lambda _: not browser.find_elements("css selector", ".rename"))
    show(browser, f"{address}/teach")
    element(browser, "#forget").click()
    browser.switch_to.alert.accept()
    wait_for(browser, "#extend-button:disabled")


def test_two_voices_are_taught_and_told_apart(browser, address, taught_dir, tmp_path):
    show(browser, f"{address}/teach")
    voices = {"Carlo": "carlo_flora", "June & co": "june_wallack"}
    for label, folder in voices.items():
        element(browser, "#name").send_keys(f"{label}\n")
        clips = "\n".join(str(SAMPLE_AUDIO / folder / f"{number:02d}.mp3") for number in (1, 2))
        element(browser, f'[aria-label="Choose files of {label}"]').send_keys(clips)
        wait_for(browser, f'[aria-label="Remove clip 002.wav of {label}"]')
    assert "fewer than three clips" in element(browser, "#need").text
    element(browser, "#train").click()
    wait_for(browser, "#curve", seconds=300)  # before the training is over
    assert element(browser, "#cancel").is_displayed() and not element(browser, "#after").is_displayed()
    wait_for(browser, "#after, #training-words.wrong", seconds=300)
    for measure in ("accuracy", "loss"):
        paths = browser.find_elements("css selector", f"#curve-{measure} path")
        drawn = [path.get_attribute("class") for path in paths]
        assert {"point", "line", "rule"} == set(drawn)
    element(browser, "#curve summary").send_keys("\n")
    heads = browser.find_elements("css selector", "#curve-heads tr")
    assert any(row.text.startswith("lda on") for row in heads) and all("%" in row.text for row in heads)
    assert len(heads) == drawn.count("point") + drawn.count("line")
    show(browser, f"{address}/teach", width=360)
    wait_for(browser, "#curve")
    assert width_needed(browser) <= 360
    assert "nobody knows how good it is" in element(browser, "#training-words").text
    assert element(browser, "#model option:checked").text.startswith("Taught")
    show(browser, address)
    for label, folder in voices.items():
        element(browser, "#file").send_keys(str(SAMPLE_AUDIO / folder / "03.mp3"))
        wait_for(browser, "#busy, #result")
        assert first_label(browser) == label
        show(browser, address)
    show(browser, f"{address}/runs")
    element(browser, ".runs tbody a").click()
    assert "Classifier report" in element(browser, "body").text
    show(browser, f"{address}/teach")
    element(browser, "#forget").click()
    browser.switch_to.alert.accept()
    wait_for(browser, "#train:disabled")
    assert {name for name in names_below(taught_dir) if not name.endswith(".json")} == set()

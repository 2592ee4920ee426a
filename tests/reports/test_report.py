"""The page holds what it is given, whatever that is called, and says what it lacks."""

import base64
import hashlib
import html
import re
import xml.etree.ElementTree
from itertools import pairwise

import numpy as np
import pytest
from conftest import RATE_HZ, tone

from audionet.audio.fingerprints import SharedSound
from audionet.evaluation.data_audit import ChannelShortcut, DataAudit, SoundSummary
from audionet.evaluation.evaluate import evaluate
from audionet.evaluation.leakage import LeakAudit, SplitComparison
from audionet.evaluation.scored_recording import ScoredRecording
from audionet.reports import report
from audionet.reports.elements import Clip
from audionet.reports.report import Report, render, write_report
from audionet.reports.sections.model_card import card_of
from audionet.wording import answers_in_words

NASTY = "<script>alert(1)</script>\"&'$x_1$\u202e\x07"
LABELS = ("alice", NASTY, "carol")


def evaluated(labels=LABELS, *, recordings: int = 4, unknown: int = 3, seed: int = 0) -> dict:
    """Return an evaluation of scores by chance, in which some recordings are wrong."""
    rng = np.random.default_rng(seed)
    scored = []
    for number, label in enumerate(labels):
        for index in range(recordings):
            logits = rng.normal(0, 1, (5, len(labels))) + rng.normal(0, 1.5, len(labels))
            logits[:, number] += 2
            scored.append(ScoredRecording(f"{label}/{index}.mp3", label, logits))
    for index in range(unknown):
        scored.append(ScoredRecording(f"radio/{index}.mp3", "radio", rng.normal(0, 1, (5, len(labels)))))
    return evaluate(scored, labels)


def sounds(name: str, label: str = "", recordings: int = 1) -> SoundSummary:
    return SoundSummary(name, label or name, recordings, 1.5, -20.0, -3.0, -60.0, 7800.0, 0.001, 0.12)


def data_audit(labels=LABELS) -> DataAudit:
    return DataAudit(
        labels=tuple(sounds(label, recordings=3) for label in labels),
        recordings=tuple(sounds(f"{label}/{index}.mp3", label) for label in labels for index in range(3)),
        shared=(),
        channel_shortcut=ChannelShortcut(8, 9, 1 / 3),
        warnings=("The noise floor differs.",),
        facts=("3 labels.",),
    )


def leak_audit() -> LeakAudit:
    shared = SharedSound("alice/1.mp3", f"{NASTY}/2.mp3", "testing", "training", 12.0, -3.0, False)
    comparison = SplitComparison(0.98, 0.84, (0.08, 0.2), draws=5, recordings=12, groups=12)
    return LeakAudit(0.84, comparison, 100, (shared,), 9)


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (224, 224, 3)).astype(np.uint8)


def clip(label: str = "alice") -> Clip:
    return Clip(f"{label}/1.mp3", label, 14.0, picture(), tone(440, 2.0), RATE_HZ)


def training() -> dict:
    steps = [10, 20, 30]
    falling = {"accuracy": [0.5, 0.7, 0.9], "log_loss": [1.0, 0.5, 0.3]}
    attempt = {"trainer": "softmax", "bottleneck": "block3", "l2": 0.001, "steps": 30, "temperature": 1.2}
    return {
        "attempts": [{**attempt, "validation_accuracy": 0.95}],
        "curves": [{"name": "softmax on block3", "steps": steps, "training": falling, "validation": falling}],
        "learning_curve": growing_curve(),
    }


def growing_curve() -> dict:
    def point(size: int, accuracy: float) -> dict:
        level = {"accuracy": accuracy, "ci95": [accuracy - 0.05, accuracy + 0.05]}
        return {"size": size, "chunk": level, "recording": level}

    points = [point(1, 0.6), point(2, 0.75), point(4, 0.85)]
    forecast = {"chunk": {"size": 8, "accuracy": 0.9, "ci95": [0.84, 0.95]}, "recording": None}
    return {"groups": 4, "recordings": points, "labels": points, "forecast": forecast}


def test_a_report_says_what_twice_as_many_recordings_would_give(page):
    assert "With 4 recordings of each label to train on, 85% of chunks are right (80 to 90 %)." in page
    assert "Twice as many: about 90% (84 to 95 %)." in page


def about() -> dict:
    weights = {"origin": "pypi package x 1.0", "licence": "Apache-2.0", "note": "trained on ImageNet"}
    sizes = {"recordings": 9, "chunks": 90}
    return {
        "backbone": {"architecture": "efficientnet_lite0", "weights": weights},
        "training": {"trainer": "softmax", "temperature": 1.2, "sides": {"training": sizes, "validation": sizes}},
    }


def worth() -> list[dict]:
    scores = {"alone": {"accuracy": 0.9, "log_loss": 0.3}, "with": {"accuracy": 0.95, "log_loss": 0.2}}
    others = {"accuracy": 0.8, "log_loss": 0.4}
    return [
        {"name": "efficientnet_lite0:log_mel", "weight": 0.6, "without": others, **scores},
        {"name": NASTY, "weight": 0.0, "without": None, **scores},
    ]


def sweep() -> list[dict]:
    share = {"accuracy": 0.9, "ci95": [0.8, 1.0], "n": 20}
    names = ["clean", *(f"white noise {level} dB" for level in range(40, 0, -1))]
    return [{"name": name, "chunk": {**share, "accuracy": 0.9 - row / 100}} for row, name in enumerate(names)]


def full_report(labels=LABELS, **changes) -> Report:
    report = {
        "title": f"Voices {NASTY}",
        "subtitle": "tested today",
        "evaluation": evaluated(labels) | {"sweep": sweep()},
        "training": training(),
        "data_audit": data_audit(labels),
        "leak_audit": leak_audit(),
        "clips": (clip(), clip("carol")),
        "pictures": {"alice": [picture(), picture()], NASTY: [picture()]},
        "card": card_of(about(), labels),
    }
    return Report(**report | changes)


@pytest.fixture(scope="module")
def page() -> str:
    return render(full_report())


def headings(page: str) -> list[str]:
    return [html.unescape(found) for found in re.findall(r"<h2[^>]*>(.*?)</h2>", page)]


def test_each_network_of_several_is_named_with_what_it_is_worth():
    attempts = [{**attempt, "network": "voice_encoder"} for attempt in training()["attempts"]]
    backbones = [about()["backbone"], {"architecture": "voice_encoder", "weights": {"licence": "MIT"}}]
    known = about()
    known["training"]["members"] = worth()
    report = full_report(
        training={"training": {"attempts": attempts, "members": worth()}},
        card=card_of(known, LABELS, backbones=backbones),
    )
    page = html.unescape(render(report))
    assert "What each network is worth" in page and "left out" in page and "voice_encoder" in page
    assert page.count("Together 95% of chunks right; efficientnet_lite0:log_mel alone 90%; ") == 2
    assert "efficientnet_lite0 trained on ImageNet; voice_encoder" in page and "Apache-2.0; MIT" in page
    assert "<script>alert" not in render(report)


def test_every_section_is_there(page):
    assert headings(page) == [
        "What to do next",
        "Every recording",
        "Which labels it gets right",
        "Map of the recordings",
        "Pictures by label",
        "Is it as sure as it is right?",
        "Known or unknown, and is it who they claim?",
        "Under noise, codecs and other conditions",
        "Could the score be a leak?",
        "The recordings",
        "What more recordings would change",
        "How it was trained",
        "Model card",
    ]


def test_an_empty_report_says_why_each_section_is_left_out():
    page = render(Report("Nothing"))
    assert headings(page) == ["Not in this report"]
    assert page.count("<dt>") == 12
    assert "no score to believe" in page


@pytest.mark.parametrize("lacking", ["evaluation", "training", "data_audit", "leak_audit", "clips", "pictures", "card"])
def test_whatever_is_lacking_the_rest_is_there(lacking):
    nothing = {"clips": (), "pictures": {}}.get(lacking)
    page = render(full_report(**{lacking: nothing}))
    assert ("Not in this report" in headings(page)) == (lacking != "clips")
    assert len(headings(page)) >= 5


def test_the_page_asks_nobody_for_anything(page):
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in page
    assert not re.search(r'(src|href|url|action)\s*[=(]\s*["\']?(https?:)?//', page)
    assert "default-src 'none'" in page


def test_labels_cannot_become_markup(page):
    assert NASTY not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "\u202e" not in page and "\x07" not in page


def test_every_plot_is_a_labelled_image_of_valid_xml(page):
    plots = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(plots) >= 8
    for plot in plots:
        root = xml.etree.ElementTree.fromstring(plot)
        assert root.attrib["role"] == ("group" if "<a " in plot else "img") and root.attrib["aria-label"]


def test_every_link_leads_to_something_on_the_page(page):
    ids = set(re.findall(r'\bid="([^"]+)"', page))
    targets = set(re.findall(r'\bhref="#([^"]+)"', page))
    assert targets <= ids
    assert any(target.startswith("is-1-as-") for target in targets) and "recording-1" in targets


def test_plots_take_their_colours_from_the_page_and_from_nowhere_else(page):
    colours = set()
    for plot in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        colours |= set(re.findall(r"(?:fill|stroke): (#\w+|var\([^)]*\))", plot))
    assert {"var(--ink)", "var(--muted)", "var(--accent)"} <= colours
    assert not [colour for colour in colours if colour.startswith("#")]


def test_no_id_is_there_twice(page):
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_headings_are_in_order(page):
    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_headline_has_the_scores_with_their_intervals(page):
    recording = evaluated()["recording"]
    assert f"{answers_in_words(recording)}." in page
    assert f"{recording['named_right_ci95'][0]:.1%} to ".replace(".0%", "%") in page
    assert f"{recording['ci95'][0]:.1%} to ".replace(".0%", "%") in page


def test_a_score_with_training_recordings_in_it_is_not_passed_off_as_good():
    evaluation = evaluated()
    evaluation["recordings"][0]["in_training"] = 5
    assert "trained on, so the score is too good" in render(Report("Leaky", evaluation=evaluation))


def test_audits_within_the_numbers_are_shown_without_being_passed_on():
    evaluation = evaluated() | {"data_audit": data_audit().to_json()}
    page = render(Report("All", evaluation=evaluation, training=training() | {"leak_audit": leak_audit().to_json()}))
    assert {"Could the score be a leak?", "The recordings"} <= set(headings(page))


@pytest.mark.parametrize("shared", [["a shares 4 s of sound with b."], []])
def test_tested_sound_that_was_trained_on_is_named(shared):
    evaluation = evaluated() | {"shared_with_training": shared, "training_known": True}
    evaluation["recordings"][1]["in_training"] = 4
    page = render(Report("Leaky", evaluation=evaluation))
    assert (shared or [evaluation["recordings"][1]["recording"]])[0] in page
    assert f"too good: 1 of {len(evaluation['recordings'])} recordings" in page
    assert "No recording that was tested here" not in page


def test_the_model_card_tells_the_licence_and_what_is_forbidden(page):
    assert "Apache-2.0" in page and "18 recordings, 180 chunks" in page
    assert "who have not agreed" in page and "security" in page


def test_a_recording_can_be_seen_and_heard(page):
    assert page.count("<audio controls") == 2
    assert 'aria-label="Listen to alice/1.mp3 from 0:14"' in page
    assert 'alt="Spectrogram of alice/1.mp3 from 0:14' in page


def test_the_table_of_recordings_tells_a_refusal_from_an_error():
    evaluation = evaluated()
    for row, accepted in zip(evaluation["recordings"], (False, True), strict=False):
        row["accepted"] = accepted
    evaluation["recordings"][1]["right"] = True
    page = render(Report("Refused", evaluation=evaluation))
    assert page.count(">refused as unknown</td>") == 1
    assert f"nearest: <bdi>{html.escape(evaluation['recordings'][0]['answer'])}" in page or NASTY in str(evaluation)


def test_hundreds_of_labels_make_a_page_of_a_few_megabytes():
    labels = tuple(f"label {number}" for number in range(250))
    page = render(full_report(labels, evaluation=evaluated(labels, recordings=2, unknown=0)))
    assert len(page) < 3_000_000
    assert "The 30 of 250 labels that fare worst" in page
    assert "of 250 labels that are confused most" in page
    assert "label 249</bdi>" in page


def test_one_recording_of_each_label_makes_a_page():
    render(Report("Few", evaluation=evaluated(recordings=1, unknown=0)))


def test_only_unknown_recordings_make_a_page():
    unknown = [ScoredRecording("radio/1.mp3", "radio", np.zeros((3, 2)))]
    assert "no score to believe" in render(Report("Strangers", evaluation=evaluate(unknown, ("a", "b"))))


def test_a_report_appears_whole(tmp_path):
    write_report(tmp_path / "report.html", Report("Odd \udcff name"))
    assert (tmp_path / "report.html").read_text("utf-8").rstrip().endswith("</html>")
    assert len(list(tmp_path.iterdir())) == 1


def test_the_same_report_is_the_same_page(page):
    assert render(full_report()) == page


def test_the_progress_bar_counts_every_section():
    assert len(list(report._sections(full_report()))) == report.SECTIONS

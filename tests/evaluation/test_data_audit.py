"""What is wrong with recordings is said, with the number and the name."""

import json

import numpy as np
import pytest
from conftest import (
    RATE_HZ,
    chunk_stats_of,
    melody,
    noise,
    tone,
)

from audionet.evaluation.data_audit import ChannelShortcut, DataAudit, audit_data, find_channel_shortcut


def audited(sounds: dict[str, np.ndarray]) -> DataAudit:
    return audit_data({name: chunk_stats_of(samples) for name, samples in sounds.items()}, labels_of(sounds))


def labels_of(names) -> dict[str, str]:
    return {name: name.split("/")[0] for name in names}


def chunk_stats(*, bandwidth_hz: float = 8000, noise_floor_dbfs: float = -60, level_dbfs: float = -20) -> dict:
    measures = {
        **{"seconds": 2.0, "peak_dbfs": -3.0, "clipped_share": 0.0, "silent_share": 0.1},
        **{"bandwidth_hz": bandwidth_hz, "noise_floor_dbfs": noise_floor_dbfs, "level_dbfs": level_dbfs},
    }
    return {"offset_seconds": 0.0, "measures": measures, "peaks": "", "digest": "0"}


def stats_by_floor(floors: dict[str, float], *, recordings: int = 4, spread_db: float = 3.0) -> dict[str, list[dict]]:
    rng = np.random.default_rng(0)
    return {
        f"{label}/{index}": [chunk_stats(noise_floor_dbfs=floor + rng.normal(0, spread_db)) for _ in range(5)]
        for label, floor in floors.items()
        for index in range(recordings)
    }


def warning_with(audit: DataAudit, text: str) -> str:
    (warning,) = [warning for warning in audit.warnings if text in warning]
    return warning


def test_good_recordings_raise_no_warning():
    sounds = {
        f"{label}/{index}": melody(10 * number + index) for number, label in enumerate("ab") for index in range(3)
    }
    audit = audited(sounds)
    assert audit.warnings == ()
    assert audit.facts[0] == "2 labels, 6 recordings, 1.2 minutes of sound."


def test_the_size_of_each_label_is_told():
    audit = audited({"a/1": melody(1), "a/2": melody(2), "b/1": melody(3)})
    sizes = {label.name: (label.recordings, round(label.minutes, 2)) for label in audit.labels}
    assert sizes == {"a": (2, 0.4), "b": (1, 0.2)}


def test_an_unbalanced_data_set_is_named_with_both_ends():
    warning = warning_with(audited({"rich/1": melody(1, 20), "poor/1": melody(2, 4)}), "unbalanced")
    assert "rich has 0.3 minutes" in warning and "poor 0.1" in warning


def test_labels_with_too_few_recordings_are_named():
    assert "b" in warning_with(
        audited({"a/1": melody(1), "a/2": melody(2), "a/3": melody(3), "b/1": melody(4)}), "fewer"
    )


def test_a_clipped_recording_is_named():
    clipped = np.clip(20 * melody(1), -0.9, 0.9)
    assert "a/loud (" in warning_with(audited({"a/loud": clipped, "a/good": melody(2)}), "clipped")


def test_a_mostly_silent_recording_is_named():
    pause = np.concatenate([melody(1, 2), np.zeros(6 * RATE_HZ, np.float32)])
    assert "a/pause (" in warning_with(audited({"a/pause": pause}), "mostly silent")


def test_a_label_of_a_narrow_channel_is_named():
    sounds = {f"{label}/1": noise(2.0, seed=index) for index, label in enumerate("abc")} | {"phone/1": tone(1000, 2.0)}
    assert "in phone" in warning_with(audited(sounds), "Nothing is heard above")


def test_a_label_of_another_level_is_named():
    sounds = {f"{label}/1": melody(index) for index, label in enumerate("abc")} | {"far/1": 0.05 * melody(9)}
    assert "far (" in warning_with(audited(sounds), "level differs")


def test_the_same_sound_under_two_labels_is_named():
    assert "a/1 is b/1" in warning_with(audited({"a/1": melody(1), "b/1": melody(1)}), "under two labels")
    assert "a/1 is a/2" in warning_with(audited({"a/1": melody(1), "a/2": melody(1)}), "twice")


def test_a_channel_that_gives_labels_away_is_said_with_the_number():
    shortcut = find_channel_shortcut(stats := stats_by_floor({"a": -80, "b": -60, "c": -40}), labels_of(stats))
    assert shortcut == ChannelShortcut(right=12, recordings=12, chance=1 / 3)
    assert shortcut.is_above_chance
    assert "names 12 of 12 recordings (100%; guessing gets 33%)" in shortcut.sentence()


def test_a_channel_that_is_the_same_for_all_labels_gives_nothing_away():
    shortcut = find_channel_shortcut(
        stats := stats_by_floor({"a": -60, "b": -60, "c": -60}, recordings=8), labels_of(stats)
    )
    assert not shortcut.is_above_chance
    assert "does not give labels away" in shortcut.sentence()


def test_a_channel_of_one_recording_only_is_no_proof():
    assert not ChannelShortcut(right=3, recordings=4, chance=0.5).is_above_chance


def test_a_channel_that_names_all_of_a_few_is_not_said_to_give_nothing_away():
    sentence = ChannelShortcut(right=6, recordings=6, chance=0.5).sentence()
    assert "cannot be told" in sentence and "name 6 of 6 recordings" in sentence and "luck with so few" in sentence


@pytest.mark.parametrize("recordings", [{"a": 3}, {"a": 1, "b": 1}, {}])
def test_without_two_labels_of_two_recordings_the_channel_cannot_be_judged(recordings):
    stats = {f"{label}/{index}": [chunk_stats()] for label, count in recordings.items() for index in range(count)}
    assert find_channel_shortcut(stats, labels_of(stats)) is None


def test_a_thousand_labels_are_judged_in_a_moment_by_some_of_them():
    stats = stats_by_floor({f"label{number}": -60 - number % 7 for number in range(1000)}, recordings=2)
    assert find_channel_shortcut(stats, labels_of(stats)).recordings <= 400


def test_an_audit_comes_back_from_json_as_it_was():
    audit = audited({"a/1": melody(1), "a/2": melody(1), "b/1": melody(2), "b/2": melody(3)})
    assert DataAudit.from_json(json.loads(json.dumps(audit.to_json()))) == audit


def test_nothing_to_audit_is_no_error():
    assert audited({}).labels == ()

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from conftest import RATE_HZ, SPEAKERS, FakeBackbone, tone, voice

from audionet.audio.writing import write_wav
from audionet.data.augmentation import ChunkFile
from audionet.data.dataset import read_dataset
from audionet.errors import InputError, PictureError
from audionet.features.recipes import find_recipe
from audionet.tables import markdown, print_tables
from audionet.training.settings import HeadSettings, HoldoutSettings
from benchmarks import accuracy, accuracy_tables, baselines
from benchmarks.accuracy import Eye, Listener, listener, network, trial_by_name, trials_by_fold
from benchmarks.test_conditions import (
    BABBLE,
    CONDITIONS,
    PEER_CONDITIONS,
    as_picture,
    as_sound,
    disturb,
    possible_conditions,
)

RECIPE = find_recipe("default")
HOLDOUT = HoldoutSettings(views=2)


def chunk(folder, name, samples, *, label="alice", seconds=2.0):
    write_wav(folder / f"{name}.wav", samples, sample_rate_hz=RATE_HZ)
    return ChunkFile(folder / f"{name}.wav", seconds, f"{len(name):064x}", label)


def heard(chunks, condition, *, seed=0, recipe=RECIPE):
    return np.stack([as_sound(item) for item in disturb(chunks, condition, seed=seed, recipe=recipe)])


@pytest.fixture
def chunks(tmp_path):
    """Two chunks of each of two labels."""
    voices = [voice(label, seed=seed, seconds=2.0) for label in ("alice", "bob") for seed in range(2)]
    return [
        chunk(tmp_path, "x" * number, samples, label="alice" if number < 3 else "bob")
        for number, samples in enumerate(voices, start=1)
    ]


@pytest.fixture(scope="module")
def dataset(drawn):
    return read_dataset(drawn, drawn.parent / "bench.sqlite")


@pytest.fixture(scope="module")
def outcome(dataset, tmp_path_factory):
    """A benchmark with a network that looks and cepstra that listen, and the systems."""
    with ThreadPoolExecutor(2) as pool:
        folder = tmp_path_factory.mktemp("bench")
        eye = Eye(FakeBackbone(), folder, pool)
        ear = Listener(baselines.Cepstra(RECIPE), folder, pool)
        systems = [
            network("rows", eye, candidates=["rows"], head=HeadSettings("lda"), serve=lambda _: eye, views=2),
            listener(accuracy.PEER, ear, views=1, standardised=True),
        ]
        yield accuracy.benchmark(systems, trial_by_name(dataset, "^4"), holdout=HOLDOUT)


# Trials


def test_a_test_by_name_holds_out_those_recordings_and_no_others(dataset):
    (trial,) = trial_by_name(dataset, "^4")
    assert {example.recording for example in trial.tested} == {f"{label}/4.mp3" for label in SPEAKERS}
    assert {*trial.tested, *trial.dataset.examples} == set(dataset.examples)
    assert not {*trial.tested} & {*trial.dataset.examples}


def test_a_test_by_name_does_not_part_a_group(dataset):
    grouped = replace(dataset, examples=tuple(replace(example, group="all") for example in dataset.examples))
    (trial,) = trial_by_name(grouped, "^4")
    assert not trial.dataset.examples


@pytest.mark.parametrize(("test", "message"), [("(", "regular expression"), ("^nobody", "matches no recording")])
def test_a_test_that_holds_nothing_out_is_refused(dataset, test, message):
    with pytest.raises(InputError, match=message):
        trial_by_name(dataset, test)


def test_folds_hold_out_every_recording_once_and_every_label_in_each(dataset):
    trials = trials_by_fold(dataset, count=5)
    tested = [example.recording for trial in trials for example in trial.tested]
    assert sorted(tested) == sorted(example.recording for example in dataset.examples)
    for trial in trials:
        assert {example.label for example in trial.tested} == set(SPEAKERS)
        assert not {one.recording for one in trial.tested} & {one.recording for one in trial.dataset.examples}


def test_folds_depend_on_the_seed_alone(dataset):
    backwards = replace(dataset, examples=dataset.examples[::-1])
    first, again = trials_by_fold(dataset, count=5), trials_by_fold(backwards, count=5)
    assert [set(trial.tested) for trial in first] == [set(trial.tested) for trial in again]
    assert [set(trial.tested) for trial in trials_by_fold(dataset, count=5, seed=1)] != [
        set(trial.tested) for trial in first
    ]


def test_more_folds_than_groups_are_refused(dataset):
    with pytest.raises(InputError, match="too few"):
        trials_by_fold(dataset, count=100)


# What is heard


def test_a_clean_chunk_is_heard_as_it_is(tmp_path):
    sound = tone(440, 2.0)
    assert np.abs(heard([chunk(tmp_path, "a", sound)], "clean")[0] - sound).max() < 1e-4


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_comes_out_the_same_again_and_changes_what_is_heard(chunks, condition):
    if condition not in possible_conditions()[0]:
        pytest.skip("this machine lacks the codec")
    first = heard(chunks, condition)
    assert np.array_equal(first, heard(chunks, condition))
    assert first.shape == (4, RECIPE.chunk_samples) and np.isfinite(first).all()
    assert (condition == "clean") == np.array_equal(first, heard(chunks, "clean"))


@pytest.mark.parametrize("condition", ["white noise 10 dB", "random EQ ±8 dB", "room 0.6 s"])
def test_what_is_random_depends_on_the_seed_and_not_on_how_it_is_drawn(chunks, condition):
    first = heard(chunks, condition)
    assert not np.allclose(first, heard(chunks, condition, seed=1))
    assert np.array_equal(first, heard(chunks, condition, recipe=find_recipe("audionet", chunk_seconds=2.0)))


def test_noise_does_not_depend_on_who_else_is_there(chunks):
    alone, together = heard(chunks[:1], "white noise 10 dB"), heard(chunks, "white noise 10 dB")
    assert np.array_equal(alone[0], together[0])


def test_babble_is_of_other_labels(chunks):
    for item in disturb(chunks, BABBLE, seed=0, recipe=RECIPE):
        assert {other.label for other in item.others} == {"alice", "bob"} - {item.chunk.label}


def test_keys_tell_conditions_seeds_and_chunks_apart(chunks):
    items = [
        item
        for condition in CONDITIONS
        for seed in (0, 1)
        for item in disturb(chunks, condition, seed=seed, recipe=RECIPE)
    ]
    assert len({item.key for item in items}) == len(items)


def test_a_short_sound_is_disturbed_alone_and_then_repeated(tmp_path):
    sound = np.resize(tone(440, 0.5), RECIPE.chunk_samples)
    (noisy,) = heard([chunk(tmp_path, "a", sound, seconds=0.5)], "white noise 10 dB")
    assert np.array_equal(noisy[:8000], noisy[8000:16000])


def test_a_chunk_that_is_gone_is_named(tmp_path):
    gone = ChunkFile(tmp_path / "gone.wav", 2.0, "0" * 64, "alice")
    with pytest.raises(PictureError, match=r"gone\.wav"):
        heard([gone], "clean")


def test_a_picture_of_a_clean_chunk_is_the_picture_that_was_drawn(dataset):
    from audionet.features.image_io import fit_pictures, read_picture

    example = dataset.examples[0]
    (item,) = disturb(accuracy.chunk_files([example]), "clean", seed=0, recipe=RECIPE)
    drawn = fit_pictures([read_picture(example.path)], height=224, width=224)[0].astype(int)
    assert np.abs(as_picture(item, height=224, width=224) - drawn).mean() < 0.5


def test_a_codec_that_is_missing_leaves_its_condition_out(monkeypatch):
    monkeypatch.setattr("benchmarks.test_conditions.missing_codecs", lambda: {"gsm": "not here"})
    conditions, skipped = possible_conditions()
    assert set(CONDITIONS) - set(conditions) == {"GSM"} == set(skipped)


# Peers


def test_cepstra_tell_pitches_apart_and_loudness_apart_only_in_the_first():
    cepstra = baselines.Cepstra(RECIPE)
    low, high, loud = cepstra(np.stack([tone(300), tone(3000), 2 * tone(300)]))
    assert low.shape == (cepstra.dimension,)
    assert np.abs(low - high).max() > 1
    assert np.abs(low - loud)[1:20].max() < 0.01 < np.abs(low - loud)[0]


@pytest.mark.parametrize("labels", [2, 3])
def test_a_regression_tells_apart_what_can_be_told(gathered, labels):
    rows = {side: rows[gathered.numbers[rows] < labels] for side, rows in gathered.rows.items()}
    material = replace(gathered, rows=rows, labels=gathered.labels[:labels])
    head = baselines.regress(material, bottleneck="rows", standardised=True)
    bottlenecks, numbers = material.take(("testing",), bottleneck="rows")
    assert head.biases.shape == (labels,)
    assert (head.logits(bottlenecks).argmax(axis=1) == numbers).all()


def test_without_the_peer_a_sentence_says_how_to_get_it(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(baselines, "_import_quietly", missing)
    assert "pip install -r" in baselines.missing_peer()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_peer_in_a_batch_gives_what_it_gives_one_by_one():
    if baselines.missing_peer():
        pytest.skip("Resemblyzer is not installed")
    from resemblyzer import VoiceEncoder

    sounds = np.stack([voice(speaker, seed=0, seconds=2.0) for speaker in SPEAKERS])
    encoder = VoiceEncoder("cpu", verbose=False)
    assert np.allclose(baselines.Resemblyzer()(sounds), [encoder.embed_utterance(one) for one in sounds], atol=1e-5)


# The run


def test_every_system_hears_every_condition_of_all_that_is_held_out(outcome):
    assert (outcome["recordings"], outcome["chunks"]) == (3, 6)
    for system in outcome["systems"]:
        assert list(system["conditions"]) == outcome["conditions"]
        assert all(scores["chunk"]["n"] == 6 for scores in system["conditions"].values())


def test_voices_that_differ_are_told_apart_when_clean(outcome):
    assert [system["conditions"]["clean"]["recording"]["accuracy"] for system in outcome["systems"]] == [1, 1]


def test_errors_add_up_over_the_conditions_of_the_peer(outcome):
    for system in outcome["systems"]:
        wrong = sum(1 - system["conditions"][name]["chunk"]["accuracy"] for name in PEER_CONDITIONS)
        assert system["errors"] == pytest.approx(wrong)


def test_the_peer_is_never_behind_itself(outcome):
    assert outcome["systems"][1]["behind"] == []


def test_the_choice_and_the_time_of_every_system_are_there(outcome):
    for system in outcome["systems"]:
        assert [choice["trainer"] for choice in system["choices"].values()] in (["lda"], ["regression"])
        names = ("training_seconds", "chunks_per_second", "single_chunks_per_second")
        assert all(system[name] > 0 for name in names)


def test_a_system_is_trained_on_as_many_views_as_it_should_be(dataset, tmp_path):
    (trial,) = trial_by_name(dataset, "^4")
    with ThreadPoolExecutor(2) as pool:
        material = Eye(FakeBackbone(), tmp_path, pool).material(trial, replace(HOLDOUT, testing_percentage=0))
    for count in (0, 1, 2):
        assert len(accuracy._with_views(material, count).views) == count * len(trial.dataset.examples)


def test_what_looks_and_what_listens_is_trained_on_the_same_sides(dataset, tmp_path):
    (trial,) = trial_by_name(dataset, "^4")
    holdout = replace(HOLDOUT, testing_percentage=0)
    with ThreadPoolExecutor(2) as pool:
        looked = Eye(FakeBackbone(), tmp_path, pool).material(trial, holdout)
        listened = Listener(baselines.Cepstra(RECIPE), tmp_path, pool).material(trial, holdout)
    for name in ("numbers", "view_rows", "view_numbers"):
        assert np.array_equal(getattr(looked, name), getattr(listened, name))
    assert all(np.array_equal(looked.rows[side], listened.rows[side]) for side in looked.rows)


def test_a_second_run_computes_nothing_again(dataset, tmp_path):
    items = disturb(accuracy.chunk_files(dataset.examples[:4]), "clean", seed=0, recipe=RECIPE)
    backbone = FakeBackbone()
    with ThreadPoolExecutor(2) as pool:
        first = Eye(backbone, tmp_path, pool).vectors(items)
        again = Eye(backbone, tmp_path, pool).vectors(items)
    assert backbone.pictures_seen == 4 and np.array_equal(first, again)


def test_tables_name_every_system_and_every_condition(outcome, capsys):
    tables, introduction = accuracy_tables.tables(outcome), accuracy_tables.introduction(outcome)
    document = markdown(tables, introduction)
    print_tables(tables, introduction)
    screen = capsys.readouterr().out
    for name in [*outcome["conditions"], "rows", accuracy.PEER]:
        assert name in document and name in screen
    widths = {line.count("|") for line in document.splitlines() if line.startswith("| clean")}
    assert widths == {4}


def test_the_script_writes_tables_and_tells_what_it_left_out(speakers, tmp_path, monkeypatch, capsys):
    import bench_accuracy

    def fake_systems(architectures, *, bottleneck_dir, pool, **_):
        ear = Listener(baselines.Cepstra(RECIPE), bottleneck_dir, pool)
        return [listener(accuracy.PEER, ear, views=0, standardised=True)]

    monkeypatch.setattr(accuracy, "systems_of", fake_systems)
    audio_dir = shutil.copytree(speakers, tmp_path / "voices")
    (audio_dir / "bob" / "broken.mp3").write_bytes(b"no sound")
    status = bench_accuracy.main(["--audio_dir", str(audio_dir), "--test", "^4", "--output_dir", str(tmp_path / "out")])
    assert status == 1 and "broken.mp3" in capsys.readouterr().err
    assert {"accuracy.json", "accuracy.md"} <= {path.name for path in (tmp_path / "out" / "voices").iterdir()}

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from conftest import RATE_HZ, SPEAKERS, names_below, noise, voice, write_sound

from audionet.audio.chunks import read_chunks
from audionet.data.dataset import levels_of
from audionet.errors import AudioNetError, ClassifierError, InputError, PictureError, RecordingError
from audionet.evaluation.evaluate import evaluate
from audionet.evaluation.scoring import score_sources
from audionet.evaluation.test_set import Source
from audionet.features.extraction import served_picture
from audionet.features.image_io import read_picture
from audionet.features.recipes import find_recipe
from audionet.models.answer import Answer
from audionet.models.classifier import Classifier
from audionet.models.graph_classifier import GraphClassifier
from audionet.models.pooling import loudness_weights, pool


@pytest.fixture(scope="module")
def classifier(saved) -> Classifier:
    return Classifier.load(saved / "retrained_model")


@pytest.fixture
def folder(saved, tmp_path):
    """A saved classifier that may be spoilt."""
    return shutil.copytree(saved / "retrained_model", tmp_path / "model")


def rewrite(folder, **changes) -> None:
    about = json.loads((folder / "classifier.json").read_text())
    (folder / "classifier.json").write_text(json.dumps(about | changes))


# Training and serving


def test_serving_sees_the_very_picture_that_training_saw(classifier, speakers, drawn):
    chunks = read_chunks(speakers / "bob" / "0.mp3", sample_rate_hz=RATE_HZ, chunk_seconds=2.0)
    for chunk in chunks:
        kept = read_picture(drawn / "bob" / f"0_{chunk.index:05d}.jpg")
        assert np.array_equal(served_picture(chunk.samples, classifier.recipe), kept)


def test_a_recording_scores_as_its_pictures_did_in_training(classifier, trained, gathered, speakers):
    recordings = sorted({example.recording for example in gathered.samples.examples})
    for recording in recordings[:6]:
        rows = [row for row, example in enumerate(gathered.samples.pictures()) if example.recording == recording]
        in_training = trained.classifier.members[0].head.probabilities(gathered.samples.table[np.array(rows)])
        weights = loudness_weights(levels_of([gathered.samples.examples[row] for row in rows]))
        served = classifier.score(speakers / recording)
        assert served.chunk_probabilities == pytest.approx(in_training, rel=1e-5)
        assert served.probabilities == pytest.approx(pool(np.log(in_training), weights), abs=1e-6)


def with_gaps(speakers, path):
    """Write a recording among three times as much of a hiss that is 30 dB quieter, and return its name."""
    sound, rate_hz = soundfile.read(speakers / "bob" / "0.mp3", dtype="float32")
    hiss = np.random.default_rng(0).standard_normal(3 * len(sound)) * np.sqrt(np.mean(sound**2)) * 10 ** (-30 / 20)
    soundfile.write(path, np.concatenate([hiss[: len(sound)], sound, hiss[len(sound) :]]), rate_hz, subtype="FLOAT")
    return path


def test_gaps_in_a_recording_change_its_answer_hardly(classifier, speakers, tmp_path):
    whole, gappy = (
        classifier.score(speakers / "bob" / "0.mp3"),
        classifier.score(with_gaps(speakers, tmp_path / "a.wav")),
    )
    assert len(gappy.chunk_probabilities) > 3 * len(whole.chunk_probabilities)
    assert gappy.label == whole.label == "bob"
    assert gappy.probability == pytest.approx(whole.probability, abs=0.02)
    assert gappy.score == pytest.approx(whole.score, abs=0.1 * abs(whole.score))


def test_a_test_of_a_recording_with_gaps_pools_it_as_serving_does(classifier, speakers, tmp_path):
    path = with_gaps(speakers, tmp_path / "a.wav")
    scored = score_sources(classifier, [Source("bob/a.wav", "bob", (path,))]).scored
    row = evaluate(scored, classifier.labels)["recordings"][0]
    answer = classifier.score(path)
    assert (row["answer"], row["accepted"]) == (answer.label, True)
    assert row["probability"] == pytest.approx(answer.probability, abs=1e-5)
    assert row["score"] == pytest.approx(answer.score, abs=1e-4)


def test_a_picture_scores_as_the_chunk_that_it_shows(classifier, speakers, drawn):
    of_recording = classifier.score(speakers / "bob" / "0.mp3")
    for number in range(2):
        of_picture = classifier.score(drawn / "bob" / f"0_{number:05d}.jpg")
        assert of_picture.probabilities == pytest.approx(of_recording.chunk_probabilities[number], rel=1e-5)


def test_what_was_saved_answers_as_what_was_trained(classifier, trained, speakers):
    clip = speakers / "carol" / "1.mp3"
    assert np.array_equal(classifier.score(clip).probabilities, trained.classifier.score(clip).probabilities)


@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
def test_every_engine_gives_the_same_answer(saved, classifier, drawn, engine):
    pytest.importorskip(engine, reason=f"{engine} is not installed", exc_type=ImportError)
    other = Classifier.load(saved / "retrained_model", engine=engine)
    clip = drawn / "alice" / "0_00000.jpg"
    assert other.score(clip).probabilities == pytest.approx(classifier.score(clip).probabilities, abs=1e-5)


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_a_new_recording_of_a_speaker_is_named(classifier, tmp_path, speaker):
    clip = write_sound(tmp_path / "new.mp3", voice(speaker, seed=999))
    assert classifier.score(clip).label == speaker


@pytest.mark.parametrize(("suffix", "rate_hz"), [("wav", 48_000), ("flac", 44_100), ("ogg", RATE_HZ), ("wav", 8_000)])
def test_format_and_sample_rate_hardly_change_the_answer(classifier, tmp_path, suffix, rate_hz):
    import soxr

    samples = soxr.resample(voice("alice", seed=998), RATE_HZ, rate_hz)
    answer = classifier.score(write_sound(tmp_path / f"new.{suffix}", samples, rate_hz))
    assert answer.nearest_label == "alice"


def test_long_recordings_are_scored_in_batches_with_the_same_outcome(classifier, tmp_path, monkeypatch):
    clip = write_sound(tmp_path / "long.wav", np.tile(voice("bob", seed=5), 5))
    at_once = classifier.score(clip)
    monkeypatch.setattr("audionet.models.embedder.BATCH_SIZE", 3)
    assert classifier.score(clip).chunk_probabilities == pytest.approx(at_once.chunk_probabilities, rel=1e-5)
    assert at_once.chunk_offsets_seconds.tolist() == list(range(0, 20, 2))


# Answers


def test_an_answer_is_ranked_and_sums_to_one(classifier, speakers):
    answer = classifier.score(speakers / "alice" / "0.mp3")
    assert sum(answer.ranked().values()) == pytest.approx(1)
    assert list(answer.ranked().values()) == sorted(answer.ranked().values(), reverse=True)
    assert next(iter(answer.ranked(1).items())) == (answer.label, answer.probability)


def test_equals_are_ranked_in_the_order_of_the_labels():
    half = np.array([0.5, 0.5], np.float32)
    assert list(Answer(("a", "b"), half, np.zeros(1), half[None]).ranked()) == ["a", "b"]


# Bad clips


def test_bad_recordings_are_refused_by_name(classifier, tmp_path):
    (tmp_path / "text.mp3").write_text("no sound")
    (tmp_path / "empty.mp3").touch()
    write_sound(tmp_path / "silent.wav", np.zeros(RATE_HZ, np.float32))
    write_sound(tmp_path / "one.wav", noise()[:1])
    for name in ("text.mp3", "empty.mp3", "silent.wav", "one.wav", "missing.mp3"):
        with pytest.raises(RecordingError, match=name):
            classifier.score(tmp_path / name)


def test_bad_pictures_are_refused_by_name(classifier, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    for name in ("text.jpg", "missing.png", "missing"):
        with pytest.raises(PictureError, match=name):
            classifier.score(tmp_path / name)


def test_a_classifier_of_ordinary_pictures_refuses_a_recording(trained, speakers):
    known = trained.classifier
    members = (replace(known.members[0], recipe=None),)
    of_pictures = Classifier(labels=known.labels, members=members, about=known.about)
    with pytest.raises(InputError, match="trained on ordinary pictures"):
        of_pictures.score(speakers / "alice" / "0.mp3")


# The folder


def test_a_folder_describes_itself(saved):
    about = json.loads((saved / "retrained_model" / "classifier.json").read_text())
    assert about["labels"] == list(SPEAKERS)
    assert about["recipe"]["name"] == "default"
    assert about["backbone"]["architecture"] == "fake"
    assert about["training"]["trainer"] == "lda"


def test_a_folder_holds_no_pickle(saved):
    assert names_below(saved / "retrained_model") >= {"classifier.json", "backbone.pb", "head.npz"}
    with np.load(saved / "retrained_model" / "head.npz", allow_pickle=False) as arrays:
        assert not any(arrays[name].dtype.hasobject for name in arrays)


@pytest.mark.parametrize("labels", [("a_b", "a b", "Ünïcode"), ("line\nbreak", os.fsdecode(b"\xff"), "-x")])
def test_labels_survive_saving_to_the_letter(trained, tmp_path, labels):
    known = trained.classifier
    Classifier(labels=labels, members=known.members, about=known.about).save(tmp_path)
    assert Classifier.load(tmp_path).labels == labels


def test_the_recipe_survives_saving(classifier):
    assert classifier.recipe == find_recipe("default")


def test_a_missing_folder_says_how_to_train(tmp_path):
    with pytest.raises(ClassifierError, match=r"no classifier at .*nowhere\. Train one first"):
        Classifier.load(tmp_path / "nowhere")


def test_a_folder_of_something_else_is_named_for_what_it_is(drawn, tmp_path):
    with pytest.raises(ClassifierError, match="holds pictures"):
        Classifier.load(drawn)
    with pytest.raises(ClassifierError, match="holds something else"):
        Classifier.load(tmp_path)


@pytest.mark.parametrize("version", [0, 999, None, "1"])
def test_a_folder_of_another_version_is_refused_with_both_versions(folder, version):
    rewrite(folder, format=version)
    with pytest.raises(ClassifierError, match=f"of format {version!r}; this version reads format .*Train it again"):
        Classifier.load(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"labels": []}'])
def test_a_damaged_description_is_refused(folder, content):
    (folder / "classifier.json").write_text(content)
    with pytest.raises(ClassifierError):
        Classifier.load(folder)


@pytest.mark.parametrize("name", ["backbone.pb", "head.npz"])
def test_a_file_cut_in_half_or_missing_is_named(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ClassifierError, match=f"{name} is damaged"):
        Classifier.load(folder)
    (folder / name).unlink()
    with pytest.raises(ClassifierError, match=f"lacks {name}"):
        Classifier.load(folder)


# The frozen graph


def test_a_missing_graph_or_list_of_labels_names_its_option(saved, tmp_path):
    with pytest.raises(InputError, match=r"--graph: .*is not there"):
        GraphClassifier.load(tmp_path / "graph.pb", saved / "labels.txt")
    with pytest.raises(InputError, match=r"--labels: .*is not there"):
        GraphClassifier.load(saved / "graph.pb", tmp_path / "labels.txt")


def test_a_frozen_graph_answers_as_its_classifier(saved, classifier, drawn):
    graph = GraphClassifier.load(saved / "graph.pb", saved / "labels.txt")
    for clip in sorted(drawn.rglob("*.jpg"))[:6]:
        answer = graph.score(clip)
        # The graph shrinks the picture without smoothing, so the answers are close and not equal.
        assert answer.label == classifier.score(clip).label
        assert answer.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_a_frozen_graph_refuses_a_recording(saved, speakers):
    with pytest.raises(InputError, match=r"takes pictures only. Use --model"):
        GraphClassifier.load(saved / "graph.pb", saved / "labels.txt").score(speakers / "bob" / "0.mp3")


def test_labels_of_another_run_are_refused(saved, drawn, tmp_path):
    (tmp_path / "labels.txt").write_text("alice\nbob\n")
    graph = GraphClassifier.load(saved / "graph.pb", tmp_path / "labels.txt")
    with pytest.raises(InputError, match=r"--labels: expected 3 lines, .* received 2"):
        graph.score(drawn / "bob" / "0_00000.jpg")


def test_a_file_that_is_no_graph_is_refused(saved, drawn, tmp_path):
    (tmp_path / "graph.pb").write_bytes(b"nonsense" * 50)
    with pytest.raises(AudioNetError, match="graph"):
        GraphClassifier.load(tmp_path / "graph.pb", saved / "labels.txt").score(drawn / "bob" / "0_00000.jpg")


@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
def test_a_graph_that_takes_other_pictures_is_refused_in_one_line(saved, drawn, tmp_path, engine):
    pytest.importorskip(engine)
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        pictures = tf.compat.v1.placeholder(tf.float32, [None, 32, 48, 3], name="input")
        weights = tf.ones([32 * 48 * 3, 3])  # which TensorFlow cannot multiply by more, whatever the placeholder says
        tf.nn.softmax(tf.reshape(pictures, [1, -1]) @ weights, name="final_result")
    (tmp_path / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    other = GraphClassifier.load(tmp_path / "graph.pb", saved / "labels.txt", engine=engine)
    with pytest.raises(InputError, match=r"--graph: .* received one that cannot") as caught:
        other.score(drawn / "bob" / "0_00000.jpg")
    assert str(caught.value).isprintable()

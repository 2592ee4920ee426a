"""The package as others import it."""

import numpy as np
import pytest
from conftest import SCRIPTS, run_python

import audionet
from audionet import Classifier
from audionet.errors import RecordingError


@pytest.fixture(scope="module")
def classifier(saved) -> Classifier:
    return Classifier.load(saved / "retrained_model")


def test_five_lines_name_a_voice_without_tensorflow(saved, speakers):
    pytest.importorskip("openvino", reason="without OpenVINO, TensorFlow has to score")
    program = (
        "import sys\nfrom audionet import Classifier\n"
        f"answer = Classifier.load({str(saved / 'retrained_model')!r}).score({str(speakers / 'bob' / '1.mp3')!r})\n"
        "print(answer.label)\nassert 'tensorflow' not in sys.modules\n"
    )
    done = run_python("-c", program)
    assert (done.returncode, done.stdout) == (0, "bob\n"), done.stderr


def test_the_package_alone_imports_nothing_heavy():
    assert run_python("-c", "import audionet, sys; assert 'numpy' not in sys.modules").returncode == 0


def test_the_package_says_that_it_is_typed():
    assert (SCRIPTS / "audionet" / "py.typed").exists()


def test_what_is_not_there_is_said_as_python_says_it():
    with pytest.raises(AttributeError, match="has no attribute 'Clasifier'"):
        _ = audionet.Clasifier


def test_every_file_has_a_vector_the_mean_of_its_chunks(classifier, speakers, drawn):
    paths = [speakers / "bob" / "1.mp3", drawn / "bob" / "1_00000.jpg"]
    vectors = classifier.bottlenecks(paths)
    offsets, chunks = classifier.chunk_bottlenecks(paths[0])
    assert (vectors.shape, vectors.dtype) == ((2, 96), np.float32)
    assert offsets.tolist() == [0, 2] and chunks.shape == (2, 96)
    assert vectors[0] == pytest.approx(chunks.mean(axis=0, dtype=np.float32))
    assert vectors[1] == pytest.approx(chunks[0], abs=1e-3)


def test_no_files_have_no_vectors(classifier):
    assert classifier.bottlenecks([]).shape == (0, 96)


def test_vectors_suit_other_learners(classifier, speakers):
    from sklearn.neighbors import KNeighborsClassifier

    paths = sorted(speakers.glob("*/[01].mp3"))
    neighbours = KNeighborsClassifier(1).fit(classifier.bottlenecks(paths), [path.parent.name for path in paths])
    assert neighbours.predict(classifier.bottlenecks(sorted(speakers.glob("*/2.mp3")))).tolist() == [
        "alice",
        "bob",
        "carol",
    ]


def test_a_file_that_cannot_be_read_is_named(classifier, tmp_path):
    (tmp_path / "broken.mp3").write_bytes(b"no sound")
    with pytest.raises(RecordingError, match=r"broken\.mp3"):
        classifier.bottlenecks([tmp_path / "broken.mp3"])


def test_the_functions_do_what_the_commands_do(speakers, tmp_path):
    from audionet.models.backbones.settings import BackboneSettings
    from audionet.training.settings import HeadSettings, HoldoutSettings, NetworkSettings, TrainingSettings

    made = audionet.make_data(speakers, tmp_path / "pictures", jobs=1)
    assert (made.recordings_made, made.failures) == (15, {})
    settings = TrainingSettings(
        backbone=BackboneSettings(image_size=16),
        holdout=HoldoutSettings(views=0),
        head=HeadSettings(),
        whole=NetworkSettings(network="cnvrg", epochs=1),
    )
    run = audionet.train(
        tmp_path / "pictures",
        settings=settings,
        bottleneck_dir=tmp_path / "bottlenecks",
        output_model=tmp_path / "model",
        runs_dir=tmp_path / "runs",
    )
    assert {name.name for name in tmp_path.iterdir()} == {"pictures", "bottlenecks", "model", "runs"}
    assert set(run.splits.values()) == {"training", "validation", "testing"} and run.failures == {}
    result = audionet.evaluate(str(tmp_path / "model"), audio_dir=speakers, json=tmp_path / "evaluation.json", jobs=1)
    assert result["recording"]["n"] == 15 and (tmp_path / "evaluation.json").is_file()


def test_all_that_is_offered_is_there():
    assert all(callable(getattr(audionet, name)) for name in audionet.__all__)

"""The AudioNet tutorial's own commands, typed as they stand, and the clients of its time.

Source: the commands and the client are those of AudioNet's README and of TensorFlow's tutorials of 2015 and 2017,
`tensorflow/examples/label_image/label_image.py`.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from conftest import CHECKOUT, SAMPLE_AUDIO, run_python

OLD_CLIENT = """
import sys
import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_eager_execution()
graph_file, label_file, image_file, input_name = sys.argv[1:]
graph_def = tf.GraphDef()
with open(graph_file, "rb") as f:
    graph_def.ParseFromString(f.read())
graph = tf.Graph()
with graph.as_default():
    tf.import_graph_def(graph_def)

with tf.Graph().as_default():
    image = tf.image.decode_jpeg(tf.read_file(image_file), channels=3)
    resized = tf.image.resize_bilinear(tf.expand_dims(tf.cast(image, tf.float32), 0), [299, 299])
    fed = tf.Session().run(tf.divide(tf.subtract(resized, [0]), [255]))

with tf.Session(graph=graph) as session:
    input_operation = graph.get_operation_by_name("import/" + input_name)
    output_operation = graph.get_operation_by_name("import/final_result")
    results = np.squeeze(session.run(output_operation.outputs[0], {input_operation.outputs[0]: fed}))

for label, result in zip(open(label_file).read().splitlines(), results):
    print(label, result, sep="\\t")
"""


def old_client(graph: Path, labels: Path, image: Path, input_name: str) -> dict[str, float]:
    done = run_python("-c", OLD_CLIENT, graph, labels, image, input_name)
    assert done.returncode == 0, done.stderr
    return {label: float(result) for label, result in (line.split("\t") for line in done.stdout.splitlines())}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of this project with the beginnings of the sample recordings as the user's own."""
    copy = tmp_path_factory.mktemp("tutorial") / "AudioNet"
    shutil.copytree(CHECKOUT / "scripts", copy / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for recording in sorted(SAMPLE_AUDIO.glob("*/*.mp3"))[:9]:  # three speakers
        samples, rate_hz = soundfile.read(recording, frames=10 * 16_000)  # 10 s, which is quick to learn
        target = copy / "tf_files" / "data_audio" / recording.parent.name / recording.name
        target.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(target, samples, rate_hz, format="MP3")
    return copy


def typed(checkout: Path, commands: str, **environment: str) -> str:
    """Type commands in scripts/, as the tutorial does, where `python` is the one that runs the tests."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=checkout / "scripts",
        env=os.environ | {"PATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


TOLERANCE = 0.15  # in probability

TRAIN = """
IMAGE_SIZE=224
ARCHITECTURE="{architecture}"
python retrain.py --bottleneck_dir=../tf_files/bottlenecks --how_many_training_steps=500 \\
    --model_dir=../tf_files/models/ --summaries_dir=../tf_files/training_summaries/"${{ARCHITECTURE}}" \\
    --output_graph=../tf_files/retrained_graph.pb --output_labels=../tf_files/retrained_labels.txt \\
    --architecture="${{ARCHITECTURE}}" --image_dir=../tf_files/data_audio
"""
LABEL = """
python label_image.py --graph=../tf_files/retrained_graph.pb --labels=../tf_files/retrained_labels.txt \\
    --image={image} {more}
"""


@pytest.fixture(scope="module")
def drawn_checkout(checkout) -> Path:
    typed(checkout, "python data_maker.py")
    return checkout


@pytest.fixture(scope="module")
def lite0(drawn_checkout) -> Path:
    """The checkout after its tutorial was followed with the network whose weights pip brings."""
    typed(drawn_checkout, TRAIN.format(architecture="efficientnet_lite0"))
    return drawn_checkout


def some_pictures(checkout: Path) -> list[Path]:
    return sorted((checkout / "tf_files" / "data_image").rglob("*.jpg"))[::20]


def follow(checkout: Path) -> None:
    """Label some spectrograms by the tutorial's command and by the clients of its time, and compare."""
    outputs = checkout / "tf_files"
    assert sorted((outputs / "retrained_labels.txt").read_text().split()) == sorted(os.listdir(outputs / "data_audio"))
    right = 0
    for image in some_pictures(checkout):
        ours = json.loads(typed(checkout, LABEL.format(image=image, more="--json --top_k=100")))["labels"]
        for input_name in ("Mul", "input"):
            theirs = old_client(outputs / "retrained_graph.pb", outputs / "retrained_labels.txt", image, input_name)
            # They stretch to 299 x 299 first, which blurs what a network of 224 x 224 sees: alike, and not equal.
            assert theirs.keys() == ours.keys()
            assert max(abs(theirs[label] - ours[label]) for label in ours) < TOLERANCE
        right += next(iter(ours)) == image.parent.name
    assert right >= 2


@pytest.mark.slow
def test_data_maker_draws_the_recordings_where_the_tutorial_expects_them(drawn_checkout):
    pictures = sorted((drawn_checkout / "tf_files" / "data_image").rglob("*.jpg"))
    assert {path.parent.name for path in pictures} == set(os.listdir(drawn_checkout / "tf_files" / "data_audio"))
    assert len(pictures) == pytest.approx(45, abs=9)


@pytest.mark.slow
def test_the_tutorial_works_and_old_clients_agree_with_us(lite0):
    follow(lite0)


@pytest.mark.slow
def test_the_tutorial_works_with_its_own_network(drawn_checkout):
    command = TRAIN.format(architecture="inception_v3")
    try:
        typed(drawn_checkout, command)
    except AssertionError as error:
        if "received none" in str(error) and "Connect to the network" in str(error):
            pytest.skip("the weights of inception_v3 cannot be reached from here")
        raise
    follow(drawn_checkout)


@pytest.mark.slow
def test_a_recording_of_a_speaker_is_named_with_real_weights(lite0):
    model = lite0 / "tf_files" / "retrained_model"
    splits = json.loads((model / "split.json").read_text())
    unseen = [lite0 / "tf_files" / "data_audio" / name for name, split in splits.items() if split == "testing"]
    answers = [json.loads(line) for line in typed(
        lite0, "python label_image.py --json " + " ".join(f"'{clip}'" for clip in unseen)
    ).splitlines()]  # fmt: skip
    right = [Path(answer["file"]).parent.name == answer["label"] for answer in answers]
    assert len(right) == 3
    assert sum(right) >= 2

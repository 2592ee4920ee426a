"""The classic way, written anew as the reference that speed is measured against; nothing else uses it.

    recording -> pydub, chunks as wav -> matplotlib's specgram -> png -> jpg
    picture -> one at a time through a TensorFlow session -> a text file of floats
    text files, read for every batch -> NumPy -> a TensorFlow session, 500 steps
    one picture to label -> TensorFlow and the frozen graph started for it

Source: the tutorial's retrain.py and label_image.py of TensorFlow 1, and the data maker that the AudioNet of 2017 put
before them. Pictures are drawn at the size that networks take, which is kind: the classic figure is four times larger.
"""

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PICTURE_INCHES = 2.24
DOTS_PER_INCH = 100  # that is, pictures of 224 x 224 pixels
FLOATS_OF_TEXT = ","


def draw_recordings(audio_dir: str, image_dir: str, chunk_seconds: float) -> int:
    """Cut every recording below a folder into chunks, draw each, and return how many pictures there are."""
    pictures = 0
    for recording in sorted(path for path in Path(audio_dir).rglob("[!.]*.*") if path.is_file()):
        pictures += len(draw_recording(recording, Path(image_dir) / recording.parent.name, chunk_seconds))
    return pictures


def draw_recording(recording: Path, folder: Path, chunk_seconds: float) -> list[Path]:
    """Write each chunk of a recording as wav and as jpg, and return the jpgs; a shorter rest is passed over."""
    from pydub import AudioSegment

    folder.mkdir(parents=True, exist_ok=True)
    sound = AudioSegment.from_file(recording).set_channels(1).set_frame_rate(16_000)
    milliseconds = round(1000 * chunk_seconds)
    pictures = []
    for index, start in enumerate(range(0, max(1, len(sound) - milliseconds + 1), milliseconds)):
        wav = folder / f"{recording.stem}_{index:05d}.wav"
        sound[start : start + milliseconds].export(wav, format="wav")
        pictures.append(draw_wav(wav))
    return pictures


def draw_wav(wav: Path) -> Path:
    """Draw a wav as matplotlib's specgram does, first as png and then as jpg, and return the latter."""
    import matplotlib

    matplotlib.use("Agg")
    import soundfile
    from matplotlib import pyplot
    from PIL import Image

    samples, rate_hz = soundfile.read(wav)
    figure = pyplot.figure(figsize=(PICTURE_INCHES, PICTURE_INCHES), dpi=DOTS_PER_INCH)
    pyplot.axes((0, 0, 1, 1)).set_axis_off()
    pyplot.specgram(samples, NFFT=256, Fs=rate_hz, noverlap=128)
    png = wav.with_suffix(".png")
    figure.savefig(png, dpi=DOTS_PER_INCH)
    pyplot.close(figure)
    with Image.open(png) as picture:
        picture.convert("RGB").save(wav.with_suffix(".jpg"), "JPEG")
    png.unlink()
    return wav.with_suffix(".jpg")


def write_bottlenecks(image_dir: str, graph: str, bottleneck_dir: str, side: int) -> float:
    """Write the bottleneck of each jpg as text, one at a time; return the seconds, from the first picture on.

    The frozen graph has the input `pictures`, uint8, of `side` pixels each way, and the output `bottlenecks`.
    """
    import tensorflow as tf

    pictures = sorted(Path(image_dir).rglob("*.jpg"))
    with tf.compat.v1.Session(graph=_imported(graph)) as session:
        network = session.graph
        with network.as_default():
            jpg = tf.compat.v1.placeholder(tf.string)
            decoded = tf.cast(tf.image.decode_jpeg(jpg, channels=3), tf.float32)
            resized = tf.cast(tf.round(tf.image.resize(decoded[None], (side, side))), tf.uint8)
        output = network.get_tensor_by_name("bottlenecks:0")
        start = time.perf_counter()
        for picture in pictures:
            values = session.run(resized, {jpg: picture.read_bytes()})
            (bottleneck,) = session.run(output, {"pictures:0": values})
            write_vector(Path(bottleneck_dir) / picture.parent.name / f"{picture.name}.txt", bottleneck)
        return time.perf_counter() - start


def write_vector(path: Path, values: Any) -> None:
    """Write numbers as text, with commas between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FLOATS_OF_TEXT.join(str(float(value)) for value in values))


def read_vector(path: Path) -> list[float]:
    """Read what `write_vector` wrote."""
    return [float(value) for value in path.read_text().split(FLOATS_OF_TEXT)]


def train(bottleneck_dir: str, head: str, steps: int, batch_size: int, learning_rate: float) -> float:
    """Train a softmax layer by gradient descent, on batches of text files, which are in one subfolder a label.

    Labels, weights and biases go to the file `head`, as JSON. Returns the seconds, from the first step on.
    """
    import numpy as np
    import tensorflow as tf

    labels = sorted(folder.name for folder in Path(bottleneck_dir).iterdir() if folder.is_dir())
    files = [sorted((Path(bottleneck_dir) / label).glob("*.txt")) for label in labels]
    dimension = len(read_vector(files[0][0]))
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = v1.placeholder(tf.float32, [None, dimension])
        truth = v1.placeholder(tf.int64, [None])
        weights = v1.get_variable("weights", initializer=tf.random.truncated_normal([dimension, len(labels)], 0, 0.001))
        biases = v1.get_variable("biases", initializer=tf.zeros([len(labels)]))
        logits = tf.matmul(inputs, weights) + biases
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=truth, logits=logits))
        step = v1.train.GradientDescentOptimizer(learning_rate).minimize(loss)
        session.run(v1.global_variables_initializer())
        dice = random.Random(0)
        start = time.perf_counter()
        for _ in range(steps):
            numbers = [dice.randrange(len(labels)) for _ in range(batch_size)]
            batch = np.array([read_vector(dice.choice(files[number])) for number in numbers])
            session.run(step, {inputs: batch, truth: numbers})
        seconds = time.perf_counter() - start
        trained = session.run([weights, biases])
    Path(head).write_text(json.dumps({"labels": labels, "weights": trained[0].tolist(), "biases": trained[1].tolist()}))
    return seconds


def label_picture(picture: str, graph: str, labels: str) -> dict[str, float]:
    """Start TensorFlow, load a frozen graph, and return the probability by label of one picture."""
    import tensorflow as tf

    with tf.compat.v1.Session(graph=_imported(graph)) as session:
        with session.graph.as_default():
            decoded = tf.image.decode_jpeg(tf.io.read_file(picture), channels=3)
            resized = tf.image.resize(tf.cast(decoded, tf.float32)[None], (299, 299)) / 255
        (probabilities,) = session.run("final_result:0", {"input:0": session.run(resized)})
    return dict(zip(Path(labels).read_text("utf-8").splitlines(), map(float, probabilities), strict=True))


def label_recordings(audio_dir: str, graph: str, labels: str, scratch: str, chunk_seconds: float) -> int:
    """Draw recordings and label their pictures, each with a process of its own; return how many."""
    draw_recordings(audio_dir, scratch, chunk_seconds)
    pictures = sorted(Path(scratch).rglob("*.jpg"))
    program = f"import sys; from {__name__} import label_picture; print(label_picture(*sys.argv[1:]))"
    for picture in pictures:
        subprocess.run([sys.executable, "-c", program, picture, graph, labels], check=True, capture_output=True)
    return len(pictures)


def _imported(graph: str) -> Any:
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef.FromString(Path(graph).read_bytes())
    with tf.Graph().as_default() as imported:
        tf.import_graph_def(definition, name="")
    return imported

"""A frozen graph and a list of labels as a classifier, as the old tutorials have it."""

from pathlib import Path

import numpy as np

from audionet.audio import decoding
from audionet.errors import InputError, WeightsError
from audionet.features.image_io import read_picture
from audionet.files import digest_of, printable, sha256_of
from audionet.models.answer import Answer
from audionet.models.backbones.engines import open_graph
from audionet.models.backbones.settings import Engine


class GraphClassifier:
    """A frozen graph that `export.write_graph` made, ready to score pictures.

    Labels are in the order of the graph's outputs; `graph` is the serialised GraphDef.
    """

    def __init__(self, *, labels: tuple[str, ...], graph: bytes, engine: Engine = "auto"):
        self.labels = labels
        self.recipe = None
        self.fingerprint = digest_of([labels, sha256_of(graph)])
        self._run = open_graph(graph, engine=engine, input_name="input", output_name="final_result")

    @classmethod
    def load(cls, graph: Path, labels: Path, *, engine: Engine = "auto") -> "GraphClassifier":
        """Load a graph and its labels, or raise InputError if a file cannot be read."""
        for option, path in (("--graph", graph), ("--labels", labels)):
            if not path.is_file():
                raise InputError(f"{option}: {printable(path)} is not there. audionet train writes it.")
        try:
            lines = labels.read_text("utf-8").splitlines()
        except (OSError, UnicodeError) as error:
            raise InputError(f"--labels: {printable(labels)} cannot be read ({error}).") from error
        try:
            return cls(labels=tuple(lines), graph=graph.read_bytes(), engine=engine)
        except OSError as error:
            raise InputError(f"--graph: {printable(graph)} cannot be read ({error.strerror}).") from error
        except WeightsError as error:
            raise InputError(f"--graph: {printable(graph)} cannot be used. {error}") from error

    def score(self, path: Path | str) -> Answer:
        """Score a picture file.

        Raises:
            PictureError: the file cannot be read.
            InputError: the file is a recording, or the graph takes no pictures of any size or has other labels.
        """
        if decoding.is_recording(Path(path)):
            raise InputError(
                f"{printable(path)} is a recording, and a frozen graph takes pictures only. Use --model instead."
            )
        picture = read_picture(path)
        try:
            probabilities = self._run((picture[None] / np.float32(255)).astype(np.float32))
        except WeightsError as error:
            raise InputError(f"--graph: the frozen graph cannot be used. {error}") from error
        if probabilities.shape[1] != len(self.labels):
            raise InputError(
                f"--labels: expected {probabilities.shape[1]} lines, one for each output of the graph, received "
                f"{len(self.labels)}. Use the two files that one training run wrote."
            )
        return Answer(self.labels, probabilities[0], np.zeros(1, np.float32), probabilities)

"""Say what a trained classifier hears in recordings or sees in pictures.

    python label_image.py voice.mp3
    python label_image.py --model ../tf_files/retrained_model clips/ --top_k 3 --json
    python label_image.py --graph ../tf_files/retrained_graph.pb --labels ../tf_files/retrained_labels.txt --image a.jpg

A recording is cut and drawn as in training, and its chunks are pooled into one answer.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from audionet.files import printable
from audionet.options import EXIT_FAILED, Positional, check, run_script
from audionet.screen import say

TF_FILES = Path(__file__).resolve().parent.parent / "tf_files"


@dataclass(frozen=True)
class LabelImageOptions:
    """The command line of label_image.py."""

    files: Positional[tuple[Path, ...]] = ()
    """Recordings, pictures or folders of them."""
    image: tuple[Path, ...] = ()
    """The same, as an option."""
    model: Path | None = None
    """Classifier folder that retrain.py wrote. By default tf_files/retrained_model."""
    graph: Path | None = None
    """Frozen graph to use instead of a classifier folder, with --labels."""
    labels: Path | None = None
    """Labels of the frozen graph, one a line."""
    top_k: int = 5
    """How many labels to show for each file."""
    json: bool = False
    """Print one JSON object a line instead of a table."""

    def __post_init__(self) -> None:
        check(self.top_k >= 1, f"--top_k: expected 1 or more, received {self.top_k}.")
        check(bool(self.files or self.image), "Expected a recording, a picture or a folder of them to label.")
        check((self.graph is None) == (self.labels is None), "--graph and --labels: expected both or neither.")
        check(self.graph is None or self.model is None, "--graph and --model: expected one of them, received both.")


def label_files(options: LabelImageOptions) -> int:
    """Print the labels of every file, and return 1 if any file failed."""
    from audionet.classifier import Classifier, GraphClassifier  # NumPy and more, which --help should not wait for
    from audionet.scoring import find_clips, score_all

    classifier: Classifier | GraphClassifier
    if options.graph and options.labels:
        classifier = GraphClassifier.load(options.graph, options.labels)
    else:
        classifier = Classifier.load(options.model or TF_FILES / "retrained_model")
    failed = 0
    for path, answer in score_all(classifier, find_clips((*options.files, *options.image))):
        if isinstance(answer, Exception):
            say(f"Set aside: {answer}")
            failed += 1
        elif options.json:
            print(json.dumps({"file": str(path), **answer.to_json(options.top_k)}))
        else:
            print(printable(path) + answer.doubt())
            for label, probability in answer.ranked(options.top_k).items():
                print(f"  {probability:6.1%}  {printable(label)}")
    return EXIT_FAILED if failed else 0


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run_script(label_files, LabelImageOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())

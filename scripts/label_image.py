"""Say what a trained classifier hears in recordings or sees in pictures.

    python label_image.py voice.mp3
    python label_image.py clips/ 'more/*.flac' --output answers.csv --resume
    sox voice.mp3 -t wav - | python label_image.py - --json
    python label_image.py --graph ../tf_files/retrained_graph.pb --labels ../tf_files/retrained_labels.txt --image a.jpg

A recording is cut and drawn as in training, and its chunks are pooled into one answer.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audionet.files import printable
from audionet.options import EXIT_FAILED, Positional, check, run_script
from audionet.screen import say

TF_FILES = Path(__file__).resolve().parent.parent / "tf_files"


@dataclass(frozen=True)
class LabelImageOptions:
    """The command line of label_image.py."""

    files: Positional[tuple[Path, ...]] = ()
    """Recordings, pictures, folders of them, patterns such as 'clips/*.mp3', or - for wav on stdin."""
    image: tuple[Path, ...] = ()
    """The same, as an option."""
    from_file: Path | None = None
    """A list of more of them, one a line; - for a list on stdin."""
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
    output: Path | None = None
    """File for the answers instead of the screen: .csv, .jsonl or .parquet."""
    resume: bool = False
    """Go on with --output: pass over what it holds an answer for."""
    jobs: int | None = None
    """How many files to label side by side. By default one for each core."""

    def __post_init__(self) -> None:
        named = bool(self.files or self.image or self.from_file)
        check(self.top_k >= 1, f"--top_k: expected 1 or more, received {self.top_k}.")
        check(self.jobs is None or self.jobs >= 1, f"--jobs: expected 1 or more, received {self.jobs}.")
        check(named, "Expected a recording, a picture or a folder of them to label.")
        check((self.graph is None) == (self.labels is None), "--graph and --labels: expected both or neither.")
        check(self.graph is None or self.model is None, "--graph and --model: expected one of them, received both.")
        check(self.output is not None or not self.resume, "--resume goes on with --output; name that file as well.")
        check(self.output is None or not self.json, "--json and --output: expected one of them; name it .jsonl.")


def label_files(options: LabelImageOptions) -> int:
    """Answer for every file, and return 1 if any file failed."""
    from audionet.scoring import find_clips, score_all  # NumPy and more, which --help should not wait for

    classifier = _load(options)
    clips = find_clips((*options.files, *options.image), from_file=options.from_file)
    if options.output:
        return _write_answers(options, classifier, clips)
    failed = 0
    for path, answer in score_all(classifier, clips, jobs=options.jobs):
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


def _load(options: LabelImageOptions) -> Any:
    from audionet.classifier import Classifier, GraphClassifier

    if options.graph and options.labels:
        return GraphClassifier.load(options.graph, options.labels)
    return Classifier.load(options.model or TF_FILES / "retrained_model")


def _write_answers(options: LabelImageOptions, classifier: Any, clips: Iterable[Path]) -> int:
    from audionet import answers
    from audionet.scoring import score_all

    assert options.output is not None  # else nobody would call
    model = classifier.fingerprint
    done = failed = 0
    with answers.RowFile(
        options.output, columns=answers.answer_columns(options.top_k), model=model, resume=options.resume
    ) as rows:
        for path, answer in score_all(classifier, (clip for clip in clips if clip not in rows), jobs=options.jobs):
            rows.write([answers.answer_row(path, answer, model=model, top_k=options.top_k)])
            if isinstance(answer, Exception):
                say(f"Set aside: {answer}")
                failed += 1
            done += 1
    before = f"; {rows.held} {'was' if rows.held == 1 else 'were'} labelled before" if rows.held else ""
    say(f"{done} files: {done - failed} labelled, {failed} set aside{before}.")
    return EXIT_FAILED if failed else 0


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run_script(label_files, LabelImageOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())

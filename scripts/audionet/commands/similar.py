"""Find the clips that sound most like one.

    audionet similar voice.mp3 --among recordings/
    audionet similar voice.mp3 --among a.mp3 b.mp3 --top_k 3

What is computed of a file is kept, so that another search is fast.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from audionet.cli import EXIT_FAILED, TF_FILES, Positional, run_command
from audionet.errors import check
from audionet.files import printable
from audionet.outputs import check_outputs
from audionet.ranges import between, check_ranges


@dataclass(frozen=True)
class SimilarOptions:
    """The command line of audionet similar."""

    clips: Positional[tuple[Path, ...]] = ()
    """Recording or picture to compare with, one."""
    among: tuple[Path, ...] = ()
    """Recordings or pictures, or folders of them, to look among. By default what the classifier was trained on."""
    model: Path = TF_FILES / "retrained_model"
    """Classifier folder."""
    top_k: Annotated[int, between(1, 100_000)] = 10
    """How many to show."""
    cache_dir: Path = TF_FILES / "bottlenecks"
    """Folder for what is computed of each file."""

    def __post_init__(self) -> None:
        check_ranges(self)
        check(len(self.clips) == 1, f"Expected one clip to compare with, received {len(self.clips)}.")


def print_similar(options: SimilarOptions) -> int:
    """Compare and print, the most alike first."""
    # NumPy, OpenVINO and more, which --help should not wait for.
    from audionet.evaluation.runs import trained_on
    from audionet.inference.clip_similarity import clip_files, find_similar
    from audionet.models.classifier import Classifier

    check_outputs(folders={"cache_dir": options.cache_dir})
    (clip,) = options.clips
    classifier = Classifier.load(options.model)
    runs_dirs = (TF_FILES / "runs", options.model.parent / "runs")
    among = options.among or (trained_on(options.model, runs_dirs, option="--among"),)
    found, failed = find_similar(classifier, clip, clip_files(among), cache_dir=options.cache_dir)
    for neighbour in found[: options.top_k]:
        print(f"{neighbour.probability:6.1%}  {printable(neighbour.path)}")
    return EXIT_FAILED if failed else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(print_similar, SimilarOptions, __doc__, argv)

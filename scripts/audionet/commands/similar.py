"""Find the files, or the places in files, that sound most like a clip.

    audionet similar voice.mp3 --among recordings/
    audionet similar voice.mp3 --among recordings/ --places
    audionet similar voice.mp3 --among recordings/ --index recordings_index/
    audionet similar voice.mp3 --index recordings_index/

What is computed of a file is kept in an index, so that another search is fast: with --among, files that are new, have
changed or are gone are brought up to date; without it, the index that is named is searched as it is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from audionet.cli import EXIT_FAILED, TF_FILES, Paths, Positional, run_command
from audionet.errors import check
from audionet.files import printable
from audionet.outputs import check_outputs
from audionet.ranges import between, check_ranges
from audionet.wording import clock

if TYPE_CHECKING:
    from audionet.inference.vectors.similar_clips import Neighbour


@dataclass(frozen=True)
class SimilarOptions:
    """The command line of audionet similar."""

    clips: Positional[Paths] = ()
    """Recording or picture to compare with, one."""
    among: Paths = ()
    """Recordings or pictures, or folders of them, to look among. By default what the classifier was trained on."""
    places: bool = False
    """Find places within files, from when to when, and not whole files."""
    model: Path = TF_FILES / "retrained_model"
    """Classifier folder."""
    top_k: Annotated[int, between(1, 100_000)] = 10
    """How many to show."""
    index: Path | None = None
    """Folder for the index, or one that was made before. By default one within --cache_dir."""
    cache_dir: Path = TF_FILES / "bottlenecks"
    """Folder for what is computed of each file."""

    def __post_init__(self) -> None:
        check_ranges(self)
        check(len(self.clips) == 1, f"Expected one clip to compare with, received {len(self.clips)}.")


def print_similar(options: SimilarOptions) -> int:
    """Compare and print, the most alike first."""
    # NumPy, OpenVINO and more, which --help should not wait for.
    from audionet.evaluation.runs import trained_on
    from audionet.inference.clip_similarity import clip_files
    from audionet.inference.vectors.clip_index import ClipIndex
    from audionet.inference.vectors.refreshing import refresh
    from audionet.inference.vectors.similar_clips import ClipSearch
    from audionet.inference.vectors.vector_source import trained_source
    from audionet.models.classifier import Classifier

    check_outputs(folders={"cache_dir": options.cache_dir, "index": options.index})
    (clip,) = options.clips
    source = trained_source(Classifier.load(options.model))
    rows, paths, failed = None, None, 0
    if options.index and not options.among:
        index = ClipIndex.open(options.index, source)
    else:
        runs_dirs = (TF_FILES / "runs", options.model.parent / "runs")
        among = options.among or (trained_on(options.model, runs_dirs, option="--among"),)
        folder = options.index or options.cache_dir / f"vectors-{source.digest}"
        found = refresh(folder, source, clip_files(among), option="--index" if options.index else "--cache_dir")
        index, rows, paths, failed = found.index, found.rows, found.paths, found.failed
    search = ClipSearch.of(index, source, clip, rows=rows)
    similar = search.similar_places if options.places else search.similar_files
    for neighbour in similar(options.top_k, paths=paths):
        print(_line(neighbour))
    return EXIT_FAILED if failed else 0


def _line(neighbour: "Neighbour") -> str:
    where = ""
    if neighbour.end_seconds is not None:
        start, end = (clock(seconds, tenths=True) for seconds in (neighbour.start_seconds, neighbour.end_seconds))
        where = f"{start}-{end}  "
    return f"{neighbour.probability:6.1%}  {where}{printable(neighbour.path)}"


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(print_similar, SimilarOptions, __doc__, argv)

"""Find the files, or the places in files, that sound most like a clip.

    audionet similar voice.mp3 --among recordings/
    audionet similar voice.mp3 --among recordings/ --places
    audionet similar voice.mp3 --among recordings/ --index recordings_index/
    audionet similar voice.mp3 --index recordings_index/
    audionet similar voice.mp3 --among recordings/ --background auto

Clips are compared by the classifier in tf_files, or by that of --model. With --background, and where there is no
classifier, no training is needed: they are compared by a pretrained network, that of --architecture or of --members, in
the comparison space of a background.

What is computed of a file is kept in an index, so that another search is fast: with --among, files that are new, have
changed or are gone are brought up to date; without it, the index that is named is searched as it is.
"""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from audionet.cli import EXIT_FAILED, TF_FILES, OmitArgPrefixes, Paths, Positional, run_command
from audionet.console import log
from audionet.errors import check
from audionet.features.recipes import find_recipe
from audionet.files import printable
from audionet.models.backbones.settings import BackboneSettings
from audionet.outputs import check_outputs
from audionet.ranges import between, check_ranges
from audionet.wording import clock

if TYPE_CHECKING:
    from audionet.inference.vectors.similar_clips import Neighbour
    from audionet.inference.vectors.vector_source import VectorSource

DEFAULT_MODEL = TF_FILES / "retrained_model"


@dataclass(frozen=True)
class SimilarOptions:
    """The command line of audionet similar."""

    clips: Positional[Paths] = ()
    """Recording or picture to compare with, one."""
    among: Paths = ()
    """Recordings or pictures, or folders of them, to look among. By default what the classifier was trained on."""
    places: bool = False
    """Find places within files, from when to when, and not whole files."""
    model: Path | None = None
    """Classifier folder. By default tf_files/retrained_model, if there is one."""
    background: Literal["auto"] | Path | None = None
    """File of audionet background, to compare clips by pretrained networks in its space. auto is the one of voices that
    comes along, and taken where there is no classifier."""
    recipe: str = "default"
    """How sound is cut and drawn, without a classifier; the command recipes lists them."""
    top_k: Annotated[int, between(1, 100_000)] = 10
    """How many to show."""
    index: Path | None = None
    """Folder for the index, or one that was made before. By default one within --cache_dir."""
    cache_dir: Path = TF_FILES / "bottlenecks"
    """Folder for what is computed of each file."""
    backbone: OmitArgPrefixes[BackboneSettings] = field(default_factory=BackboneSettings)

    def __post_init__(self) -> None:
        check_ranges(self)
        find_recipe(self.recipe)
        own = (self.background, self.recipe, self.backbone)
        check(
            self.model is None or own == (None, "default", BackboneSettings(engine=self.backbone.engine)),
            "--model: a classifier has its own networks, recipe and space; leave --background, --recipe and all about "
            "networks away.",
        )
        check(len(self.clips) == 1, f"Expected one clip to compare with, received {len(self.clips)}.")


def print_similar(options: SimilarOptions) -> int:
    """Compare and print, the most alike first."""
    # NumPy, OpenVINO and more, which --help should not wait for.
    from audionet.evaluation.runs import trained_on
    from audionet.inference.clip_similarity import clip_files
    from audionet.inference.vectors.clip_index import ClipIndex
    from audionet.inference.vectors.refreshing import refresh
    from audionet.inference.vectors.similar_clips import ClipSearch

    folders = {"cache_dir": options.cache_dir, "index": options.index, "model_dir": options.backbone.model_dir}
    check_outputs(folders=folders)
    (clip,) = options.clips
    model = _model(options)
    check(
        bool(model or options.among or options.index),
        "Without a classifier there is no folder that it was trained on: name what to look among by --among.",
    )
    source = _source(options, model)
    rows, paths, failed = None, None, 0
    if options.index and not options.among:
        index = ClipIndex.open(options.index, source)
    else:
        among = options.among
        if model and not among:
            among = (trained_on(model, (TF_FILES / "runs", model.parent / "runs"), option="--among"),)
        folder = options.index or options.cache_dir / f"vectors-{source.digest}"
        found = refresh(folder, source, clip_files(among), option="--index" if options.index else "--cache_dir")
        index, rows, paths, failed = found.index, found.rows, found.paths, found.failed
    search = ClipSearch.of(index, source, clip, rows=rows)
    similar = search.similar_places if options.places else search.similar_files
    for neighbour in similar(options.top_k, paths=paths):
        print(_line(neighbour))
    return EXIT_FAILED if failed else 0


def _model(options: SimilarOptions) -> Path | None:
    """Return the classifier folder to compare by, or None for pretrained networks."""
    if options.model or options.background:
        return options.model
    is_default = (options.recipe, options.backbone) == ("default", BackboneSettings(engine=options.backbone.engine))
    return DEFAULT_MODEL if is_default and DEFAULT_MODEL.exists() else None


def _source(options: SimilarOptions, model: Path | None) -> "VectorSource":
    from audionet.inference.vectors.vector_source import trained_source, untrained_source
    from audionet.models.background import SHIPPED
    from audionet.models.classifier import Classifier
    from audionet.training.fitting.similarity_fitting import space_for_networks

    if model:
        return trained_source(Classifier.load(model, engine=options.backbone.engine))
    if options.backbone.model_dir:
        os.environ["AUDIONET_CACHE"] = str(options.backbone.model_dir)
    background = SHIPPED if options.background in (None, "auto") else Path(str(options.background))
    source = untrained_source(options.backbone, find_recipe(options.recipe))
    found = replace(source, space=space_for_networks(source.embedder.networks, background))
    log(f"Compared without a classifier: {found.sentence()}.")
    return found


def _line(neighbour: "Neighbour") -> str:
    where = ""
    if neighbour.end_seconds is not None:
        start, end = (clock(seconds, tenths=True) for seconds in (neighbour.start_seconds, neighbour.end_seconds))
        where = f"{start}-{end}  "
    return f"{neighbour.probability:6.1%}  {where}{printable(neighbour.path)}"


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(print_similar, SimilarOptions, __doc__, argv)

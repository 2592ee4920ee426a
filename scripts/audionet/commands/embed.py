"""Write the vectors of recordings or of their chunks, to npy, CSV or Parquet, without training first.

    audionet embed recordings/ --output vectors.npy
    audionet embed recordings/ --output vectors.parquet --by recording --architecture voice_encoder
    audionet embed recordings/ --output vectors.npy --background auto
    audionet embed recordings/ --output vectors.npy --model tf_files/retrained_model

Without --model, vectors are those of a pretrained network, that of --architecture or of --members, read at
--bottleneck. With it, or with --background, they lie in a comparison space, where an angle says whether two clips are
of one label. Beside an npy file, a CSV says what each row is of. What is computed of a file is kept, so that a run that
was stopped goes on where it was, and similar finds it there.
"""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from audionet.cli import EXIT_FAILED, TF_FILES, OmitArgPrefixes, Paths, Positional, run_command
from audionet.errors import InputError, check
from audionet.features.recipes import find_recipe
from audionet.files import printable
from audionet.models.backbones.settings import BackboneSettings
from audionet.outputs import check_outputs, check_suffix
from audionet.ranges import between, check_ranges
from audionet.wording import counted

if TYPE_CHECKING:
    from audionet.inference.vectors.vector_source import VectorSource


@dataclass(frozen=True)
class EmbedOptions:
    """The command line of audionet embed."""

    clips: Positional[Paths] = ()
    """Recordings or pictures, or folders of them."""
    output: Path = TF_FILES / "vectors.npy"
    """File for the vectors: .npy, with a .csv beside it that says what each row is of; .csv; or .parquet."""
    by: Literal["chunk", "recording"] = "chunk"
    """A row for each chunk, or for each recording."""
    model: Path | None = None
    """Classifier folder whose comparison space the vectors lie in. By default they are a pretrained network's."""
    bottlenecks: bool = False
    """With --model: bottlenecks as its networks give them, to train other models on."""
    background: Literal["auto", "none"] | Path = "none"
    """Without --model: file of audionet background, in whose comparison space the vectors lie. auto is the one of
    voices that comes along; none leaves them as the network gives them."""
    recipe: str = "default"
    """How sound is cut and drawn, without --model; the command recipes lists them."""
    index: Path | None = None
    """Folder for the index, or one that was made before. By default one within --cache_dir."""
    cache_dir: Path = TF_FILES / "bottlenecks"
    """Folder for what is computed of each file."""
    jobs: Annotated[int | None, between(1, 1_024)] = None
    """How many files to read side by side. By default one for each core."""
    backbone: OmitArgPrefixes[BackboneSettings] = field(default_factory=BackboneSettings)

    def __post_init__(self) -> None:
        check_ranges(self)
        find_recipe(self.recipe)
        check(bool(self.clips), "Expected a recording, a picture or a folder of them.")
        check(self.model is not None or not self.bottlenecks, "--bottlenecks goes with --model; leave it away.")
        own = (self.recipe, self.background, self.backbone)
        check(
            self.model is None or own == ("default", "none", BackboneSettings(engine=self.backbone.engine)),
            "--model: a classifier has its own networks, recipe and space; leave --recipe, --background and all about "
            "networks away.",
        )


def embed(options: EmbedOptions) -> int:
    """Compute, write, and say how many; return 1 if any file failed."""
    # NumPy, OpenVINO and more, which --help should not wait for.
    from audionet.inference.clip_similarity import clip_files
    from audionet.inference.vectors.refreshing import refresh
    from audionet.inference.vectors.vector_files import SUFFIXES, write_vectors

    check_suffix(options.output, SUFFIXES)
    folders = {"index": options.index, "cache_dir": options.cache_dir, "model_dir": options.backbone.model_dir}
    check_outputs(files={"output": options.output}, folders=folders)
    files = clip_files(options.clips)
    source = _source(options)
    folder = options.index or options.cache_dir / f"vectors-{source.digest}"
    option = "--index" if options.index else "--cache_dir"
    found = refresh(folder, source, files, option=option, jobs=options.jobs)
    if not len(found.rows):
        raise InputError("None of the files can be read, so that there are no vectors.")
    rows = write_vectors(options.output, found, by=options.by)
    print(
        f"Written: {printable(options.output)}, {counted(rows, 'vector')} of {source.dimension} numbers, of "
        f"{counted(len(found.rows), 'file')} ({source.sentence()})."
    )
    return EXIT_FAILED if found.failed else 0


def _source(options: EmbedOptions) -> "VectorSource":
    from audionet.inference.vectors.vector_source import trained_source, untrained_source
    from audionet.models.background import SHIPPED
    from audionet.models.classifier import Classifier
    from audionet.training.fitting.similarity_fitting import space_for_networks

    if options.model:
        classifier = Classifier.load(options.model, engine=options.backbone.engine)
        return trained_source(classifier, compared=not options.bottlenecks)
    if options.backbone.model_dir:
        os.environ["AUDIONET_CACHE"] = str(options.backbone.model_dir)
    source = untrained_source(options.backbone, find_recipe(options.recipe))
    if options.background == "none":
        return source
    path = SHIPPED if options.background == "auto" else Path(options.background)
    return replace(source, space=space_for_networks(source.embedder.networks, path))


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(embed, EmbedOptions, __doc__, argv)

"""Train a new top layer on a pretrained network, for folders of pictures or of recordings.

    audionet train --image_dir pictures/
    audionet train --image_dir pictures/ --architecture inception_v3 --head softmax
    audionet train --image_dir ~/photos --recipe cnvrg --output_model photo_model/
    audionet train --again tf_files/runs/20261121-093012-5f0c2ab1.json

Each subfolder of --image_dir is a label. Recordings are held out as a whole, so that the score is that of recordings
that took no part in training. A folder of recordings is drawn first, as audionet data does.
"""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from audionet.cli import EXIT_FAILED, TF_FILES, OmitArgPrefixes, changed, run_command, short_path, typed_command
from audionet.distributed.cluster import connected
from audionet.features.recipes import find_recipe
from audionet.files import printable
from audionet.models.backbones.settings import BackboneSettings
from audionet.training.settings import ComparisonSettings, HeadSettings, HoldoutSettings, NetworkSettings
from audionet.wording import answers_in_words

if TYPE_CHECKING:
    from audionet.training.training_run import TrainingRun


@dataclass(frozen=True)
class RetrainOptions:
    """The command line of audionet train."""

    image_dir: Path = TF_FILES / "data_image"
    """Folder of pictures, one subfolder a label; or of recordings, which stands for the pictures made of them."""
    recipe: str | None = None
    """Train as this recipe does, unless other options say otherwise; the command recipes lists them."""
    bottleneck_dir: Path = TF_FILES / "bottlenecks"
    """Folder of the cache. It is safe to delete."""
    summaries_dir: Path = TF_FILES / "training_summaries"
    """Folder for TensorBoard."""
    output_model: Path = TF_FILES / "retrained_model"
    """Folder that the classifier is saved to."""
    output_graph: Path = TF_FILES / "retrained_graph.pb"
    """File that the frozen graph is saved to."""
    output_labels: Path = TF_FILES / "retrained_labels.txt"
    """File that the labels are saved to."""
    report: Path = TF_FILES / "report.html"
    """File that the page about the run is written to."""
    runs_dir: Path = TF_FILES / "runs"
    """Folder of records of runs."""
    again: Path | None = None
    """Record of a training to repeat, with its options unless others are given; what it writes is named _again. Whether
    the classifier has the same bytes is said, and the status is 1 where it has not."""
    cluster: str | None = None
    """Ray cluster that does the work: auto, local, or an address such as ray://host:10001. By default this machine."""
    backbone: OmitArgPrefixes[BackboneSettings] = field(default_factory=BackboneSettings)
    holdout: OmitArgPrefixes[HoldoutSettings] = field(default_factory=HoldoutSettings)
    head: OmitArgPrefixes[HeadSettings] = field(default_factory=HeadSettings)
    whole: OmitArgPrefixes[NetworkSettings] = field(default_factory=NetworkSettings)
    comparison: OmitArgPrefixes[ComparisonSettings] = field(default_factory=ComparisonSettings)

    def __post_init__(self) -> None:
        if self.recipe:
            find_recipe(self.recipe)


def retrain(options: RetrainOptions) -> int:
    """Train, save and print the scores; return 1 if any recording or picture could not be read."""
    from audionet import api  # NumPy, Pillow and the networks, which --help should not wait for
    from audionet.reports import evaluation_tables
    from audionet.training.settings import TrainingSettings

    settings = TrainingSettings(
        options.recipe, options.backbone, options.holdout, options.head, options.whole, options.comparison
    )
    with connected(options.cluster, folders=[options.image_dir, options.bottleneck_dir]):
        run = api.train(
            options.image_dir,
            settings=settings,
            bottleneck_dir=options.bottleneck_dir,
            summaries_dir=options.summaries_dir,
            output_model=options.output_model,
            output_graph=options.output_graph,
            output_labels=options.output_labels,
            report=options.report,
            runs_dir=options.runs_dir,
        )
    evaluation_tables.warn(run.final.evaluation)
    for line in [*closing_lines(run, options.output_model), f"Report: {printable(short_path(options.report))}"]:
        print(line)
    is_same = options.again is None or _compare(options.again, run.recorded)
    return EXIT_FAILED if run.failures or not is_same else 0


def _compare(again: Path, recorded: Path | None) -> bool:
    """Print whether a repeated run gave the same bytes, and return it."""
    from audionet.evaluation.runs import read_run  # which --help need not wait for
    from audionet.training.repetition import sentences

    assert recorded is not None  # as this command records each run
    is_same, lines = sentences(read_run(again), read_run(recorded))
    for line in lines:
        print(line)
    return is_same


def closing_lines(run: "TrainingRun", folder: Path) -> list[str]:
    """Return the last lines on screen: the score, where the classifier is, and what to type next."""
    classifier = run.classifier
    clip = shlex.quote(short_path(run.example_clip))
    return [
        _headline(run),
        *(run.final.leak_audit().sentences()[1:] if run.final.evaluation else []),
        *([classifier.open_set.sentence()] if classifier.open_set else []),
        f"Classifier: {printable(short_path(folder))}",
        f"Label a clip: {typed_command('label')} --model {shlex.quote(short_path(folder))} {clip}",
    ]


def _headline(run: "TrainingRun") -> str:
    from audionet.evaluation.intervals import resampled  # NumPy, which --help should not wait for

    if not run.final.evaluation:
        return "No recording was held out for testing, so there is no honest score to report."
    chunk, recording = run.metrics["chunk"], run.metrics["recording"]
    if not recording["n"]:
        return f"On {run.final.on}: none is of a label that the classifier knows, so there is no accuracy."
    low, high = recording["named_right_ci95"] or (0, 1)
    answers = (
        f"On {run.final.on}: {answers_in_words(recording)}. That means {low:.0%} to {high:.0%} of the next ones named "
        f"right with 95 % confidence, {resampled(run.metrics['data'])}."
    )
    if len(run.classifier.labels) == 1:
        return answers
    return (
        f"{answers} Without a threshold for unknown ones, "
        f"{recording['accuracy']:.0%} of recordings and {chunk['accuracy']:.1%} of {chunk['n']} pictures are right; "
        f"guessing would get {1 / len(run.classifier.labels):.0%}."
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(retrain, RetrainOptions, __doc__, argv, defaults=recipe_defaults)


def recipe_defaults(typed: RetrainOptions) -> RetrainOptions:
    """Return the options as the recipe that was asked for has them, or the run that is to be repeated had them."""
    if typed.again:
        from audionet.training.repetition import options_of  # which --help need not wait for

        return options_of(typed.again, RetrainOptions)
    return changed(RetrainOptions(), find_recipe(typed.recipe).training if typed.recipe else {})

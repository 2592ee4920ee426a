"""Train a new top layer on a pretrained network, for folders of pictures or of recordings.

    audionet train --image_dir pictures/
    audionet train --image_dir pictures/ --architecture inception_v3 --head softmax
    audionet train --image_dir ~/photos --recipe cnvrg --output_model photo_model/

Each subfolder of --image_dir is a label. Recordings are held out as a whole, so that the score is that of recordings
that took no part in training. A folder of recordings is drawn first, as audionet data does.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from audionet.cli import EXIT_FAILED, TF_FILES, OmitArgPrefixes, changed, run_script
from audionet.console import log
from audionet.features.recipes import check_drawn_by, find_recipe
from audionet.files import mark_folder, printable, read_mark
from audionet.models.backbones.settings import BackboneSettings
from audionet.training.settings import HeadSettings, HoldoutSettings, NetworkSettings


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
    backbone: OmitArgPrefixes[BackboneSettings] = field(default_factory=BackboneSettings)
    holdout: OmitArgPrefixes[HoldoutSettings] = field(default_factory=HoldoutSettings)
    head: OmitArgPrefixes[HeadSettings] = field(default_factory=HeadSettings)
    whole: OmitArgPrefixes[NetworkSettings] = field(default_factory=NetworkSettings)

    def __post_init__(self) -> None:
        if self.recipe:
            find_recipe(self.recipe)


def retrain(options: RetrainOptions) -> int:
    """Train, save and say how good it is; return 1 if any picture had to be set aside."""
    # NumPy, Pillow and the networks, which --help should not wait for.
    from audionet.data.dataset import read_dataset
    from audionet.data.preprocessing import pictures_for, read_chunk_stats
    from audionet.evaluation import runs, summary
    from audionet.training import trainer, training_data, training_run
    from audionet.training.cross_validation import cross_validate

    watch = runs.Stopwatch()
    training_run.check_replaceable(options.output_model)
    if options.backbone.model_dir:
        os.environ["AUDIONET_CACHE"] = str(options.backbone.model_dir)
    settings = trainer.TrainingSettings(options.backbone, options.head, options.whole, options.holdout)
    trainer.check_settings(settings)
    if read_mark(options.bottleneck_dir) is None:
        mark_folder(options.bottleneck_dir, "bottlenecks")
    with watch.stage("pictures"):
        recipe = find_recipe(options.recipe) if options.recipe else None
        image_dir, failures = pictures_for(options.image_dir, recipe=recipe)
    cache_path = options.bottleneck_dir / training_data.PICTURE_CACHE_NAME
    dataset = read_dataset(image_dir, cache_path, group_by=options.holdout.group_by)
    if options.holdout.negatives:
        dataset, refused = training_data.with_unknown(dataset, options.holdout.negatives, options.bottleneck_dir)
        failures |= refused
    if options.recipe:
        check_drawn_by(options.recipe, dataset.recipe)
    with watch.stage("bottlenecks"):
        course = trainer.Trainer(dataset, settings, bottleneck_dir=options.bottleneck_dir)
    with watch.stage("training"):
        learned = course.learn(course.material, summaries_dir=options.summaries_dir)
    notes = read_chunk_stats(image_dir)
    with watch.stage("testing"):
        run = training_run.finish(
            learned.material,
            learned.choice,
            learned.backbone,
            notes=notes,
            cross_validation=cross_validate(course.material, course.learn, options.holdout),
            test_dir=options.holdout.test_dir,
        )
    run.save(options.output_model, graph=options.output_graph, labels=options.output_labels)
    run.write_report(options.report, title=options.output_model.name, data_audit=training_run.data_audit_of(notes))
    run.record(options.runs_dir, options=options, watch=watch, seed=options.holdout.random_seed)
    for picture, reason in learned.material.failures.items():
        log(f"Set aside: {printable(picture)}: {reason}")
    summary.warn(run.tested.evaluation)
    for line in [*run.closing_lines(options.output_model), f"Report: {printable(options.report)}"]:
        print(line)
    return EXIT_FAILED if failures or learned.material.failures or run.failures else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_script(retrain, RetrainOptions, __doc__, argv, defaults=recipe_defaults)


def recipe_defaults(typed: RetrainOptions) -> RetrainOptions:
    """Return the options as the recipe that was asked for has them."""
    return changed(RetrainOptions(), find_recipe(typed.recipe).training if typed.recipe else {})

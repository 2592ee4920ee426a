"""The package as a library: pictures of recordings, training and evaluation, each as its command does it.

    audionet.make_data("recordings", "pictures")
    run = audionet.train("pictures", output_model="model")
    answer = audionet.Classifier.load("model").score("clip.mp3")
    result = audionet.evaluate("model", audio_dir="other_recordings")

Folders are given as strings or paths. What cannot be read is set aside with its reason, and the rest go on; faults are
raised as `audionet.errors.AudioNetError`.
"""

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from audionet.cli import TF_FILES
from audionet.console import log
from audionet.data.preprocessing import PreprocessingResult, make_pictures
from audionet.data.verdicts import verdicts_on
from audionet.evaluation.evaluate import evaluate_folder
from audionet.evaluation.runs import Stopwatch, write_evaluation
from audionet.evaluation.test_set import find_sources
from audionet.export.frozen_graph import why_no_graph, write_graph, write_labels
from audionet.features.recipes import Recipe, find_recipe
from audionet.files import printable, write_json, write_text
from audionet.models.background import BackgroundSpace, read_background, write_background
from audionet.models.classifier import Classifier
from audionet.outputs import check_outputs
from audionet.reports.report import report_test
from audionet.training.final_evaluation import evaluate_model
from audionet.training.settings import TrainingSettings
from audionet.training.trainer import Trainer, check_settings, fit_spaces
from audionet.training.training_data import read_pictures
from audionet.training.training_run import TrainingRun, build_classifier, check_replaceable, fingerprints_of

PathLike = Path | str

DEFAULT_SETTINGS = TrainingSettings()


def make_data(
    audio_dir: PathLike,
    image_dir: PathLike,
    *,
    recipe: Recipe | str = "default",
    labels: PathLike | None = None,
    unlabelled: bool = False,
    jobs: int | None = None,
    keep_wav: bool = True,
) -> PreprocessingResult:
    """Draw the recordings of each label folder as pictures; only what is new or changed is drawn.

    `audio_dir` has one subfolder a label, or is a published data set. `features.recipes.find_recipe` gives a recipe
    with changes. `labels` is a table of labels, or a folder of them, that says where clips are cut, and `unlabelled`
    whether what lies between them is taken as unknown. `jobs` is the number of processes, by default one a core.
    `keep_wav` says whether to write each chunk as wav beside its picture, which augmented views are made of.

    Raises:
        InputError: there is nothing to draw, or `image_dir` holds something else.
    """
    check_outputs(folders={"image_dir": image_dir})
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    return make_pictures(
        Path(audio_dir),
        Path(image_dir),
        recipe=recipe,
        labels=Path(labels) if labels else None,
        unlabelled=unlabelled,
        jobs=jobs,
        keep_wav=keep_wav,
    )


def train(
    image_dir: PathLike,
    *,
    settings: TrainingSettings = DEFAULT_SETTINGS,
    bottleneck_dir: PathLike = TF_FILES / "bottlenecks",
    summaries_dir: PathLike | None = None,
    output_model: PathLike | None = None,
    output_graph: PathLike | None = None,
    output_labels: PathLike | None = None,
    report: PathLike | None = None,
    runs_dir: PathLike | None = None,
) -> TrainingRun:
    """Train a classifier, and evaluate it on recordings that training never saw.

    `image_dir` holds pictures, one subfolder a label; or recordings, which are drawn first.
    `TrainingSettings.of_recipe` gives the settings of a recipe. `bottleneck_dir` is the cache. The rest is written
    where a path is given: learning curves for TensorBoard to `summaries_dir`, the classifier's folder, the frozen
    graph, the list of labels, the HTML report, and to `runs_dir` a record of the run, with the same report.

    Raises:
        InputError: too few recordings, settings that cannot work with them, or a place that cannot be written.
        WeightsError: no source delivers the weights of the network.
    """
    watch = Stopwatch()
    image_dir, bottleneck_dir = Path(image_dir), Path(bottleneck_dir)
    check_outputs(
        files={"output_graph": output_graph, "output_labels": output_labels, "report": report},
        folders={
            "bottleneck_dir": bottleneck_dir,
            "summaries_dir": summaries_dir,
            "runs_dir": runs_dir,
            "model_dir": settings.backbone.model_dir,
        },
        replaced={"output_model": output_model},
    )
    if output_model:
        check_replaceable(Path(output_model))
    if settings.backbone.model_dir:
        os.environ["AUDIONET_CACHE"] = str(settings.backbone.model_dir)
    check_settings(settings)
    with watch.stage("pictures"):
        pictures = read_pictures(
            image_dir, recipe=settings.recipe, bottleneck_dir=bottleneck_dir, holdout=settings.holdout
        ).obeying(verdicts_on(image_dir))
    with watch.stage("bottlenecks"):
        trainer = Trainer(pictures.dataset, settings, bottleneck_dir=bottleneck_dir)
    with watch.stage("training"):
        model = trainer.train(trainer.data, summaries_dir=Path(summaries_dir) if summaries_dir else None)
    with watch.stage("testing"):
        fingerprints = fingerprints_of(model.data, pictures.chunk_stats)
        classifier = build_classifier(model, fingerprints)
        final = evaluate_model(model, classifier, fingerprints, trainer=trainer, holdout=settings.holdout)
    run = TrainingRun.of(model, classifier, final, failures=pictures.failures, verdicts=pictures.verdicts)
    if output_model:
        run.save(Path(output_model))
    if output_graph and (reason := why_no_graph(classifier)):
        log(f"Note: {printable(output_graph)} is not written: {reason}.")
    elif output_graph:
        write_graph(classifier, Path(output_graph))
    if output_labels:
        write_labels(classifier, Path(output_labels))
    page = None
    if report or runs_dir:
        page = run.report(title=Path(output_model or image_dir).name, chunk_stats=pictures.chunk_stats)
    if report and page:
        write_text(Path(report), page)
    if runs_dir:
        options = {
            "image_dir": image_dir,
            "recipe": settings.recipe,
            "bottleneck_dir": bottleneck_dir,
            "summaries_dir": summaries_dir,
            "output_model": output_model,
            "output_graph": output_graph,
            "output_labels": output_labels,
            "report": report,
            "runs_dir": runs_dir,
            **asdict(settings),
        }
        seed = settings.holdout.random_seed
        run = replace(run, recorded=run.record(Path(runs_dir), options=options, watch=watch, seed=seed, report=page))
    for picture, reason in model.data.failures.items():
        log(f"Set aside: {printable(picture)}: {reason}")
    return run


def make_background(
    audio_dir: PathLike,
    output: PathLike,
    *,
    settings: TrainingSettings = DEFAULT_SETTINGS,
    bottleneck_dir: PathLike = TF_FILES / "bottlenecks",
    origin: str | None = None,
    licence: str = "licence not stated",
) -> tuple[tuple[BackgroundSpace, ...], dict[str, str]]:
    """Measure how clips of one label vary, on recordings of many labels, for classifiers of other labels.

    `audio_dir` has one subfolder a label, of which there are six or more with two recordings each. Of the settings
    those count that name the recipe, the network or networks, and the augmented views. `output` is the file; spaces of
    other networks or recipes that it holds already are kept. `origin` and `licence` are of the recordings, and shown
    wherever the file is used. Returns the spaces, one for each network, and the reason by recording or picture for each
    that could not be read.

    Raises:
        InputError: too few recordings, or a place that cannot be written.
        WeightsError: no source delivers the weights of a network.
    """
    output, bottleneck_dir = Path(output), Path(bottleneck_dir)
    check_outputs(
        files={"output": output},
        folders={"bottleneck_dir": bottleneck_dir, "model_dir": settings.backbone.model_dir},
    )
    kept = read_background(output) if output.exists() else ()
    check_settings(settings)
    pictures = read_pictures(
        Path(audio_dir), recipe=settings.recipe, bottleneck_dir=bottleneck_dir, holdout=settings.holdout
    )
    spaces = fit_spaces(
        pictures.dataset,
        settings,
        bottleneck_dir=bottleneck_dir,
        origin=origin or f"recordings in {printable(Path(audio_dir).name)}",
        licence=licence,
    )
    others = [space for space in kept if not any(space.key.fits(new.key) for new in spaces)]
    write_background(output, [*spaces, *others])
    return spaces, {**pictures.failures, **pictures.dataset.failures}


def evaluate(
    model: PathLike,
    *,
    audio_dir: PathLike | None = None,
    image_dir: PathLike | None = None,
    negatives: PathLike | None = None,
    group_by: str = "recording",
    false_accept_rate: float | None = None,
    exclude_training: bool = False,
    sweep: bool = False,
    json: PathLike | None = None,
    report: PathLike | None = None,
    runs_dir: PathLike | None = None,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Evaluate a classifier on recordings or pictures that it was not trained on.

    `audio_dir` holds recordings, one subfolder a label, `image_dir` pictures instead, and `negatives` recordings of
    none of the labels, at any depth. `group_by` says which recordings intervals take together, as `group_rule` reads
    it. `false_accept_rate` chooses another threshold than that of training. `exclude_training` leaves out recordings
    that had a part in training, found by their content; `sweep` scores recordings under noise, codecs, rooms and more
    too. The evaluation is written to `json`, an HTML report to `report`, and to `runs_dir` a record of the run with the
    same report, where they are given. `jobs` is the number of processes, by default one a core.

    Returns scores with their intervals, as `evaluation.evaluate` describes them.

    Raises:
        ClassifierError: the folder holds no classifier.
        InputError: there is nothing to score, or a place cannot be written.
    """
    watch = Stopwatch()
    check_outputs(files={"json": json, "report": report}, folders={"runs_dir": runs_dir})
    classifier = Classifier.load(model, false_accept_rate=false_accept_rate)
    sources = find_sources(
        audio_dir=Path(audio_dir) if audio_dir else None,
        image_dir=Path(image_dir) if image_dir else None,
        negatives=Path(negatives) if negatives else None,
        group_by=group_by,
    )
    evaluation = evaluate_folder(classifier, sources, exclude_training=exclude_training, with_sweep=sweep, jobs=jobs)
    page = report_test(evaluation, classifier, sources, model=Path(model)) if report or runs_dir else None
    if runs_dir:
        options = {
            "model": model,
            "audio_dir": audio_dir,
            "image_dir": image_dir,
            "negatives": negatives,
            "group_by": group_by,
            "false_accept_rate": false_accept_rate,
            "exclude_training": exclude_training,
            "sweep": sweep,
            "compare": None,
            "json": json,
            "report": report,
            "runs_dir": runs_dir,
            "jobs": jobs,
        }
        write_evaluation(
            Path(runs_dir), script="evaluate.py", options=options, watch=watch, evaluation=evaluation, report=page
        )
    if json:
        write_json(Path(json), evaluation)
    if report and page:
        write_text(Path(report), page)
    return evaluation

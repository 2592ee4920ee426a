"""What a training run comes to: an honest score, the classifier folder, a record and a page.

The score is that of recordings which training never saw. They are held out once and for all; or each in turn, by a
cross-validation, after which the classifier is trained on all; or they are in a folder of their own.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from audionet import __version__
from audionet.audio.fingerprints import Fingerprint, SharedSound, fingerprint_of, shared_across
from audionet.audio.measurements import ChunkStats
from audionet.cli import typed_command
from audionet.data.dataset import Example
from audionet.data.splits import SPLITS
from audionet.errors import InputError
from audionet.evaluation.data_audit import DataAudit, audit_data
from audionet.evaluation.evaluate import evaluate
from audionet.evaluation.evaluate_folder import evaluate_scored
from audionet.evaluation.leakage import LeakAudit, content_keys
from audionet.evaluation.metrics import rows_by_group
from audionet.evaluation.runs import Stopwatch, data_fingerprint, scores_of, write_run
from audionet.evaluation.scoring import score_sources
from audionet.evaluation.test_set import Source, find_test_sources
from audionet.export.frozen_graph import write_graph, write_labels
from audionet.files import printable, read_mark, whole_folder, write_json
from audionet.models.backbones.backbone import Backbone
from audionet.models.classifier import KIND, Classifier
from audionet.models.similarity import Similarity
from audionet.reports.examples import example_clips_of, mistakes_of
from audionet.reports.report import Report, write_report
from audionet.reports.sections.model_card import card_of
from audionet.training.cross_validation import CrossValidation, score_held_out
from audionet.training.model_selection import Attempt, Choice
from audionet.training.similarity_fitting import fit_similarity
from audionet.training.training_data import TrainingData


@dataclass(frozen=True)
class Tested:
    """What a run was tested on, and how it did.

    Attributes:
        on: a few words, such as `recordings that training never saw`.
        evaluation: as `evaluation.evaluate` gives it; empty if nothing was tested.
        sources: the recordings.
        claimed_accuracy: of a careless split.
        shared: sound that is on two sides.
        compared: how many recordings were searched for it.
    """

    on: str
    evaluation: dict
    sources: tuple[Source, ...]
    claimed_accuracy: float | None
    shared: tuple[SharedSound, ...]
    compared: int

    def leak_audit(self) -> LeakAudit:
        """Return the audit of the split."""
        chunk = self.evaluation.get("chunk", {})
        return LeakAudit(
            honest_accuracy=chunk.get("accuracy"),
            claimed_accuracy=self.claimed_accuracy,
            chunks=chunk.get("n", 0),
            shared=self.shared,
            compared=self.compared,
        )


@dataclass(frozen=True)
class TrainingRun:
    """The outcome of a training run.

    Attributes:
        classifier: ready to score or to save.
        metrics: scores and how they came about, as JSON.
        sides: `training`, `validation` or `testing` by recording.
        data: what it worked on, as JSON: its fingerprint and its sizes.
        tested: what it was tested on.
        example_clip: a file to try it on, which training never saw if there is one.
    """

    classifier: Classifier
    metrics: dict
    sides: dict[str, str]
    data: dict
    tested: Tested
    example_clip: Path | None = field(default=None)

    @property
    def failures(self) -> dict[str, str]:
        """Reason by recording of the test folder that could not be read."""
        return self.tested.evaluation.get("failures", {})

    def save(self, folder: Path, *, graph: Path, labels: Path) -> None:
        """Write the classifier folder, the frozen graph and the list of labels.

        Raises:
            InputError: `folder` holds something that is not a classifier.
        """
        check_replaceable(folder)
        with whole_folder(folder) as scratch:
            self.classifier.save(scratch)
            write_json(scratch / "metrics.json", self.metrics)
            write_json(scratch / "split.json", self.sides)
        write_graph(self.classifier, graph)
        write_labels(self.classifier, labels)

    def record(self, runs_dir: Path, *, options: object, watch: Stopwatch, seed: int) -> None:
        """Add a record of the run to those in `runs_dir`."""
        training, backbone = self.metrics["training"], self.classifier.about["backbone"]
        write_run(
            runs_dir,
            script="retrain.py",
            options=options,
            watch=watch,
            seed=seed,
            data=self.data,
            classifier={
                "architecture": backbone["architecture"],
                "bottleneck": backbone["bottleneck"],
                "head": training["trainer"],
            },
            scores=scores_of(self.metrics) if self.tested.evaluation else {},
        )

    def write_report(self, path: Path, *, title: str, data_audit: DataAudit | None = None) -> None:
        """Write the page about the run."""
        evaluation = self.tested.evaluation
        report = Report(
            title=title,
            subtitle=f"Scored on {self.tested.on}." if evaluation else "",
            evaluation=self.metrics if evaluation else None,
            training=self.metrics,
            data_audit=data_audit,
            mistakes=mistakes_of(evaluation.get("recordings", ()), self.classifier, self.tested.sources),
            example_clips=example_clips_of(self.classifier, self.tested.sources),
            card=card_of(self.classifier.about, self.classifier.labels),
        )
        write_report(path, report)

    def closing_lines(self, folder: Path) -> list[str]:
        """Return the last lines on screen: the score, where the classifier is, and what to type next."""
        clip = shlex.quote(str(self.example_clip or ("CLIP.mp3" if self.classifier.recipe else "PICTURE.jpg")))
        command = f"{typed_command('label')} --model {shlex.quote(str(folder))} {clip}"
        open_set = self.classifier.open_set
        refusal = [open_set.sentence()] if open_set else []
        return [
            self._headline(),
            *(self.tested.leak_audit().sentences()[1:] if self.tested.evaluation else []),
            *refusal,
            f"Classifier: {printable(folder)}",
            f"Label a clip: {command}",
        ]

    def _headline(self) -> str:
        if not self.tested.evaluation:
            return "No recording was held out for testing, so there is no honest score to report."
        chunk, recording = self.metrics["chunk"], self.metrics["recording"]
        if not recording["n"]:
            return f"On {self.tested.on}: none is of a label that the classifier knows, so there is no accuracy."
        right = round(recording["accuracy"] * recording["n"])
        low, high = recording["ci95"] or (0, 1)
        return (
            f"On {self.tested.on}: {right} of {recording['n']} recordings right, which means "
            f"{low:.0%} to {high:.0%} of the next ones with 95 % confidence; {chunk['accuracy']:.1%} of "
            f"{chunk['n']} pictures right. Guessing would get {1 / len(self.classifier.labels):.0%}."
        )


def _similarity_of(material: TrainingData, bottleneck: str) -> Similarity | None:
    rows = material.rows_of(("training", "validation"))
    bottlenecks, numbers, is_view = material.take_for_training(rows, bottleneck=bottleneck)
    return fit_similarity(
        bottlenecks,
        numbers,
        chunks=bottlenecks[np.flatnonzero(~is_view)],
        chunk_numbers=numbers[~is_view],
        recordings=np.array([material.examples[row].recording for row in rows]),
    )


def finish(
    material: TrainingData,
    choice: Choice,
    backbone: Backbone,
    *,
    notes: Mapping[str, Sequence[ChunkStats]] | None = None,
    cross_validation: CrossValidation | None = None,
    test_dir: Path | None = None,
) -> TrainingRun:
    """Put the classifier together and test it.

    Args:
        material: what it was trained on.
        choice: what was chosen.
        backbone: the network, read at the chosen bottleneck and nowhere else.
        notes: what was noted of each recording's chunks, where there is sound.
        cross_validation: the score, if every recording was held out once.
        test_dir: a folder of other recordings or pictures to be tested on, if there is one. Without either, what was
            held out is tested.

    Raises:
        InputError: nothing in `test_dir` can be scored.
    """
    sides = {material.examples[row].recording: side for side in SPLITS for row in material.rows[side]}
    heard = {recording: fingerprint_of(notes[recording]) for recording in sides if notes and recording in notes}
    training = {
        "trainer": choice.best.trainer,
        "bottleneck": choice.best.bottleneck,
        "temperature": choice.temperature,
        "attempts": [vars(attempt) for attempt in choice.attempts],
        "views_per_picture": len(np.unique(material.view_numbers)),
        "sides": {side: _sizes(material, side) for side in SPLITS},
    }
    learned_from = [material.examples[row] for row in material.rows_of(("training", "validation"))]
    learned_from += [material.impostor_examples[row] for row in material.impostor_rows["training"]]
    classifier = Classifier(
        labels=material.labels,
        recipe=material.recipe,
        head=choice.head,
        graph=backbone.graph,
        about={"audionet_version": __version__, "backbone": backbone.describe(), "training": training},
        open_set=choice.open_set,
        similarity=_similarity_of(material, choice.best.bottleneck),
        training_keys=content_keys(example.path for example in learned_from),
        fingerprints={recording: heard[recording] for recording in heard if sides[recording] != "testing"},
    )
    if test_dir:
        tested = _tested_on_folder(test_dir, classifier, choice)
    elif cross_validation:
        tested = _tested_in_turn(cross_validation, material, heard)
    else:
        tested = _tested_on_held_out(material, choice, heard, sides)
    metrics = {
        **tested.evaluation,
        "tested_on": tested.on if tested.evaluation else None,
        "training": training,
        "leak_audit": tested.leak_audit().to_json(),
        "curves": _curves(choice),
    }
    data = {
        "fingerprint": data_fingerprint((one.label, one.recording, one.sha256) for one in material.examples),
        "labels": len(material.labels),
        "recordings": len(sides),
        "chunks": len(material.examples),
    }
    return TrainingRun(classifier, metrics, sides, data, tested, _example_clip(material, tested))


def data_audit_of(notes: Mapping[str, Sequence[ChunkStats]]) -> DataAudit | None:
    """Return the audit of the recordings that notes were taken of, or None without any."""
    return audit_data(notes, {recording: Path(recording).parts[0] for recording in notes}) if notes else None


def check_replaceable(folder: Path) -> None:
    """Raise unless `folder` may be replaced by a classifier.

    Raises:
        InputError: it is a file, or it holds something that is not a classifier.
    """
    is_ours = (read_mark(folder) or {}).get("kind") == KIND
    if folder.exists() and not is_ours and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"--output_model: expected a new folder or an earlier classifier, but {printable(folder)} holds something "
            "else. Choose another folder."
        )


def _tested_on_held_out(
    material: TrainingData, choice: Choice, heard: Mapping[str, Fingerprint], sides: Mapping[str, str]
) -> Tested:
    scored = score_held_out(choice, material)
    by_side = {side: {name: heard[name] for name in heard if sides[name] == side} for side in SPLITS}
    return Tested(
        on="recordings that training never saw",
        evaluation=evaluate(scored, material.labels) if scored else {},
        sources=_sources_of(_tested_examples(material)),
        claimed_accuracy=choice.claimed_accuracy,
        shared=shared_across(by_side),
        compared=len(heard),
    )


def _tested_in_turn(
    cross_validation: CrossValidation, material: TrainingData, heard: Mapping[str, Fingerprint]
) -> Tested:
    folds = {
        example.recording: f"fold {fold + 1}" for example, fold in zip(material.examples, material.folds, strict=True)
    }
    by_fold: dict[str, dict[str, Fingerprint]] = {name: {} for name in sorted(set(folds.values()))}
    for recording, fingerprint in heard.items():
        by_fold[folds[recording]][recording] = fingerprint
    return Tested(
        on=f"recordings that training never saw, each in one of {cross_validation.folds} folds",
        evaluation=evaluate(cross_validation.scored, material.labels),
        sources=_sources_of([*material.examples, *material.impostor_examples]),
        claimed_accuracy=cross_validation.claimed_accuracy,
        shared=shared_across(by_fold),
        compared=len(heard),
    )


def _tested_on_folder(test_dir: Path, classifier: Classifier, choice: Choice) -> Tested:
    sources = find_test_sources(test_dir)
    scored = score_sources(classifier, sources)
    return Tested(
        on=f"the recordings in {printable(test_dir)}",
        evaluation=evaluate_scored(classifier, scored),
        sources=tuple(sources),
        claimed_accuracy=choice.claimed_accuracy,
        shared=scored.shared,
        compared=len(scored.notes),
    )


def _tested_examples(material: TrainingData) -> list[Example]:
    known = [material.examples[row] for row in material.rows["testing"]]
    return known + [material.impostor_examples[row] for row in material.impostor_rows["testing"]]


def _sources_of(examples: Sequence[Example]) -> tuple[Source, ...]:
    """Return recordings, each with its pictures."""
    return tuple(
        Source(
            recording=recording,
            label=examples[of_it[0]].label,
            paths=tuple(examples[row].path for row in of_it),
            offsets_seconds=tuple(examples[row].offset_seconds for row in of_it),
        )
        for recording, of_it in rows_by_group([example.recording for example in examples]).items()
    )


def _curves(choice: Choice) -> list[dict]:
    return [_curve_by_side(one) for one in choice.attempts if len(one.curve.get("steps", ())) > 1]


def _curve_by_side(attempt: Attempt) -> dict:
    curve = attempt.curve
    validation = {name: curve[name] for name in ("accuracy", "log_loss") if name in curve}
    sides = {"training": curve.get("training"), "validation": validation}
    return {
        "name": f"{attempt.trainer}{f', L2 {attempt.l2:g},' if attempt.l2 else ''} on {attempt.bottleneck}",
        "steps": curve["steps"],
        **{side: values for side, values in sides.items() if values},
    }


def _example_clip(material: TrainingData, tested: Tested) -> Path | None:
    """Return the recording behind the first picture tested, or the picture where there is no recording."""
    rows = material.rows["testing"]
    if not len(rows):
        return tested.sources[0].paths[0] if tested.sources else None
    example = material.examples[rows[0]]
    for folder in example.path.parents:
        recording = Path((read_mark(folder) or {}).get("audio_dir", folder)) / example.recording
        if recording.is_file():
            return recording
    return example.path


def _sizes(material: TrainingData, side: str) -> dict:
    rows = material.rows[side]
    return {"chunks": len(rows), "recordings": len({material.examples[row].recording for row in rows})}

"""A training run: the classifier, its scores, how it was split, and what it was tested on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audionet import __version__
from audionet.audio.fingerprints import Fingerprint, fingerprint_of
from audionet.audio.measurements import ChunkStats
from audionet.data.splits import SPLITS
from audionet.errors import InputError
from audionet.evaluation.data_audit import audit_data
from audionet.evaluation.leakage import content_keys
from audionet.evaluation.runs import Stopwatch, data_digest, scores_of, write_run
from audionet.files import MARK_NAME, printable, read_mark, sha256_of, whole_folder
from audionet.models.classifier import Classifier
from audionet.models.classifier_folder import KIND, METRICS_NAME, SPLIT_NAME
from audionet.models.member import Member
from audionet.reports.clips import clips_of, pictures_of
from audionet.reports.report import Report, render
from audionet.reports.sections.model_card import card_of_classifier
from audionet.training.final_evaluation import FinalEvaluation, split_of_recordings
from audionet.training.trainer import TrainedModel
from audionet.training.training_data import TrainingData


@dataclass(frozen=True)
class TrainingRun:
    """The outcome of a training run."""

    classifier: Classifier
    metrics: dict[str, Any]  # scores and how they came about, as JSON
    splits: dict[str, str]  # `training`, `validation` or `testing` by recording
    data: dict[str, Any]  # what it worked on, as JSON: its fingerprint and its sizes
    final: FinalEvaluation
    example_clip: Path  # a file to try it on, which training never saw if there is one
    failures: dict[str, str]  # reason by recording or picture that could not be read, whether to train on or to test
    recorded: Path | None = None  # the file of its record, if it was recorded

    @classmethod
    def of(
        cls,
        model: TrainedModel,
        classifier: Classifier,
        final: FinalEvaluation,
        *,
        failures: Mapping[str, str] | None = None,
        verdicts: Mapping[str, int] | None = None,
    ) -> "TrainingRun":
        """Put together what came of training.

        `failures` are the reasons by recording that could not be drawn, and `verdicts` says how many recordings people
        have judged, by verdict.
        """
        data, best = model.data, model.selected.best
        splits = split_of_recordings(data)
        pictures = data.select(*SPLITS, views=False).pictures()
        return cls(
            classifier=classifier,
            metrics={
                **final.evaluation,
                "tested_on": final.on if final.evaluation else None,
                "training": classifier.about["training"],
                "leak_audit": final.leak_audit().to_json(),
                "curves": [best.learning_curve()] if best.has_curve else [],
                **({"learning_curve": final.curve} if final.curve else {}),
                **({"verdicts": dict(verdicts)} if verdicts else {}),
            },
            splits=splits,
            data={
                "fingerprint": data_digest((one.label, one.recording, one.sha256) for one in pictures),
                "labels": len(data.labels),
                "recordings": len(splits),
                "chunks": len(pictures),
            },
            final=final,
            example_clip=_example_clip(data, final),
            failures={**(failures or {}), **data.failures, **final.evaluation.get("failures", {})},
        )

    def save(self, folder: Path) -> None:
        """Write the classifier folder, with the scores and the splits.

        Raises:
            InputError: `folder` holds something that is not a classifier.
        """
        check_replaceable(folder)
        with whole_folder(folder) as scratch:
            self.classifier.save(scratch, beside={METRICS_NAME: self.metrics, SPLIT_NAME: self.splits})

    def report(self, *, title: str, chunk_stats: Mapping[str, Sequence[ChunkStats]]) -> str:
        """Return the report as HTML; `chunk_stats` is what was measured of each recording's chunks."""
        evaluation = self.final.evaluation
        label_of = {recording: Path(recording).parts[0] for recording in chunk_stats}
        report = Report(
            title=title,
            subtitle=f"Scored on {self.final.on}." if evaluation else "",
            evaluation=self.metrics if evaluation else None,
            training=self.metrics,
            data_audit=audit_data(chunk_stats, label_of) if chunk_stats else None,
            clips=clips_of(evaluation.get("recordings", ()), self.classifier, self.final.sources),
            pictures=pictures_of(self.classifier, self.final.sources),
            card=card_of_classifier(self.classifier),
        )
        return render(report)

    def record(
        self, runs_dir: Path, *, options: Mapping[str, Any], watch: Stopwatch, seed: int, report: str | None = None
    ) -> Path:
        """Add a record of the run to those in `runs_dir`, with its report as HTML, and return its path.

        Of the folder that `options` name as `output_model`, to which the classifier was saved, it has checksums.
        """
        training, members = self.metrics["training"], self.classifier.members
        return write_run(
            runs_dir,
            script="retrain.py",
            options=options,
            watch=watch,
            seed=seed,
            data=self.data,
            classifier={
                "architecture": " + ".join(member.backbone["architecture"] for member in members),
                "bottleneck": members[0].backbone["bottleneck"],
                "head": training["trainer"],
                "weights": [member.backbone.get("weights", {}).get("sha256") for member in members],
                "files": checksums_of(options.get("output_model")),
            },
            scores=scores_of(self.metrics) if self.final.evaluation else {},
            report=report,
        )


def checksums_of(folder: str | Path | None) -> dict[str, str]:
    """Return the SHA-256 of each file in a classifier's folder, by name; none where there is no folder."""
    files = sorted(Path(folder).iterdir()) if folder else []
    return {path.name: sha256_of(path.read_bytes()) for path in files if path.is_file() and path.name != MARK_NAME}


def fingerprints_of(data: TrainingData, stats: Mapping[str, Sequence[ChunkStats]]) -> dict[str, Fingerprint]:
    """Return the fingerprints of the recordings of the labels that there is sound of, those for training first."""
    recordings = split_of_recordings(data)
    return {recording: fingerprint_of(stats[recording]) for recording in recordings if recording in stats}


def build_classifier(model: TrainedModel, fingerprints: Mapping[str, Fingerprint]) -> Classifier:
    """Make a classifier of a network and a head; `fingerprints` are by recording, of all that there is sound of."""
    data, selected = model.data, model.selected
    training = {
        "trainer": selected.best.trainer,
        "bottleneck": selected.best.bottleneck,
        "temperature": selected.members[0].temperature,
        "attempts": [candidate.to_json() for candidate in selected.candidates],
        **({"members": list(selected.worth)} if selected.worth else {}),
        "views_per_picture": len(np.unique(data.samples.views)) - 1,
        "sides": {split: _sizes(data, split) for split in SPLITS},
    }
    samples = data.select("training", "validation")
    trained_on = samples.clean().pictures() + data.select("training", unknown=True).pictures()
    splits = split_of_recordings(data)
    members = members_of(model)
    return Classifier(
        labels=data.labels,
        members=members,
        about={"audionet_version": __version__, "backbone": members[0].backbone, "training": training},
        open_set=selected.open_set,
        similarity=selected.similarity,
        training_keys=content_keys(example.path for example in trained_on),
        fingerprints={recording: one for recording, one in fingerprints.items() if splits[recording] != "testing"},
    )


def members_of(model: TrainedModel) -> tuple[Member, ...]:
    """Return the members of a classifier: each a network, its head, and the space in which its bottlenecks compare."""
    members = []
    for backbone, selected in zip(model.backbones, model.selected.members, strict=True):
        network = model.data.networks[selected.number]
        members.append(
            Member(
                name=network.name,
                recipe=network.input.recipe,
                backbone=backbone.describe(),
                graph=backbone.graph,
                head=selected.head,
                weight=selected.weight,
                open_set=selected.open_set,
                similarity=selected.similarity,
            )
        )
    return tuple(members)


def check_replaceable(folder: Path) -> None:
    """Raise InputError where `folder` is a file, or holds something that is not a classifier."""
    is_ours = (read_mark(folder) or {}).get("kind") == KIND
    if folder.exists() and not is_ours and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"--output_model: expected a new folder or an earlier classifier, but {printable(folder)} holds something "
            "else. Choose another folder."
        )


def _example_clip(data: TrainingData, final: FinalEvaluation) -> Path:
    """Return the recording behind the first picture tested, or the picture where there is no recording.

    Where none was held out it is one that was tested otherwise, or one that was trained on.
    """
    tested = data.select("testing", views=False).pictures()
    if not tested and final.sources:
        return final.sources[0].paths[0]
    tested = tested or data.select(*SPLITS, views=False).pictures()
    for folder in tested[0].path.parents:
        recording = Path((read_mark(folder) or {}).get("audio_dir", folder)) / tested[0].recording
        if recording.is_file():
            return recording
    return tested[0].path


def _sizes(data: TrainingData, split: str) -> dict[str, int]:
    pictures = data.select(split, views=False).pictures()
    return {"chunks": len(pictures), "recordings": len({example.recording for example in pictures})}

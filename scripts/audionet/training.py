"""A training run: choose a bottleneck and a head, train it, score what was held out, save it all.

What is held out for testing takes no part in any choice. Validation recordings, clean and as augmented views, choose
the bottleneck, the head and the temperature; then the head is trained once more on training and validation recordings
together.
"""

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from audionet.audit import DataAudit, LeakAudit, audit_data, claimed_accuracy
from audionet.backbones import Backbone
from audionet.bottlenecks import Rows
from audionet.classifier import KIND, Classifier
from audionet.dataset import SIDES
from audionet.errors import InputError
from audionet.evaluation import ScoredRecording, evaluate
from audionet.export import write_graph, write_labels
from audionet.files import mark_folder, printable, read_mark, sha256_of, whole_folder, write_json
from audionet.fingerprints import fingerprint_of, shared_across
from audionet.head import TRAINERS, Head, OnStep, best_temperature, log_softmax
from audionet.material import Material
from audionet.measures import Note
from audionet.metrics import accuracy, balanced_accuracy, log_loss, rows_by_group
from audionet.openset import Clips, OpenSet, fit_open_set
from audionet.report import Report, card_of, write_report
from audionet.reporting import mistakes_of
from audionet.runs import Stopwatch, data_fingerprint, scores_of, write_run
from audionet.screen import hushed
from audionet.settings import HeadSettings
from audionet.testset import Source, content_keys

CURVE_ROWS = 1000  # of the training side, for the learning curves
L2_CANDIDATES = (0.0, 1e-3, 1e-2)
MOST_FOLDS = 3  # of training and validation recordings, to score them by heads not trained on them
PATIENCE_STEPS = 200  # without a lower loss on validation


@dataclass(frozen=True)
class Attempt:
    """One way to train, and how it did.

    Attributes:
        bottleneck: what the head was given.
        trainer: how it was trained.
        l2: weight decay, for softmax.
        steps: after how many steps it did best, for softmax.
        validation_accuracy: balanced over labels, the mean over clean pictures and views; None without validation.
        curve: by `steps`, the `accuracy` and the `log_loss` on validation while it was trained; of equal lengths.
        temperature: what makes its probabilities honest on validation; 1 without.
    """

    bottleneck: str
    trainer: str
    l2: float
    steps: int
    validation_accuracy: float | None
    curve: dict[str, list]


@dataclass(frozen=True)
class Choice:
    """The head that a training run settled for, and what else was tried.

    Attributes:
        best: how it was trained.
        attempts: all ways tried, in order.
        head: trained on training and validation recordings, its logits divided by the temperature.
        temperature: what makes probabilities honest on recordings that a head was not trained on.
        open_set: what tells known clips from unknown ones, or None where a label has but one recording to train on.
        claimed_accuracy: the share of chunks that a split by chance would have claimed to be right, or None without
            testing.
    """

    best: Attempt
    attempts: tuple[Attempt, ...]
    head: Head
    temperature: float
    open_set: OpenSet | None
    claimed_accuracy: float | None


def choose(
    material: Material,
    *,
    candidates: Sequence[str],
    settings: HeadSettings,
    seed: int = 0,
    summaries_dir: Path | None = None,
) -> Choice:
    """Choose a bottleneck and a trainer on validation, and train on training and validation recordings.

    Args:
        material: bottlenecks and sides.
        candidates: bottlenecks to choose from, the preferred one first; all are parts of the material's.
        settings: of the head; its trainer may be left open.
        seed: of everything random.
        summaries_dir: where to write learning curves for TensorBoard.
    """
    attempt = partial(_attempts, material, settings=settings, seed=seed, summaries_dir=summaries_dir)
    first, *others = TRAINERS if settings.head == "auto" else [settings.head]
    tried = [one for candidate in candidates for one in attempt(bottleneck=candidate, trainer=first)]
    bottleneck = _best(tried).bottleneck
    tried += [one for trainer in others for one in attempt(bottleneck=bottleneck, trainer=trainer)]
    best = _best(tried)
    fit = partial(
        _fit,
        material,
        bottleneck=best.bottleneck,
        trainer=best.trainer,
        settings=replace(settings, l2=best.l2, how_many_training_steps=best.steps),
        seed=seed,
    )
    head = fit(material.rows_of(("training", "validation")))
    known = _out_of_fold(material, best.bottleneck, fit)
    temperature, open_set = 1.0, None
    if known is not None and known.numbers is not None:
        clean = known.as_they_are()
        temperature = best_temperature(clean.logits, known.numbers[known.views == 0])
        open_set = _fit_open_set(material, best.bottleneck, known, temperature, fit)
    claimed = _claimed_accuracy(material, best, fit, seed)
    return Choice(best, tuple(tried), head.cooled(temperature), temperature, open_set, claimed)


def _attempts(
    material: Material,
    *,
    bottleneck: str,
    trainer: str,
    settings: HeadSettings,
    seed: int,
    summaries_dir: Path | None,
) -> Iterator[Attempt]:
    is_open = trainer == "softmax" and settings.l2 is None and len(material.rows["validation"])
    for l2 in L2_CANDIDATES if is_open else [settings.l2 or 0.0]:
        with _learning_curves(summaries_dir, material, bottleneck, f"{trainer} {l2}") as draw_curves:
            yield _attempt(material, bottleneck, trainer, replace(settings, l2=l2), seed, draw_curves)


def _attempt(
    material: Material, bottleneck: str, trainer: str, settings: HeadSettings, seed: int, draw_curves: OnStep
) -> Attempt:
    """Return how one way of training does on validation."""
    clean, numbers = material.take(("validation",), bottleneck=bottleneck)
    l2 = settings.l2 or 0.0
    if not len(numbers):
        return Attempt(bottleneck, trainer, l2, settings.how_many_training_steps, None, {})
    views, view_numbers = material.take(("validation",), bottleneck=bottleneck, clean=False, views=True)
    progress = _Progress(clean, numbers, draw_curves)
    _fit(
        material,
        material.rows["training"],
        bottleneck=bottleneck,
        trainer=trainer,
        settings=settings,
        seed=seed,
        on_step=progress.note,
    )
    head = progress.best_head
    logits = head.logits(clean)
    scores = [balanced_accuracy(numbers, logits.argmax(axis=1))]
    if len(views):
        scores.append(balanced_accuracy(view_numbers, head.logits(views).argmax(axis=1)))
    curve: dict[str, list] = {"steps": progress.steps, "accuracy": progress.accuracies, "log_loss": progress.losses}
    return Attempt(bottleneck, trainer, l2, progress.best_step, float(np.mean(scores)), curve)


def _best(attempts: Sequence[Attempt]) -> Attempt:
    """Return the attempt that did best on validation; of equals, the first."""
    return max(attempts, key=lambda attempt: attempt.validation_accuracy or 0)


def _fit(
    material: Material,
    rows: np.ndarray,
    *,
    bottleneck: str,
    trainer: str,
    settings: HeadSettings,
    seed: int,
    on_step: OnStep | None = None,
) -> Head:
    """Train a head on some examples and their views, for the labels that they have."""
    bottlenecks, numbers, is_view = material.take_for_training(rows, bottleneck=bottleneck)
    # A picture counts as much as all of its views together.
    shares = np.where(is_view, 1.0, max(1.0, is_view.sum() / max(1, (~is_view).sum())))
    labels, numbers = np.unique(numbers, return_inverse=True)
    return TRAINERS[trainer](bottlenecks, numbers, len(labels), settings, shares=shares, seed=seed, on_step=on_step)


def _out_of_fold(material: Material, bottleneck: str, fit: Callable[[np.ndarray], Head]) -> Clips | None:
    """Score training and validation recordings, and their views, by heads that were not trained on them.

    Returns:
        Clips, or None where a label has but one group of recordings.
    """
    rows = material.rows_of(("training", "validation"))
    folds = _folds(material, rows)
    parts = []
    for fold in np.unique(folds):
        training, held = rows[folds != fold], rows[folds == fold]
        if len(np.unique(material.numbers[training])) < len(material.labels):
            return None
        bottlenecks, numbers, is_view = material.take_for_training(held, bottleneck=bottleneck)
        views = np.flatnonzero(np.isin(material.view_rows, held))
        examples = np.concatenate([held, material.view_rows[views]])
        view_numbers = np.zeros(len(numbers), int)
        view_numbers[is_view] = material.view_numbers[views] + 1
        parts.append((fit(training).logits(bottlenecks), examples, numbers, view_numbers))
    logits, examples, numbers, views = (np.concatenate(column) for column in zip(*parts, strict=True))
    recordings = np.unique([material.examples[row].recording for row in examples], return_inverse=True)[1]
    return Clips(logits, recordings, numbers, views)


def _folds(material: Material, rows: np.ndarray) -> np.ndarray:
    """Return a fold for each row: groups are whole, and each label's are dealt out in turn."""
    groups_of = rows_by_group([f"{material.numbers[row]}" for row in rows])
    fold_of: dict[str, int] = {}
    groups = [[material.examples[rows[place]].group for place in places] for places in groups_of.values()]
    count = min(MOST_FOLDS, *(len(set(names)) for names in groups))
    for names in groups:
        for place, group in enumerate(sorted(set(names), key=lambda name: sha256_of(os.fsencode(name)))):
            fold_of.setdefault(group, place % count)
    return np.array([fold_of[material.examples[row].group] for row in rows])


def _fit_open_set(
    material: Material, bottleneck: str, known: Clips, temperature: float, fit: Callable[[np.ndarray], Head]
) -> OpenSet | None:
    """Fit what tells known clips from unknown ones: on impostors if there are any, else on labels left out in turn."""
    rows = material.rows_of(("training", "validation"))
    impostors = None
    if len(material.impostors):
        every = np.arange(len(material.impostors))
        strangers = Rows([(material.impostors, every)], material.columns_of(bottleneck))
        owners = np.unique(material.impostor_recordings, return_inverse=True)[1]
        impostors = Clips(fit(rows).logits(strangers) / temperature, owners)

    def logits_without(left_out: np.ndarray) -> np.ndarray:
        is_out = np.isin(material.numbers[rows], left_out)
        # In the order of `known`, which went through the folds, clean pictures before views.
        return np.concatenate([without.logits(part) for without, part in _parts_of(rows, is_out)]) / temperature

    def _parts_of(rows: np.ndarray, is_out: np.ndarray) -> Iterator[tuple[Head, Rows]]:
        without = fit(rows[~is_out])
        folds = _folds(material, rows)
        for fold in np.unique(folds):
            yield without, material.take_for_training(rows[is_out & (folds == fold)], bottleneck=bottleneck)[0]

    return fit_open_set(
        replace(known, logits=known.logits / temperature), impostors=impostors, logits_without=logits_without
    )


def _claimed_accuracy(material: Material, best: Attempt, fit: Callable[[np.ndarray], Head], seed: int) -> float | None:
    """Return what a split chunk by chunk would have claimed; every label must have a chunk to train on."""
    tested = len(material.rows["testing"])
    if not tested:
        return None

    def answers_of(training: np.ndarray, testing: np.ndarray) -> np.ndarray:
        labels = np.unique(material.numbers[training])
        table = Rows([(material.bottlenecks, testing)], material.columns_of(best.bottleneck))
        return labels[fit(training).logits(table).argmax(axis=1)]

    return claimed_accuracy(material.numbers, answers_of, tested=tested, rng=np.random.default_rng(seed))


class _Progress:
    """The best head so far, by its loss on validation, and when to stop hoping for a better one."""

    def __init__(self, bottlenecks: Rows, numbers: np.ndarray, draw_curves: OnStep):
        self._bottlenecks = bottlenecks
        self._numbers = numbers
        self._draw_curves = draw_curves
        self._best_loss = np.inf
        self.best_step = 1
        self.best_head: Head
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.accuracies: list[float] = []

    def note(self, step: int, head: Head) -> bool:
        """Take note of the head after a step; return True when it has not become better for long."""
        self._draw_curves(step, head)
        log_probabilities = log_softmax(head.logits(self._bottlenecks))
        loss = log_loss(self._numbers, log_probabilities)
        self.steps.append(step)
        self.losses.append(loss)
        self.accuracies.append(accuracy(self._numbers, log_probabilities.argmax(axis=1)))
        if loss < self._best_loss:
            self._best_loss, self.best_step, self.best_head = loss, step, head
        return step - self.best_step >= PATIENCE_STEPS


@contextmanager
def _learning_curves(summaries_dir: Path | None, material: Material, bottleneck: str, name: str) -> Iterator[OnStep]:
    """Yield a function that notes a head's accuracy for TensorBoard while it is trained."""
    if summaries_dir is None:
        yield lambda step, head: None
        return
    with hushed():
        import tensorflow  # noqa: F401 (several seconds; TensorBoard's writer would import it later, and aloud)
        from tensorboard.summary import Writer

    if read_mark(summaries_dir) is None:
        mark_folder(summaries_dir, "summaries")
    curves = []
    for side in ("training", "validation"):
        bottlenecks, numbers = material.take((side,), bottleneck=bottleneck)
        if len(numbers):
            some = np.random.default_rng(0).permutation(len(numbers))[:CURVE_ROWS]
            writer = Writer(str(summaries_dir / f"{name} on {bottleneck}" / side))
            curves.append((writer, bottlenecks[some], numbers[some]))

    def note(step: int, head: Head) -> None:
        for writer, bottlenecks, numbers in curves:
            log_probabilities = log_softmax(head.logits(bottlenecks))
            writer.add_scalar("accuracy", accuracy(numbers, log_probabilities.argmax(axis=1)), step)
            writer.add_scalar("log_loss", log_loss(numbers, log_probabilities), step)

    try:
        yield note
    finally:
        for writer, _, _ in curves:
            writer.close()


@dataclass(frozen=True)
class Run:
    """The outcome of a training run.

    Attributes:
        classifier: ready to score or to save.
        metrics: scores and how they came about, as JSON.
        sides: `training`, `validation` or `testing` by recording.
        example_clip: a file that training never saw, if any was held out.
        data: what it worked on, as JSON: its fingerprint and its sizes.
        held_out: the recordings held out for testing.
    """

    classifier: Classifier
    metrics: dict
    sides: dict[str, str]
    example_clip: Path | None
    data: dict
    held_out: tuple[Source, ...]

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
            scores=scores_of(self.metrics) if "recording" in self.metrics else {},
        )

    def write_report(self, path: Path, *, title: str, data_audit: DataAudit | None = None) -> None:
        """Write the page about the run."""
        held_out = self.metrics if "recording" in self.metrics else None
        rows = self.metrics["recordings"] if held_out else []
        report = Report(
            title=title,
            subtitle="Scored on recordings that training never saw.",
            evaluation=held_out,
            training=self.metrics,
            data_audit=data_audit,
            mistakes=mistakes_of(rows, self.classifier, self.held_out),
            card=card_of(self.classifier.about, self.classifier.labels),
        )
        write_report(path, report)

    def closing_lines(self, folder: Path) -> list[str]:
        """Return the last lines on screen: the score, where the classifier is, and what to type next."""
        clip = shlex.quote(str(self.example_clip or ("CLIP.mp3" if self.classifier.recipe else "PICTURE.jpg")))
        script = Path(sys.argv[0]).with_name("label_image.py")
        command = f"python {shlex.quote(str(script))} --model {shlex.quote(str(folder))} {clip}"
        open_set = self.classifier.open_set
        refusal = [open_set.sentence()] if open_set else []
        leaks = LeakAudit.from_json(self.metrics["leak_audit"])
        return [
            self._headline(),
            *(leaks.sentences()[1:] if self.held_out else []),
            *refusal,
            f"Classifier: {printable(folder)}",
            f"Label a clip: {command}",
        ]

    def _headline(self) -> str:
        if "recording" not in self.metrics:
            return "No recording was held out for testing, so there is no honest score to report."
        chunk, recording = self.metrics["chunk"], self.metrics["recording"]
        right = round(recording["accuracy"] * recording["n"])
        low, high = recording["ci95"] or (0, 1)
        return (
            f"On recordings that training never saw: {right} of {recording['n']} recordings right, which means "
            f"{low:.0%} to {high:.0%} of the next ones with 95 % confidence; {chunk['accuracy']:.1%} of "
            f"{chunk['n']} pictures right. Guessing would get {1 / len(self.classifier.labels):.0%}."
        )


def finish(
    material: Material, choice: Choice, backbone: Backbone, *, notes: Mapping[str, Sequence[Note]] | None = None
) -> Run:
    """Score the chosen head on what was held out, and put the classifier together.

    Args:
        material: what it was trained on.
        choice: what was chosen.
        backbone: the network, read at the chosen bottleneck and nowhere else.
        notes: what was noted of each recording's chunks, where there is sound.
    """
    sides = {material.examples[row].recording: side for side in SIDES for row in material.rows[side]}
    heard = {recording: fingerprint_of(notes[recording]) for recording in sides if notes and recording in notes}
    training = {
        "trainer": choice.best.trainer,
        "bottleneck": choice.best.bottleneck,
        "temperature": choice.temperature,
        "attempts": [vars(attempt) for attempt in choice.attempts],
        "views_per_picture": len(np.unique(material.view_numbers)),
        "sides": {side: _sizes(material, side) for side in SIDES},
    }
    trained_on = [row for side in ("training", "validation") for row in material.rows[side]]
    classifier = Classifier(
        labels=material.labels,
        recipe=material.recipe,
        head=choice.head,
        graph=backbone.graph,
        about={"backbone": backbone.describe(), "training": training},
        open_set=choice.open_set,
        training_keys=content_keys(material.examples[row].path for row in trained_on),
        fingerprints={recording: heard[recording] for recording in heard if sides[recording] != "testing"},
    )
    scored = score_held_out(choice.head, material, choice.best.bottleneck)
    evaluation = evaluate(scored, material.labels, open_set=choice.open_set) if scored else {}
    leaks = LeakAudit(
        honest_accuracy=evaluation["chunk"]["accuracy"] if scored else None,
        claimed_accuracy=choice.claimed_accuracy,
        chunks=len(material.rows["testing"]),
        shared=shared_across({side: {name: heard[name] for name in heard if sides[name] == side} for side in SIDES}),
        compared=len(heard),
    )
    curves = [
        {
            "name": f"{one.trainer} on {one.bottleneck}",
            "steps": one.curve["steps"],
            "validation": {name: one.curve[name] for name in ("accuracy", "log_loss")},
        }
        for one in choice.attempts
        if len(one.curve.get("steps", ())) > 1
    ]
    metrics = {**evaluation, "training": training, "leak_audit": leaks.to_json(), "curves": curves}
    data = {
        "fingerprint": data_fingerprint((one.label, one.recording, one.sha256) for one in material.examples),
        "labels": len(material.labels),
        "recordings": len(sides),
        "chunks": len(material.examples),
    }
    return Run(classifier, metrics, sides, _example_clip(material), data, _held_out_sources(material))


def data_audit_of(notes: Mapping[str, Sequence[Note]]) -> DataAudit | None:
    """Return the audit of the recordings that notes were taken of, or None without any."""
    return audit_data(notes, {recording: Path(recording).parts[0] for recording in notes}) if notes else None


def _held_out_sources(material: Material) -> tuple[Source, ...]:
    """Return the recordings held out, each with its pictures."""
    examples = [material.examples[row] for row in material.rows["testing"]]
    return tuple(
        Source(
            recording=recording,
            label=examples[of_it[0]].label,
            paths=tuple(examples[row].path for row in of_it),
            offsets_seconds=tuple(examples[row].offset_seconds for row in of_it),
        )
        for recording, of_it in rows_by_group([example.recording for example in examples]).items()
    )


def score_held_out(head: Head, material: Material, bottleneck: str) -> list[ScoredRecording]:
    """Score the recordings of the testing side, one after the other."""
    rows = material.rows["testing"]
    if not len(rows):
        return []
    logits = head.logits(material.take(("testing",), bottleneck=bottleneck)[0])
    examples = [material.examples[row] for row in rows]
    return [
        ScoredRecording(
            recording=recording,
            label=examples[of_it[0]].label,
            logits=logits[of_it],
            offsets_seconds=tuple(examples[row].offset_seconds for row in of_it),
        )
        for recording, of_it in rows_by_group([example.recording for example in examples]).items()
    ]


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


def _example_clip(material: Material) -> Path | None:
    """Return the recording behind the first picture held out, or the picture where there is no recording."""
    if not len(material.rows["testing"]):
        return None
    example = material.examples[material.rows["testing"][0]]
    for folder in example.path.parents:
        recording = Path((read_mark(folder) or {}).get("audio_dir", folder)) / example.recording
        if recording.is_file():
            return recording
    return example.path


def _sizes(material: Material, side: str) -> dict:
    rows = material.rows[side]
    return {"chunks": len(rows), "recordings": len({material.examples[row].recording for row in rows})}

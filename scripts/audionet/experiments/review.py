"""What to listen to next: of recordings without a label, those whose labels would teach the most.

Recordings are put into as many groups of alike ones as there are labelled ones and picks together. A group in which
none has a label yet comes first, the larger and the less sure the networks are of it the sooner; of each, a typical
recording is picked of which they are unsure. So picks are uncertain and unlike each other, and none is an oddity.

Source: G. Hacohen, A. Dekel and D. Weinshall, "Active Learning on a Budget: Opposite Strategies Suit High and Low
Budgets", ICML 2022, whose choice is weighed here by the margin between the two likeliest labels.
"""

import csv
import io
import re
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from audionet.console import log
from audionet.data.verdicts import WAIT_SECONDS, add_verdicts, read_verdicts, verdicts_of
from audionet.errors import InputError
from audionet.evaluation.metrics import rows_by_group
from audionet.experiments.suspects import clip_of, find_suspects
from audionet.files import UNKNOWN_LABEL, one_writer, printable, whole_file, write_text
from audionet.models.backbones.settings import BackboneSettings
from audionet.models.pooling import log_softmax, pool
from audionet.regular_files import read_regular
from audionet.reports.elements import Clip
from audionet.training.fitting.calibration import spread
from audionet.training.head_fitting import HeadFitter
from audionet.training.holdout import HoldoutPlan
from audionet.training.settings import HeadSettings, HoldoutSettings, TrainingSettings
from audionet.training.trainer import Trainer, check_settings
from audionet.training.training_data import Samples, read_pictures

ROUNDS_NAME = "audionet_rounds.csv"
COLUMNS = ("recording", "suggested", "probability", "why", "verdict")
DOUBTFUL = 0.5
DIRECTIONS = 64  # in which recordings are compared
NEIGHBOURS = 20  # by whose distance a recording is typical
LEAST_DOUBT = 0.05  # of a recording that is told well, so that groups of such are not passed over for ever
TRIES = 3  # of putting recordings into groups


@dataclass(frozen=True, eq=False)
class Recordings:
    """Recordings as several networks see them, whether they have a label or not."""

    networks: Sequence[Samples]  # of the same chunks
    bottlenecks: Sequence[str]  # of each network
    rows: Mapping[str, np.ndarray]  # the chunks of each recording
    vectors: np.ndarray  # float32, shape (recordings, directions)

    @classmethod
    def of(cls, networks: Sequence[Samples], bottlenecks: Sequence[str]) -> "Recordings":
        """Describe recordings by the mean of their chunks in every network, in the directions that differ most."""
        rows = rows_by_group([example.recording for example in networks[0].pictures()])
        parts = []
        for samples, name in zip(networks, bottlenecks, strict=True):
            table = np.asarray(samples.bottlenecks(name)[:], np.float32)
            means = np.stack([table[of].mean(axis=0) for of in rows.values()])
            means = (means - means.mean(axis=0)) / np.maximum(means.std(axis=0), 1e-6)
            parts.append(means / np.sqrt(means.shape[1]))
        joined = np.concatenate(parts, axis=1)
        left, sizes, _ = np.linalg.svd(joined, full_matrices=False)
        return cls(networks, bottlenecks, rows, (left * sizes)[:, :DIRECTIONS])

    def probabilities(self, label_ids: np.ndarray, *, seed: int = 0) -> np.ndarray | None:
        """Return how likely each label is, by heads trained on the recordings that have one.

        Args:
            label_ids: int, shape (recordings,), -1 where there is none.
            seed: of the heads.

        Returns:
            float64, shape (recordings, labels), in ascending order of the ids; None where fewer than two have one.
        """
        labels = np.unique(label_ids[label_ids >= 0])
        if len(labels) < 2:
            return None
        of_chunks = np.empty(len(self.networks[0]), int)
        for of, label_id in zip(self.rows.values(), label_ids, strict=True):
            of_chunks[of] = label_id
        total: np.ndarray | None = None
        for samples, name in zip(self.networks, self.bottlenecks, strict=True):
            known = replace(samples, label_ids=of_chunks).take(of_chunks >= 0)
            head = HeadFitter(name, "lda", HeadSettings(), seed).fit(known)
            logits = head.logits(samples.bottlenecks(name))
            logits = logits / spread(logits)
            total = logits if total is None else total + logits
        assert total is not None  # there is a network
        log_probabilities = log_softmax(total)
        return np.stack([pool(log_probabilities[of]) for of in self.rows.values()])


def doubt_of(probabilities: np.ndarray | None, count: int) -> np.ndarray:
    """Return how unsure answers are, shape (recordings,), 0 to 1: 1 where two labels are equally likely."""
    if probabilities is None:
        return np.ones(count)
    best = np.sort(probabilities, axis=1)
    return np.asarray(1 - (best[:, -1] - best[:, -2]))


def pick(
    vectors: np.ndarray, *, is_labelled: np.ndarray, doubt: np.ndarray, is_open: np.ndarray, count: int, seed: int = 0
) -> list[int]:
    """Return the numbers of the recordings to listen to next, the most useful first.

    Args:
        vectors: float32, shape (recordings, directions), in which those that sound alike are near each other.
        is_labelled: bool, shape (recordings,), which have a label.
        doubt: of each, as `doubt_of` gives it.
        is_open: bool, shape (recordings,), which may be picked.
        count: how many.
        seed: of the groups.
    """
    from sklearn.cluster import KMeans  # half a second, which only picking should take
    from sklearn.exceptions import ConvergenceWarning

    count = min(count, int(is_open.sum()))
    groups = min(int(is_labelled.sum()) + count, len(vectors))
    if not count:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of fewer groups, as some recordings are there twice
        found = KMeans(groups, n_init=TRIES, random_state=seed).fit_predict(vectors)
    doubt = np.maximum(doubt, LEAST_DOUBT)
    queues = []
    for group in range(groups):
        here = np.flatnonzero(found == group)
        of_open = here[is_open[here]]
        if len(of_open):
            worth = _typicality(vectors, of_open, here) * doubt[of_open]
            order = of_open[np.argsort(-worth, kind="stable")].tolist()
            queues.append((is_labelled[here].any(), -float(doubt[of_open].sum()), order))
    queues.sort(key=lambda queue: queue[:2])
    picked: list[int] = []
    while len(picked) < count:
        picked += [order.pop(0) for _, _, order in queues if order][: count - len(picked)]
    return picked


def _typicality(vectors: np.ndarray, rows: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return how near some recordings are to the others of their group, at least 0, shape (rows,)."""
    distances = np.linalg.norm(vectors[rows, None] - vectors[None, group], axis=2)
    nearest = np.sort(distances, axis=1)[:, 1 : 1 + NEIGHBOURS]
    return np.asarray(1 / (1 + nearest.mean(axis=1))) if nearest.shape[1] else np.ones(len(rows))


@dataclass(frozen=True)
class Pick:
    """A recording to listen to next."""

    recording: str  # below the folder of those without a label
    suggested: str  # the likeliest label
    probability: float  # of that label
    why: str  # in a few words


@dataclass(frozen=True)
class ReviewedFolder:
    """What there is to say of a folder of recordings without a label."""

    picks: list[Pick]  # the most useful first
    clips: dict[str, Clip]  # the loudest chunk of each pick, by recording
    left: int  # how many recordings have no verdict yet
    labelled: int  # how many recordings have a label to train on
    accuracy: float  # the share of these whose label is found without themselves
    failures: dict[str, str]  # reason by recording that could not be read


def review_folder(
    folder: Path, audio_dir: Path, backbone: BackboneSettings, *, count: int, bottleneck_dir: Path
) -> ReviewedFolder:
    """Pick recordings of a folder to listen to next, to be labelled as those in another folder are.

    Raises:
        InputError: there are fewer than two labels, nothing to review, or a table of verdicts cannot be read.
    """
    verdicts, faults = read_verdicts(folder)
    for fault in faults:
        log(f"Note: {fault}.")
    # Nothing is held out: what is labelled is judged without itself.
    holdout = HoldoutSettings(testing_percentage=0, validation_percentage=0, views=0, negatives=folder)
    settings = TrainingSettings(backbone=backbone, holdout=holdout)
    check_settings(settings)
    pictures = read_pictures(audio_dir, recipe=None, bottleneck_dir=bottleneck_dir, holdout=holdout)
    if len(pictures.dataset.labels) < 2:
        raise InputError("--audio_dir: expected two labels or more, with a recording each, received one.")
    of_folder = {one.recording: name for one in pictures.dataset.unknown if (name := name_below(folder, one.recording))}
    unknown = tuple(one for one in pictures.dataset.unknown if one.recording in of_folder)
    dataset = replace(pictures.dataset, unknown=unknown)
    data = Trainer(dataset, settings, bottleneck_dir=bottleneck_dir, previous=HoldoutPlan()).data
    suspects = find_suspects(data)
    recordings = Recordings.of(
        [data.seen_by(number).samples for number in range(1 + len(data.others))],
        [network.bottlenecks[0] for network in data.networks],
    )
    label_ids = np.array([data.samples.label_ids[rows[0]] for rows in recordings.rows.values()])
    probabilities = recordings.probabilities(label_ids)
    assert probabilities is not None  # there are two labels
    names = [of_folder.get(name, "") for name in recordings.rows]
    is_open = np.array([bool(name) and name not in verdicts for name in names])
    doubt = doubt_of(probabilities, len(names))
    chosen = pick(recordings.vectors, is_labelled=label_ids >= 0, doubt=doubt, is_open=is_open, count=count)
    picks = [
        Pick(
            names[row],
            data.labels[int(probabilities[row].argmax())],
            float(probabilities[row].max()),
            "two labels fit" if doubt[row] > DOUBTFUL else "typical of those without a label",
        )
        for row in chosen
    ]
    shown = {names[row]: list(recordings.rows.values())[row] for row in chosen}
    examples = data.samples.pictures()
    rate_hz = dataset.recipe.sample_rate_hz if dataset.recipe else 0
    return ReviewedFolder(
        picks,
        clips={name: clip_of([examples[row] for row in rows], rate_hz) for name, rows in shown.items()},
        left=int(is_open.sum()),
        labelled=int((label_ids >= 0).sum()),
        accuracy=float(np.mean([not one.is_likely for one in suspects])) if suspects else 0.0,
        failures=pictures.failures | data.failures,
    )


def name_below(folder: Path, recording: str) -> str:
    """Return the name below a folder of a recording that is unknown to the labels; empty where it is of another one."""
    name = Path(recording.removeprefix(f"{UNKNOWN_LABEL}/"))
    for one in (name, name.relative_to(name.parts[0]) if len(name.parts) > 1 else name):
        if (folder / one).is_file():
            return one.as_posix()
    return ""


def take_verdicts(folder: Path, audio_dir: Path, table: Sequence[Mapping[str, str]], faults: list[str]) -> int:
    """Take verdicts down beside recordings without a label, and copy those that get one to the others of that label.

    The first verdict on a recording stays: where somebody else has decided otherwise, that is a fault, and so is a
    label that there is not. Returns how many were taken.

    Raises:
        InputError: a table cannot be read or written.
    """
    # To keep what is suggested is to give that label.
    kept = [row["verdict"].strip().lower() == "keep" for row in table]
    rows = [{**row, "verdict": "relabel"} if is_kept else row for row, is_kept in zip(table, kept, strict=True)]
    wanted = verdicts_of(rows, faults)
    with one_writer(folder, option="FOLDER", wait_seconds=WAIT_SECONDS):
        earlier, _ = read_verdicts(folder)
        taken = {}
        for name, one in wanted.items():
            if not (folder / name).is_file():
                faults.append(f"{printable(name)}: it is not below {printable(folder)}")
            elif one.label and not (audio_dir / one.label).is_dir():
                faults.append(
                    f"{printable(name)}: there is no label {printable(one.label)}; make a folder of that name in "
                    f"{printable(audio_dir)} if it is a new one"
                )
            elif earlier.get(name, one) != one:
                decided = earlier[name].label or earlier[name].verdict
                faults.append(f"{printable(name)}: somebody has decided otherwise already ({printable(decided)})")
            else:
                taken[name] = one
        for name, one in taken.items():
            if one.label and not (audio_dir / one.label / name).exists():
                with whole_file(audio_dir / one.label / name) as scratch:
                    shutil.copyfile(folder / name, scratch)
        if taken:
            add_verdicts(folder, taken)
    return len(taken)


def add_round(folder: Path, found: ReviewedFolder) -> list[tuple[int, float]]:
    """Note how many recordings have a label and how many of these are told, and return that of all rounds."""
    path = folder / ROUNDS_NAME
    with one_writer(folder, option="FOLDER", wait_seconds=WAIT_SECONDS):
        rounds = {int(size): float(share) for size, share in _read_rounds(path)}
        rounds[found.labelled] = found.accuracy
        lines = ["labelled,right", *(f"{size},{share:.4f}" for size, share in sorted(rounds.items()))]
        write_text(path, "\n".join(lines) + "\n")
    return sorted(rounds.items())


def _read_rounds(path: Path) -> list[list[str]]:
    """Return the rows of the rounds so far that are as they were written."""
    if not path.is_file():
        return []
    text = read_regular(path).decode("utf-8", "replace")
    return [line.split(",") for line in text.splitlines() if re.fullmatch(r"\d{1,9},[01]\.\d{4}", line, re.ASCII)]


def csv_of(picks: Sequence[Pick]) -> str:
    """Return picks as a table in CSV, with a column for verdicts."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((one.recording, one.suggested, f"{one.probability:.4f}", one.why, "") for one in picks)
    return file.getvalue()

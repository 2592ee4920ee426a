"""Verification by a list of trials: embed each file once, score each pair, and say how well that tells speakers apart.

The score of a pair is the logarithm of the odds that both are of the same speaker, or that normalised by a cohort.
"""

import csv
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audionet.console import log
from audionet.errors import AudioNetError, check
from audionet.evaluation.trial_scores import trial_scores
from audionet.files import printable, whole_file
from audionet.inference.clip_similarity import mean_places
from audionet.inference.score_normalisation import FEWEST_SPEAKERS, Cohort, normalised, speaker_folder
from audionet.inference.trial_list import Trial
from audionet.models.classifier import Classifier
from audionet.models.fused_similarity import FusedSimilarity
from audionet.models.similarity import Similarity
from audionet.wording import counted, listed

COLUMNS = ("same", "first", "second", "score", "probability", "error")
DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True, eq=False)
class EmbeddedFiles:
    """The files of a list of trials."""

    places: Mapping[str, np.ndarray]  # by name, the mean place of its chunks, float32, shape (dimension,)
    missing: Mapping[str, str]  # by name of a file that is not there, the reason
    failures: Mapping[str, str]  # by name of a file that cannot be read, the reason

    @classmethod
    def of(
        cls, trials: Sequence[Trial], audio_dir: Path, classifier: Classifier, *, jobs: int | None
    ) -> "EmbeddedFiles":
        """Embed each file once, side by side; those that are missing or cannot be read are named."""
        lines: dict[str, int] = {}
        for trial in trials:
            for name in (trial.first, trial.second):
                lines.setdefault(name, trial.line)
        names: list[str] = []
        missing: list[str] = []
        for name in lines:
            # The method raises an error for a name that is too long.
            is_there = os.path.exists(audio_dir / name)  # noqa: PTH110
            (names if is_there else missing).append(name)
        if missing:
            named = [f"{printable(name)} (line {lines[name]})" for name in missing]
            are = "is" if len(missing) == 1 else "are"
            log(f"Set aside: {len(missing)} of {counted(len(lines), 'file')} {are} not there: {listed(named)}.")
        places, failures = {}, {}
        found = mean_places(classifier, [audio_dir / name for name in names], description="Embedding", jobs=jobs)
        for name, place in zip(names, found, strict=True):
            if isinstance(place, AudioNetError):
                failures[name] = str(place)
            else:
                places[name] = place
        return cls(places, dict.fromkeys(missing, "the file is not there"), failures)


@dataclass(frozen=True, eq=False)
class ScoredTrials:
    """Trials and their scores, which are NaN where a file is missing or cannot be read."""

    trials: Sequence[Trial]
    log_odds: np.ndarray  # float64, shape (n,)
    scores: np.ndarray  # float64, shape (n,): the same, or normalised by a cohort
    missing: Mapping[str, str]  # as `EmbeddedFiles` has them
    failures: Mapping[str, str]  # likewise, and those of the cohort by their paths
    cohort: Mapping[str, int] | None  # how many `speakers` and `recordings` it has, and `top_n`
    model: str  # fingerprint of the classifier

    @property
    def is_scored(self) -> np.ndarray:
        """Which trials have a score, bool, shape (n,)."""
        return np.asarray(~np.isnan(self.scores))

    def to_json(self) -> dict[str, Any]:
        """Return the rates of `trial_scores` and what they rest on, in a form that JSON can hold.

        `false_accept_rate` and `false_reject_rate` are those of taking a probability of one half for the same.
        """
        is_scored = self.is_scored
        scored = [trial for trial, is_one in zip(self.trials, is_scored, strict=True) if is_one]
        is_same = np.array([trial.is_same for trial in scored])
        accepted = self.log_odds[is_scored] >= 0
        return {
            **trial_scores(is_same, self.scores[is_scored], [trial.speakers for trial in scored]),
            "false_accept_rate": float(accepted[~is_same].mean()) if not is_same.all() else None,
            "false_reject_rate": float((~accepted[is_same]).mean()) if is_same.any() else None,
            "score": "adaptive s-norm of log odds" if self.cohort else "log odds",
            "cohort": self.cohort,
            "trials": len(self.trials),
            "set_aside": len(self.trials) - len(scored),
            "missing": list(self.missing),
            "failures": dict(self.failures),
            "model": self.model,
        }

    def write(self, path: Path) -> None:
        """Write a row for each trial, as a table whose suffix is one of `DELIMITERS`."""
        reasons = {**self.missing, **self.failures}
        with (
            whole_file(path) as scratch,
            open(scratch, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
        ):
            table = csv.writer(file, delimiter=DELIMITERS[path.suffix.lower()], lineterminator="\n")
            table.writerow(COLUMNS)
            for trial, log_odds, score in zip(self.trials, self.log_odds, self.scores, strict=True):
                names = (int(trial.is_same), trial.first, trial.second)
                if math.isnan(score):
                    table.writerow([*names, "", "", reasons.get(trial.first) or reasons[trial.second]])
                else:
                    table.writerow([*names, f"{score:.6f}", f"{1 / (1 + np.exp(-log_odds)):.6g}", ""])


def score_trials(
    classifier: Classifier,
    trials: Sequence[Trial],
    audio_dir: Path,
    *,
    cohort_dir: Path | None = None,
    top_n: int = 300,
    jobs: int | None = None,
) -> ScoredTrials:
    """Score trials between files below a folder; what is missing or cannot be read is named, and the rest go on.

    Args:
        classifier: that can compare clips.
        trials: what `read_trials` gives.
        audio_dir: the folder that the names are below.
        cohort_dir: folder of recordings of other speakers, one subfolder a speaker, to normalise scores by.
        top_n: how many of them, those most like a file, its scores are normalised by.
        jobs: as for `side_by_side`.

    Raises:
        ClassifierError: the classifier cannot compare clips.
        InputError: no trial can be scored, or the cohort has fewer than two speakers.
    """
    space = classifier.comparison_space()
    files = EmbeddedFiles.of(trials, audio_dir, classifier, jobs=jobs)
    is_scored = np.array([{trial.first, trial.second} <= files.places.keys() for trial in trials])
    scored = [trial for trial, is_one in zip(trials, is_scored, strict=True) if is_one]
    _log_counts(trials, scored, audio_dir)
    log_odds = np.full(len(trials), np.nan)
    log_odds[is_scored] = _pair_log_odds(space, scored, files.places)
    scores, failures, about = log_odds, files.failures, None
    if cohort_dir:
        cohort = Cohort.read(cohort_dir, classifier, jobs=jobs)
        folders = {name: speaker_folder(audio_dir, name) for name in files.places}
        top_n = min(top_n, len(cohort.folders) - cohort.holds_any(folders))
        check(
            top_n >= FEWEST_SPEAKERS, f"--cohort: {printable(cohort_dir)} has too few speakers besides those compared."
        )
        statistics = cohort.statistics(space, files.places, folders, top_n=top_n)
        scores = log_odds.copy()
        scores[is_scored] = normalised(log_odds[is_scored], [(one.first, one.second) for one in scored], statistics)
        failures = {**failures, **cohort.failures}
        about = {"speakers": len(cohort.folders), "recordings": cohort.recordings, "top_n": top_n}
    return ScoredTrials(trials, log_odds, scores, files.missing, failures, about, classifier.fingerprint)


def _log_counts(trials: Sequence[Trial], scored: Sequence[Trial], audio_dir: Path) -> None:
    """Log what is odd about the trials that can be scored; raise InputError where there are none."""
    check(
        bool(scored),
        f"--trials: none of the {len(trials)} trials can be scored, since their files below {printable(audio_dir)} are "
        "not there or cannot be read. Name the folder that they are in by --audio_dir.",
    )
    if len(scored) < len(trials):
        left_out = f"{len(trials) - len(scored)} of {counted(len(trials), 'trial')}"
        log(f"{left_out} cannot be scored, since a file is not there or cannot be read.")
    same_files = sum(trial.first == trial.second for trial in scored)
    if same_files:
        log(f"{counted(same_files, 'trial')} {'compares' if same_files == 1 else 'compare'} a file with itself.")


def _pair_log_odds(
    space: Similarity | FusedSimilarity, trials: Sequence[Trial], places: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Return the log odds of each trial, float64, shape (n,)."""
    rows_of: dict[str, list[int]] = {}
    for row, trial in enumerate(trials):
        rows_of.setdefault(trial.first, []).append(row)
    log_odds = np.empty(len(trials))
    for name, rows in rows_of.items():
        others = np.stack([places[trials[row].second] for row in rows])
        log_odds[rows] = space.clip_log_odds(places[name][None], others)[0]
    return log_odds

"""Normalise the scores of pairs by a cohort: other speakers, whom each side is compared with.

Some voices are like many others and some recordings like none, which moves all their scores up or down. Adaptive s-norm
subtracts the mean and divides by the deviation of a side's scores with those of the cohort that are most like it, and
takes the mean of both sides.

Source: P. Matejka et al., "Analysis of Score Normalization in Multilingual Speaker Recognition", Interspeech 2017.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audionet.audio import decoding
from audionet.console import log
from audionet.errors import AudioNetError, InputError
from audionet.files import files_below, printable
from audionet.inference.clip_similarity import mean_places
from audionet.models.classifier import Classifier
from audionet.models.fused_similarity import FusedSimilarity
from audionet.models.similarity import Similarity

FEWEST_SPEAKERS = 2
FEW_SPEAKERS = 50  # fewer say little about what other voices score: twelve voices' rates became worse by eight
FILES_AT_ONCE = 1024  # that are compared with a cohort in one go
LEAST_DEVIATION = 1e-6


@dataclass(frozen=True, eq=False)
class Cohort:
    """The speakers of a folder: each of its subfolders, and each recording that is in none."""

    places: np.ndarray  # float32, shape (speakers, dimension), the mean place of each
    folders: tuple[Path, ...]  # of each speaker, resolved
    recordings: int
    failures: Mapping[str, str]  # the reason by recording that cannot be read

    @classmethod
    def read(cls, folder: Path, classifier: Classifier, *, jobs: int | None = None) -> "Cohort":
        """Read a folder of recordings; those that cannot be read are named, and the rest go on.

        Raises:
            InputError: it is no folder, or recordings of fewer than two speakers can be read.
        """
        if not folder.is_dir():
            raise InputError(f"--cohort: expected a folder with one subfolder a speaker, received {printable(folder)}.")
        failures: dict[str, str] = {}
        unreadable: dict[Path, str] = {}
        files = files_below(folder, wanted=decoding.is_recording, failures=unreadable)
        for path, reason in unreadable.items():
            failures[str(path)] = f"{printable(path)}: {reason}."
            log(f"Set aside: {failures[str(path)]}")
        found = mean_places(classifier, list(files.values()), description="Embedding the cohort", jobs=jobs)
        of_speaker: dict[Path, list[np.ndarray]] = {}
        for (name, path), place in zip(files.items(), found, strict=True):
            if isinstance(place, AudioNetError):
                failures[str(path)] = str(place)
            else:
                of_speaker.setdefault(speaker_folder(folder, name), []).append(place)
        if len(of_speaker) < FEWEST_SPEAKERS:
            raise InputError(
                f"--cohort: expected recordings of {FEWEST_SPEAKERS} speakers or more, in a subfolder each, but in "
                f"{printable(folder)} those of {len(of_speaker)} can be read. Name a folder of many."
            )
        if len(of_speaker) < FEW_SPEAKERS:
            log(
                f"A cohort of {len(of_speaker)} speakers is small, and may do more harm than good; hundreds serve best."
            )
        means = np.stack([np.mean(places, axis=0) for places in of_speaker.values()])
        return cls(means, tuple(of_speaker), sum(map(len, of_speaker.values())), failures)

    def holds_any(self, folders: Mapping[str, Path]) -> bool:
        """Tell whether any of the speakers, by their folders, is in it."""
        return not {*folders.values()}.isdisjoint(self.folders)

    def statistics(
        self,
        space: Similarity | FusedSimilarity,
        places: Mapping[str, np.ndarray],
        folders: Mapping[str, Path],
        *,
        top_n: int,
    ) -> dict[str, tuple[float, float]]:
        """Return the mean and deviation of each file's scores with those `top_n` speakers who are most like it.

        Files are given by name with their mean places and the folders of their speakers, who do not count themselves.
        """
        names = list(places)
        found: dict[str, tuple[float, float]] = {}
        for start in range(0, len(names), FILES_AT_ONCE):
            some = names[start : start + FILES_AT_ONCE]
            scores = space.clip_log_odds(np.stack([places[name] for name in some]), self.places)
            for row, name in enumerate(some):
                if folders[name] in self.folders:
                    scores[row, self.folders.index(folders[name])] = -np.inf
            means, deviations = nearest_statistics(scores, top_n=top_n)
            found |= zip(some, zip(means.tolist(), deviations.tolist(), strict=True), strict=True)
        return found


def speaker_folder(root: Path, name: str) -> Path:
    """Return the folder of the speaker of a file below `root`, resolved; the file itself where it is in none."""
    return (root / Path(name).parts[0]).resolve()


def nearest_statistics(scores: np.ndarray, *, top_n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of the `top_n` highest scores of each row, both of shape (n,); scores (n, speakers)."""
    highest = np.sort(scores, axis=1)[:, -top_n:]
    return highest.mean(axis=1), np.maximum(highest.std(axis=1), LEAST_DEVIATION)


def normalised(
    scores: np.ndarray, pairs: Sequence[tuple[str, str]], statistics: Mapping[str, tuple[float, float]]
) -> np.ndarray:
    """Return the scores of pairs of files, shape (n,), normalised by the `statistics` of both sides."""
    both = np.array([[statistics[name] for name in pair] for pair in pairs])  # (n, 2 sides, mean and deviation)
    sides: np.ndarray = (scores[:, None] - both[:, :, 0]) / both[:, :, 1]
    return np.asarray(sides.mean(axis=1))

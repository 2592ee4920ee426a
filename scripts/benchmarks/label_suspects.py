"""How many of the recordings whose label was swapped by chance are among the likeliest suspects."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from audionet.cli import EXIT_FAILED
from audionet.data.dataset import Dataset
from audionet.experiments.suspects import SUSPICIOUS, Suspect, find_suspects
from benchmarks.default_training import gather_all
from benchmarks.options import SuspectsOptions
from benchmarks.recording_holdout import dataset_of

HEADINGS = ("trials", "recordings", "swapped", "in the first tenth", "in the first fifth", "suspected rightly")


def run(options: SuspectsOptions) -> int:
    """Swap labels, judge, print and write the result; return 1 if any recording had to be set aside."""
    dataset, failures = dataset_of(options.audio_dir, options.folder, group_by=options.group_by)
    result = measure(dataset, options)
    options.write(
        options.folder / "suspects.json", result, {"Labels swapped by chance": table_of(result)}, INTRODUCTION
    )
    return EXIT_FAILED if failures else 0


INTRODUCTION = (
    "Labels of some recordings are swapped for others by chance, in memory, again and again. Shares are of all swapped "
    "recordings of all trials; suspected rightly is the share of swapped ones among those with a score above one half."
)


def measure(dataset: Dataset, options: SuspectsOptions) -> dict[str, Any]:
    """Judge a data set with swapped labels again and again.

    Returns:
        dict: `recordings`; and `trials`, a list of `swapped`, how many, `first_tenth` and `first_fifth`, how many of
        them are there in the list, `suspected`, how many recordings have a score above one half, and `rightly`, how
        many of these were swapped.
    """
    data = gather_all(dataset, options)
    recordings = list(dict.fromkeys(example.recording for example in dataset.examples))
    label_of = {example.recording: example.label for example in dataset.examples}
    trials = []
    for trial in range(options.trials):
        rng = np.random.default_rng([options.random_seed, trial])
        swapped = swaps(label_of, share=options.share, rng=rng)
        examples = tuple(replace(one, label=swapped.get(one.recording, one.label)) for one in data.samples.examples)
        label_ids = np.array([data.labels.index(examples[row].label) for row in data.samples.example_ids])
        samples = replace(data.samples, examples=examples, label_ids=label_ids)
        trials.append(outcome(find_suspects(replace(data, samples=samples), seed=trial), swapped))
    return {"recordings": len(recordings), "trials": trials}


def swaps(label_of: Mapping[str, str], *, share: float, rng: np.random.Generator) -> dict[str, str]:
    """Return another label, drawn by chance, for a share of recordings drawn by chance."""
    labels = sorted(set(label_of.values()))
    chosen = rng.choice(sorted(label_of), max(1, round(share * len(label_of))), replace=False)
    return {str(one): str(rng.choice([label for label in labels if label != label_of[str(one)]])) for one in chosen}


def outcome(suspects: Sequence[Suspect], swapped: Mapping[str, str]) -> dict[str, int]:
    """Return what `measure` has of a trial."""
    is_swapped = [one.recording in swapped for one in suspects]
    suspected = [swap for swap, one in zip(is_swapped, suspects, strict=True) if one.score > SUSPICIOUS]
    return {
        "swapped": len(swapped),
        "first_tenth": sum(is_swapped[: len(suspects) // 10]),
        "first_fifth": sum(is_swapped[: len(suspects) // 5]),
        "suspected": len(suspected),
        "rightly": sum(suspected),
    }


def table_of(result: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the headings and the row of the table of a result."""
    trials = result["trials"]
    total = {key: sum(trial[key] for trial in trials) for key in trials[0]}
    row = (
        str(len(trials)),
        str(result["recordings"]),
        str(total["swapped"]),
        f"{total['first_tenth'] / total['swapped']:.1%}",
        f"{total['first_fifth'] / total['swapped']:.1%}",
        f"{total['rightly'] / max(1, total['suspected']):.1%} of {total['suspected']}",
    )
    return HEADINGS, [row]

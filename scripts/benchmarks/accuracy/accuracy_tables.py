"""The result of the accuracy benchmark as tables."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from audionet.tables import Table


def tables(result: Mapping[str, Any]) -> dict[str, Table]:
    """Return the tables of a result of `benchmark.measure` by title, each with its columns and rows."""
    return {
        "Systems": summary(result),
        "Accuracy of chunks": accuracies(result, "chunk"),
        "Accuracy of recordings": accuracies(result, "recording"),
    }


def summary(result: Mapping[str, Any]) -> Table:
    """Return a table with a row for each system: its errors, its speed, what was chosen."""
    encoder = next((system for system in result["systems"] if system["name"] == result["peer"]), None)
    columns = [
        "system",
        "errors",
        "behind the speaker encoder in",
        "recordings, at worst",
        "training s",
        "chunks/s in batches",
        "one by one",
        "chosen",
    ]
    rows = [
        [
            system["name"],
            f"{system['errors']:.3f}",
            f"{len(system['behind'])} of {len(result['conditions'])}" if encoder and system is not encoder else "",
            f"{min(scores['recording']['accuracy'] for scores in system['conditions'].values()):.3f}",
            *(
                _beside(system[name], encoder and encoder[name])
                for name in ("training_seconds", "chunks_per_second", "single_chunks_per_second")
            ),
            _chosen(system["choices"]),
        ]
        for system in result["systems"]
    ]
    return columns, rows


def accuracies(result: Mapping[str, Any], level: str) -> Table:
    """Return a table with a row for each condition and a column for each system, by `chunk` or by `recording`."""
    columns = ["condition", *(system["name"] for system in result["systems"])]
    rows = [
        [condition, *(_with_interval(system["conditions"][condition][level]) for system in result["systems"])]
        for condition in result["conditions"]
    ]
    return columns, rows


def introduction(result: Mapping[str, Any]) -> str:
    """Return what must be known to read the tables."""
    missing = "".join(f" {name} is left out: {reason}." for name, reason in result["skipped"].items())
    return (
        f"{len(result['labels'])} labels, {result['recordings']} recordings held out in {len(result['trials'])} "
        f"trial{'s' if len(result['trials']) > 1 else ''}, {result['chunks']} chunks. In brackets: 95 % interval, by "
        f"bootstrap over recordings. Errors: of chunks, summed over {', '.join(result['peer_conditions'])}. "
        f"x: in proportion to {result['peer']}.{missing}"
    )


def _with_interval(score: Mapping[str, Any]) -> str:
    interval = score["ci95"]
    return f"{score['accuracy']:.3f}" + (f" ({interval[0]:.2f}-{interval[1]:.2f})" if interval else "")


def _beside(value: float, of_encoder: float | None) -> str:
    return f"{value:.1f}" + (f" (x{value / of_encoder:.2f})" if of_encoder else "")


def _chosen(choices: Mapping[str, Mapping[str, Any]]) -> str:
    counts = Counter(f"{choice['trainer']} on {choice['bottleneck']}" for choice in choices.values())
    several = len(choices) > 1
    return "; ".join(f"{words} ({count} of {len(choices)})" if several else words for words, count in counts.items())

"""The result of the accuracy benchmark as tables."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from audionet.tables import Table


def tables(result: Mapping[str, Any]) -> dict[str, Table]:
    """Return the tables of a result of `benchmark.measure` by title, each with its columns and rows."""
    members = {"Members": worth(result)} if any(map(_worth_of, result["systems"])) else {}
    return {
        "Systems": summary(result),
        **members,
        "Accuracy of chunks": accuracies(result, "chunk"),
        "Accuracy of recordings": accuracies(result, "recording"),
    }


def summary(result: Mapping[str, Any]) -> Table:
    """Return a table with a row for each system: its errors, its speed and size, what was chosen."""
    peers = result["peers"]
    encoder = next((system for system in result["systems"] if system["name"] in peers), None)
    columns = [
        "system",
        "errors",
        *(f"behind {peer} in" for peer in peers),
        "recordings, at worst",
        "training s",
        "views/s",
        "chunks/s in batches",
        "one by one",
        "MB",
        "chosen",
    ]
    rows = [
        [
            system["name"],
            f"{system['errors']:.3f}",
            *(f"{len(system['behind'][peer])} of {len(result['conditions'])}" for peer in peers),
            f"{min(scores['recording']['accuracy'] for scores in system['conditions'].values()):.3f}",
            *(
                _beside(system[name], encoder and encoder[name])
                for name in ("training_seconds", "views_per_second", "chunks_per_second", "single_chunks_per_second")
            ),
            f"{system['megabytes']:.1f}",
            _chosen(system["choices"]),
        ]
        for system in result["systems"]
    ]
    return columns, rows


def worth(result: Mapping[str, Any]) -> Table:
    """Return a table of what each network was worth to the systems of several, on out-of-fold clips of training."""
    columns = [
        "system",
        "network",
        "taken in",
        "weight",
        "accuracy alone",
        "without it",
        "log loss alone",
        "without it",
    ]
    rows = []
    for system in result["systems"]:
        for name, of_trials in _worth_of(system).items():
            weights = [one["weight"] for one in of_trials if one["weight"]]
            rows.append(
                [
                    system["name"],
                    name,
                    f"{len(weights)} of {len(of_trials)}",
                    f"{_mean(weights):.2f}" if weights else "",
                    *(
                        _of_all(of_trials, which, score)
                        for score in ("accuracy", "log_loss")
                        for which in ("alone", "without")
                    ),
                ]
            )
        if _worth_of(system):
            together = next(iter(_worth_of(system).values()))
            accuracy, log_loss = (_of_all(together, "with", score) for score in ("accuracy", "log_loss"))
            rows.append([system["name"], "together", "", "", accuracy, "", log_loss, ""])
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
    in_proportion = f"x: in proportion to {result['peers'][0]}." if result["peers"] else ""
    return (
        f"{len(result['labels'])} labels, {result['recordings']} recordings held out in {len(result['trials'])} "
        f"trial{'s' if len(result['trials']) > 1 else ''}, {result['chunks']} chunks. In brackets: 95 % interval, by "
        f"bootstrap over recordings. Errors: of chunks, summed over {', '.join(result['peer_conditions'])}. "
        f"{in_proportion}{missing}"
    )


def _with_interval(score: Mapping[str, Any]) -> str:
    interval = score["ci95"]
    return f"{score['accuracy']:.3f}" + (f" ({interval[0]:.2f}-{interval[1]:.2f})" if interval else "")


def _beside(value: float, of_encoder: float | None) -> str:
    return f"{value:.1f}" + (f" (x{value / of_encoder:.2f})" if of_encoder else "")


def _chosen(choices: Mapping[str, Mapping[str, Any]]) -> str:
    counts = Counter(
        " and ".join(f"{one['network']}: {one['trainer']} on {one['bottleneck']}" for one in choice["members"])
        for choice in choices.values()
    )
    several = len(choices) > 1
    return "; ".join(f"{words} ({count} of {len(choices)})" if several else words for words, count in counts.items())


def _worth_of(system: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return what each network was worth in every trial, by its name; nothing for a system of one."""
    found: dict[str, list[dict[str, Any]]] = {}
    for choice in system["choices"].values():
        for one in choice["worth"]:
            found.setdefault(one["name"], []).append(one)
    return found


def _of_all(of_trials: Sequence[Mapping[str, Any]], which: str, score: str) -> str:
    """Return the mean of a score over the trials that have it."""
    found = [one[which][score] for one in of_trials if one[which]]
    return f"{_mean(found):.3f}" if found else ""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

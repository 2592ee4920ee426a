import csv
import io

import numpy as np
import pytest

from audionet.evaluation.comparison import holm, sign_flip_p_value
from audionet.experiments.cells import CellResult, GridResult
from audionet.experiments.grid import grid_of
from audionet.experiments.summary import csv_of, rows_of, summarise


def result_of(hits: list[int], *, chunks: int = 10, score_ms: float = 1.0) -> CellResult:
    """Return what came of a cell that gets so many chunks of each recording right."""
    rows = [
        {
            "recording": f"a/{number}",
            "group": f"a/{number}",
            "label": "a",
            "known": True,
            "right": hit > chunks / 2,
            "chunks": chunks,
            "chunks_right": hit,
        }
        for number, hit in enumerate(hits)
    ]
    share = sum(hits) / chunks / len(hits)
    level = {"accuracy": share, "ci95": [max(0, share - 0.1), min(1, share + 0.1)], "n": len(hits)}
    scores = {
        "chunk": level,
        "recording": {**level, "named_right": share, "refused": 0.0},
        "recordings": rows,
        "open_set": {"eer": None, "auroc": None},
        "verification": {"eer": 0.1},
        "data": {"recordings": len(hits), "groups": len(hits)},
    }
    return CellResult(scores, 1.0, score_ms, 10_000_000)


HEADS = ("lda", "ridge", "softmax")


def summary_of(*hits: list[int], times: tuple[float, ...] = (1.0, 2.0, 3.0), failures: dict | None = None) -> dict:
    grid = grid_of({"head": list(HEADS)})
    results = {
        f"head {head}": result_of(of_cell, score_ms=ms) for head, of_cell, ms in zip(HEADS, hits, times, strict=False)
    }
    return summarise(grid, GridResult(results, failures or {}, {}), level="chunk")


def test_a_winner_is_stated_where_it_is_surely_better_than_each_other():
    summary = summary_of([5] * 20, [6] * 20, [9] * 20)
    assert summary["verdict"][0].startswith("The winner is head softmax: 90.0% of chunks right")
    assert "flatters" in summary["verdict"][1]


def test_no_winner_is_stated_where_others_cannot_be_told_from_the_best():
    rng = np.random.default_rng(0)
    hits = [[int(one) for one in rng.integers(6, 10, 20)] for _ in range(2)]
    summary = summary_of([2] * 20, *hits, times=(1.0, 3.0, 2.0))
    assert summary["verdict"][0].startswith("There is no winner.")
    assert "1 other cell of 2 cannot be told from it" in summary["verdict"][0]
    assert "head softmax answers the quickest, in 2.0 ms" in summary["verdict"][1]


def test_the_table_has_what_there_is_and_leaves_out_what_no_cell_has():
    summary = summary_of([5] * 20, [6] * 20, [9] * 20)
    columns, rows = rows_of(summary)
    assert columns[0] == "head" and "AUROC" not in columns and "EER" in columns
    by_head = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    assert by_head["lda"]["difference"] == "baseline"
    assert by_head["softmax"]["difference"].startswith("+40.0 (+40.0 to")
    assert float(by_head["softmax"]["p (Holm)"]) < 0.01


def test_the_csv_has_a_row_for_each_cell_and_for_each_that_failed():
    summary = summary_of([5] * 20, [6] * 20, failures={"head softmax": "no weights,\nnone"})
    rows = list(csv.DictReader(io.StringIO(csv_of(summary))))
    assert [row["cell"] for row in rows] == ["head lda", "head ridge", "head softmax"]
    assert float(rows[1]["chunk_accuracy"]) == 0.6 and float(rows[1]["p_holm"]) < 0.01
    assert rows[2]["failed"] == "no weights,\\nnone" and rows[2]["chunk_accuracy"] == ""


def test_without_its_baseline_cells_are_compared_with_none():
    grid = grid_of({"head": list(HEADS)})
    summary = summarise(grid, GridResult({"head ridge": result_of([5] * 9)}, {"head lda": "gone"}, {}), level="chunk")
    assert "against_baseline" not in summary["cells"][0]
    assert summary["verdict"] == ["head ridge: 50.0% of chunks right without a threshold."]
    nothing = summarise(grid, GridResult({}, {"head lda": "gone"}, {}), level="chunk")
    assert nothing["verdict"] == ["No cell could be scored."] and rows_of(nothing)[1] == []


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]), ([0.5, 0.9], [1.0, 1.0]), ([0.02], [0.02]), ([], [])],
)
def test_holm_enlarges_p_values_step_by_step(p_values, adjusted):
    assert holm(p_values) == pytest.approx(adjusted)


def test_flipping_signs_tells_a_difference_from_chance():
    rng = np.random.default_rng(1)
    by_chance = [sign_flip_p_value(rng.normal(0, 1, 20), seed=seed) for seed in range(60)]
    assert np.mean(np.array(by_chance) < 0.05) < 0.15
    assert sign_flip_p_value(rng.normal(1, 1, 30)) < 0.01
    assert sign_flip_p_value(np.zeros(5)) == 1.0

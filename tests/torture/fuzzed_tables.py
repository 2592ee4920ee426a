"""Tables and lists, as the fuzzer makes and reads them: answers, records of runs, evaluations, groups, names."""

import csv
import io
import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from audionet.data.groups import group_rule
from audionet.data.published_datasets import find_published_dataset, published_recordings
from audionet.errors import InputError
from audionet.evaluation import comparison, runs
from audionet.inference.batch_scoring import find_clips
from audionet.inference.prediction_file import PredictionFile, answer_columns, answer_row, flat
from audionet.models.answer import Answer
from torture.mutations import HOSTILE_TEXTS, altered_rows, as_json, damaged, json_files
from torture.reader import Files, Reader

MODEL = "0123456789abcdef"
TOP_K = 3
CLIPS = ("a.wav", "b.wav", "c.wav")


def answer_of(clip: str) -> dict[str, Any]:
    """Return the row of a clip that has an answer."""
    answer = Answer(("alice", "bob"), np.array([0.75, 0.25]), np.zeros(1), np.array([[0.75, 0.25]]))
    return answer_row(Path(clip), answer, model=MODEL, top_k=TOP_K)


def csv_file(rows: list[list[str]]) -> bytes:
    """Return a table as csv writes it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


@st.composite
def answer_lines(draw: st.DrawFn) -> Files:
    """Draw JSON lines of answers."""
    rows = [draw(json_files(answer_of(clip))) if draw(st.booleans()) else as_json(answer_of(clip)) for clip in CLIPS]
    content = b"\n".join(rows) + b"\n"
    return {"answers.jsonl": draw(damaged(content)) if draw(st.integers(0, 3)) == 0 else content}


def table_of_answers() -> list[list[str]]:
    """Return the rows of a table of answers, its headings first."""
    columns = answer_columns(TOP_K)
    values = [{**answer_of(clip), "known": "true"} for clip in CLIPS]
    return [columns, *([str(row.get(column, "")) for column in columns] for row in values)]


@st.composite
def answer_tables(draw: st.DrawFn) -> Files:
    """Draw tables of answers."""
    content = csv_file(draw(altered_rows(table_of_answers())))
    return {"answers.csv": draw(damaged(content)) if draw(st.integers(0, 3)) == 0 else content}


@st.composite
def parquet_files(draw: st.DrawFn) -> Files:
    """Draw Parquet files of answers: with other columns, with other types, damaged, or with a journal beside them."""
    import pyarrow as pa  # optional, as it is for the package
    import pyarrow.parquet as pq

    rows: Any = [flat(answer_of(clip)) for clip in CLIPS]
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(("file", "label", "model", "error", "labels", "new", "")), max_size=5))
        values = st.sampled_from((None, 1, 2**62, "x", 0.5, b"\xff", [1], True))
        rows = [{name: draw(values) for name in names} for _ in range(draw(st.integers(0, 3)))]
    file = io.BytesIO()
    try:
        pq.write_table(pa.Table.from_pylist(rows), file)
    except (pa.ArrowException, ValueError):  # a column of several types
        pq.write_table(pa.table({"file": ["a.wav"]}), file)
    files = {"answers.parquet": draw(damaged(file.getvalue())) if draw(st.booleans()) else file.getvalue()}
    if draw(st.integers(0, 3)) == 0:
        files["answers.parquet.part.jsonl"] = draw(answer_lines())["answers.jsonl"]
    return files


def go_on(path: Path) -> None:
    """Go on with a file of answers, and see that what was added is in it once, and that it can be gone on with."""
    for _ in range(2):
        with PredictionFile(path, columns=answer_columns(TOP_K), model=MODEL, resume=True) as answers:
            new = Path("new.wav")
            if new not in answers:
                answers.write([answer_of(str(new))])
    content = path.read_bytes()
    assert content.count(b"new.wav") == 1 or path.suffix == ".parquet", "what was added is there twice, or not at all"


def make_json_answers() -> Reader:
    """Return the reader of answers in JSON lines."""
    valid = {"answers.jsonl": b"".join(as_json(answer_of(clip)) + b"\n" for clip in CLIPS)}
    return Reader("answers_jsonl", valid, answer_lines(), lambda folder: go_on(folder / "answers.jsonl"))


def make_csv_answers() -> Reader:
    """Return the reader of answers in a table."""
    valid = {"answers.csv": csv_file(table_of_answers())}
    return Reader("answers_csv", valid, answer_tables(), lambda folder: go_on(folder / "answers.csv"))


def make_parquet_answers() -> Reader:
    """Return the reader of answers in Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([flat(answer_of(clip)) for clip in CLIPS]), file)
    valid = {"answers.parquet": file.getvalue()}
    return Reader("answers_parquet", valid, parquet_files(), lambda folder: go_on(folder / "answers.parquet"))


def evaluation_of(seed: int) -> dict[str, Any]:
    """Return the part of an evaluation that a comparison reads."""
    rng = np.random.default_rng(seed)
    rows = [
        {"recording": f"{label}/{number}.wav", "label": label, "known": True, "right": bool(rng.integers(2))}
        | {"chunks": 3, "chunks_right": int(rng.integers(4))}
        for label in ("alice", "bob")
        for number in range(3)
    ]
    return {"recordings": rows}


def record_of(number: int) -> dict[str, Any]:
    """Return the record of a run."""
    return {
        "id": f"20261121-09301{number}-5f0c2ab{number}",
        "format": 1,
        "started": f"2026-11-21T09:30:1{number}+00:00",
        "script": "retrain",
        "arguments": {"output_model": "retrained_model", "report": "report.html"},
        "seed": 0,
        "versions": {"audionet": "1.0.0"},
        "data": {"fingerprint": MODEL, "labels": 2, "recordings": 6, "chunks": 18},
        "classifier": {"architecture": "efficientnet_lite0", "bottleneck": "rows", "head": "lda"},
        "seconds": {"training": 1.5, "total": 2.5},
        "scores": {"chunk": {"accuracy": 0.75}, "recording": {"accuracy": 1.0}, **evaluation_of(number)},
    }


def record_names() -> list[str]:
    """Return the names of two records' files."""
    return [f"{record_of(number)['id']}.json" for number in range(2)]


@st.composite
def evaluations(draw: st.DrawFn) -> Files:
    """Draw two evaluations, one of which is altered."""
    return {"a.json": draw(json_files(evaluation_of(0))), "b.json": as_json(evaluation_of(1))}


def compare(folder: Path) -> None:
    """Compare two evaluations, and look at the result."""
    result = comparison.compare_named(str(folder / "a.json"), str(folder / "b.json"), runs_dir=folder / "runs")
    assert json.loads(json.dumps(result, allow_nan=False)), "a result that JSON does not hold"
    for level in (result["recording"], result["chunk"]):
        assert 0 <= level["accuracy_a"] <= 1 and 0 <= level["accuracy_b"] <= 1, "an accuracy that is none"


def make_evaluations() -> Reader:
    """Return the reader of evaluations that are compared."""
    valid = {"a.json": as_json(evaluation_of(0)), "b.json": as_json(evaluation_of(1))}
    return Reader("evaluations", valid, evaluations(), compare)


@st.composite
def records(draw: st.DrawFn) -> Files:
    """Draw the records of two runs, one of which is altered."""
    contents = draw(json_files(record_of(0))), as_json(record_of(1))
    return dict(zip(record_names(), contents, strict=True))


def list_records(folder: Path) -> None:
    """List the records, find one and compare both."""
    found, failures = runs.read_runs(folder)
    assert len(found) + len(failures) == 2, "a record is lost"
    table = runs.rows_of(found)
    assert all(len(row) == len(runs.COLUMNS) and all(isinstance(cell, str) for cell in row) for row in table), "no row"
    assert all(cell.isprintable() for row in table for cell in row), "a cell with control characters"
    name = str(record_of(1)["id"])
    assert runs.find_run(folder, name) == record_of(1), "the whole record is not found"
    comparison.compare_named(str(record_of(0)["id"]), name, runs_dir=folder)


def make_records() -> Reader:
    """Return the reader of records of runs."""
    valid = dict(zip(record_names(), map(as_json, (record_of(0), record_of(1))), strict=True))
    return Reader("run_records", valid, records(), list_records)


GROUPS = [["file", "speaker"], ["alice/1.wav", "anna"], ["2.wav", "berta"], ["3", "clara"]]


@st.composite
def group_tables(draw: st.DrawFn) -> Files:
    """Draw tables of groups."""
    content = csv_file(draw(altered_rows(GROUPS)))
    return {"groups.csv": draw(damaged(content)) if draw(st.booleans()) else content}


def look_up_groups(folder: Path) -> None:
    """Look up the group of each recording."""
    rule = group_rule(f"{folder / 'groups.csv'}:speaker")
    for recording in ("alice/1.wav", "alice/2.wav", "bob/3.flac"):
        assert isinstance(rule(recording), str), "a group that is no text"


def make_groups() -> Reader:
    """Return the reader of tables of groups."""
    return Reader("group_table", {"groups.csv": csv_file(GROUPS)}, group_tables(), look_up_groups)


PUBLISHED = [["filename", "fold", "category"], ["1-100032-A-0.wav", "1", "dog"], ["1-100038-A-14.wav", "2", "rain"]]


@st.composite
def published_tables(draw: st.DrawFn) -> Files:
    """Draw tables of a published data set."""
    content = csv_file(draw(altered_rows(PUBLISHED)))
    return {"meta/esc50.csv": draw(damaged(content)) if draw(st.booleans()) else content}


def list_published(folder: Path) -> None:
    """List the recordings of a published data set, which lie within its folder."""
    assert find_published_dataset(folder) is not None, "the table is not found"
    for name, clip in published_recordings(folder).items():
        assert clip.source.resolve().is_relative_to(folder.resolve()), "a recording outside the data set"
        assert len(Path(name).parts) == 3 and ".." not in Path(name).parts, "a name that leads elsewhere"


def make_published() -> Reader:
    """Return the reader of published data sets' tables."""
    return Reader("published_table", {"meta/esc50.csv": csv_file(PUBLISHED)}, published_tables(), list_published)


@st.composite
def clip_lists(draw: st.DrawFn) -> Files:
    """Draw lists of clips."""
    names = draw(st.lists(st.sampled_from(("a.wav", "b.jpg", *HOSTILE_TEXTS)), max_size=5))
    separator = draw(st.sampled_from(("\n", "\r\n", "\0")))
    content = separator.join(names).encode("utf-8", "surrogatepass")
    content = draw(damaged(content)).replace(b"/", b"_").replace(b"..", b"__")  # lest the whole machine is searched
    return {"list.txt": content, "a.wav": b"", "b.jpg": b""}


def list_clips(folder: Path) -> None:
    """Go through a list of clips."""
    for clip in islice(find_clips((), from_file=folder / "list.txt"), 1000):
        assert isinstance(clip, Path), "no path"


def make_clip_list() -> Reader:
    """Return the reader of lists of clips."""
    valid = {"list.txt": b"a.wav\nb.jpg\n", "a.wav": b"", "b.jpg": b""}
    return Reader("clip_list", valid, clip_lists(), list_clips)


RULES = ("recording", "folder", "fold", "^[^_]+", "(", "[", "(?P<x>a)", "x{99999999999}", "", ".csv:", "a.csv:b", "(?i")


@st.composite
def group_rules(draw: st.DrawFn) -> Files:
    """Draw what users type for `--group_by`."""
    return {"rule.txt": draw(st.sampled_from(RULES) | st.text(max_size=12)).encode("utf-8", "surrogatepass")}


def use_group_rule(folder: Path) -> None:
    """Group recordings by a rule."""
    rule = group_rule((folder / "rule.txt").read_text("utf-8", "surrogatepass"))
    for recording in ("alice/1.wav", "alice/fold1/ab_nohash_0.wav"):
        try:
            assert isinstance(rule(recording), str), "a group that is no text"
        except InputError:
            continue


def make_group_rule() -> Reader:
    """Return what reads `--group_by`."""
    return Reader("group_rule", {"rule.txt": b"^[^_]+"}, group_rules(), use_group_rule)

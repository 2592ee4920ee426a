import csv
import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audionet.errors import InputError, RecordingError
from audionet.inference.prediction_file import PredictionFile, answer_columns, answer_row
from audionet.models.answer import Answer

LABELS = ("a,b", 'quote"', "line\nbreak")
COLUMNS = answer_columns(3)
FORMATS = ("csv", "jsonl", "parquet")


def answer(*probabilities: float) -> Answer:
    of_all = np.array(probabilities, np.float32)
    return Answer(LABELS, of_all, np.zeros(2), np.stack([of_all] * 2), score=1.5, threshold=0.5)


def row(name: str, *probabilities: float) -> dict:
    return answer_row(Path(name), answer(*(probabilities or (0.7, 0.2, 0.1))), model="m", top_k=3)


def failure(name: str) -> dict:
    return answer_row(Path(name), RecordingError(f"{name} is silent"), model="m", top_k=3)


def open_rows(path: Path, **options) -> PredictionFile:
    return PredictionFile(path, **{"columns": COLUMNS, "model": "m", "resume": False, **options})


def read(path: Path) -> list[dict]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    if path.suffix == ".csv":
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as text:
            return list(csv.DictReader(text))
    return pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed").read_table(path).to_pylist()


@pytest.fixture(params=FORMATS)
def path(request, tmp_path) -> Path:
    if request.param == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    return tmp_path / f"answers.{request.param}"


def test_every_format_holds_every_answer_and_failure(path):
    with open_rows(path) as rows:
        rows.write([row("a.mp3", 0.1, 0.7, 0.2)])
        rows.write([failure("b.mp3")])
    first, second = read(path)
    assert (first["file"], first["label"], first["nearest"], first["model"]) == ("a.mp3", 'quote"', 'quote"', "m")
    assert float(first["probability"]) == pytest.approx(0.7)
    assert second["error"] == "b.mp3 is silent" and not second.get("label")
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("resume", [True, False])
def test_a_second_writer_is_told_to_wait_and_the_first_goes_on(path, resume):
    with open_rows(path) as rows:
        rows.write([row("a.mp3")])
        with pytest.raises(InputError, match=r"another run writes to|is there already"):
            open_rows(path, resume=resume)
        rows.write([row("b.mp3")])
    assert [one["file"] for one in read(path)] == ["a.mp3", "b.mp3"]


def test_a_table_has_the_columns_that_are_documented(tmp_path):
    with open_rows(tmp_path / "a.csv") as rows:
        rows.write([row("a.mp3")])
    with open(tmp_path / "a.csv", newline="") as text:
        header, first = csv.reader(text)
    assert ",".join(header) == (
        "file,label,known,nearest,probability,score,threshold,chunks,model,error,"
        "label_2,probability_2,label_3,probability_3"
    )
    assert first[2] == "true" and first[7] == "2" and first[10] == 'quote"'


def test_parquet_has_types(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    with open_rows(tmp_path / "a.parquet") as rows:
        rows.write([failure("a.mp3")])
    types = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "a.parquet")}
    assert (types["file"], types["known"], types["chunks"], types["score"]) == ("string", "bool", "int64", "double")


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1),
        min_size=3,
        max_size=3,
        unique=True,
    )
)
def test_labels_survive_csv_to_the_letter(tmp_path_factory, labels):
    path = tmp_path_factory.mktemp("rows") / "a.csv"
    scored = Answer(tuple(labels), np.array([0.5, 0.3, 0.2], np.float32), np.zeros(1), np.zeros((1, 3)))
    with open_rows(path) as rows:
        rows.write([answer_row(Path("a"), scored, model="m", top_k=3)])
    (found,) = read(path)
    assert [found["label"], found["label_2"], found["label_3"]] == labels


def test_what_has_an_answer_is_passed_over_and_what_failed_is_tried_again(path):
    with open_rows(path) as rows:
        rows.write([row("a.mp3")])
        rows.write([failure("b.mp3")])
    with open_rows(path, resume=True) as rows:
        assert Path("a.mp3") in rows and Path("b.mp3") not in rows and rows.held == 1
        rows.write([row("b.mp3")])
    assert [(one["file"], one.get("error") or "") for one in read(path)] == [("a.mp3", ""), ("b.mp3", "")]


def test_a_run_that_was_killed_leaves_what_resume_goes_on_from(path):
    rows = open_rows(path)
    rows.write([row("a.mp3")])
    rows._file.close()  # nothing else happens when a process is killed
    with open_rows(path, resume=True) as again:
        assert Path("a.mp3") in again
        again.write([row("b.mp3")])
    assert [one["file"] for one in read(path)] == ["a.mp3", "b.mp3"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_wherever_a_file_is_torn_whole_rows_remain(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    with open_rows(path) as rows:
        for name in ("a", 'b,\n"c'):
            rows.write([row(name, 0.1, 0.2, 0.7)])
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with open_rows(path, resume=True) as rows:
            for name in ("a", 'b,\n"c'):
                if Path(name) not in rows:
                    rows.write([row(name, 0.1, 0.2, 0.7)])
        assert path.read_bytes() == whole, length


def test_a_file_that_is_there_is_not_written_over(path):
    path.write_bytes(b"precious")
    with pytest.raises(InputError, match=r"is there already\. Go on with it by --resume"):
        open_rows(path)
    assert path.read_bytes() == b"precious"


def test_answers_of_another_classifier_are_not_mixed_in(path):
    with open_rows(path) as rows:
        rows.write([row("a.mp3")])
    before = path.read_bytes()
    with pytest.raises(InputError, match="holds answers of another classifier, m; this one is n"):
        open_rows(path, resume=True, model="n")
    assert path.read_bytes() == before


def test_a_table_of_other_columns_is_not_gone_on_with(tmp_path):
    (tmp_path / "a.csv").write_text("name,age\nx,1\n")
    with pytest.raises(InputError, match="has the columns name, age; expected file, label"):
        open_rows(tmp_path / "a.csv", resume=True)
    (tmp_path / "a.jsonl").write_text("no json\n")
    with pytest.raises(InputError, match=r"line 1 of .* is no answer or span"):
        open_rows(tmp_path / "a.jsonl", resume=True)


@pytest.mark.parametrize("line", ["[" * 20_000, "7", "{}", '{"file": {}}', '{"file": "a.mp3", "labels": [1]}'])
def test_a_line_that_is_no_row_is_named(tmp_path, line):
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(row('a.mp3'))}\n{line}\n")
    with pytest.raises(InputError, match=r"line 2 of .* is no answer or span"):
        open_rows(tmp_path / "a.jsonl", resume=True)


def test_what_others_wrote_into_a_table_does_not_reach_the_terminal_as_it_is(tmp_path):
    (tmp_path / "a.csv").write_text(f"\x1b[2J,{'x' * 10_000}\n")
    with pytest.raises(InputError, match="has the columns") as caught:
        open_rows(tmp_path / "a.csv", resume=True)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000


def test_a_parquet_file_that_is_damaged_or_of_something_else_is_refused(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "a.parquet").write_bytes(b"PAR1, and no more")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        open_rows(tmp_path / "a.parquet", resume=True)
    pq.write_table(pa.table({"file": [1, 2]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match="rows that are no answers"):
        open_rows(tmp_path / "b.parquet", resume=True)
    pq.write_table(pa.table({"file": ["a"], "model": ["m"], "score": ["high"]}), tmp_path / "c.parquet")
    with pytest.raises(InputError, match="holds what is no answer"), open_rows(tmp_path / "c.parquet", resume=True):
        pass


def test_a_suffix_that_is_not_known_lists_those_that_are(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.jsonl, \.csv, \.parquet, received .*a\.xlsx"):
        open_rows(tmp_path / "a.xlsx")


def test_without_pyarrow_parquet_is_refused_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="Parquet needs pyarrow: pip install pyarrow"):
        open_rows(tmp_path / "a.parquet")


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_on_a_full_disk_what_was_written_stays_whole(tiny_disk, suffix):
    path = tiny_disk / f"a.{suffix}"
    written = 0
    with open_rows(path) as rows, pytest.raises(OSError) as full:
        while True:
            rows.write([row(f"{written}.mp3")])
            written += 1
    assert full.value.errno == errno.ENOSPC and full.value.filename == str(path)
    assert [one["file"] for one in read(path)] == [f"{number}.mp3" for number in range(written)]

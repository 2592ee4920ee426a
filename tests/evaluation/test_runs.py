import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import SCRIPTS
from hypothesis import given
from hypothesis import strategies as st

import audionet
from audionet.errors import InputError
from audionet.evaluation import runs
from audionet.files import mark_folder


@dataclass(frozen=True)
class Options:
    image_dir: Path = Path("pictures")
    head: str = "lda"
    random_seed: int = 3
    taps: tuple[str, ...] = ("block3",)


def record(runs_dir: Path, *, moment: float = 1e9, report: str | None = None, **scores: object) -> Path:
    watch = runs.Stopwatch(started=moment)
    with watch.stage("bottlenecks"):
        pass
    return runs.write_run(
        runs_dir,
        script="retrain.py",
        options=Options(),
        watch=watch,
        seed=3,
        data={"folder": Path("pictures"), "labels": 12, "recordings": 48, "chunks": np.int64(960)},
        classifier={"architecture": "efficientnet_lite0", "bottleneck": "block3", "head": "lda"},
        report=report,
        scores=scores or {"chunk": {"accuracy": 0.98}, "recording": {"accuracy": 1.0}},
    )


def test_a_record_tells_what_was_done(tmp_path):
    written = json.loads(record(tmp_path).read_text())
    assert written["arguments"] == {"image_dir": "pictures", "head": "lda", "random_seed": 3, "taps": ["block3"]}
    assert written["versions"]["numpy"] == np.__version__
    assert written["versions"]["audionet"] == audionet.__version__
    assert written["data"]["chunks"] == 960
    assert written["started"] == "2001-09-09T01:46:40+00:00"
    assert set(written["seconds"]) == {"bottlenecks", "total"}


def test_a_record_is_named_after_its_moment_and_its_content(tmp_path):
    path = record(tmp_path)
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{8}", path.stem)
    assert json.loads(path.read_text())["id"] == path.stem


def test_runs_of_the_same_second_do_not_replace_each_other(tmp_path):
    paths = {record(tmp_path, chunk={"accuracy": share}) for share in (0.1, 0.2, 0.3)}
    assert len(paths) == 3


def test_records_come_the_oldest_first(tmp_path):
    for moment in (3e9, 1e9, 2e9):
        record(tmp_path, moment=moment)
    started = [found["started"] for found in runs.read_runs(tmp_path)[0]]
    assert started == sorted(started) and len(started) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', "\x00", "[" * 20_000])
def test_what_is_no_record_is_named_and_the_others_are_read(tmp_path, content):
    record(tmp_path)
    (tmp_path / "stray.json").write_text(content)
    records, failures = runs.read_runs(tmp_path)
    assert len(records) == 1 and list(failures) == ["stray.json"]


@pytest.mark.parametrize(
    "changes",
    [
        {"started": 5},
        {"started": "0001-01-01T00:00:00+23:00"},
        {"id": 7},
        {"scores": {"chunk": {"accuracy": "high"}}},
        {"scores": []},
        {"classifier": "lda"},
        {"seconds": {"total": [1]}},
        {"seconds": 12.5},
        {"arguments": ["--head", "lda"]},
    ],
)
def test_a_record_with_values_of_other_kinds_is_named_and_the_others_are_listed(tmp_path, changes):
    whole = json.loads(record(tmp_path).read_text())
    (tmp_path / "odd.json").write_text(json.dumps(whole | changes))
    records, failures = runs.read_runs(tmp_path)
    assert len(runs.rows_of(records)) == 1
    assert list(failures) == ["odd.json"] and next(iter(changes)) in failures["odd.json"]


def test_control_characters_in_a_record_do_not_reach_the_terminal(tmp_path):
    whole = json.loads(record(tmp_path).read_text())
    (tmp_path / "odd.json").write_text(json.dumps(whole | {"id": "20260101-\x1b[2J", "data": {"labels": "\x07"}}))
    assert all(cell.isprintable() for row in runs.rows_of(runs.read_runs(tmp_path)[0]) for cell in row)


class TestWhatAClassifierWasTrainedOn:
    @pytest.fixture
    def trained(self, tmp_path):
        """Two runs, the later one on pictures of recordings."""
        (tmp_path / "photos").mkdir()
        (tmp_path / "audio").mkdir()
        mark_folder(tmp_path / "images", "pictures", audio_dir=str(tmp_path / "audio"))
        for moment, name in ((1e9, "photos"), (2e9, "images")):
            path = record(tmp_path / "runs", moment=moment)
            arguments = {"image_dir": str(tmp_path / name), "output_model": str(tmp_path / "model")}
            path.write_text(json.dumps(json.loads(path.read_text()) | {"arguments": arguments}))
        return lambda model: runs.trained_on(tmp_path / model, [tmp_path / "none", tmp_path / "runs"], option="--among")

    def test_is_told_by_the_latest_run_whose_data_are_there(self, trained, tmp_path):
        assert trained("model") == tmp_path / "audio"
        (tmp_path / "audio").rmdir()
        assert trained("model") == tmp_path / "images"
        shutil.rmtree(tmp_path / "images")
        assert trained("model") == tmp_path / "photos"

    def test_is_asked_for_where_no_run_tells(self, trained, tmp_path):
        with pytest.raises(InputError, match=r"other was trained on\. Name a folder by --among"):
            trained("other")


def test_without_a_folder_there_is_no_record(tmp_path):
    assert runs.read_runs(tmp_path / "runs") == ([], {})


class TestFindingARun:
    def test_by_the_beginning_of_either_part(self, tmp_path):
        name = record(tmp_path).stem
        for typed in (name, name[:10], name[-8:], name[-8:-3]):
            assert runs.find_run(tmp_path, typed)["id"] == name

    def test_by_something_else_finds_none(self, tmp_path):
        record(tmp_path)
        assert runs.find_run(tmp_path, "nothing") is None
        assert runs.find_run(tmp_path, "") is None

    def test_by_too_little_names_the_candidates(self, tmp_path):
        names = [record(tmp_path, chunk={"accuracy": share}).stem for share in (0.1, 0.2)]
        with pytest.raises(InputError, match=f"2 begin so: .*{names[0]}"):
            runs.find_run(tmp_path, names[0][:8])


contents = st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=8)


@given(contents, st.randoms())
def test_the_fingerprint_of_data_does_not_depend_on_their_order(data, random):
    shuffled = random.sample(data, len(data))
    assert runs.data_digest(data) == runs.data_digest(shuffled)


@given(contents, contents)
def test_other_data_have_another_fingerprint(one, two):
    assert (runs.data_digest(one) == runs.data_digest(two)) == (sorted(one) == sorted(two))


def test_a_stage_that_is_entered_twice_is_counted_twice():
    watch = runs.Stopwatch()
    for _ in range(2):
        with watch.stage("training"):
            pass
    assert list(watch.seconds) == ["training", "total"]
    assert watch.seconds["total"] >= watch.seconds["training"] >= 0


def test_a_row_has_a_dash_for_what_is_not_known():
    row = runs.rows_of([{"started": "2026-01-01T00:00:00+00:00", "scores": {"chunk": {"accuracy": None}}}])[0]
    assert len(row) == len(runs.COLUMNS)
    assert row[:4] == ("-",) * 4
    (wide,) = runs.rows_of([{"started": "2026-01-01T00:00:00+00:00"}], wide=True)
    assert len(wide) == len(runs.WIDE_COLUMNS) and wide[6:] == ("-",) * 8


def test_a_run_keeps_its_report_beside_its_record(tmp_path):
    kept = [record(tmp_path, moment=moment, report=f"<h1>{moment}</h1>") for moment in (1e9, 2e9)]
    without = record(tmp_path, moment=3e9)
    found = {one["id"]: runs.report_of(tmp_path, one) for one in runs.read_runs(tmp_path)[0]}
    assert found[without.stem] is None
    assert [found[path.stem].read_text() for path in kept] == ["<h1>1000000000.0</h1>", "<h1>2000000000.0</h1>"]
    assert found[kept[0].stem] == tmp_path / kept[0].stem / "report.html"


@pytest.mark.parametrize("name", ["", ".", "..", "../other", "/etc"])
def test_a_record_with_another_name_has_no_report(tmp_path, name):
    for folder in (tmp_path / "runs", tmp_path, tmp_path / "other"):
        folder.mkdir(exist_ok=True)
        (folder / "report.html").write_text("<h1>Another</h1>")
    assert runs.report_of(tmp_path / "runs", {"id": name}) is None


class TestScript:
    def run(self, *arguments: object) -> subprocess.CompletedProcess:
        command = [sys.executable, SCRIPTS / "runs.py", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_lists_runs_with_their_scores(self, tmp_path):
        record(tmp_path)
        outcome = self.run("--runs_dir", tmp_path)
        assert outcome.returncode == 0
        assert "100.0%" in outcome.stdout
        assert "efficientnet_lite0" not in outcome.stdout
        wide = self.run("--runs_dir", tmp_path, "--wide").stdout
        assert "efficientnet_lite0" in wide and "98.0%" in wide

    def test_the_table_fits_a_terminal_of_80_columns(self, tmp_path):
        long = {"arguments": {"output_model": f"/home/me/{'very' * 20} long"}, "script": "evaluate.py"}
        path = record(tmp_path)
        path.write_text(json.dumps(json.loads(path.read_text()) | long))
        lines = self.run("--runs_dir", tmp_path).stdout.splitlines()
        assert max(map(len, lines)) <= 80
        assert lines[2].split() == ["kind", "name", "right", "refused", "when", "run"]
        assert "evaluate" in lines[4] and "…" in lines[4]

    def test_lists_the_last_as_json(self, tmp_path):
        for moment in (1e9, 2e9):
            record(tmp_path, moment=moment)
        outcome = self.run("--runs-dir", tmp_path, "--json", "--last", 1)
        assert json.loads(outcome.stdout)["started"].startswith("2033")

    def test_says_what_to_do_when_there_is_none(self, tmp_path):
        outcome = self.run("--runs_dir", tmp_path / "none")
        assert outcome.returncode == 0 and "make train" in outcome.stderr and not outcome.stdout

    def test_reports_a_stray_file_and_fails(self, tmp_path):
        (tmp_path / "stray.json").write_text("{")
        outcome = self.run("--runs_dir", tmp_path)
        assert outcome.returncode == 1 and "stray.json" in outcome.stderr


def test_the_commit_of_a_checkout_is_told_and_whether_files_differ(tmp_path):
    assert runs.commit_of(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "file").write_text("one")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    commit = runs.commit_of(tmp_path)
    assert commit is not None and re.fullmatch("[0-9a-f]{40}", commit)
    (tmp_path / "file").write_text("two")
    assert runs.commit_of(tmp_path) == f"{commit}-dirty"


def test_variables_that_decide_numbers_are_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("SECRET", "hidden")
    written = json.loads(record(tmp_path).read_text())
    assert written["environment"]["OMP_NUM_THREADS"] == "3" and "SECRET" not in written["environment"]

"""The command that evaluates a classifier or compares two evaluations."""

import json
import shutil

import pytest
from conftest import (
    SCRIPTS,
    run_audionet,
    run_python,
)
from scored_examples import LABELS, scored_folder

from audionet.evaluation import comparison
from audionet.evaluation.evaluate import evaluate
from audionet.evaluation.runs import read_runs, report_of


class TestEvaluateCommand:
    def test_prints_a_table_and_writes_the_evaluation(self, saved, spoken, tmp_path):
        outcome = run_python(
            *(SCRIPTS / "evaluate.py", "--model", saved / "retrained_model", "--audio-dir", spoken),
            *("--json", tmp_path / "evaluation.json", "--report", tmp_path / "report.html"),
            *("--runs_dir", tmp_path / "runs"),
        )
        assert outcome.returncode == 0, outcome.stderr
        assert "</html>" in (tmp_path / "report.html").read_text() and "report.html" in outcome.stdout
        assert "of 6 recordings named right" in outcome.stdout and "balanced accuracy" in outcome.stdout
        evaluation = json.loads((tmp_path / "evaluation.json").read_text())
        assert evaluation["recording"]["n"] == 6
        (record,) = read_runs(tmp_path / "runs")[0]
        assert record["scores"]["recording"] == evaluation["recording"]
        assert report_of(tmp_path / "runs", record).read_text() == (tmp_path / "report.html").read_text()
        assert record["data"]["fingerprint"] == evaluation["data"]["fingerprint"]
        assert comparison.compare_named(record["id"], record["id"], runs_dir=tmp_path / "runs")["recordings"] == 6

    def test_a_number_below_its_limit_has_a_status_of_its_own(self, saved, spoken, tmp_path, capsys):
        arguments = [*("--model", saved / "retrained_model", "--audio_dir", spoken), "--runs_dir", tmp_path / "runs"]
        assert run_audionet("evaluate", *arguments, "--fail_below", "recording.accuracy=0", "chunk.n=6") == 0
        assert run_audionet("evaluate", *arguments, "--fail_below", "recording.accuracy=1.01", "chunk.n=1") == 3
        assert "Failed: recording.accuracy is 1, below 1.01." in capsys.readouterr().err
        assert run_audionet("evaluate", *arguments, "--fail_below", "recording.acuracy=1") == 2
        assert "there are recording.n, recording.accuracy" in capsys.readouterr().err
        assert run_audionet("evaluate", "--audio_dir", spoken, "--fail_below", "accuracy") == 2

    def test_fails_for_a_bad_recording_and_scores_the_others(self, saved, spoken, tmp_path):
        folder = shutil.copytree(spoken, tmp_path / "audio")
        (folder / "alice" / "broken.mp3").write_bytes(b"no sound")
        outcome = run_python(
            SCRIPTS / "evaluate.py",
            *("--model", saved / "retrained_model", "--audio_dir", folder, "--runs_dir", tmp_path / "runs"),
        )
        assert outcome.returncode == 1
        assert "alice/broken.mp3" in outcome.stderr and "of 6 recordings" in outcome.stdout

    def test_compares_two_evaluations(self, tmp_path):
        for name, wrong in (("a", 4), ("b", 0)):
            (tmp_path / f"{name}.json").write_text(json.dumps(evaluate(scored_folder(wrong=wrong), LABELS)))
        outcome = run_python(SCRIPTS / "evaluate.py", "--compare", tmp_path / "a.json", tmp_path / "b.json")
        assert outcome.returncode == 0 and "A is right about 8 and B about 12" in outcome.stdout

    @pytest.mark.parametrize(
        "arguments", [(), ("--audio_dir", "a", "--image_dir", "b"), ("--image_dir", "b", "--sweep")]
    )
    def test_refuses_what_it_cannot_do(self, arguments):
        outcome = run_python(SCRIPTS / "evaluate.py", *arguments)
        assert outcome.returncode == 2 and "Error" in outcome.stderr

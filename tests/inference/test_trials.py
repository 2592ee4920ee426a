"""Trials of a list, scored: rates, files, what is set aside, and normalisation by a cohort."""

import csv
import json
import re
import shutil
from itertools import combinations

import numpy as np
import pytest
from conftest import SPEAKERS, run_audionet, voice, write_sound

from audionet.inference.score_normalisation import nearest_statistics
from audionet.models.classifier import Classifier


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """Three clips a speaker, in folders below a root."""
    root = tmp_path_factory.mktemp("heard")
    for place, speaker in enumerate(SPEAKERS):
        for number in range(3):
            write_sound(root / speaker / "day one" / f"{number}.wav", voice(speaker, seed=900 + 10 * place + number))
    return root


def names_in(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.wav"))


@pytest.fixture
def trials(heard, tmp_path):
    """A list of every pair of the clips."""
    path = tmp_path / "trials.txt"
    pairs = combinations(names_in(heard), 2)
    path.write_text("".join(f"{int(a.split('/')[0] == b.split('/')[0])}\t{a}\t{b}\n" for a, b in pairs))
    return path


def verify(trials, root, model, *more: object) -> int:
    return run_audionet("verify", "--trials", trials, "--audio_dir", root, "--model", model, *more)


def rows_of(path, delimiter=","):
    with open(path, newline="") as table:
        return list(csv.DictReader(table, delimiter=delimiter))


def test_a_list_gives_rates_scores_and_a_json_object(trials, heard, model, tmp_path, capsys):
    out, scores = tmp_path / "out.json", tmp_path / "scores.csv"
    assert verify(trials, heard, model, "--json", out, "--output", scores) == 0
    said = capsys.readouterr().out
    assert "Equal error rate" in said and "36 trials" in said
    found = json.loads(out.read_text())
    assert found["n_target"] == 9 and found["n_nontarget"] == 27 and found["speakers"] == 3
    assert 0 <= found["eer"] <= 1 and set(found["min_dcf"]) == {"0.01", "0.001"}
    assert found["det"]["false_accepts"] and found["missing"] == [] and found["failures"] == {}
    assert found["model"] == Classifier.load(model).fingerprint
    rows = rows_of(scores)
    assert len(rows) == 36 and rows[0]["first"] == "alice/day one/0.wav"
    same, other = ([float(row["score"]) for row in rows if row["same"] == kind] for kind in "10")
    assert np.mean(same) > np.mean(other)


def test_a_pair_scores_as_it_does_by_itself(trials, heard, model, tmp_path, capsys):
    scores = tmp_path / "scores.tsv"
    assert verify(trials, heard, model, "--output", scores) == 0
    row = rows_of(scores, "\t")[5]
    capsys.readouterr()
    assert run_audionet("verify", heard / row["first"], heard / row["second"], "--model", model, "--json") == 0
    alone = json.loads(capsys.readouterr().out)["probability"]
    assert float(row["probability"]) == pytest.approx(alone, abs=1e-6)
    assert 1 / (1 + np.exp(-float(row["score"]))) == pytest.approx(alone, abs=1e-6)


def test_each_file_is_embedded_once(trials, heard, model, monkeypatch):
    seen = []
    chunk_bottlenecks = Classifier.chunk_bottlenecks
    monkeypatch.setattr(
        Classifier, "chunk_bottlenecks", lambda self, path: seen.append(path) or chunk_bottlenecks(self, path)
    )
    assert verify(trials, heard, model, "--jobs", 2) == 0
    assert sorted(seen) == sorted(heard / name for name in names_in(heard))


def test_missing_and_broken_files_are_set_aside_and_the_others_go_on(trials, heard, model, tmp_path, capsys):
    root = shutil.copytree(heard, tmp_path / "root")
    (root / "bob" / "day one" / "0.wav").unlink()
    (root / "carol" / "day one" / "1.wav").write_text("no sound")
    out, scores = tmp_path / "out.json", tmp_path / "scores.csv"
    assert verify(trials, root, model, "--json", out, "--output", scores) == 1
    reasons = capsys.readouterr().err
    assert "1 of 9 files is not there: bob/day one/0.wav (line 3)" in reasons
    assert "carol/day one/1.wav" in reasons and "15 of 36 trials" in reasons
    found = json.loads(out.read_text())
    assert found["missing"] == ["bob/day one/0.wav"] and list(found["failures"]) == ["carol/day one/1.wav"]
    assert found["n_target"] + found["n_nontarget"] == 21 and found["set_aside"] == 15
    rows = rows_of(scores)
    assert len(rows) == 36 and sum(row["score"] == "" and row["error"] != "" for row in rows) == 15


def test_where_no_trial_can_be_scored_that_is_said(trials, model, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert verify(trials, tmp_path / "empty", model) == 2
    assert "none of the 36 trials" in capsys.readouterr().err


def test_a_wrong_line_stops_everything_before_the_work(trials, heard, model, tmp_path, capsys):
    trials.write_text(trials.read_text() + "1 ../a.wav b.wav\n")
    assert verify(trials, heard, model, "--json", tmp_path / "out.json") == 2
    assert "line 37 of" in capsys.readouterr().err and not (tmp_path / "out.json").exists()


def test_a_file_compared_with_itself_is_said(heard, model, tmp_path, capsys):
    trials = tmp_path / "trials.txt"
    name, other = names_in(heard)[0], names_in(heard)[4]
    trials.write_text(f'1 "{name}" "{name}"\n0 "{name}" "{other}"\n')
    assert verify(trials, heard, model) == 0
    assert "1 trial compares a file with itself" in capsys.readouterr().err


def test_a_clip_of_half_a_second_is_compared_with_a_warning(heard, model, tmp_path, capsys):
    root = shutil.copytree(heard, tmp_path / "root")
    write_sound(root / "bob" / "short.wav", voice("bob", seed=5, seconds=0.5))
    trials = tmp_path / "trials.txt"
    trials.write_text('1 bob/short.wav "bob/day one/0.wav"\n0 bob/short.wav "alice/day one/0.wav"\n')
    assert verify(trials, root, model) == 0
    out, said = capsys.readouterr()
    assert "2 trials" in out and "short.wav is 0.5 s long" in said


def test_a_cohort_normalises_the_scores(trials, heard, model, speakers, tmp_path, capsys):
    plain, normal = tmp_path / "plain.csv", tmp_path / "normal.csv"
    assert verify(trials, heard, model, "--output", plain) == 0
    out = tmp_path / "out.json"
    assert verify(trials, heard, model, "--output", normal, "--cohort", speakers, "--json", out) == 0
    assert "small" in capsys.readouterr().err  # three speakers say little
    before, after = (rows_of(path) for path in (plain, normal))
    assert [row["probability"] for row in before] == [row["probability"] for row in after]
    assert [row["score"] for row in before] != [row["score"] for row in after]
    assert json.loads(out.read_text())["cohort"] == {"speakers": 3, "recordings": 15, "top_n": 3}


def test_a_cohort_that_holds_the_speakers_themselves_is_used_without_them(trials, heard, model, tmp_path):
    aside, within = tmp_path / "aside.csv", tmp_path / "within.csv"
    others = shutil.copytree(heard, tmp_path / "others")
    assert verify(trials, heard, model, "--output", within, "--cohort", heard) == 0
    assert verify(trials, heard, model, "--output", aside, "--cohort", others) == 0
    assert within.read_text() != aside.read_text()


def test_adaptive_normalisation_is_that_of_the_nearest_of_the_cohort():
    scores = np.array([[1.0, 2.0, 3.0, 10.0], [0.0, 0.0, 4.0, 8.0]])
    means, deviations = nearest_statistics(scores, top_n=2)
    assert means == pytest.approx([6.5, 6.0]) and deviations == pytest.approx([3.5, 2.0])


@pytest.mark.parametrize("kind", ["empty", "one", "file"])
def test_a_cohort_of_less_than_two_speakers_is_refused(kind, trials, heard, model, tmp_path, capsys):
    cohort = tmp_path / "cohort"
    if kind == "file":
        cohort.write_text("")
    else:
        cohort.mkdir()
    if kind == "one":
        shutil.copytree(heard / "bob", cohort / "bob")
    assert verify(trials, heard, model, "--cohort", cohort) == 2
    assert "--cohort" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--trials", "list.txt"],
        ["--trials", "list.txt", "--audio_dir", "root", "a.wav", "b.wav"],
        ["a.wav", "b.wav", "--audio_dir", "root"],
        ["a.wav", "b.wav", "--json", "out.json"],
        ["a.wav", "b.wav", "--output", "scores.csv"],
        ["--trials", "list.txt", "--audio_dir", "root", "--output", "scores.xls"],
        ["--trials", "list.txt", "--audio_dir", "root", "--top_n", "50"],
        ["--trials", "list.txt", "--audio_dir", "root", "--top_n", "1", "--cohort", "root"],
        ["a.wav"],
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments, capsys):
    assert run_audionet("verify", *arguments) == 2
    assert re.search("--|two clips", capsys.readouterr().err)


def test_a_list_can_be_printed_as_json(trials, heard, model, capsys):
    assert verify(trials, heard, model, "--json") == 0
    assert json.loads(capsys.readouterr().out)["n_target"] == 9

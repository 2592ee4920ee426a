import csv
import os
import shutil
from pathlib import Path

import pytest
from conftest import load_fake, run_audionet, write_speakers

from audionet.data.verdicts import VERDICTS_NAME, read_verdicts
from audionet.models.classifier import Classifier


@pytest.fixture
def fake_network(monkeypatch):
    """Let training find a network without weights."""
    monkeypatch.setattr("audionet.models.backbones.backbone.load_backbone", load_fake)
    monkeypatch.setattr("audionet.training.trainer.candidate_bottlenecks", lambda *_, **__: ("rows",))


@pytest.fixture
def mislabelled(speakers, tmp_path) -> Path:
    """The recordings of `speakers`, one of alice's among bob's."""
    audio_dir = Path(shutil.copytree(speakers, tmp_path / "audio"))
    (audio_dir / "alice" / "2.mp3").rename(audio_dir / "bob" / "wrong.mp3")
    return audio_dir


def read_list(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_list(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_from_a_list_of_suspects_to_training_that_obeys(mislabelled, tmp_path, fake_network, capsys):
    before = {path: path.stat().st_mtime_ns for path in mislabelled.rglob("*.mp3")}
    suspects = tmp_path / "suspects.csv"
    places = [f"--audio_dir={mislabelled}", f"--bottleneck_dir={tmp_path / 'cache'}"]
    assert run_audionet("suspects", *places, f"--csv={suspects}", f"--report={tmp_path / 'page.html'}") == 0
    printed = capsys.readouterr().out
    assert "1 recording of 15 may have a wrong label." in printed
    rows = read_list(suspects)
    assert (rows[0]["recording"], rows[0]["label"], rows[0]["suggested"]) == ("bob/wrong.mp3", "bob", "alice")
    assert len(rows) == 15 and float(rows[0]["score"]) > 0.5 > float(rows[1]["score"])
    page = (tmp_path / "page.html").read_text()
    assert "bob/wrong.mp3" in page and "<audio" in page and "data:image/jpeg" in page

    rows[0]["verdict"], rows[1]["verdict"] = "relabel", "keep"
    write_list(suspects, [*rows, {**rows[0], "recording": "bob/gone.mp3"}])
    assert run_audionet("suspects", *places, f"--verdicts={suspects}") == 1
    captured = capsys.readouterr()
    assert (
        "2 verdicts taken down, 2 in all" in captured.out and "Set aside: bob/gone.mp3: it is not below" in captured.err
    )
    assert {one.verdict for one in read_verdicts(mislabelled)[0].values()} == {"relabel", "keep"}

    outputs = [
        f"--{name}={tmp_path / name}" for name in ("output_model", "output_graph", "output_labels", "summaries_dir")
    ]
    places = [f"--image_dir={mislabelled}", f"--bottleneck_dir={tmp_path / 'cache'}", f"--runs_dir={tmp_path / 'runs'}"]
    report = tmp_path / "report.html"
    trained = run_audionet(
        "train", *places, *outputs, f"--report={report}", "--head=lda", "--views=0", "--members=single"
    )
    assert trained == 0
    assert "Verdicts of people on labels that were obeyed, by recording: 1 keep, 1 relabel." in report.read_text()
    assert Classifier.load(tmp_path / "output_model").score(mislabelled / "bob" / "wrong.mp3").nearest_label == "alice"
    after = {path: path.stat().st_mtime_ns for path in mislabelled.rglob("*.mp3")}
    assert after == before, "recordings are never touched"
    assert sorted(os.listdir(mislabelled)) == ["alice", VERDICTS_NAME, "bob", "carol"]


def test_what_cannot_be_judged_or_taken_down_is_said_in_a_sentence(tmp_path, speakers, fake_network, capsys):
    assert run_audionet("suspects", f"--audio_dir={tmp_path / 'none'}") == 2
    assert "expected a folder with one subfolder a label" in capsys.readouterr().err
    (tmp_path / "list.csv").write_text("recording,verdict\nalice/0.mp3,\n")
    assert run_audionet("suspects", f"--audio_dir={speakers}", f"--verdicts={tmp_path / 'list.csv'}") == 0
    assert "No verdict was taken down" in capsys.readouterr().err
    arguments = ["--verdicts", tmp_path / "list.csv", "--csv", tmp_path / "other.csv"]
    assert run_audionet("suspects", *arguments) == 2
    assert "leave --csv and --report away" in capsys.readouterr().err
    lonely = write_speakers(tmp_path / "lonely", recordings=1, seconds=2.0)
    assert run_audionet("suspects", f"--audio_dir={lonely}", f"--bottleneck_dir={tmp_path / 'cache'}") == 0
    captured = capsys.readouterr()
    assert "0 recordings of 0" in captured.out and "alice, bob, carol" in captured.err

import csv
import threading
from pathlib import Path

import pytest
from conftest import load_fake, run_audionet, voice, write_sound, write_speakers

from audionet.data.verdicts import read_verdicts
from audionet.experiments.review import take_verdicts


@pytest.fixture
def fake_network(monkeypatch):
    """Let training find a network without weights."""
    monkeypatch.setattr("audionet.models.backbones.backbone.load_backbone", load_fake)
    monkeypatch.setattr("audionet.training.trainer.candidate_bottlenecks", lambda *_, **__: ("rows",))


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """Recordings with a label, and some without."""
    labelled = write_speakers(tmp_path / "labelled", recordings=2)
    for number, speaker in enumerate(("alice", "bob", "carol") * 2):
        write_sound(tmp_path / "new" / "monday" / f"{number}.wav", voice(speaker, seed=500 + number, seconds=4.0))
    return labelled, tmp_path / "new"


def test_from_picks_over_verdicts_to_training_data_and_the_next_round(folders, tmp_path, fake_network, capsys):
    labelled, new = folders
    before = {path: path.read_bytes() for path in new.rglob("*.wav")}
    places = [new, f"--audio_dir={labelled}", f"--bottleneck_dir={tmp_path / 'cache'}"]
    outputs = [f"--csv={tmp_path / 'review.csv'}", f"--report={tmp_path / 'page.html'}"]
    assert run_audionet("review", *places, *outputs, "--count=3") == 0
    printed = capsys.readouterr().out
    assert "6 recordings with a label" in printed and "6 recordings without a verdict, of which 3 are picked" in printed
    with (tmp_path / "review.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["recording"] for row in rows}) == 3
    assert all((new / row["recording"]).is_file() for row in rows)
    page = (tmp_path / "page.html").read_text()
    assert "<audio" in page and "data:image/jpeg" in page and rows[0]["recording"] in page
    right = {f"monday/{number}.wav": name for number, name in enumerate(("alice", "bob", "carol") * 2)}
    assert [row["suggested"] for row in rows] == [right[row["recording"]] for row in rows]

    rows[0]["verdict"], rows[1]["verdict"], rows[2]["verdict"] = "keep", "leave out", "relabel"
    gone = {**rows[0], "recording": "monday/gone.wav"}
    with (tmp_path / "review.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows([*rows, gone])
    assert run_audionet("review", *places, f"--verdicts={tmp_path / 'review.csv'}") == 1
    captured = capsys.readouterr()
    assert "3 verdicts taken down" in captured.out and "monday/gone.wav: it is not below" in captured.err
    assert (labelled / rows[0]["suggested"] / rows[0]["recording"]).is_file()
    assert not list(labelled.rglob(Path(rows[1]["recording"]).name)) or rows[1]["recording"] not in {
        path.relative_to(labelled / path.relative_to(labelled).parts[0]).as_posix() for path in labelled.rglob("*.wav")
    }

    assert run_audionet("review", *places, *outputs, "--count=9") == 0
    printed = capsys.readouterr().out
    assert "8 recordings with a label" in printed and "3 recordings without a verdict, of which 3" in printed
    assert "Score over rounds" in (tmp_path / "page.html").read_text()
    assert {path: path.read_bytes() for path in new.rglob("*.wav")} == before, "recordings are never touched"


def rows_for(names: list[str], label: str) -> list[dict[str, str]]:
    return [{"recording": name, "verdict": "relabel", "suggested": label} for name in names]


def test_two_who_review_at_once_lose_nothing(folders):
    labelled, new = folders
    names = [f"monday/{number}.wav" for number in range(6)]
    faults: list[list[str]] = [[], []]
    both = [
        threading.Thread(target=take_verdicts, args=(new, labelled, rows_for(names[of::2], "alice"), faults[of]))
        for of in (0, 1)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert faults == [[], []] and set(read_verdicts(new)[0]) == set(names)
    assert len(list((labelled / "alice" / "monday").glob("*.wav"))) == 6


def test_the_first_verdict_stays_and_who_decides_otherwise_is_told(folders):
    labelled, new = folders
    faults: list[str] = []
    assert take_verdicts(new, labelled, rows_for(["monday/0.wav"], "alice"), faults) == 1
    assert take_verdicts(new, labelled, rows_for(["monday/0.wav"], "alice"), faults) == 1
    assert take_verdicts(new, labelled, rows_for(["monday/0.wav"], "bob"), faults) == 0
    assert faults == ["monday/0.wav: somebody has decided otherwise already (alice)"]
    assert take_verdicts(new, labelled, rows_for(["monday/1.wav"], "dave"), faults) == 0
    assert "there is no label dave; make a folder of that name" in faults[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Expected a folder of recordings without a label"),
        (("nowhere",), "FOLDER: expected a folder"),
        (("{new}", "--audio_dir=nowhere"), "--audio_dir: expected a folder"),
        (("{new}", "--csv=a.csv", "--verdicts=b.csv"), "--verdicts takes verdicts down"),
        (("{new}", "--audio_dir={labelled}", "--verdicts={new}/monday/0.wav"), "--verdicts"),
    ],
)
def test_what_cannot_be_reviewed_is_said_in_a_sentence(arguments, words, folders, fake_network, capsys):
    labelled, new = folders
    assert run_audionet("review", *(one.format(new=new, labelled=labelled) for one in arguments)) == 2
    assert words in capsys.readouterr().err

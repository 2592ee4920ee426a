import json
import shutil
import sys
from pathlib import Path

import pytest
from conftest import load_fake, run_audionet, write_speakers

from audionet.errors import WeightsError


@pytest.fixture
def fake_network(monkeypatch):
    """Let training find a network without weights; `inception_v3` cannot be had."""

    def load(architecture, **more):
        if architecture == "inception_v3":
            raise WeightsError("There are no weights of inception_v3 in a test.")
        return load_fake(architecture, **more)

    monkeypatch.setattr("audionet.models.backbones.backbone.load_backbone", load)
    monkeypatch.setattr("audionet.training.trainer.candidate_bottlenecks", lambda *_, **__: ("rows",))


@pytest.fixture
def experiment(tmp_path, speakers, fake_network):
    """Run a grid, and return the status and the summary."""

    def experiment(text: str, *arguments: object, audio_dir: Path = speakers) -> tuple[int, dict]:
        (tmp_path / "grid.toml").write_text(text)
        places = [f"--{name}={tmp_path / name}" for name in ("output_dir", "bottleneck_dir")]
        status = run_audionet("experiment", tmp_path / "grid.toml", f"--audio_dir={audio_dir}", *places, *arguments)
        summary = tmp_path / "output_dir" / "grid.json"
        return status, json.loads(summary.read_text()) if summary.exists() else {}

    return experiment


GRID = 'head = "lda"\npicture = ["log_mel", "pcen"]\nmembers = "single"\nviews = 0\nfolds = 2\n'


def test_a_grid_becomes_a_table_and_a_page(experiment, tmp_path, capsys):
    status, summary = experiment(GRID)
    printed = capsys.readouterr().out
    assert status == 0 and len(summary["cells"]) == 2
    for cell in summary["cells"]:
        assert cell["scores"]["recording"]["n"] == 15
        assert min(cell["train_seconds"], cell["score_ms"], cell["size_bytes"]) > 0
    page = (tmp_path / "output_dir" / "grid.html").read_text()
    assert summary["verdict"][0] in printed and "pcen" in printed
    assert "<svg" in page and "Every cell" in page and '<p class="kind">Experiment</p>' in page
    assert len((tmp_path / "output_dir" / "grid.csv").read_text().splitlines()) == 3


def test_all_cells_are_scored_on_the_same_recordings_and_seeds_repeat_them(experiment):
    grid = 'head = ["lda", "ridge"]\nmembers = "single"\nviews = 0\nfolds = 2\nrandom_seed = [0, 1]\n'
    _, summary = experiment(grid)
    (compared,) = [cell["against_baseline"] for cell in summary["cells"] if "against_baseline" in cell]
    assert (compared["recordings"], compared["groups"]) == (30, 15)
    assert (compared["only_a_has"], compared["only_b_has"]) == (0, 0)


def test_folds_are_the_same_whatever_was_remembered_beside_pictures(experiment, monkeypatch):
    tested = []
    from audionet.experiments import cells

    def watched(trainer, *, holdout):
        known = trainer.data.select("training", "validation", views=False)
        tested.append({one.recording: int(fold) for one, fold in zip(known.pictures(), known.folds, strict=True)})
        return models_of_folds(trainer, holdout=holdout)

    models_of_folds = cells.models_of_folds
    monkeypatch.setattr(cells, "models_of_folds", watched)
    experiment(GRID)
    assert len(tested) == 2 and all(one == tested[0] for one in tested)


def test_what_is_done_is_not_done_again(experiment, tmp_path, monkeypatch, capsys):
    _, first = experiment(GRID)
    kept = sorted((tmp_path / "output_dir" / "cells").glob("*.json"))
    kept = [path for path in kept if path.name != "audionet.json"]
    assert len(kept) == 2
    kept[0].unlink()
    kept[1].write_text(kept[1].read_text().replace('"accuracy": ', '"accuracy": 0'))
    trained = []
    from audionet.training.trainer import Trainer

    whole = Trainer.train
    monkeypatch.setattr(Trainer, "train", lambda self, *args, **more: trained.append(1) or whole(self, *args, **more))
    status, second = experiment(GRID)
    assert status == 0 and len(trained) == 2 * 2
    assert "the cell is run again" in capsys.readouterr().err
    for one, other in zip(first["cells"], second["cells"], strict=True):
        assert one["scores"] == other["scores"]


def test_other_recordings_are_scored_anew(experiment, tmp_path, speakers):
    audio_dir = Path(shutil.copytree(speakers, tmp_path / "audio"))
    _, first = experiment(GRID, audio_dir=audio_dir)
    (audio_dir / "bob" / "0.mp3").unlink()
    _, second = experiment(GRID, audio_dir=audio_dir)
    assert first["cells"][0]["scores"]["recording"]["n"] == 15
    assert second["cells"][0]["scores"]["recording"]["n"] == 14


def test_a_cell_that_fails_is_named_and_the_others_go_on(experiment, tmp_path, capsys):
    status, summary = experiment(
        'architecture = ["efficientnet_lite0", "inception_v3"]\nmembers = "single"\nviews = 0\n'
    )
    assert status == 1
    assert "Failed: architecture inception_v3: There are no weights" in capsys.readouterr().err
    assert [cell["name"] for cell in summary["cells"]] == ["architecture efficientnet_lite0"]
    assert "no weights of inception_v3" in (tmp_path / "output_dir" / "grid.html").read_text()


def test_a_recording_that_cannot_be_read_is_named_once_and_the_status_tells(experiment, tmp_path, capsys):
    audio_dir = write_speakers(tmp_path / "audio", recordings=5, seconds=2.0)
    (audio_dir / "bob" / "text.mp3").write_text("no sound")
    status, summary = experiment(GRID, audio_dir=audio_dir)
    assert status == 1 and list(summary["unreadable"]) == ["bob/text.mp3"]
    assert capsys.readouterr().err.count("Set aside: bob/text.mp3") == 1


def test_too_few_recordings_for_the_folds_are_refused_before_anything_is_drawn(experiment, tmp_path, capsys):
    audio_dir = write_speakers(tmp_path / "audio", recordings=1, seconds=2.0)
    status, _ = experiment(GRID, audio_dir=audio_dir)
    assert status == 2
    assert "Too few recordings to hold any out" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.jpg"))


def test_cells_that_mean_the_same_are_named_and_run_once(experiment, capsys):
    status, summary = experiment('head = "lda"\nl2 = [0.0, 0.1]\nmembers = "single"\nviews = 0\nfolds = 2\n')
    assert status == 0 and [cell["same_as"] for cell in summary["cells"]] == [["l2 0.1"]]
    assert "Note: l2 0.1 means the same as l2 0.0" in capsys.readouterr().err


def test_cells_share_heads_and_data_and_score_as_they_do_alone(experiment, tmp_path, monkeypatch):
    fitted, gathered = [], []
    from audionet.training import head_fitting, trainer

    def noting(fitter, samples, on_step):
        fitted.append((fitter.trainer, len(samples)))
        return really_fitted(fitter, samples, on_step)

    def noting_data(*arguments, **options):
        gathered.append(1)
        return really_gathered(*arguments, **options)

    really_fitted, really_gathered = head_fitting.HeadFitter._fitted, trainer.gather_training_data
    monkeypatch.setattr(head_fitting.HeadFitter, "_fitted", noting)
    monkeypatch.setattr(trainer, "gather_training_data", noting_data)
    common = 'members = "single"\nviews = 0\nfolds = 2\n'
    _, alone = experiment(f'head = "ridge"\n{common}')
    once = len(fitted)
    _, both = experiment(f'head = ["ridge", "lda"]\nfalse_accept_rate = [0.05, 0.1]\n{common}')
    assert len(fitted) == once + 2 * once  # ridge again, as it is another run, and lda, each for both rates
    assert len(gathered) == 2
    assert both["cells"][0]["scores"] == alone["cells"][0]["scores"]
    ridge = [cell for cell in both["cells"] if cell["options"]["head"] == "ridge"]
    assert ridge[1]["train_seconds"] > ridge[0]["train_seconds"] / 10  # what was spared is counted


def test_a_search_scores_recordings_that_no_choice_has_seen(experiment, tmp_path, monkeypatch, capsys):
    pytest.importorskip("optuna")
    from audionet.training.trainer import Trainer

    used = []
    train = Trainer.train

    def watched(trainer, data, **more):
        names = {split: {one.recording for one in data.select(split).pictures()} for split in ("training", "testing")}
        used.append({**names, "validation": {one.recording for one in data.select("validation").pictures()}})
        return train(trainer, data, **more)

    monkeypatch.setattr(Trainer, "train", watched)
    status, _ = experiment(
        'head = ["lda", "ridge", "prototypes"]\nmembers = "single"\nviews = 0\nfolds = 3\n', "--search=4"
    )
    assert status == 0
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "output_dir" / "grid_search.json").read_text())
    assert "which no choice has seen" in printed and len(found["chosen"]) == 3
    assert found["scores"]["recording"]["n"] == 15
    finals = [one for one in used if one["validation"]]
    assert len(finals) == 3 and len(set.union(*(one["testing"] for one in finals))) == 15
    begin = 0
    for final in finals:  # what is tested in a fold was in none of the trainings by which its cell was chosen
        end = used.index(final)
        assert used[begin:end]
        for tried in used[begin:end]:
            assert not final["testing"] & (tried["training"] | tried["testing"])
        begin = end + 1


def test_without_optuna_a_search_says_what_to_type(experiment, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    status, _ = experiment(GRID, "--search=4")
    assert status == 2 and "pip install './scripts[search]'" in capsys.readouterr().err

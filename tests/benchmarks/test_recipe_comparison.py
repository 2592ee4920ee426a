"""The comparison of recipes, with recipes that are done in a moment."""

from dataclasses import replace

import pytest
from conftest import names_below

from audionet.data.dataset import read_dataset
from audionet.features import recipes
from audionet.tables import markdown, print_tables
from benchmarks import recipe_comparison
from benchmarks.options import RecipesOptions


@pytest.fixture
def quick(monkeypatch):
    """Two recipes that are done in a moment."""
    for name in ("cnvrg", "simple_audio"):
        short = recipes.find_recipe(name)
        training = {**short.training, "epochs": 1, "steps_per_epoch": 2, "image_size": 16}
        monkeypatch.setitem(recipes.RECIPES, name, replace(short, training=training))
    return ["cnvrg", "simple_audio"]


@pytest.fixture
def result(quick, speakers, tmp_path):
    options = RecipesOptions(recipes=",".join(quick), test=r"^[04]\.", output_dir=tmp_path / "bench")
    return recipe_comparison.compare(speakers, options)


def test_every_recipe_is_tested_on_the_same_recordings(result, quick, tmp_path):
    assert [row["name"] for row in result["recipes"]] == quick
    assert (result["trained_on"], result["recordings"], result["labels"]) == (9, 6, ["alice", "bob", "carol"])
    for row in result["recipes"]:
        assert row["recording"]["n"] == 6 and row["chunk"]["n"] == 24
        assert row["training_seconds"] > row["seconds_per_recording"] > 0
        assert 10_000 < row["size_bytes"] < 10_000_000
    assert not names_below(tmp_path / "bench")


def test_a_result_is_a_table(result, capsys):
    tables, introduction = recipe_comparison.tables(result), recipe_comparison.introduction(result)
    print_tables(tables, introduction)
    shown = capsys.readouterr().out
    assert "simple_audio from scratch" in shown and "9 recordings trained on, 6 others tested" in shown
    assert markdown(tables, introduction).count("\n| ") == 4


def test_by_default_a_fifth_of_the_groups_is_held_out(drawn, tmp_path):
    dataset = read_dataset(drawn, tmp_path / "pictures.sqlite")
    assert len(recipe_comparison._held_out(dataset, None, 0)) == 3


def test_a_recipe_trains_as_it_says_on_all_that_is_not_tested():
    settings = recipe_comparison._settings(recipes.find_recipe("efficientnet"), group_by="folder", seed=3)
    assert settings.whole.steps_per_epoch == 100 and settings.whole.epochs == 10
    assert settings.holdout.testing_percentage == 0
    assert (settings.holdout.group_by, settings.holdout.random_seed) == ("folder", 3)

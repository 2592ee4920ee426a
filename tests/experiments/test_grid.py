import pytest

from audionet.errors import InputError
from audionet.experiments.grid import MOST_CELLS, grid_of, read_grid


def written(tmp_path, text: str):
    path = tmp_path / "grid.toml"
    path.write_text(text)
    return path


def test_a_list_gives_a_cell_for_each_value_and_a_single_value_holds_for_all(tmp_path):
    grid = read_grid(written(tmp_path, 'head = ["lda", "ridge"]\nviews = [0, 2]\nfolds = 3\n'))
    assert [cell.name for cell in grid.cells] == [
        *("head lda, views 0", "head lda, views 2"),
        *("head ridge, views 0", "head ridge, views 2"),
    ]
    assert grid.varied == ("head", "views") and grid.fixed == {"folds": 3} and grid.baseline == "head lda, views 0"
    assert {cell.settings.holdout.folds for cell in grid.cells} == {3}
    assert [cell.settings.holdout.views for cell in grid.cells] == [0, 2, 0, 2]


def test_all_that_is_wrong_is_named_at_once(tmp_path):
    text = (
        'colour = 3\nheads = "lda"\nhead = ["lda", "forest", "lda"]\nviews = [4, -1, true]\ntest_dir = "/"\n'
        'background = "none"\nfolds = [3, 4]\narchitecture = "alexnet"\nchunk_seconds = []\nmembers = "nobody"\n'
    )
    with pytest.raises(InputError) as raised:
        read_grid(written(tmp_path, text))
    message = str(raised.value)
    for part in (
        *("Nothing was begun", "colour: there is no such option", "did you mean head?", "received 'forest'"),
        *("'lda' is there twice", "views: expected 0 to 100, received -1", "received True"),
        "background: it has no part in which label is named",
        *("test_dir: cells are scored by cross-validation", "folds: it must be the same for all cells"),
        *("alexnet", "chunk_seconds: expected a value"),
    ):
        assert part in message


def test_members_that_cannot_be_are_named_before_anything_runs(tmp_path):
    with pytest.raises(InputError, match="expected each member once"):
        read_grid(written(tmp_path, 'members = ["single", "voice_encoder + voice_encoder"]\n'))


@pytest.mark.parametrize("text", ["head = [", "\udcff", "head = \x00"])
def test_what_is_no_toml_is_refused_by_name(tmp_path, text):
    path = tmp_path / "grid.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"grid.toml cannot be read as TOML"):
        read_grid(path)
    with pytest.raises(InputError, match=r"nowhere.toml cannot be read"):
        read_grid(tmp_path / "nowhere.toml")


def test_cells_that_mean_the_same_are_one_and_named():
    grid = grid_of({"head": ["lda", "softmax"], "l2": [0.0, 0.01], "members": "single"})
    assert [(cell.name, cell.same_as) for cell in grid.cells] == [
        ("head lda, l2 0.0", ("head lda, l2 0.01",)),
        ("head softmax, l2 0.0", ()),
        ("head softmax, l2 0.01", ()),
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"picture": ["log_mel", "pcen"], "recipe": ["default"]},
        {"members": ["single", "pair"]},
        {"views": [0, 4]},
        {"architecture": ["efficientnet_lite0", "inception_v3"]},
        {"false_accept_rate": [0.01, 0.05]},
        {"hidden_units": [0, 64], "head": "softmax"},
    ],
)
def test_cells_that_differ_in_what_has_an_effect_are_all_kept(options):
    assert len(grid_of(options).cells) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"members": ["single", "efficientnet_lite0", "efficientnet_lite0:log_mel"]},
        {"chunk_seconds": [2.0, 2]},
        {"dropout": [0.1, 0.5]},
        {"epochs": [5, 10]},
        {"head": ["lda", "ridge"], "network": "cnvrg"},
    ],
)
def test_what_has_no_effect_makes_no_other_cell(options):
    try:
        assert len(grid_of(options).cells) == 1
    except InputError as error:  # 2.0 and 2 are the same value
        assert "is there twice" in str(error)


def test_the_baseline_may_be_chosen_and_stays_where_another_means_the_same():
    grid = grid_of({"head": ["softmax", "lda"], "l2": [0.0, 0.01], "baseline": {"head": "lda", "l2": 0.01}})
    assert grid.baseline == "head lda, l2 0.01"
    assert next(cell for cell in grid.cells if cell.name == grid.baseline).same_as == ("head lda, l2 0.0",)


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ({"head": "ridge"}, "expected values that a cell has, received head ridge"),
        ({"views": 3}, r"expected options that differ between cells \(head\), received views"),
        ("lda", "expected options that differ between cells"),
    ],
)
def test_a_baseline_that_is_no_cell_is_refused(baseline, message):
    with pytest.raises(InputError, match=message):
        grid_of({"head": ["softmax", "lda"], "baseline": baseline})


def test_seeds_repeat_cells_and_make_none():
    grid = grid_of({"head": ["lda", "ridge"], "random_seed": [3, 4]})
    assert grid.seeds == (3, 4) and len(grid.cells) == 2
    assert grid.cells[0].settings.training(seed=4).holdout.random_seed == 4


def test_a_recipe_brings_its_training_with_it_but_not_other_folds():
    grid = grid_of({"recipe": ["default", "cnvrg"]})
    assert [cell.settings.whole.network for cell in grid.cells] == [None, "cnvrg"]
    with pytest.raises(InputError, match="folds: the recipes come with different ones"):
        grid_of({"recipe": ["default", "urban"], "group_by": "recording"})
    assert grid_of({"recipe": "esc50"}).cells[0].settings.holdout.group_by == "fold"


def test_too_many_cells_and_too_few_folds_are_refused():
    with pytest.raises(InputError, match=f"expected {MOST_CELLS} cells at most, received 1050"):
        grid_of({"views": list(range(50)), "validation_percentage": list(range(10, 31))})
    with pytest.raises(InputError, match="folds: expected 2 or more"):
        grid_of({"folds": 0})


def test_options_of_gradients_change_a_cell_where_there_are_gradients():
    def cells(**options):
        return len(grid_of({"folds": 3, "members": "single", **options}).cells)

    assert cells(head="lda", focal=[0, 2], warmup=[0, 0.1]) == 1
    assert cells(head="softmax", focal=[0, 2], rate_schedule=["constant", "cosine"]) == 4
    assert cells(network="cnvrg", label_smoothing=[0, 0.1], staged=[True, False]) == 4
    assert cells(head="lda", label_weights=["balanced", "none"]) == 2

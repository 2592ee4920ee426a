import pytest
from conftest import noise, tone, write_sound

from audionet.data.dataset import read_dataset
from audionet.data.preprocessing import make_pictures, pictures_of_recordings
from audionet.data.published_datasets import find_published_dataset, listed_recordings
from audionet.data.splits import assign_splits
from audionet.errors import InputError
from audionet.features.recipes import find_recipe

URBAN_COLUMNS = "slice_file_name,fsID,start,end,salience,fold,classID,class"
RECIPE = find_recipe("default", chunk_seconds=0.5)


@pytest.fixture
def urban(tmp_path):
    """A small stand-in of UrbanSound8K: three folds, two classes, two slices each."""
    folder = tmp_path / "UrbanSound8K"
    rows = [URBAN_COLUMNS]
    for fold in (1, 2, 3):
        for number, (label, samples) in enumerate({"dog_bark": noise(0.6, seed=fold), "siren": tone(700, 0.6)}.items()):
            for part in range(2):
                name = f"{100 * fold + number}-{number}-0-{part}.wav"
                write_sound(folder / "audio" / f"fold{fold}" / name, samples * (1 - part / 2))
                rows.append(f"{name},{fold},0.0,0.6,1,{fold},{number},{label}")
    (folder / "metadata").mkdir()
    (folder / "metadata" / "UrbanSound8K.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def esc(tmp_path):
    """A small stand-in of ESC-50: two folds, two categories."""
    folder = tmp_path / "ESC-50"
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in (1, 2):
        for number, label in enumerate(("dog", "rain")):
            name = f"{fold}-10{number}-A-{number}.wav"
            write_sound(folder / "audio" / name, noise(0.6, seed=10 * fold + number))
            rows.append(f"{name},{fold},{number},{label},False,10{number},A")
    (folder / "meta").mkdir()
    (folder / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")
    return folder


def listed(folder):
    return listed_recordings(folder, find_published_dataset(folder))


def test_folders_of_labels_have_no_layout(audio_dir):
    assert find_published_dataset(audio_dir) is None


def test_a_recording_is_named_by_its_label_its_fold_and_its_file(urban, esc):
    assert listed(urban)["siren/fold2/201-1-0-0.wav"] == urban / "audio" / "fold2" / "201-1-0-0.wav"
    assert listed(esc)["rain/fold1/1-101-A-1.wav"] == esc / "audio" / "1-101-A-1.wav"


def test_a_published_data_set_is_drawn_by_label(urban, tmp_path):
    result = make_pictures(urban, tmp_path / "images", recipe=RECIPE)
    assert result.recordings == {"dog_bark": 6, "siren": 6}
    assert (tmp_path / "images" / "dog_bark" / "fold1" / "100-0-0-0_00000.jpg").is_file()
    again = make_pictures(urban, tmp_path / "images", recipe=RECIPE)
    assert (again.recordings_made, again.recordings_kept) == (0, 12)


def test_folds_are_never_parted(urban, tmp_path):
    make_pictures(urban, tmp_path / "images", recipe=RECIPE)
    dataset = read_dataset(tmp_path / "images", tmp_path / "ledger.sqlite", group_by="fold")
    sides = assign_splits(dataset.examples, testing_percentage=30, validation_percentage=30)
    assert sorted(sides) == ["fold1", "fold2", "fold3"]
    assert sorted(sides.values()) == ["testing", "training", "validation"]


def test_recordings_in_no_fold_cannot_be_grouped_by_it(drawn, tmp_path):
    with pytest.raises(InputError, match=r"--group_by: expected alice/0\.mp3 in a fold"):
        read_dataset(drawn, tmp_path / "ledger.sqlite", group_by="fold")


def test_a_file_that_the_table_names_and_that_is_missing_is_set_aside(urban, tmp_path):
    (urban / "audio" / "fold3" / "300-0-0-1.wav").unlink()
    result = make_pictures(urban, tmp_path / "images", recipe=RECIPE)
    assert result.recordings_made == 11
    assert result.failures == {"dog_bark/fold3/300-0-0-1.wav": "it cannot be read (No such file or directory)"}


def test_a_published_data_set_may_be_trained_on_at_once(esc, tmp_path):
    image_dir, failures = pictures_of_recordings(esc, recipe=RECIPE, cache_dir=tmp_path / "cache")
    assert not failures
    assert {path.name for path in image_dir.iterdir() if path.is_dir()} == {"dog", "rain"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename,fold,target\na.wav,1,0\n", "expected columns filename, fold and category|without category"),
        ("filename,fold,target,category\n", "expected a row for each recording"),
        ("filename,fold,category\n../../a.wav,1,dog\n", "line 2 of .*received dog, 1, ../../a.wav"),
        ("filename,fold,category\na.wav,1,\n", "line 2 of "),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_by_its_fault(esc, text, message):
    (esc / "meta" / "esc50.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        listed(esc)

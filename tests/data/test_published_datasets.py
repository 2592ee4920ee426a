import pytest
from conftest import noise, tone, write_sound

from audionet.data.dataset import read_dataset
from audionet.data.preprocessing import make_pictures, pictures_of_recordings, recordings_in
from audionet.data.published_datasets import find_published_dataset, published_recordings
from audionet.data.splits import assign_splits
from audionet.errors import InputError
from audionet.features.recipes import find_recipe
from audionet.training.holdout import HoldoutPlan, plan_holdout, plan_recordings
from audionet.training.settings import HoldoutSettings

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
    return {name: clip.source for name, clip in published_recordings(folder).items()}


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


# Sets with splits of their own


@pytest.fixture
def speech_commands(tmp_path):
    """A small stand-in of Speech Commands: two words by ten speakers, one of them in each list, and noise."""
    folder = tmp_path / "speech_commands"
    lists = {"validation_list.txt": [], "testing_list.txt": []}
    for word, pitch in (("yes", 400), ("no", 900)):
        for speaker in range(10):
            name = f"{word}/ab{speaker:02d}_nohash_0.wav"
            write_sound(folder / name, tone(pitch + 10 * speaker, 0.6))
            for split, list_name in enumerate(lists):
                if speaker % 5 == split:
                    lists[list_name].append(name)
    for name, lines in lists.items():
        (folder / name).write_text("\r\n".join(lines) + "\r\n")
    write_sound(folder / "_background_noise_" / "white_noise.wav", noise(3.0))
    (folder / "_background_noise_" / "README.md").write_text("Noise.\n")
    return folder


@pytest.fixture
def voxceleb(tmp_path):
    """A small stand-in of VoxCeleb1: two people in four videos each, two utterances a video."""
    folder = tmp_path / "VoxCeleb1"
    lines = []
    for person in ("id10001", "id10002"):
        for video, split in enumerate((1, 1, 2, 3)):
            for utterance in ("00001.wav", "00002.wav"):
                name = f"{person}/video{video}/{utterance}"
                write_sound(folder / "wav" / name, noise(0.6, seed=len(lines)))
                lines.append(f"{split} {name}")
    (folder / "iden_split.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def librispeech(tmp_path):
    """A small stand-in of LibriSpeech: two speakers of two subsets, with two chapters each."""
    folder = tmp_path / "LibriSpeech"
    for subset, speaker in (("train-clean-100", "19"), ("dev-other", "84")):
        for chapter in ("121", "122"):
            write_sound(folder / subset / speaker / chapter / f"{speaker}-{chapter}-0000.flac", noise(0.6, seed=3))
            (folder / subset / speaker / chapter / f"{speaker}-{chapter}.trans.txt").write_text("A\n")
    (folder / "SPEAKERS.TXT").write_text(";ID |SEX\n")
    return folder


def planned(folder, tmp_path, **options):
    """Draw a data set, and return the split of each of its recordings."""
    image_dir, failures = pictures_of_recordings(folder, recipe=RECIPE, cache_dir=tmp_path / "cache")
    assert not failures
    dataset = read_dataset(image_dir, tmp_path / "ledger.sqlite")
    plan = plan_holdout(dataset.examples, dataset.unknown, HoldoutSettings(**options), previous=HoldoutPlan())
    return {example.recording: plan.known[example.group] for example in dataset.examples}, dataset


def test_the_lists_of_speech_commands_are_its_splits_and_noise_is_unknown(speech_commands, tmp_path):
    splits, dataset = planned(speech_commands, tmp_path)
    assert dataset.labels == ("no", "yes")
    for recording, split in splits.items():
        number = int(recording.partition("/ab")[2][:2]) % 5
        assert split == {0: "validation", 1: "testing"}.get(number, "training")
    assert {one.recording for one in dataset.unknown} == {"_unknown_/_background_noise_/white_noise.wav"}
    assert plan_recordings(recordings_in(speech_commands), HoldoutSettings(), image_dir=speech_commands).known == {
        example.group: splits[example.recording] for example in dataset.examples
    }


def test_what_the_lists_name_and_is_not_there_is_set_aside(speech_commands, tmp_path):
    (speech_commands / "yes" / "ab00_nohash_0.wav").unlink()
    result = make_pictures(speech_commands, tmp_path / "images", recipe=RECIPE)
    assert result.failures == {"yes/ab00_nohash_0.wav": "it cannot be read (No such file or directory)"}
    assert result.recordings == {"yes": 9, "no": 10, "_unknown_": 1}


def test_the_identification_split_of_voxceleb_is_obeyed_and_keeps_videos_together(voxceleb, tmp_path):
    splits, dataset = planned(voxceleb, tmp_path)
    assert splits["id10001/video2/00001.wav"] == "validation" and splits["id10002/video3/00002.wav"] == "testing"
    assert sorted(splits.values()).count("training") == 8
    assert {example.group for example in dataset.examples if example.label == "id10001"} == {
        f"id10001/video{number}" for number in range(4)
    }


def test_a_line_that_is_no_utterance_is_named(voxceleb):
    (voxceleb / "iden_split.txt").write_text("1 id10001/video0/00001.wav\n4 ../../etc\n")
    with pytest.raises(InputError, match=r"line 2 of .*iden_split.txt, received '4 ../../etc'"):
        listed(voxceleb)


def test_librispeech_is_by_speaker_whatever_the_subset(librispeech):
    assert sorted(listed(librispeech)) == [
        f"{speaker}/{subset}/{chapter}/{speaker}-{chapter}-0000.flac"
        for subset, speaker in (("train-clean-100", "19"), ("dev-other", "84"))
        for chapter in ("121", "122")
    ]
    for subset in ("train-clean-100", "dev-other"):
        (librispeech / subset).rename(librispeech / f"my {subset}")
    with pytest.raises(InputError, match=r"expected subsets of LibriSpeech in .*, such as dev-clean, received none"):
        listed(librispeech)

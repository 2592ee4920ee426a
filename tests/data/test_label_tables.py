"""Tables of labels say where clips are cut; what is wrong in them is named, and stops nothing else."""

import csv

import numpy as np
import pytest
from conftest import run_audionet, tone, write_sound

from audionet.data.dataset import read_dataset
from audionet.data.label_tables import read_labels, unlabelled_clips
from audionet.data.listed_clips import CLIPS_NAME
from audionet.data.preprocessing import make_pictures
from audionet.errors import InputError
from audionet.features.recipes import find_recipe

RECIPE = find_recipe("default", chunk_seconds=1.0)


@pytest.fixture
def field_audio(tmp_path):
    """Two recordings of 10 s: a tone of 500 Hz from 2 s to 4 s, of 1,500 Hz from 6 s to 8 s, over a little noise."""
    folder = tmp_path / "audio"
    for number, name in enumerate(("site1/a.wav", "site2/b.wav")):
        sound = np.random.default_rng(number).normal(0, 0.01, 160_000).astype(np.float32)
        sound[32_000:64_000] += tone(500, 2.0)
        sound[96_000:128_000] += tone(1_500, 2.0)
        write_sound(folder / name, sound)
    return folder


def table(tmp_path, text: str, name: str = "labels.csv", *, encoding: str = "utf-8"):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(text.encode(encoding))
    return path


def spans_of(found) -> list[tuple[str, str, float, float | None]]:
    return [(clip.name, clip.label, clip.start_seconds, clip.end_seconds) for clip in found.clips]


CSV = "path,start,end,label\nsite1/a.wav,2,4,low\nsite1/a.wav,6,8,high\n"
FOUND = [("site1/a.wav", "low", 2.0, 4.0), ("site1/a.wav", "high", 6.0, 8.0)]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CSV, "utf-8"),
        (CSV, "utf-8-sig"),
        (CSV, "utf-16"),
        (CSV.replace("\n", "\r\n"), "utf-8"),
        (CSV.replace(",", "\t"), "utf-8"),
        (CSV.replace(",", ";").replace(";2;4", ";2,0;4,0"), "utf-8-sig"),
        ("Label,Onset,Offset,Filename\nlow,2,4,a.wav\n\nhigh,6,8,a.wav\n", "utf-8"),
    ],
)
def test_a_table_is_read_whatever_it_was_written_with(field_audio, tmp_path, text, encoding):
    found = read_labels(table(tmp_path, text, encoding=encoding), field_audio)
    assert spans_of(found) == FOUND
    assert not found.faults and not found.notes


def test_latin_1_is_read_and_named(field_audio, tmp_path):
    found = read_labels(table(tmp_path, CSV.replace("low", "grüngelb"), encoding="latin-1"), field_audio)
    assert found.clips[0].label == "grüngelb"
    assert "labels.csv is not in UTF-8; it is read as Latin-1" in found.notes[0]


RAVEN = "\t".join(["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "Species"])
RAVEN_ROWS = [
    "1\tWaveform 1\t1\t2.0\t4.0\t0\tlow",
    "1\tSpectrogram 1\t1\t2.0\t4.0\t0\tlow",
    "2\tSpectrogram 1\t1\t6.0\t8.0\t0\thigh",
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("audio/site1/a.Table.1.selections.txt", "\n".join([RAVEN, *RAVEN_ROWS]) + "\n"),
        ("audio/site1/a.txt", "2.000000\t4.000000\tlow\n\\\t400\t600\n6,000000\t8,000000\thigh\n"),
        (
            "audio/site1/a.rttm",
            "SPEAKER a 1 2.0 2.0 <NA> <NA> low <NA> <NA>\nSPEAKER a 1 6 2 <NA> <NA> high <NA> <NA>\n",
        ),
        (
            "anywhere/x.rttm",
            ";; a comment\nSPEAKER a 1 2.0 2.0 <NA> <NA> low 0.9\nSPEAKER a 1 6 2 <NA> <NA> high <NA> <NA>\n",
        ),
    ],
)
def test_tables_of_raven_audacity_and_rttm_are_read_and_find_their_recording(field_audio, tmp_path, name, text):
    path = table(tmp_path, text, name)
    assert spans_of(read_labels(path, field_audio)) == FOUND
    if name.startswith("audio"):
        assert spans_of(read_labels(field_audio, field_audio)) == FOUND


def test_raven_tells_the_file_and_the_place_in_it_of_a_sequence(field_audio, tmp_path):
    heads = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tAnnotation"
    text = f"{heads}\n1\t12.0\t14.0\tb.wav\t2.0\tlow\n"
    assert spans_of(read_labels(table(tmp_path, text, "all.txt"), field_audio)) == [("site2/b.wav", "low", 2.0, 4.0)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("site1/a.wav,5,3,low", "it ends at 3 s, and begins at 5 s"),
        ("site1/a.wav,12,13,low", "it begins at 12 s, and the recording ends at 10.000 s"),
        ("site1/a.wav,-1,3,low", "start: expected seconds from the beginning, received -1"),
        ("site1/a.wav,nan,3,low", "start: expected seconds from the beginning, received nan"),
        ("site1/a.wav,one,3,low", "start: expected seconds, received 'one'"),
        ("site1/a.wav,1,3,", "expected a label that a folder can be called by"),
        ("site1/a.wav,1,3,../../x", "expected a label that a folder can be called by"),
        ("../secret.wav,1,3,low", "expected a recording below"),
        ("site1/a.wav,6,8,high", "the same times and label are in a row above"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_and_the_others_are_taken(field_audio, tmp_path, row, reason):
    found = read_labels(table(tmp_path, f"{CSV}{row}\n"), field_audio)
    assert spans_of(found) == FOUND
    assert list(found.faults) == ["labels.csv, line 4"]
    assert reason in found.faults["labels.csv, line 4"]


def test_odd_splits_and_weights_are_named(field_audio, tmp_path):
    text = "path,start,end,label,split,weight\na.wav,1,2,low,train,0\na.wav,2,3,low,morning,1\na.wav,3,4,low,dev,2\n"
    found = read_labels(table(tmp_path, text), field_audio)
    assert [(clip.split, clip.weight) for clip in found.clips] == [("validation", 2.0)]
    weight, split = found.faults.values()
    assert "weight: expected a number above 0, received 0" in weight
    assert "split: expected training, validation or testing, received 'morning'" in split


def test_times_beyond_the_end_overlaps_and_spellings_are_named_and_taken(field_audio, tmp_path):
    text = CSV + "site1/a.wav,7,11,Low\nsite2/b.wav,2,4,low \n"
    found = read_labels(table(tmp_path, text), field_audio)
    assert found.clips[2].end_seconds == 10.0 and found.clips[3].label == "low"
    late, spelled, overlapping = found.notes
    assert "labels.csv, line 4: it ends at 11 s, and site1/a.wav at 10.000 s; it is cut." in late
    assert "Labels low (2) and Low (1) differ in spelling alone" in spelled
    assert "1 clip overlap another in time, such as high/site1/a_6-8.wav and Low/site1/a_7-10.wav" in overlapping


def test_a_group_in_two_splits_is_named_and_stays_in_the_first(field_audio, tmp_path):
    text = "path,start,end,label,split\na.wav,2,4,low,train\na.wav,6,8,high,test\nb.wav,6,8,high,test\n"
    found = read_labels(table(tmp_path, text), field_audio)
    assert [clip.recording for clip in found.clips] == ["low/site1/a_2-4.wav", "high/site2/b_6-8.wav"]
    assert "others of its group, site1/a.wav, are in training" in found.faults["site1/a.wav from 6 s, high"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "name,age\nbob,7\n", "is no table of labels: expected columns path and label"),
        ("a.txt", "Selection\tBegin Time (s)\tEnd Time (s)\n1\t2\t3\n", "is a selection table without labels"),
        ("a.csv", "", "is no table of labels"),
        ("a.csv", "path,label\n", "names no clip that can be cut"),
        (
            "a.csv",
            "path,start,end,label\na.wav,3,1,low\n",
            "names no clip that can be cut. a.csv, line 2: it ends at 1 s",
        ),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_what_was_expected(field_audio, tmp_path, name, text, message):
    with pytest.raises(InputError, match="--labels: ") as caught:
        read_labels(table(tmp_path, text, name), field_audio)
    assert message in str(caught.value)


def test_one_that_is_no_table_among_others_is_passed_over(field_audio, tmp_path):
    table(tmp_path, CSV, "tables/a.csv")
    table(tmp_path, "Dear Anna,\n", "tables/letter.txt")
    found = read_labels(tmp_path / "tables", field_audio)
    assert spans_of(found) == FOUND
    assert "letter.txt is passed over: it is no table of labels" in found.notes[0]


def test_faults_of_tables_that_are_called_alike_are_told_apart(field_audio, tmp_path):
    for folder in ("one", "two"):
        table(tmp_path, f"path,start,end,label\n{folder}.wav,4,3,low\na.wav,2,4,{folder}\n", f"all/{folder}/a.csv")
    found = read_labels(tmp_path / "all", field_audio)
    assert list(found.faults) == ["one/a.csv, line 2", "two/a.csv, line 2"]


def test_a_clip_that_a_table_moves_to_a_torn_group_loses_its_pictures(field_audio, tmp_path):
    images, text = tmp_path / "images", "path,start,end,label,split\na.wav,2,4,low,train\na.wav,6,8,high,train\n"
    make_pictures(field_audio, images, recipe=RECIPE, labels=table(tmp_path, text), jobs=1)
    torn = table(tmp_path, text.replace("high,train", "high,test"))
    result = make_pictures(field_audio, images, recipe=RECIPE, labels=torn, jobs=1)
    assert (result.recordings, list(result.failures)) == ({"low": 1}, ["site1/a.wav from 6 s, high"])


def test_a_name_that_may_be_two_recordings_is_named(field_audio, tmp_path):
    write_sound(field_audio / "site2" / "a.wav", tone(300, 9.0))
    found = read_labels(table(tmp_path, "path,start,end,label\na.wav,1,2,low\nsite1/a.wav,1,2,low\n"), field_audio)
    assert spans_of(found) == [("site1/a.wav", "low", 1.0, 2.0)]
    assert "name its folder too" in found.faults["labels.csv, line 2"]


def test_what_lies_between_is_cut_too(field_audio, tmp_path):
    found = read_labels(table(tmp_path, CSV), field_audio)
    gaps = unlabelled_clips(found.clips, least_seconds=1.0, label="_unknown_")
    assert [(gap.start_seconds, gap.end_seconds) for gap in gaps] == [(0, 2), (4, 6), (8, 10)]
    assert {gap.group for gap in gaps} == {"site1/a.wav"}


def test_clips_are_drawn_where_the_table_says_with_times_of_the_recording(field_audio, tmp_path):
    text = CSV + "site2/b.wav,2,4,low\nsite2/gone.wav,1,2,low\nsite2/b.wav,6,8,high\n"
    images = tmp_path / "images"
    result = make_pictures(field_audio, images, recipe=RECIPE, labels=table(tmp_path, text), unlabelled=True, jobs=1)
    assert list(result.failures) == ["low/site2/gone_1-2.wav"]
    assert result.recordings == {"low": 2, "high": 2, "_unknown_": 6}
    dataset = read_dataset(images, tmp_path / "pictures.sqlite")
    times = {(one.recording, one.offset_seconds, one.group) for one in dataset.examples if one.label == "low"}
    assert times == {
        (f"low/{name}_2-4.wav", start, f"{name}.wav") for name in ("site1/a", "site2/b") for start in (2.0, 3.0)
    }
    frequencies = {
        one.label: np.abs(np.fft.rfft(read(one.path.with_suffix(".wav")))).argmax() for one in dataset.examples
    }
    assert frequencies == {"low": 500, "high": 1_500}
    assert len(dataset.unknown) == 12
    with (images / CLIPS_NAME).open() as file:
        assert {row["group"] for row in csv.DictReader(file)} == {"site1/a.wav", "site2/b.wav"}
    again = make_pictures(field_audio, images, recipe=RECIPE, labels=tmp_path / "labels.csv", unlabelled=True, jobs=1)
    assert (again.recordings_made, again.recordings_kept) == (0, 10)
    changed = table(tmp_path, text.replace("a.wav,2,4", "a.wav,2,3"))
    moved = make_pictures(field_audio, images, recipe=RECIPE, labels=changed, jobs=1)
    assert (moved.recordings_made, moved.recordings_kept) == (1, 3)


def read(path):
    from audionet.audio.decoding import read_wav

    return read_wav(path)


def test_the_command_names_what_is_wrong_and_ends_with_1(field_audio, tmp_path, capsys):
    path = table(tmp_path, CSV + "site1/a.wav,9,8,low\n")
    arguments = ("--audio_dir", field_audio, "--image_dir", tmp_path / "images", "--chunk_seconds", 1)
    assert run_audionet("data", *arguments, "--labels", path) == 1
    out, err = capsys.readouterr()
    assert "Set aside: labels.csv, line 4: it ends at 8 s, and begins at 9 s" in err
    assert "2 recordings drawn, 0 unchanged, 1 failed" in out
    assert run_audionet("data", *arguments, "--unlabelled", "unknown") == 2
    assert "--unlabelled is about the clips of --labels" in capsys.readouterr().err
    assert run_audionet("data", *arguments, "--labels", tmp_path / "nowhere.csv") == 2
    assert "--labels: expected a table of labels or a folder of them, but" in capsys.readouterr().err

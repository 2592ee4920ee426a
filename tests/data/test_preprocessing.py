import concurrent.futures
import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import CHECKOUT, RATE_HZ, names_below, noise, run_python, tone, write_sound

from audionet import parallel
from audionet.audio.chunks import read_chunks
from audionet.data import drawing, drawn_recordings, preprocessing
from audionet.data.dataset import read_dataset
from audionet.data.preprocessing import PreprocessingResult, make_pictures, pictures_of_recordings, recordings_in
from audionet.errors import InputError
from audionet.features.image_io import encode_jpg, read_about, read_picture
from audionet.features.recipes import find_recipe
from audionet.features.spectrogram import draw
from audionet.files import mark_folder, one_writer, read_mark, write_bytes
from audionet.parallel import process_pool

RECIPE = find_recipe("default", chunk_seconds=1.0, picture_height=64, picture_width=64)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Starting processes takes longer than drawing a few small pictures does."""
    monkeypatch.setattr(parallel, "process_pool", lambda jobs: ThreadPoolExecutor(1))


@pytest.fixture
def image_dir(tmp_path) -> Path:
    return tmp_path / "images"


def make(audio_dir: Path, image_dir: Path, recipe=RECIPE, **options) -> PreprocessingResult:
    return make_pictures(audio_dir, image_dir, recipe=recipe, jobs=1, **options)


def jpgs(image_dir: Path) -> set[str]:
    return {name for name in names_below(image_dir) if name.endswith(".jpg")}


def moments(image_dir: Path) -> dict[str, int]:
    return {name: (image_dir / name).stat().st_mtime_ns for name in jpgs(image_dir)}


def adds_up(result: PreprocessingResult, found: int) -> bool:
    return result.recordings_made + result.recordings_kept + len(result.failures) == found


# What is made


def test_every_chunk_becomes_a_picture_with_its_sound_beside_it(audio_dir, image_dir):
    make(audio_dir, image_dir)
    stems = {f"{label}/{index}_0000{chunk}" for label in ("alice", "bob") for index in (0, 1) for chunk in (0, 1)}
    made = {f"{stem}.{suffix}" for stem in stems for suffix in ("jpg", "wav")}
    assert names_below(image_dir) == made | {"audionet.json", "ledger.sqlite"}


def test_a_picture_is_that_of_the_sound_beside_it(audio_dir, image_dir):
    make(audio_dir, image_dir)
    (chunk,) = read_chunks(image_dir / "bob/1_00001.wav", sample_rate_hz=RATE_HZ, chunk_seconds=1.0)
    difference = read_picture(image_dir / "bob/1_00001.jpg").astype(int) - draw(chunk.samples, RECIPE)
    assert np.abs(difference).mean() < 8  # jpg, and 16 bits


def test_a_picture_knows_its_recording_offset_and_recipe(audio_dir, image_dir):
    make(audio_dir, image_dir)
    about = read_about((image_dir / "bob/1_00001.jpg").read_bytes())
    assert about == {
        "recording": "bob/1.wav",
        "offset_seconds": 1.0,
        "seconds": 1.0,
        "level_dbfs": -9.03,
        "recipe": RECIPE.to_json() | {"window_samples": list(RECIPE.window_samples)},
    }


def test_the_sound_beside_a_picture_may_be_left_out(audio_dir, image_dir):
    make(audio_dir, image_dir, keep_wav=False)
    assert not [name for name in names_below(image_dir) if name.endswith(".wav")]
    assert len(jpgs(image_dir)) == 8


def test_nested_folders_and_suffixes_of_any_case_are_kept(tmp_path, image_dir):
    write_sound(tmp_path / "audio" / "alice" / "old" / "tape 1" / "A.WAV", tone(400))
    make(tmp_path / "audio", image_dir)
    assert jpgs(image_dir) == {"alice/old/tape 1/A_00000.jpg"}


def test_any_number_of_processes_gives_the_same_pictures(audio_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "process_pool", process_pool)
    monkeypatch.setattr(preprocessing, "GROUP_BYTES", 1)
    for jobs in (1, 3):
        make_pictures(audio_dir, tmp_path / str(jobs), recipe=RECIPE, jobs=jobs)
    assert jpgs(tmp_path / "1") == jpgs(tmp_path / "3")
    for name in jpgs(tmp_path / "1"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


def test_the_counts_of_recordings_seconds_and_chunks_add_up(audio_dir, image_dir):
    (audio_dir / "alice" / "text.mp3").write_text("no sound")
    (audio_dir / "alice" / "notes.txt").write_text("not even meant to be sound")
    result = make(audio_dir, image_dir)
    assert adds_up(result, found=5)
    assert result.recordings == {"alice": 2, "bob": 2}
    assert result.chunks == {"alice": 4, "bob": 4}
    assert result.sound_seconds == pytest.approx({"alice": 4.0, "bob": 4.0})


# Names


@pytest.mark.parametrize(
    "label", ["Ünïcode", "a_b", "a b", "-x", 'it\'s "x"', "line\nbreak", "a.b", os.fsdecode(b"b\xff")]
)
def test_a_label_is_kept_to_the_letter(tmp_path, image_dir, label):
    write_sound(tmp_path / "audio" / label / "a.wav", tone(400))
    make(tmp_path / "audio", image_dir)
    assert jpgs(image_dir) == {f"{label}/a_00000.jpg"}


def test_labels_that_look_alike_stay_apart(tmp_path, image_dir):
    labels = ["a_b", "a b", "a-b", "A_b"]
    for label in labels:
        write_sound(tmp_path / "audio" / label / "x.wav", tone(400))
    assert set(make(tmp_path / "audio", image_dir).chunks) == set(labels)


@pytest.mark.parametrize(
    "name",
    [
        "two words",
        'it\'s "x"',
        "line\nbreak",
        "-dash",
        "--jobs",
        "日本語",
        os.fsdecode(b"\xff"),
        "a.b.c",
        "[1]*?",
        "x" * 250,
    ],
)
def test_a_recording_may_have_any_name(tmp_path, image_dir, name):
    write_sound(tmp_path / "audio" / "alice" / f"{name}.wav", tone(400))
    assert make(tmp_path / "audio", image_dir).failures == {}
    (jpg,) = jpgs(image_dir)
    assert read_about((image_dir / jpg).read_bytes())["recording"] == f"alice/{name}.wav"
    assert make(tmp_path / "audio", image_dir).recordings_kept == 1


def test_recordings_with_one_stem_keep_their_own_pictures(tmp_path, image_dir):
    names = ["a.mp3", "a.wav", "a.flac", "a.mp3.wav", "a_00000.wav", "b.wav"]
    for name in names:
        write_sound(tmp_path / "audio" / "alice" / name, tone(400, 0.9))
    make(tmp_path / "audio", image_dir)
    owners = [read_about((image_dir / jpg).read_bytes())["recording"] for jpg in jpgs(image_dir)]
    assert sorted(owners) == sorted(f"alice/{name}" for name in names)


def test_long_names_that_differ_at_the_end_stay_apart(tmp_path, image_dir):
    for end in "ab":
        write_sound(tmp_path / "audio" / "alice" / f"{'ü' * 120}{end}.wav", tone(400))
    make(tmp_path / "audio", image_dir)
    assert len(jpgs(image_dir)) == 2


# The second run


def test_a_second_run_makes_nothing_again(audio_dir, image_dir):
    make(audio_dir, image_dir)
    before = moments(image_dir)
    result = make(audio_dir, image_dir)
    assert (result.recordings_made, result.recordings_kept) == (0, 4)
    assert result.chunks == {"alice": 4, "bob": 4}
    assert moments(image_dir) == before


def test_only_a_new_recording_is_drawn(audio_dir, image_dir):
    make(audio_dir, image_dir)
    before = moments(image_dir)
    write_sound(audio_dir / "bob" / "2.wav", tone(700))
    result = make(audio_dir, image_dir)
    assert (result.recordings_made, result.recordings_kept) == (1, 4)
    assert before.items() <= moments(image_dir).items()


def test_a_changed_recording_is_drawn_again_and_sheds_what_it_lost(audio_dir, image_dir):
    make(audio_dir, image_dir)
    old = (image_dir / "bob/1_00000.jpg").read_bytes()
    write_sound(audio_dir / "bob" / "1.wav", tone(3000))
    result = make(audio_dir, image_dir)
    assert (result.recordings_made, result.recordings_kept, result.pictures_removed) == (1, 3, 1)
    assert (image_dir / "bob/1_00000.jpg").read_bytes() != old
    assert not (image_dir / "bob/1_00001.wav").exists()


def test_a_recording_taken_away_takes_its_pictures_and_sounds_with_it(audio_dir, image_dir):
    make(audio_dir, image_dir)
    (audio_dir / "bob" / "1.wav").unlink()
    assert make(audio_dir, image_dir).pictures_removed == 2
    assert not [name for name in names_below(image_dir) if name.startswith("bob/1")]


def test_a_label_taken_away_takes_its_folder_with_it(audio_dir, image_dir):
    make(audio_dir, image_dir)
    shutil.rmtree(audio_dir / "bob")
    make(audio_dir, image_dir)
    assert not (image_dir / "bob").exists()
    assert len(jpgs(image_dir)) == 4


def test_another_recipe_draws_everything_again(audio_dir, image_dir):
    make(audio_dir, image_dir)
    other = find_recipe("three_windows", chunk_seconds=2.0)
    result = make(audio_dir, image_dir, recipe=other)
    assert (result.recordings_made, result.pictures_removed) == (4, 4)
    recipes = [read_about((image_dir / name).read_bytes())["recipe"]["drawing"] for name in jpgs(image_dir)]
    assert recipes == ["log_mel_3"] * 4


@pytest.mark.parametrize("suffix", ["jpg", "wav"])
def test_what_was_deleted_is_made_again(audio_dir, image_dir, suffix):
    make(audio_dir, image_dir)
    before = names_below(image_dir)
    (image_dir / f"bob/1_00001.{suffix}").unlink()
    assert make(audio_dir, image_dir).recordings_made == 1
    assert names_below(image_dir) == before


def test_a_damaged_cache_costs_a_run_and_nothing_else(audio_dir, image_dir):
    make(audio_dir, image_dir)
    before = names_below(image_dir)
    (image_dir / "ledger.sqlite").write_bytes(b"nonsense" * 1000)
    assert make(audio_dir, image_dir).recordings_made == 4
    assert make(audio_dir, image_dir).recordings_kept == 4
    assert names_below(image_dir) == before


def test_what_a_person_put_among_the_pictures_stays(audio_dir, image_dir):
    make(audio_dir, image_dir)
    (image_dir / "bob" / "mine.jpg").write_bytes(encode_jpg(np.zeros((8, 8, 3), np.uint8), quality=90))
    (image_dir / "bob" / "notes.txt").write_text("mine")
    shutil.rmtree(audio_dir / "bob")
    make(audio_dir, image_dir)
    assert {"bob/mine.jpg", "bob/notes.txt"} <= names_below(image_dir)


# Interruptions


def test_a_run_that_stops_loses_nothing_that_was_finished(audio_dir, image_dir, monkeypatch):
    def stops_after_two(*arguments, **options):
        yield from itertools.islice(parallel.run_groups(*arguments, **options), 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(preprocessing, "run_groups", stops_after_two)
    monkeypatch.setattr(preprocessing, "GROUP_BYTES", 1)  # each recording is a group of its own
    with pytest.raises(KeyboardInterrupt):
        make(audio_dir, image_dir)
    monkeypatch.undo()
    result = make(audio_dir, image_dir)
    assert (result.recordings_made, result.recordings_kept) == (2, 2)


def test_a_killed_run_leaves_only_whole_pictures_and_the_next_one_goes_on(tmp_path, image_dir):
    for index in range(20):
        write_sound(tmp_path / "audio" / "alice" / f"{index}.wav", noise(4.0, seed=index))
    run = subprocess.Popen(
        [
            sys.executable,
            "scripts/data_maker.py",
            "--audio_dir",
            tmp_path / "audio",
            "--image_dir",
            image_dir,
            "--jobs=1",
        ],
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while run.poll() is None and len(jpgs(image_dir) if image_dir.exists() else ()) < 5:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    for name in jpgs(image_dir):
        read_picture(image_dir / name)
    result = make(tmp_path / "audio", image_dir, recipe=find_recipe("default"))
    assert adds_up(result, found=20)
    assert result.chunks == {"alice": 40}
    assert len(jpgs(image_dir)) == 40


def test_a_full_disk_keeps_what_was_finished(audio_dir, tiny_disk):
    for index in range(2, 40):
        write_sound(audio_dir / "alice" / f"{index}.wav", noise(2.0))
    with pytest.raises(OSError, match="No space left on device"):
        make(audio_dir, tiny_disk / "images")
    made = jpgs(tiny_disk / "images")
    assert made
    for name in made:
        read_picture(tiny_disk / "images" / name)


# Bad input


def test_no_audio_folder_is_an_error_that_makes_nothing(tmp_path, image_dir):
    with pytest.raises(InputError, match="--audio_dir"):
        make(tmp_path / "nowhere", image_dir)
    assert not image_dir.exists()


def test_a_vanished_audio_folder_takes_no_picture_with_it(audio_dir, image_dir):
    make(audio_dir, image_dir)
    before = names_below(image_dir)
    for emptied in (False, True):
        shutil.rmtree(audio_dir)
        if emptied:
            audio_dir.mkdir()
        with pytest.raises(InputError):
            make(audio_dir, image_dir)
        assert names_below(image_dir) == before
        audio_dir.mkdir(exist_ok=True)


def test_an_empty_label_folder_is_named_and_the_rest_go_on(audio_dir, image_dir):
    (audio_dir / "carol").mkdir()
    result = make(audio_dir, image_dir)
    assert "holds no recording" in result.failures["carol"]
    assert result.recordings_made == 4


BAD_RECORDINGS = {
    "text.mp3": lambda path: path.write_text("no sound"),
    "empty.wav": lambda path: path.touch(),
    "silent.wav": lambda path: write_sound(path, np.zeros(16_000, np.float32)),
    "one sample.wav": lambda path: write_sound(path, tone(400)[1:2]),
    "header only.wav": lambda path: path.write_bytes(b"RIFF\x00\x00"),
    "dangling.mp3": lambda path: path.symlink_to("nowhere"),
    "loop.mp3": lambda path: path.symlink_to(path.name),
    "pipe.mp3": lambda path: os.mkfifo(path),
    "line\nbreak.mp3": lambda path: path.write_text("no sound"),
    os.fsdecode(b"\xff.mp3"): lambda path: path.write_text("no sound"),
}


def test_every_bad_recording_is_named_and_counted_and_the_rest_go_on(audio_dir, image_dir):
    for name, spoil in BAD_RECORDINGS.items():
        spoil(audio_dir / "bob" / name)
    result = make(audio_dir, image_dir)
    assert set(result.failures) == {f"bob/{name}" for name in BAD_RECORDINGS}
    assert all(reason.isprintable() for reason in result.failures.values())
    assert result.recordings_made == 4
    assert adds_up(result, found=4 + len(BAD_RECORDINGS))
    assert len(jpgs(image_dir)) == 8


def test_a_folder_named_like_a_recording_is_a_folder(audio_dir, image_dir):
    write_sound(audio_dir / "bob" / "tape.mp3" / "side a.wav", tone(400))
    assert make(audio_dir, image_dir).failures == {}
    assert "bob/tape.mp3/side a_00000.jpg" in jpgs(image_dir)


def test_a_bad_recording_is_tried_again_once_it_is_mended(audio_dir, image_dir):
    bad = audio_dir / "bob" / "2.wav"
    bad.write_text("no sound")
    assert len(make(audio_dir, image_dir).failures) == 1
    write_sound(bad, tone(400))
    result = make(audio_dir, image_dir)
    assert (result.failures, result.recordings_made) == ({}, 1)


def test_a_decoder_that_crashes_takes_no_neighbour_along(audio_dir, image_dir, tmp_path):
    # The processes that draw import this package afresh; a sitecustomize lets one recording crash them.
    (tmp_path / "site").mkdir()
    crashing = write_sound(audio_dir / "alice" / "abort me.wav", tone(400))
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import os, soundfile\n"
        "opened = soundfile.SoundFile.__init__\n"
        "def crash(self, file, *args, **kwargs):\n"
        f"    if isinstance(file, int) and os.path.samestat(os.stat(file), os.stat({str(crashing)!r})):\n"
        "        os.abort()\n"
        "    opened(self, file, *args, **kwargs)\n"
        "soundfile.SoundFile.__init__ = crash\n"
    )
    path = os.pathsep.join([str(tmp_path / "site"), os.environ["PYTHONPATH"]])
    arguments = ["--audio_dir", audio_dir, "--image_dir", image_dir, "--jobs", 1]
    done = run_python("scripts/data_maker.py", *arguments, env=os.environ | {"PYTHONPATH": path})
    assert done.returncode == 1
    assert "alice/abort me.wav: a decoder crashed on it" in done.stderr
    assert "4 recordings drawn, 0 unchanged, 1 failed" in done.stdout


def test_a_link_that_leads_back_up_is_not_followed_for_ever(audio_dir, image_dir):
    (audio_dir / "bob" / "up").symlink_to(audio_dir)
    (audio_dir / "again").symlink_to(audio_dir)
    make(audio_dir, image_dir)
    assert {"alice/0_00000.jpg", "bob/1_00001.jpg"} <= jpgs(image_dir)


@pytest.mark.parametrize("place", ["data_image", "alice/pictures"])
def test_our_own_folder_inside_the_input_is_no_label(audio_dir, place):
    make(audio_dir, audio_dir / place)
    result = make(audio_dir, audio_dir / place)
    assert (result.recordings_made, result.recordings_kept, result.failures) == (0, 4, {})
    assert set(result.chunks) == {"alice", "bob"}


@pytest.mark.parametrize("kind", ["bottlenecks", "classifier", "summaries"])
def test_any_folder_of_ours_is_no_label(audio_dir, image_dir, kind):
    mark_folder(audio_dir / "ours", kind)
    write_sound(audio_dir / "ours" / "a.wav", tone(400))
    assert set(make(audio_dir, image_dir).chunks) == {"alice", "bob"}


def test_a_folder_of_something_else_is_not_written_to(audio_dir, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("mine")
    (tmp_path / "file").touch()
    for place in ("precious", "file", "audio"):
        with pytest.raises(
            InputError,
            match=r"--image_dir: expected a (?:new folder|folder that can)",
        ):
            make(audio_dir, tmp_path / place)
    assert os.listdir(tmp_path / "precious") == ["thesis.txt"]


def test_recordings_are_never_changed(audio_dir, image_dir):
    before = {name: (audio_dir / name).read_bytes() for name in names_below(audio_dir)}
    make(audio_dir, image_dir)
    assert {name: (audio_dir / name).read_bytes() for name in names_below(audio_dir)} == before


# Where pictures belong


def test_a_folder_of_pictures_or_of_neither_holds_no_recordings(tmp_path, audio_dir):
    write_bytes(tmp_path / "photos" / "cats" / "a.JPG", b"")
    (tmp_path / "others" / "cats").mkdir(parents=True)
    assert recordings_in(tmp_path / "photos") is None and recordings_in(tmp_path / "others") is None
    assert {label: list(files) for label, files in recordings_in(audio_dir).items()} == {
        label: [f"{label}/{number}.wav" for number in range(2)] for label in ("alice", "bob")
    }


def test_recordings_are_drawn_in_the_cache_and_nothing_is_written_beside_them(audio_dir, tmp_path, capsys):
    before = sorted(audio_dir.parent.rglob("*"))
    folder, failures = pictures_of_recordings(audio_dir, cache_dir=tmp_path / "cache")
    assert not failures and folder.parent == tmp_path / "cache" and len(jpgs(folder)) == 4
    assert [
        path for path in sorted(audio_dir.parent.rglob("*")) if tmp_path / "cache" not in (path, *path.parents)
    ] == (before)
    assert pictures_of_recordings(audio_dir, cache_dir=tmp_path / "cache") == (folder, {})
    assert "holds recordings; their pictures are in" in capsys.readouterr().err


def test_pictures_that_are_there_are_kept_with_their_recipe(audio_dir, tmp_path):
    make(audio_dir, audio_dir.parent / "data_image")
    before = moments(audio_dir.parent / "data_image")
    folder, _ = pictures_of_recordings(audio_dir, cache_dir=tmp_path / "cache")
    assert folder == audio_dir.parent / "data_image"
    assert moments(folder) == before and not (tmp_path / "cache").exists()


def test_pictures_of_other_recordings_are_left_alone(audio_dir, tmp_path):
    mark_folder(audio_dir.parent / "data_image", "pictures", audio_dir="/somewhere/else")
    assert pictures_of_recordings(audio_dir, cache_dir=tmp_path / "cache")[0].parent == tmp_path / "cache"
    assert read_mark(audio_dir.parent / "data_image")["audio_dir"] == "/somewhere/else"


def test_recordings_of_folders_with_the_same_name_have_pictures_of_their_own(audio_dir, tmp_path):
    other = shutil.copytree(audio_dir, tmp_path / "elsewhere" / audio_dir.name)
    folders = {pictures_of_recordings(each, cache_dir=tmp_path / "cache")[0] for each in (audio_dir, other)}
    assert len(folders) == 2


def test_pictures_of_another_recipe_are_left_alone_and_found_again(audio_dir, tmp_path):
    first, _ = pictures_of_recordings(audio_dir, cache_dir=tmp_path / "cache")
    before = moments(first)
    other = find_recipe("simple_audio")
    places = [pictures_of_recordings(audio_dir, recipe=other, cache_dir=tmp_path / "cache")[0] for _ in range(2)]
    assert places[0] == places[1] != first
    assert read_mark(places[0])["recipe"]["name"] == "simple_audio"
    assert moments(first) == before


# What a row of what was drawn stands for


OTHER = find_recipe("default", chunk_seconds=1.0, picture_height=64, picture_width=64, picture="pcen")


def pictures(image_dir: Path) -> dict[str, bytes]:
    return {name: (image_dir / name).read_bytes() for name in jpgs(image_dir)}


def fresh(audio_dir: Path, tmp_path: Path, **options) -> dict[str, bytes]:
    """Return the pictures of a folder that was never there before."""
    make(audio_dir, tmp_path / "fresh", **options)
    return pictures(tmp_path / "fresh")


def make_killed(audio_dir: Path, image_dir: Path, monkeypatch, *, recipe=RECIPE, after: int = 1, **options) -> None:
    """Draw, and stop as a killed run does, with some pictures on disk and nothing said about them."""
    with monkeypatch.context() as patch:
        patch.setattr(preprocessing, "GROUP_BYTES", 1)
        write, written = drawing.write_bytes, []

        def write_or_stop(path, content):
            if len(written) == after:
                raise KeyboardInterrupt
            written.append(path)
            write(path, content)

        patch.setattr(drawing, "write_bytes", write_or_stop)
        with pytest.raises(KeyboardInterrupt):
            make(audio_dir, image_dir, recipe=recipe, **options)


@pytest.mark.parametrize("after", range(1, 6))
def test_pictures_of_another_recipe_that_a_killed_run_left_are_drawn_again(
    audio_dir, image_dir, tmp_path, monkeypatch, after
):
    make(audio_dir, image_dir)
    make_killed(audio_dir, image_dir, monkeypatch, recipe=OTHER, after=after)
    make(audio_dir, image_dir)
    assert pictures(image_dir) == fresh(audio_dir, tmp_path)


def test_what_a_killed_run_did_not_touch_is_not_drawn_again(audio_dir, image_dir, monkeypatch):
    monkeypatch.setattr(parallel, "GROUPS_AHEAD", 1)
    make(audio_dir, image_dir)
    make_killed(audio_dir, image_dir, monkeypatch, recipe=OTHER, after=1)
    assert make(audio_dir, image_dir).recordings_kept >= 2


def test_a_recording_that_was_replaced_and_put_back_has_its_own_pictures(audio_dir, image_dir, tmp_path, monkeypatch):
    recording = audio_dir / "alice" / "1.wav"
    make(audio_dir, image_dir)
    recording.rename(tmp_path / "kept.wav")
    write_sound(recording, tone(3000, 2.0))
    make_killed(audio_dir, image_dir, monkeypatch)
    (tmp_path / "kept.wav").rename(recording)
    make(audio_dir, image_dir)
    assert pictures(image_dir) == fresh(audio_dir, tmp_path)


def test_a_killed_run_without_wavs_leaves_no_stale_wav(audio_dir, image_dir, tmp_path, monkeypatch):
    make(audio_dir, image_dir)
    write_sound(audio_dir / "alice" / "1.wav", tone(3000, 2.0))
    make_killed(audio_dir, image_dir, monkeypatch, keep_wav=False)
    make(audio_dir, image_dir)
    assert pictures(image_dir) == fresh(audio_dir, tmp_path)
    for name in names_below(image_dir) - {"ledger.sqlite", "audionet.json"}:
        assert (image_dir / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes()


def test_a_recording_drawn_over_another_of_its_stem_leaves_that_one_no_stale_picture(
    audio_dir, image_dir, tmp_path, monkeypatch
):
    make(audio_dir, image_dir)
    (audio_dir / "alice" / "1.wav").rename(tmp_path / "kept.wav")
    write_sound(audio_dir / "alice" / "1.flac", tone(3000, 2.0))
    make_killed(audio_dir, image_dir, monkeypatch)
    (audio_dir / "alice" / "1.flac").unlink()
    (tmp_path / "kept.wav").rename(audio_dir / "alice" / "1.wav")
    make(audio_dir, image_dir)
    assert pictures(image_dir) == fresh(audio_dir, tmp_path)


def swap(first: Path, second: Path) -> None:
    first.rename(first.with_suffix(".away"))
    second.rename(first)
    first.with_suffix(".away").rename(second)


def replace_unseen(path: Path) -> None:
    status = path.stat()
    write_sound(path, tone(3000, 2.0))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size


CHANGES = {
    "renamed onto another": lambda folder: (folder / "alice/0.wav").rename(folder / "alice/1.wav"),
    "label renamed": lambda folder: (folder / "alice").rename(folder / "zoe"),
    "labels swapped": lambda folder: swap(folder / "alice", folder / "bob"),
    "replaced by one of its size and time": lambda folder: replace_unseen(folder / "alice/1.wav"),
    "two swapped": lambda folder: swap(folder / "alice/0.wav", folder / "bob/1.wav"),
    "two of one stem": lambda folder: shutil.copy(folder / "alice/0.wav", folder / "alice/0.WAV"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_pictures_are_those_of_the_recordings_as_they_are_now(audio_dir, image_dir, tmp_path, change):
    for path in audio_dir.rglob("*.wav"):
        os.utime(path, ns=(10**18, 10**18))
    make(audio_dir, image_dir)
    CHANGES[change](audio_dir)
    make(audio_dir, image_dir)
    assert pictures(image_dir) == fresh(audio_dir, tmp_path)


def test_a_recording_of_another_time_and_the_same_content_is_not_drawn_again(
    audio_dir, image_dir, tmp_path, monkeypatch
):
    make(audio_dir, image_dir)
    shutil.copytree(audio_dir, tmp_path / "copy")
    assert make(tmp_path / "copy", image_dir).recordings_kept == 4
    monkeypatch.setattr(drawn_recordings, "digest_of_file", lambda path: pytest.fail(f"{path} was read again"))
    assert make(tmp_path / "copy", image_dir).recordings_kept == 4


def test_a_recording_that_changes_while_it_is_drawn_is_set_aside(audio_dir, image_dir, monkeypatch):
    write = drawing.write_bytes

    def write_and_grow(path, content):
        write(path, content)
        if path.name == "1_00001.jpg" and path.parent.name == "alice":
            write_sound(audio_dir / "alice" / "1.wav", tone(3000, 2.0))

    monkeypatch.setattr(drawing, "write_bytes", write_and_grow)
    result = make(audio_dir, image_dir)
    assert "changed while it was drawn" in result.failures["alice/1.wav"]
    assert not [name for name in jpgs(image_dir) if name.startswith("alice/1")]
    monkeypatch.undo()


@pytest.mark.parametrize(
    "change",
    [
        "value = '[]'",
        "value = 'x'",
        "value = json_set(value, '$.chunks', 'many')",
        "value = json_remove(value, '$.notes')",
    ],
)
def test_an_odd_row_is_drawn_again(audio_dir, image_dir, tmp_path, change):
    make(audio_dir, image_dir)
    with sqlite3.connect(image_dir / "ledger.sqlite") as connection:
        connection.execute(f"UPDATE files SET {change} WHERE path = ?", (b"bob/1.wav",))
    connection.close()
    assert "bob/1.wav" not in drawn_recordings.read_chunk_stats(image_dir) or "chunks" in change
    result = make(audio_dir, image_dir)
    assert (result.recordings_made, result.recordings_kept) == (1, 3)
    assert pictures(image_dir) == fresh(audio_dir, tmp_path)


# What cannot be read for a while


def test_a_recording_that_cannot_be_read_for_a_while_keeps_its_pictures_and_is_named(audio_dir, image_dir, tmp_path):
    make(audio_dir, image_dir)
    before = pictures(image_dir)
    for target in ("nowhere", "/proc/self/mem"):  # a disk that is not mounted, and one that gives an error at reading
        (audio_dir / "bob" / "1.wav").rename(tmp_path / "kept.wav")
        (audio_dir / "bob" / "1.wav").symlink_to(target)
        result = make(audio_dir, image_dir)
        assert set(result.failures) == {"bob/1.wav"}
        assert "it cannot be read" in result.failures["bob/1.wav"]
        assert "its pictures are kept" in result.failures["bob/1.wav"]
        assert pictures(image_dir) == before
        assert "cannot be read" in drawn_recordings.read_unreadable(image_dir)["bob/1.wav"]
        (audio_dir / "bob" / "1.wav").unlink()
        (tmp_path / "kept.wav").rename(audio_dir / "bob" / "1.wav")
        assert make(audio_dir, image_dir).recordings_kept == 4
        assert drawn_recordings.read_unreadable(image_dir) == {}


def test_an_emptied_label_folder_keeps_its_pictures_until_it_is_removed(audio_dir, image_dir):
    make(audio_dir, image_dir)
    before = pictures(image_dir)
    for recording in (audio_dir / "bob").iterdir():
        recording.unlink()
    result = make(audio_dir, image_dir)
    assert "the folder is empty; the pictures of 2 recordings in it are kept" in result.failures["bob"]
    assert pictures(image_dir) == before
    (audio_dir / "bob").rmdir()
    assert make(audio_dir, image_dir).failures == {}
    assert len(pictures(image_dir)) == 4


def test_a_label_folder_on_a_disk_that_is_not_mounted_keeps_its_pictures(audio_dir, image_dir, tmp_path):
    (audio_dir / "bob").rename(tmp_path / "disk")
    (audio_dir / "bob").symlink_to(tmp_path / "disk")
    make(audio_dir, image_dir)
    before = pictures(image_dir)
    (tmp_path / "disk").rename(tmp_path / "away")
    assert "the folder cannot be read" in make(audio_dir, image_dir).failures["bob"]
    assert pictures(image_dir) == before


def test_a_folder_that_may_not_be_read_is_named_and_the_rest_go_on(audio_dir, image_dir, as_nobody):
    write_sound(audio_dir / "bob" / "old" / "2.wav", tone(500, 2.0))
    make(audio_dir, image_dir)
    before = pictures(image_dir)
    for name in ("bob/old", "alice"):
        with as_nobody(image_dir, unreadable=audio_dir / name):
            result = make(audio_dir, image_dir)
        assert "the folder cannot be read (Permission denied)" in result.failures[name]
        assert pictures(image_dir) == before


# Ended from outside


def test_sigterm_ends_a_run_with_a_message_and_leaves_nothing_half_written(tmp_path, image_dir):
    for index in range(40):
        write_sound(tmp_path / "audio" / "alice" / f"{index}.wav", noise(30.0, seed=index))
    options = ["--audio_dir", tmp_path / "audio", "--image_dir", image_dir, "--jobs=2"]
    run = subprocess.Popen(
        [sys.executable, "scripts/data_maker.py", *options], cwd=CHECKOUT, stderr=subprocess.PIPE, text=True
    )
    while len(jpgs(image_dir) if image_dir.exists() else ()) < 5:
        time.sleep(0.01)
    run.terminate()
    _, said = run.communicate()
    assert run.returncode == 143
    assert said == "Ended by SIGTERM. What was finished is kept; the same command goes on from there.\n"
    left = names_below(image_dir)
    assert not [name for name in left if Path(name).name.startswith(".")]
    time.sleep(0.2)
    assert names_below(image_dir) == left


def test_two_runs_do_not_write_to_one_folder(audio_dir, image_dir):
    make(audio_dir, image_dir)
    with concurrent.futures.ThreadPoolExecutor() as pool, one_writer(image_dir, option=""):
        other = pool.submit(make, audio_dir, image_dir, wait_seconds=0)
        with pytest.raises(InputError, match="--image_dir: another run writes to"):
            other.result()


# Channels


def test_a_recording_that_lacks_the_channel_is_set_aside_alone_and_each_channel_stays_in_one_recording(
    tmp_path, image_dir
):
    audio_dir = tmp_path / "audio"
    write_sound(audio_dir / "cat" / "mono.wav", tone(300, 2.0))
    write_sound(audio_dir / "cat" / "stereo.wav", np.stack([tone(300, 2.0), tone(900, 2.0)], axis=1))
    recipe = find_recipe("default", chunk_seconds=1.0, channel="right")
    result = make(audio_dir, image_dir, recipe)
    assert (result.recordings_made, list(result.failures)) == (1, ["cat/mono.wav"])
    assert "has 1 channel, and channel 2 is asked for" in result.failures["cat/mono.wav"]
    result = make(audio_dir, image_dir, find_recipe("default", chunk_seconds=1.0, channel="each"))
    assert result.chunks == {"cat": 6} and result.sound_seconds == {"cat": 4.0}
    dataset = read_dataset(image_dir, tmp_path / "pictures.sqlite")
    assert {example.group for example in dataset.examples} == {"cat/mono.wav", "cat/stereo.wav"}

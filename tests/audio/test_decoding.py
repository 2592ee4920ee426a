import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import IRREGULAR, RATE_HZ, irregular_file, needs_sox, noise, run_python, tone, write_sound

from audionet.audio import decoding, sox_ffmpeg
from audionet.audio.chunks import Chunk, read_chunks
from audionet.audio.decoding import STDIN, find_recordings, form_of, is_recording, read_blocks, read_wav
from audionet.audio.sox_ffmpeg import DecoderError
from audionet.errors import RecordingError

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program is not installed")


SPACE_AND_QUOTES = [
    "two words.mp3",
    'it\'s "quoted".mp3',
    "line\nbreak.mp3",
    "-dash.mp3",
    "--help.mp3",
    "Ünïcode 日本語.mp3",
    os.fsdecode(b"not utf-8 \xff.mp3"),
    "$HOME;`id`&|.mp3",
    "|id.mp3",
    "a.b.c.mp3",
    "LOUD.MP3",
    "back\\slash.mp3",
    "%d.mp3",
    "a*[1]{x,y}?.mp3",
]


def read_all(path: Path, **options) -> np.ndarray:
    return np.concatenate(list(read_blocks(path, sample_rate_hz=RATE_HZ, **options)))


def chunks_of(path: Path, chunk_seconds: float = 1.0) -> list[Chunk]:
    return list(read_chunks(path, sample_rate_hz=RATE_HZ, chunk_seconds=chunk_seconds))


def loudest_hertz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax()) * RATE_HZ / len(samples)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "opus", "mp3", "aiff", "au", "caf", "MP3", "Wav"])
def test_a_tone_keeps_its_pitch_and_length_in_every_format(tmp_path, suffix):
    samples = read_all(write_sound(tmp_path / f"a.{suffix}", tone(1000, 2.0)))
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(2 * RATE_HZ, abs=0.1 * RATE_HZ)  # mp3 adds up to two frames at each end
    assert loudest_hertz(samples) == pytest.approx(1000, abs=2)
    assert np.sqrt(2 * np.mean(samples[4000:-4000] ** 2)) == pytest.approx(0.5, rel=0.05)


@needs_ffmpeg
@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.mp3\n",
    ],
)
def test_a_playlist_opens_no_other_file(tmp_path, playlist):
    other = write_sound(tmp_path / "other.mp3", tone(440, 3.0))
    disguised = tmp_path / "playlist.m4a"
    disguised.write_text(playlist.format(other=other))
    with pytest.raises(RecordingError, match="cannot be decoded"):
        list(decoding.read_blocks(disguised, sample_rate_hz=RATE_HZ))


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["m4a", "aac", "mp4", "mkv", "ac3", "wma"])
def test_what_only_ffmpeg_reads_is_read(tmp_path, suffix):
    source = write_sound(tmp_path / "a.wav", tone(1000, 2.0))
    target = tmp_path / f"b.{suffix}"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(source), str(target)], check=True)
    assert loudest_hertz(read_all(target)) == pytest.approx(1000, abs=2)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_every_sample_rate_becomes_the_one_asked_for(tmp_path, rate_hz):
    samples = read_all(write_sound(tmp_path / "a.wav", tone(1000, 2.0, rate_hz=rate_hz), rate_hz))
    assert len(samples) == pytest.approx(2 * RATE_HZ, abs=2)
    assert loudest_hertz(samples) == pytest.approx(1000, abs=1)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_every_sample_format_gives_the_same_sound(tmp_path, subtype):
    expected = tone(1000)
    samples = read_all(write_sound(tmp_path / "a.wav", expected, subtype=subtype))
    assert np.abs(samples - expected).max() < (0.05 if subtype in ("PCM_U8", "ULAW") else 1e-4)


@pytest.mark.parametrize("suffix", ["wav", "mp3"])
def test_stereo_at_48_khz_becomes_the_mean_of_its_channels(tmp_path, suffix):
    left, right = tone(1000, rate_hz=48_000), np.zeros(48_000, np.float32)
    samples = read_all(write_sound(tmp_path / f"a.{suffix}", np.stack([left, right], axis=1), 48_000))
    assert loudest_hertz(samples) == pytest.approx(1000, abs=2)
    assert np.abs(samples[4000:-4000]).max() == pytest.approx(0.25, rel=0.05)


def test_six_channels_become_one(tmp_path):
    six = np.stack([tone(1000)] * 6, axis=1)
    assert np.abs(read_all(write_sound(tmp_path / "a.wav", six)) - tone(1000)).max() < 1e-3


def test_samples_that_are_no_numbers_do_no_harm(tmp_path):
    samples = tone(1000)
    samples[[100, 200, 300]] = np.nan, np.inf, -np.inf
    decoded = read_all(write_sound(tmp_path / "a.wav", samples, subtype="FLOAT"))
    assert np.isfinite(decoded).all() and np.abs(decoded).max() <= 1


@pytest.mark.parametrize("suffix", ["wav", "mp3"])
def test_decoding_twice_gives_the_same_samples(tmp_path, suffix):
    path = write_sound(tmp_path / f"a.{suffix}", noise(2.0))
    assert np.array_equal(read_all(path), read_all(path))


@pytest.mark.parametrize("name", SPACE_AND_QUOTES)
def test_a_recording_may_have_any_name(tmp_path, name):
    write_sound(tmp_path / "a1x.mp3", tone(400))  # what a wildcard would find
    assert loudest_hertz(read_all(write_sound(tmp_path / name, tone(1000)))) == pytest.approx(1000, abs=2)


@pytest.mark.parametrize("name", SPACE_AND_QUOTES)
def test_a_recording_may_have_any_name_without_sox(tmp_path, name, without_sox):
    assert loudest_hertz(read_all(write_sound(tmp_path / name, tone(1000)))) == pytest.approx(1000, abs=2)


@pytest.mark.parametrize("name", ["-n.wav", "-n.mp3"])
def test_a_relative_name_with_a_leading_dash_is_no_option(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert len(read_all(write_sound(Path(name), tone(1000)))) >= RATE_HZ


@needs_sox
@pytest.mark.parametrize("name", [*SPACE_AND_QUOTES, "a[1].mp3"])
def test_sox_alone_decodes_any_name(tmp_path, monkeypatch, name):
    monkeypatch.setattr(decoding, "_decoders", lambda *_: [decoding._decode_sox])
    write_sound(tmp_path / "a1.mp3", tone(300))
    samples = read_all(write_sound(tmp_path / name, tone(1000)))
    assert loudest_hertz(samples) == pytest.approx(1000, abs=2)


@needs_sox
def test_an_mp3_put_together_of_two_is_decoded_to_its_end(tmp_path):
    """The header of the first tells its own length alone."""
    parts = [write_sound(tmp_path / f"{pitch}.mp3", tone(pitch, 5.0)) for pitch in (500, 1000)]
    assert any(mark in parts[0].read_bytes()[:500] for mark in (b"Xing", b"Info"))
    both = tmp_path / "both.mp3"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    samples = read_all(both)
    assert len(samples) / RATE_HZ == pytest.approx(10, abs=0.3)
    assert loudest_hertz(samples[-4 * RATE_HZ :]) == pytest.approx(1000, abs=2)


@needs_sox
def test_what_sox_cannot_decode_is_told_in_its_words(tmp_path):
    (tmp_path / "a.mp3").write_text("no sound")
    with pytest.raises(DecoderError, match=r"^SoX: "):
        list(decoding._decode_sox(tmp_path / "a.mp3", RATE_HZ, "", None))


def test_sox_and_libsndfile_decode_mp3_to_the_same_sound(tmp_path, monkeypatch):
    path = write_sound(tmp_path / "a.mp3", tone(1000, 2.0))
    first = read_all(path)
    monkeypatch.setattr(sox_ffmpeg, "has_sox", lambda: False)
    second = read_all(path)
    assert abs(len(first) - len(second)) < 0.1 * RATE_HZ
    assert loudest_hertz(first) == pytest.approx(loudest_hertz(second), abs=2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"Dear diary, today I sang.\n" * 20, "it holds text"),
        ("Übung macht den Meister.\n".encode() * 500, "it holds text"),
        (bytes(900), "it holds nothing but zeros"),
    ],
)
def test_a_file_that_nobody_would_take_for_sound_is_refused_in_plain_words(tmp_path, content, reason):
    (tmp_path / "a.mp3").write_bytes(content)
    with pytest.raises(RecordingError, match=rf"a\.mp3 cannot be decoded: {reason}\. Remove it, or put"):
        read_all(tmp_path / "a.mp3")


def test_a_file_that_no_decoder_reads_is_refused_with_the_reason_of_each(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"ID3\xff\x01\x02" * 200)
    with pytest.raises(RecordingError, match=r"a\.mp3 cannot be decoded; expected a sound file\. .*libsndfile: "):
        read_all(tmp_path / "a.mp3")


def test_an_empty_recording_is_refused(tmp_path):
    (tmp_path / "a.mp3").touch()
    with pytest.raises(RecordingError, match="is empty"):
        read_all(tmp_path / "a.mp3")


@pytest.mark.parametrize("suffix", ["mp3", "wav", "flac", "ogg"])
def test_a_truncated_recording_gives_what_is_left_of_it(tmp_path, suffix):
    path = write_sound(tmp_path / f"a.{suffix}", tone(1000, 8.0) + noise(8.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    chunks = chunks_of(path)
    assert 2 <= len(chunks) <= 6
    assert loudest_hertz(chunks[0].samples) == pytest.approx(1000, abs=2)


@pytest.mark.parametrize("suffix", ["mp3", "wav", "flac", "ogg"])
def test_a_truncated_recording_gives_what_is_left_of_it_without_sox(tmp_path, suffix, without_sox):
    test_a_truncated_recording_gives_what_is_left_of_it(tmp_path, suffix)


@pytest.mark.parametrize("suffix", ["mp3", "wav", "flac", "ogg"])
def test_a_long_recording_has_no_gaps_where_its_blocks_meet(tmp_path, suffix, without_sox):
    samples = read_all(write_sound(tmp_path / f"a.{suffix}", tone(1000, 65.0)))
    loudness = np.abs(samples[: 64 * RATE_HZ].reshape(-1, RATE_HZ // 10)).max(axis=1)
    assert loudness.min() > 0.4


@pytest.mark.parametrize("suffix", ["mp3", "wav", "flac"])
def test_a_recording_cut_within_its_header_is_refused(tmp_path, suffix):
    path = write_sound(tmp_path / f"a.{suffix}", tone(1000))
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(RecordingError, match=r"a.* (cannot be decoded|holds)"):
        chunks_of(path)


def test_a_folder_a_missing_file_and_a_dangling_link_are_no_recordings(tmp_path):
    (tmp_path / "folder.mp3").mkdir()
    (tmp_path / "link.mp3").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RecordingError, match=r"folder\.mp3 cannot be read \(it is a folder\)"):
        read_all(tmp_path / "folder.mp3")
    for name in ("link.mp3", "missing.mp3"):
        with pytest.raises(RecordingError, match=f"{name} is not a file"):
            read_all(tmp_path / name)


@pytest.mark.parametrize("kind", IRREGULAR)
@pytest.mark.parametrize("name", ["a.mp3", "a.wav"])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path, name, kind):
    path = irregular_file(tmp_path / name, kind)
    with pytest.raises(RecordingError, match=rf"{name} cannot be read \(it is a {kind}\)"):
        read_all(path)
    with pytest.raises(RecordingError, match=rf"{name} cannot be read \(it is a {kind}\)"):
        read_wav(path)
    assert form_of(path) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
@pytest.mark.parametrize("name", ["a.wav", "a.mp3"])
def test_a_recording_that_must_not_be_read_is_called_so(tmp_path, name):
    path = write_sound(tmp_path / name, tone(1000))
    path.chmod(0)
    os.seteuid(65_534)
    try:
        with pytest.raises(RecordingError, match=rf"{name} cannot be read \(Permission denied\)"):
            read_all(path)
    finally:
        os.seteuid(0)


def with_header(content: bytes, **changes: int) -> bytes:
    """Return a wav with other numbers in its header of 44 bytes."""
    places = {"riff_size": (4, 4), "channels": (22, 2), "rate_hz": (24, 4), "bits": (34, 2), "data_size": (40, 4)}
    changed = bytearray(content)
    for name, value in changes.items():
        start, count = places[name]
        changed[start : start + count] = value.to_bytes(count, "little")
    return bytes(changed)


@pytest.fixture(params=["with_sox", "without_sox"])
def any_decoder(request):
    """A machine with all decoders, and one without SoX."""
    if request.param == "without_sox":
        request.getfixturevalue("without_sox")


@pytest.mark.parametrize("rate_hz", [1, 99, 768_001, 2**31 - 1])
def test_a_header_with_a_rate_that_no_sound_has_is_refused(tmp_path, rate_hz, any_decoder):
    wav = write_sound(tmp_path / "a.wav", tone(1000, 3.0))
    wav.write_bytes(with_header(wav.read_bytes(), rate_hz=rate_hz))
    with pytest.raises(RecordingError, match=rf"a\.wav says that it has {rate_hz:,} samples a second; expected 100 to"):
        read_all(wav)


@needs_sox
@pytest.mark.parametrize(("claim", "expected"), [({"rate_hz": 1}, "1 samples a second"), ({"channels": 65}, "65 chan")])
def test_sox_is_not_asked_for_what_no_sound_has(tmp_path, monkeypatch, claim, expected):
    monkeypatch.setattr(decoding, "_decoders", lambda *_: [decoding._decode_sox])
    wav = write_sound(tmp_path / "a.wav", tone(1000, 3.0))
    wav.write_bytes(with_header(wav.read_bytes(), **claim))
    with pytest.raises(RecordingError, match=f"says that it has {expected}"):
        read_all(wav)


@pytest.mark.parametrize("rate_hz", [2_000, 384_000, 768_000])
def test_bearings_and_bats_are_sound(tmp_path, rate_hz, any_decoder):
    samples = read_all(write_sound(tmp_path / "a.wav", tone(200, 2.0, rate_hz=rate_hz), rate_hz))
    assert loudest_hertz(samples) == pytest.approx(200, abs=2)


@pytest.mark.parametrize("channels", [0, 65, 1_024, 65_535])
def test_a_header_with_channels_that_no_sound_has_is_refused(tmp_path, channels, any_decoder):
    wav = write_sound(tmp_path / "a.wav", tone(1000, 3.0))
    wav.write_bytes(with_header(wav.read_bytes(), channels=channels))
    with pytest.raises(RecordingError, match=rf"a\.wav (says that it has {channels:,} channels|cannot be decoded)"):
        read_all(wav)


@pytest.mark.parametrize("bits", [0, 1, 3, 255, 65_535])
def test_a_header_with_a_lie_about_its_bits_gives_no_more_than_the_file_holds(tmp_path, bits, any_decoder):
    wav = write_sound(tmp_path / "a.wav", tone(1000, 3.0))
    wav.write_bytes(with_header(wav.read_bytes(), bits=bits))
    try:
        assert len(read_all(wav)) <= 16 * RATE_HZ
    except RecordingError as error:
        assert "a.wav" in str(error)


@pytest.mark.parametrize("size", [0, 7, 2**31 - 1, 2**32 - 1])
def test_lengths_of_streams_and_lies_about_them_leave_the_sound_as_it_is(tmp_path, size, any_decoder):
    wav = write_sound(tmp_path / "a.wav", tone(1000, 3.0))
    wav.write_bytes(with_header(wav.read_bytes(), riff_size=size, data_size=2**32 - 1))
    assert len(read_all(wav)) == 3 * RATE_HZ


def test_a_small_file_gives_no_more_sound_than_its_bytes_can_hold(tmp_path):
    """Hours of a constant, which is not silence, in some bytes a second."""
    path = tmp_path / "a.flac"
    with soundfile.SoundFile(path, "w", 1_000, 1, subtype="PCM_16", compression_level=1.0) as flac:
        for _ in range(4):
            flac.write(np.full(1_000_000, 0.5, np.float32))
    most_seconds = decoding.SPARE_SECONDS + path.stat().st_size / decoding.LEAST_BYTES_OF_OTHERS
    given = 0
    with pytest.raises(RecordingError, match=r"a\.flac gives more sound than its .* bytes can hold"):
        for block in read_blocks(path, sample_rate_hz=RATE_HZ):
            given += len(block)
    assert given <= most_seconds * RATE_HZ < 4_000 * RATE_HZ


@needs_sox
def test_a_header_of_some_bytes_does_not_take_gigabytes(tmp_path):
    """The au format says how long its header is, and SoX would read as much of it."""
    path = tmp_path / "a.au"
    path.write_bytes(b".snd" + b"".join(number.to_bytes(4, "big") for number in (2**32 - 16, 2**31, 3, 16_000, 999)))
    program = (
        "import resource, sys\nfrom pathlib import Path\nfrom audionet.audio.decoding import read_blocks\n"
        "from audionet.errors import RecordingError\n"
        "try: list(read_blocks(Path(sys.argv[1]), sample_rate_hz=16_000))\n"
        "except RecordingError: print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    done = run_python("-c", program, path)
    assert int(done.stdout) < 500_000  # kilobytes


STALLING = """#!/bin/sh
exec sleep 1000
"""


def test_a_decoder_that_hangs_is_named_and_given_up(tmp_path, monkeypatch):
    wav = write_sound(tmp_path / "a.mp3", tone(1000))
    (tmp_path / "sox").write_text(STALLING)
    (tmp_path / "sox").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(sox_ffmpeg, "LEAST_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(decoding, "_decoders", lambda *_: [decoding._decode_sox])
    with pytest.raises(RecordingError, match="SoX: was not done with it after 0 s"):
        read_all(wav)


@pytest.mark.parametrize("script", ["exec sleep 1000", "printf 0123; exec sleep 1000", "exec >&-; exec sleep 1000"])
def test_a_program_that_stops_writing_is_given_up_wherever_it_stops(script):
    with pytest.raises(DecoderError, match="SoX: was not done"):
        list(sox_ffmpeg.program_blocks("SoX", ["sh", "-c", script], block_bytes=2, seconds=0.3))


def test_a_program_of_which_no_more_is_wanted_is_ended():
    blocks = sox_ffmpeg.program_blocks("SoX", ["sh", "-c", "printf 0123; exec sleep 1000"], block_bytes=2, seconds=60)
    assert next(blocks) == b"01"
    blocks.close()


def test_a_broken_mp3_leaves_stderr_to_those_who_have_something_to_say(tmp_path, capfd, without_sox):
    path = write_sound(tmp_path / "a.mp3", tone(1000, 5.0))
    content = bytearray(path.read_bytes())
    content[2_000:2_400] = bytes(400)
    path.write_bytes(content)
    assert len(read_all(path)) and form_of(path)
    path.write_bytes(np.random.default_rng(0).bytes(50_000))
    with pytest.raises(RecordingError, match="libsndfile: Format not recognised"):
        read_all(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.mp3", "a.MP3", "a.Wav", "a.flac", "a.ogg", "a.m4a", "a.opus", "a.aac", "a.b.mp3"])
def test_recordings_are_known_by_their_suffix_in_any_letter_case(name):
    assert is_recording(Path(name))


@pytest.mark.parametrize("name", ["a.jpg", "a.txt", "mp3", "a.mp3.part", "a"])
def test_other_files_are_no_recordings(name):
    assert not is_recording(Path(name))


def test_recordings_are_found_at_any_depth(tmp_path):
    for name in ("b.mp3", "a/2.wav", "a/1.WAV", "notes.txt", ".hidden.mp3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [path.relative_to(tmp_path).as_posix() for path in find_recordings(tmp_path)]
    assert names == ["b.mp3", "a/1.WAV", "a/2.wav"]


@needs_sox
@pytest.mark.parametrize("suffix", ["wav", "mp3"])
def test_effects_change_the_sound(tmp_path, suffix):
    path = write_sound(tmp_path / f"a.{suffix}", tone(1000, level=0.1))
    assert np.abs(read_all(path, effects="norm -6")).max() == pytest.approx(0.5, rel=0.02)


@needs_sox
def test_effects_take_quoted_and_several_words(tmp_path):
    silence = np.zeros(RATE_HZ, np.float32)
    path = write_sound(tmp_path / "a.wav", np.concatenate([silence, tone(1000)]))
    assert len(read_all(path, effects='norm -3 silence "1" 0.1 1%')) == pytest.approx(RATE_HZ, rel=0.05)


@needs_sox
@pytest.mark.parametrize("effects", ["norm -6", "highpass 1000", "norm -3 silence 1 0.1 1%"])
def test_effects_work_on_stdin_as_in_files(tmp_path, monkeypatch, effects):
    path = write_sound(tmp_path / "a.wav", np.concatenate([np.zeros(RATE_HZ, np.float32), tone(440, 2.0, level=0.1)]))
    of_file = read_all(path, effects=effects)
    with path.open("rb") as sent:
        monkeypatch.setattr(sys, "stdin", sent)
        assert np.array_equal(read_all(STDIN, effects=effects), of_file)


@needs_sox
def test_what_is_no_wav_on_stdin_is_explained_with_effects_too(tmp_path, monkeypatch):
    (tmp_path / "text").write_text("no sound")
    with (tmp_path / "text").open("rb") as sent:
        monkeypatch.setattr(sys, "stdin", sent)
        with pytest.raises(RecordingError, match=r"^-: expected wav on stdin\. - cannot be decoded: it holds text"):
            read_all(STDIN, effects="norm -6")

import os

import pytest
from conftest import needs_sox, run_python, tone, write_sound

from audionet.audio.decoding import read_blocks
from audionet.audio.sox_ffmpeg import DecoderError, changes_time, check_effects, sox_form
from audionet.errors import InputError


@needs_sox
@pytest.mark.parametrize("effects", ["normm -3", "trim backwards", "silence"])
def test_effects_that_sox_does_not_know_are_refused_at_the_start(effects):
    with pytest.raises(InputError, match=r"sox_effects: (SoX does not accept|expected a chain)"):
        check_effects(effects)


@needs_sox
@pytest.mark.parametrize(
    "effects",
    [
        "'|touch owned' out.wav norm",
        "owned norm",
        "-n norm",
        "spectrogram -o owned",
        "norm SPECTROGRAM -o owned",
        "norm noiseprof owned",
        "norm : newfile : trim 0 1",
        "norm ladspa ./owned.so",
    ],
)
def test_effects_that_use_files_or_programs_are_refused_wherever_they_come_from(tmp_path, monkeypatch, effects):
    monkeypatch.chdir(tmp_path)
    sound = write_sound(tmp_path / "sound" / "a.wav", tone(440))
    for use in (check_effects, lambda chain: list(read_blocks(sound, sample_rate_hz=16_000, effects=chain))):
        with pytest.raises(InputError, match="sox_effects: expected"):
            use(effects)
    assert [path.name for path in tmp_path.iterdir()] == ["sound"]


@needs_sox
@pytest.mark.parametrize("effects", ["", "norm -3", "norm -3 silence 1 0.1 1%", "highpass 100"])
def test_effects_that_sox_knows_are_accepted(effects):
    check_effects(effects)


def test_effects_without_sox_say_how_to_install_it(without_sox):
    with pytest.raises(InputError, match="apt-get install sox"):
        check_effects("norm -3")


@pytest.mark.parametrize(("effects", "moves"), [("", False), ("norm -3", False), ("norm -3 silence 1 0.1 1%", True)])
def test_effects_that_move_sounds_are_known(effects, moves):
    assert changes_time(effects) is moves


@needs_sox
@pytest.mark.parametrize("rate_hz", [8_000, 44_100])
def test_sox_tells_the_sample_rate_of_a_file(tmp_path, rate_hz):
    assert sox_form(write_sound(tmp_path / "a*[1].mp3", tone(440, rate_hz=rate_hz), rate_hz)) == (rate_hz, 1)


@needs_sox
@pytest.mark.parametrize("name", ["a.mp3", "a.m4a", "no such.mp3"])
def test_sox_tells_why_it_does_not_know_the_rate_and_nothing_else(tmp_path, capfd, name):
    (tmp_path / "a.mp3").write_text("no sound")
    (tmp_path / "a.m4a").write_text("no sound")
    with pytest.raises(DecoderError, match=r"^SoX: \S"):
        sox_form(tmp_path / name)
    assert capfd.readouterr() == ("", "")


def test_without_the_program_its_package_is_not_imported(tmp_path):
    clip = write_sound(tmp_path / "a.mp3", tone(440))
    program = (
        "import sys\nfrom pathlib import Path\nfrom audionet.audio.chunks import read_chunks\n"
        f"assert list(read_chunks(Path({str(clip)!r}), sample_rate_hz=16_000, chunk_seconds=1.0))\n"
        "assert 'sox' not in sys.modules\n"
    )
    done = run_python("-c", program, env=os.environ | {"PATH": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

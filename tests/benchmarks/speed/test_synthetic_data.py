import soundfile

from benchmarks.speed import (
    synthetic_data,
)


def test_recordings_are_made_once_and_are_all_different(tmp_path):
    synthetic_data.make_recordings(tmp_path / "made", count=6, seconds=0.5, suffix=".wav")
    wavs = sorted((tmp_path / "made").rglob("*.wav"))
    times = [path.stat().st_mtime_ns for path in wavs]
    synthetic_data.make_recordings(tmp_path / "made", count=6, seconds=0.5, suffix=".wav")
    assert [path.stat().st_mtime_ns for path in wavs] == times
    assert len({path.read_bytes() for path in wavs}) == 6 and soundfile.info(wavs[0]).duration == 0.5
    synthetic_data.make_recordings(tmp_path / "made", count=2, seconds=0.5, suffix=".wav")
    assert len(list((tmp_path / "made").rglob("*.wav"))) == 2

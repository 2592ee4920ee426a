from conftest import RATE_HZ, names_below, tone, write_sound

from benchmarks.speed import (
    library_pipeline,
)


def test_bare_libraries_draw_as_many_pictures_of_the_same_size(tmp_path):
    write_sound(tmp_path / "audio" / "alice" / "a.wav", tone(1000, 6.0))
    assert library_pipeline.draw_recordings(str(tmp_path / "audio"), str(tmp_path / "bare"), 2) == 3
    picture = library_pipeline.draw(tone(1000, 2.0))
    assert picture.shape == (224, 224, 3) and len(names_below(tmp_path / "bare")) == 3
    assert abs(picture[:, :, 0].mean(axis=1).argmax() - (1 - 1000 / (RATE_HZ / 2)) * 223) < 2

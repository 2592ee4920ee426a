import numpy as np
import pytest
from conftest import RATE_HZ, noise, tone

from audionet.audio.chunks import WORD_SECONDS
from audionet.audio.codecs import CODECS
from audionet.audio.writing import write_wav
from audionet.data import augmentation
from audionet.data.augmentation import (
    KINDS,
    RATE,
    WIDEST_MASK,
    ChunkFile,
    ViewKind,
    draw_view,
    make_view,
    mask,
    plan_views,
    sound_of,
)
from audionet.features.extraction import served_picture
from audionet.features.recipes import find_recipe

OTHERS = [noise(1.0), tone(300, 1.0)]
every_kind = pytest.mark.parametrize("kind", [*KINDS, RATE])


def view(kind: ViewKind, *, seed: int = 0, samples: np.ndarray | None = None, others=OTHERS) -> np.ndarray:
    sound = tone(440, 1.0) if samples is None else samples
    rng = np.random.default_rng(seed)
    return make_view(sound, kind=kind, sample_rate_hz=RATE_HZ, others=others, rng=rng)


def chunks(tmp_path, count: int) -> list[ChunkFile]:
    return [ChunkFile(tmp_path / f"{row}.wav", 2.0, f"{row:064x}", "ab"[row % 2]) for row in range(count)]


@every_kind
def test_a_view_is_the_same_again_and_another_for_another_seed(kind):
    assert np.array_equal(view(kind), view(kind))
    assert not np.array_equal(view(kind), view(kind, seed=1))


@every_kind
@pytest.mark.parametrize("seed", range(12))
def test_a_view_is_a_sound_of_about_the_same_length_that_does_not_clip(kind, seed):
    made = view(kind, seed=seed)
    assert made.dtype == np.float32 and np.isfinite(made).all()
    assert np.abs(made).max() <= 0.99 + 1e-6
    assert len(made) == pytest.approx(RATE_HZ, rel=0.3)


@every_kind
@pytest.mark.parametrize("samples", [np.zeros(8_000, np.float32), np.ones(1, np.float32), noise(0.02)])
def test_silence_and_the_shortest_sounds_have_views(kind, samples):
    for seed in range(6):
        assert np.isfinite(view(kind, seed=seed, samples=samples)).all()


@pytest.mark.parametrize("seed", range(8))
def test_a_mask_covers_a_band_and_a_stretch_and_leaves_the_rest(seed):
    picture = np.random.default_rng(9).integers(0, 256, (40, 60, 3), np.uint8)
    masked = mask(picture, rng=np.random.default_rng(seed))
    covered = (masked == round(picture.mean())).all(axis=2)
    rows, columns = covered.all(axis=1), covered.all(axis=0)
    assert rows.sum() <= WIDEST_MASK * 40 and columns.sum() <= WIDEST_MASK * 60
    is_covered = rows[:, None] | columns[None, :]
    assert np.array_equal(masked[~is_covered], picture[~is_covered])
    for covered_lines in (rows, columns):
        assert np.count_nonzero(np.diff(covered_lines.astype(int))) <= 2  # they are neighbours


def test_the_fifth_view_is_masked_and_the_same_again(tmp_path):
    recipe = find_recipe("default", chunk_seconds=0.5, picture_height=64, picture_width=64)
    write_wav(tmp_path / "a.wav", tone(440, 0.5), sample_rate_hz=RATE_HZ)
    (views,) = plan_views([ChunkFile(tmp_path / "a.wav", 0.5, f"{7:064x}", "a")], count=5, seed=0, recipe=recipe)
    for view in views:
        picture, unmasked = draw_view(view), served_picture(sound_of(view), recipe)
        assert np.array_equal(picture, draw_view(view))
        assert np.array_equal(picture, unmasked) == (view is not views[4])


def test_the_kind_that_needs_other_chunks_does_without_any():
    (kind,) = (kind for kind in KINDS if kind.needs_others)
    for seed in range(8):
        assert np.isfinite(view(kind, seed=seed, others=[])).all()


def test_what_this_machine_cannot_encode_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(augmentation, "missing_codecs", lambda: dict.fromkeys(CODECS, "not here"))
    monkeypatch.setattr(augmentation, "through_codec", lambda *_, **__: pytest.fail("a codec was used"))
    for kind in KINDS:
        view(kind)


def test_views_of_a_chunk_stay_the_same_when_other_chunks_come(tmp_path):
    plan = {"count": 4, "seed": 0, "recipe": find_recipe("default")}
    few, many = plan_views(chunks(tmp_path, 40), **plan), plan_views(chunks(tmp_path, 41), **plan)
    same = [first.key == second.key for row in range(40) for first, second in zip(few[row], many[row], strict=True)]
    assert np.mean(same) > 0.9
    assert all(other.label != made.chunk.label for views in few for made in views for other in made.others)


def planned(tmp_path, *, chunk_seconds: float, count: int = 4):
    recipe = find_recipe("default", chunk_seconds=chunk_seconds)
    return plan_views(chunks(tmp_path, 8), count=count, seed=0, recipe=recipe)[0]


def test_words_have_half_as_many_views_more_and_longer_chunks_none(tmp_path):
    of_word, of_speech = (planned(tmp_path, chunk_seconds=seconds) for seconds in (WORD_SECONDS, 2.0))
    assert [view.kind for view in of_word] == [*KINDS[:4], RATE, RATE]
    assert [view.kind for view in of_speech] == list(KINDS[:4])
    assert len({view.key for view in of_word}) == len(of_word)


def test_the_other_views_of_words_are_those_of_any_chunk_in_the_cache_too(tmp_path):
    of_word, of_speech = (planned(tmp_path, chunk_seconds=seconds) for seconds in (1.0, 2.0))
    assert [view.key for view in of_word[:4]] == [view.key for view in of_speech]


def test_a_speaking_rate_changes_by_a_fifth_and_more_in_either_direction():
    lengths = [len(view(RATE, seed=seed)) / RATE_HZ for seed in range(40)]
    assert min(lengths) < 0.85 and max(lengths) > 1.15

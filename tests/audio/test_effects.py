import numpy as np
import pytest
from conftest import RATE_HZ, babbling, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from audionet.audio import effects


def rms_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def loudest_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * RATE_HZ / len(samples))


def share_db(samples: np.ndarray, low_hz: float, high_hz: float) -> float:
    """Power in a band over all power, in decibels."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    return float(10 * np.log10(power[(hertz >= low_hz) & (hertz < high_hz)].sum() / power.sum()))


@given(snr_db=st.floats(-10, 40), seed=st.integers(0, 99), color=st.sampled_from(["white", "pink", "brown"]))
@settings(deadline=None)
def test_noise_lies_as_far_below_the_clip_as_asked(snr_db, seed, color):
    samples = babbling(seed)
    noisy = effects.add_noise(samples, snr_db=snr_db, color=color, rng=np.random.default_rng(seed))
    assert rms_db(samples) - rms_db(noisy.astype(np.float64) - samples) == pytest.approx(snr_db, abs=0.05)


def test_babble_lies_as_far_below_the_clip_as_asked():
    samples = tone(440)
    noisy = effects.add_babble(samples, snr_db=10, others=[babbling(1)], rng=np.random.default_rng(0))
    assert rms_db(samples) - rms_db(noisy - samples) == pytest.approx(10, abs=0.05)


@pytest.mark.parametrize("add", [effects.add_swelling_noise, effects.add_tones])
@pytest.mark.parametrize("seed", range(5))
def test_swelling_noise_and_tones_lie_as_far_below_the_clip_as_asked(add, seed):
    samples = babbling(seed)
    noisy = add(samples, sample_rate_hz=RATE_HZ, snr_db=10, rng=np.random.default_rng(seed))
    assert rms_db(samples) - rms_db(noisy.astype(np.float64) - samples) == pytest.approx(10, abs=0.05)


def test_tones_are_steady_and_few():
    added = effects.add_tones(tone(440), sample_rate_hz=RATE_HZ, snr_db=0, rng=np.random.default_rng(0)) - tone(440)
    power = np.sort(np.abs(np.fft.rfft(added * np.hanning(len(added)))) ** 2)[::-1]
    assert power[: 4 * 11 * 4].sum() > 0.99 * power.sum()


def test_without_other_clips_there_is_no_babble():
    samples = tone(440)
    for others in ([], [np.zeros(100, np.float32)], [np.empty(0, np.float32)]):
        altered = effects.add_babble(samples, snr_db=10, others=others, rng=np.random.default_rng(0))
        np.testing.assert_array_equal(altered, samples)


@pytest.mark.parametrize(("color", "slope_db"), [("white", 0), ("pink", -3), ("brown", -6)])
def test_colored_noise_falls_by_its_slope_per_octave(color, slope_db):
    noise = effects.colored_noise(2**18, color=color, rng=np.random.default_rng(0))
    # An octave higher there are twice as many bins, hence the 3 dB.
    assert share_db(noise, 2_000, 4_000) - share_db(noise, 1_000, 2_000) == pytest.approx(slope_db + 3, abs=0.3)


@given(depth_db=st.floats(0, 20), seed=st.integers(0, 99))
@settings(deadline=None)
def test_equalizing_changes_no_tone_by_more_than_its_depth(depth_db, seed):
    samples = tone(1_000)
    altered = effects.equalize(samples, sample_rate_hz=RATE_HZ, depth_db=depth_db, rng=np.random.default_rng(seed))
    assert abs(rms_db(altered) - rms_db(samples)) <= depth_db + 0.2


def test_filters_take_away_what_is_outside():
    low, high = tone(100), tone(6_000)
    assert rms_db(effects.low_pass(high, sample_rate_hz=RATE_HZ, cutoff_hz=2_000)) < rms_db(high) - 50
    assert rms_db(effects.low_pass(low, sample_rate_hz=RATE_HZ, cutoff_hz=2_000)) == pytest.approx(rms_db(low), abs=0.1)
    assert rms_db(effects.high_pass(low, sample_rate_hz=RATE_HZ, cutoff_hz=1_000)) < rms_db(low) - 30
    assert rms_db(effects.telephone_band(tone(1_000), sample_rate_hz=RATE_HZ)) == pytest.approx(rms_db(low), abs=0.1)


def test_a_filter_beyond_the_band_changes_nothing():
    samples = babbling()
    altered = effects.low_pass(samples, sample_rate_hz=RATE_HZ, cutoff_hz=8_000)
    np.testing.assert_array_equal(altered, samples)


def test_a_room_rings_on_and_its_tail_dies_away_in_its_time():
    click = np.zeros(RATE_HZ, np.float32)
    click[0] = 1
    wet = effects.reverberate(click, sample_rate_hz=RATE_HZ, rt60_seconds=0.5, rng=np.random.default_rng(0))
    early, late = rms_db(wet[800:1_600]), rms_db(wet[4_800:5_600])  # 0.05 s and 0.3 s: half the time, half of 60 dB
    assert early - late == pytest.approx(30, abs=1.5)


def test_a_room_keeps_the_level():
    samples = babbling()
    wet = effects.reverberate(samples, sample_rate_hz=RATE_HZ, rt60_seconds=0.3, rng=np.random.default_rng(0))
    assert rms_db(wet) == pytest.approx(rms_db(samples), abs=0.01)


def test_echoes_stand_out_from_the_tail_and_damping_makes_it_duller():
    click = np.zeros(RATE_HZ, np.float32)
    click[0] = 1
    plain, echoing, damped = (
        effects.reverberate(click, sample_rate_hz=RATE_HZ, rt60_seconds=0.5, rng=np.random.default_rng(0), **settings)
        for settings in ({}, {"echoes": 8}, {"damping": 0.8})
    )
    assert (
        np.abs(echoing[1:]).max() / np.abs(echoing[1:]).mean()
        > 1.5 * np.abs(plain[1:]).max() / np.abs(plain[1:]).mean()
    )
    assert share_db(damped[1:], 4_000, 8_000) < share_db(plain[1:], 4_000, 8_000) - 6


def test_one_reflection_takes_away_the_tone_that_it_comes_half_a_period_late_to():
    samples = tone(500)
    reflected = effects.reflect(samples, sample_rate_hz=RATE_HZ, delay_seconds=0.001, gain_db=0)
    assert rms_db(reflected[100:]) < rms_db(samples) - 40
    doubled = effects.reflect(tone(1_000), sample_rate_hz=RATE_HZ, delay_seconds=0.001, gain_db=0)
    assert rms_db(doubled[100:]) == pytest.approx(rms_db(samples) + 6, abs=0.1)


def test_overdriving_keeps_the_peak_and_lifts_what_is_quiet():
    samples = babbling()
    driven = effects.overdrive(samples, gain_db=20)
    assert np.abs(driven).max() == pytest.approx(np.abs(samples).max(), rel=1e-3)
    assert rms_db(driven) > rms_db(samples) + 3
    assert np.array_equal(np.sign(driven), np.sign(samples))


@given(levels=st.integers(2, 64))
def test_quantizing_leaves_no_more_levels_than_asked(levels):
    assert len(np.unique(effects.quantize(babbling(), levels=levels))) <= levels + 1


@given(share=st.floats(0, 1), seed=st.integers(0, 99))
def test_packets_are_lost_whole_and_as_many_as_asked(share, seed):
    sound = np.ones(20 * RATE_HZ, np.float32)
    arrived = effects.lose_packets(sound, sample_rate_hz=RATE_HZ, share=share, rng=np.random.default_rng(seed))
    packets = arrived.reshape(-1, 320)
    assert np.ptp(packets, axis=1).max() == 0
    assert 1 - packets[:, 0].mean() == pytest.approx(share, abs=0.08)


def test_amplifying_clips_at_full_scale_and_rounds_to_16_bits():
    assert np.abs(effects.amplify(tone(440), gain_db=20)).max() <= 1
    quiet = effects.amplify(tone(440), gain_db=-60)
    np.testing.assert_array_equal(quiet, np.round(quiet * 32768) / 32768)


@given(share=st.floats(0.01, 0.5))
def test_clipping_cuts_the_share_asked_for(share):
    samples = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    clipped = effects.clip(samples, share=share)
    assert np.mean(clipped != samples) == pytest.approx(share, abs=0.001)


@given(factor=st.floats(0.7, 1.5))
@settings(deadline=None)
def test_speed_moves_pitch_and_length(factor):
    faster = effects.change_speed(tone(1_000), factor=factor)
    assert len(faster) == round(RATE_HZ / factor)
    assert loudest_hz(faster) == pytest.approx(1_000 * factor, rel=0.01)


@given(factor=st.floats(0.7, 1.5))
@settings(deadline=None)
def test_tempo_moves_length_alone(factor):
    faster = effects.change_tempo(tone(1_000), sample_rate_hz=RATE_HZ, factor=factor)
    assert len(faster) == round(RATE_HZ / factor)
    assert loudest_hz(faster) == pytest.approx(1_000, rel=0.01)


@given(semitones=st.floats(-4, 4))
@settings(deadline=None)
def test_pitch_moves_pitch_alone(semitones):
    higher = effects.change_pitch(tone(1_000), sample_rate_hz=RATE_HZ, semitones=semitones)
    assert len(higher) == RATE_HZ
    assert loudest_hz(higher) == pytest.approx(1_000 * 2 ** (semitones / 12), rel=0.01)

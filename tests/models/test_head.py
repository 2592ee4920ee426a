import numpy as np

from audionet.models.head import Head


def test_a_temperature_keeps_the_answer_and_lowers_the_confidence():
    head = Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    hot, cooled = head.probabilities(np.eye(3)), head.with_temperature(4.0).probabilities(np.eye(3))
    assert np.array_equal(hot.argmax(axis=1), cooled.argmax(axis=1))
    assert (cooled.max(axis=1) < hot.max(axis=1)).all()


def test_logits_do_not_depend_on_how_the_table_is_cut():
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32))
    table = rng.normal(size=(9_000, 4)).astype(np.float16)
    together = head.logits(table)
    apart = np.concatenate([head.logits(table[start : start + 1000]) for start in range(0, 9_000, 1000)])
    assert np.allclose(together, apart, atol=1e-6)

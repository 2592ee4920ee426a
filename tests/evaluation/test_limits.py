import pytest

from audionet.errors import InputError
from audionet.evaluation.limits import Limit, faults_of, parse_limits

EVALUATION = {
    "labels": ["a", "b"],
    "chunk": {"accuracy": 0.85, "ci95": [0.8, 0.9], "n": 40},
    "open_set": {"eer": None, "chunk": {"eer": 0.1}},
    "not_computed": {"open_set.eer": "no unknown recording was tested"},
}


def faults(*texts: str) -> list[str]:
    return faults_of(EVALUATION, parse_limits(texts))


def test_what_reaches_its_limit_is_no_fault():
    assert faults("chunk.accuracy=0.85", "chunk.ci95.low=0.8", "chunk.ci95.high=0.9", "chunk.n=40") == []


def test_what_is_below_its_limit_is_named():
    assert faults("chunk.accuracy=0.86", "chunk.n=1", "chunk.ci95.low=0.81") == [
        "chunk.accuracy is 0.85, below 0.86",
        "chunk.ci95.low is 0.8, below 0.81",
    ]


def test_what_could_not_be_computed_is_a_fault_with_its_reason():
    assert faults("open_set.eer=0") == [
        "open_set.eer could not be computed (no unknown recording was tested); expected 0"
    ]


@pytest.mark.parametrize("text", ["", "chunk.accuracy", "chunk.accuracy=", "=0.5", "a=nan", "a=inf", "a=b=1"])
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(InputError, match="--fail_below: expected a key and a number"):
        parse_limits([text])


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("chunks.accuracy", "chunk, open_set"),
        ("chunk.acuracy", "chunk.accuracy"),
        ("chunk", "chunk.accuracy"),
        ("chunk.ci95", "chunk.ci95.low, chunk.ci95.high"),
        ("chunk.ci95.0", "chunk.ci95.low"),
        ("labels", ""),
        ("chunk.accuracy.x", ""),
    ],
)
def test_a_key_that_there_is_not_is_refused_with_those_that_there_are(key, known):
    with pytest.raises(InputError, match="expected the key of a number") as raised:
        faults(f"{key}=0.5")
    assert known in str(raised.value)


def test_spaces_round_a_key_do_not_count():
    assert parse_limits(["chunk.accuracy =0.9"]) == (Limit("chunk.accuracy", 0.9),)

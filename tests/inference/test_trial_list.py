"""A list of trials: what it may look like, and what is said of one that cannot be read."""

import os

import pytest
from conftest import irregular_file
from hypothesis import given
from hypothesis import strategies as st

from audionet.errors import InputError
from audionet.inference.trial_list import Trial, read_trials


@pytest.fixture
def written(tmp_path):
    """Writes a list and returns its path."""

    def write(content: str | bytes):
        path = tmp_path / "trials.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_voxcelebs_list_is_read(written):
    trials = read_trials(written("1 id1/x/1.wav id1/y/2.wav\n0 id1/x/1.wav id2/z/3.wav\n"))
    assert trials == [
        Trial(1, True, "id1/x/1.wav", "id1/y/2.wav"),
        Trial(2, False, "id1/x/1.wav", "id2/z/3.wav"),
    ]
    assert trials[1].speakers == ("id1", "id2")


@pytest.mark.parametrize(
    "line",
    [
        "1 a/b.wav c/d.wav",
        "1  a/b.wav   c/d.wav ",
        "1\ta/b.wav\tc/d.wav",
        '1 "a/b.wav" c/d.wav',
        "1 ./a/b.wav c//d.wav",
        "\ufeff1 a/b.wav c/d.wav\r",
        "\n\n1 a/b.wav c/d.wav\n  \n",
    ],
)
def test_spaces_tabs_quotes_and_empty_lines_are_admitted(written, line):
    (trial,) = read_trials(written(line))
    assert (trial.is_same, trial.first, trial.second) == (True, "a/b.wav", "c/d.wav")


@pytest.mark.parametrize("line", ["0\tmy voice/1 a.wav\tthe other/2.wav", '0 "my voice/1 a.wav" "the other/2.wav"'])
def test_names_with_spaces_have_tabs_between_or_quotes_around(written, line):
    (trial,) = read_trials(written(line))
    assert (trial.first, trial.second) == ("my voice/1 a.wav", "the other/2.wav")


@given(st.lists(st.text(st.characters(exclude_characters='\t\n\r"/\0\x85\u2028\u2029'), min_size=1), min_size=1))
def test_names_of_any_characters_are_kept_to_the_letter(tmp_path_factory, names):
    names = [f"s/{name}.wav" for name in names]
    path = tmp_path_factory.mktemp("trials") / "list"
    path.write_text("".join(f"1\t{name}\t{name}\n" for name in names), "utf-8", "surrogateescape", newline="")
    assert [trial.first for trial in read_trials(path)] == names


def test_a_name_that_is_no_unicode_is_kept(written):
    (trial,) = read_trials(written(b"1 a/\xff.wav b/c.wav"))
    assert os.fsencode(trial.first) == b"a/\xff.wav"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 a.wav b.wav\n1,a.wav,b.wav", r"line 2 of .*trials.txt: expected .*received 1 column"),
        ("1;a.wav;b.wav", r"line 1 .*spaces or tabs"),
        ("1 my voice.wav b.wav", r"line 1 .*received 4 columns.*tabs.*quotes"),
        ("1 a.wav", r"line 1 .*received 2 columns"),
        ('1 "a.wav b.wav', r"line 1 .*quot"),
        ("1 a.wav b.wav\n\nsame a.wav b.wav", r"line 3 .*expected 1 .*or 0 .*received 'same'"),
        ("a.wav b.wav 1", r"line 1 .*expected 1 .*or 0 .*received 'a.wav'"),
        ("2 a.wav b.wav", r"line 1 .*received '2'"),
        ("1 ../a.wav b.wav", r"line 1 .*below --audio_dir.*'\.\./a\.wav'"),
        ("1 a.wav /etc/passwd", r"line 1 .*below --audio_dir.*'/etc/passwd'"),
        ("1 a/../../b.wav b.wav", r"line 1 .*below --audio_dir"),
        ("1 . b.wav", r"line 1 .*below --audio_dir"),
        ("1\t\tb.wav", r"line 1 .*below --audio_dir"),
        ("1 a\0.wav b.wav", r"line 1 .*no list"),
        ("", "no trial"),
        ("\n \n", "no trial"),
        ("1 " + "a" * 200_000 + " b", "line 1"),
    ],
)
def test_a_line_that_is_no_trial_is_named_with_what_was_expected(written, content, message):
    with pytest.raises(InputError, match=message):
        read_trials(written(content))


def test_a_message_stays_short(written):
    with pytest.raises(InputError) as raised:
        read_trials(written("x" * 100_000))
    assert len(str(raised.value)) < 1_000


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_list_is_refused(tmp_path, kind):
    path = tmp_path / "trials.txt"
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        irregular_file(path, "pipe")
    with pytest.raises(InputError, match=r"--trials: .*trials.txt cannot be read"):
        read_trials(path)

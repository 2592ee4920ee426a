import pytest

from audionet.wording import answers_in_words, clock, counted, listed, named_list


@pytest.mark.parametrize(("seconds", "shown"), [(7, "0:07"), (750.4, "12:30"), (3723, "1:02:03"), (59.96, "1:00")])
def test_a_clock_shows_minutes_and_hours(seconds, shown):
    assert clock(seconds) == shown


def test_a_long_list_names_the_first_and_counts_the_rest():
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"
    assert named_list("label", ["a"]) == "label a"
    assert (
        named_list("label", [str(number) for number in range(12)]) == "labels 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    )


def test_what_is_counted_is_one_or_many():
    assert [counted(count, "label") for count in (0, 1, 2)] == ["0 labels", "1 label", "2 labels"]


def test_answers_are_counted_as_a_user_gets_them():
    scores = {"n": 8, "accuracy": 1.0, "named_right": 0.5, "named_wrong": 0.125, "refused": 0.375}
    assert answers_in_words(scores) == "4 of 8 recordings named right, 1 wrong, 3 refused as unknown"
    earlier = {"n": 8, "accuracy": 1.0}
    assert answers_in_words(earlier, noun="clips") == "8 of 8 clips right, without a threshold for unknown ones"

"""Names in plots."""

from audionet.reports import figures


def test_a_long_name_keeps_its_beginning_and_its_end():
    assert figures.shorten("a" * 30 + "b" * 30).startswith("aaa")
    assert figures.shorten("a" * 30 + "b" * 30).endswith("bbb")
    assert len(figures.shorten("a" * 60)) <= figures.LONGEST_NAME
    assert figures.shorten("short") == "short"

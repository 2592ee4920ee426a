from torture import page
from torture.options import PageOptions


def test_the_page_answers_the_honest_and_refuses_the_hostile_and_loses_nothing_when_it_is_killed():
    tallies = page.run(PageOptions(seed=3, requests=70))
    assert [(one.case, one.tried - one.survived) for one in tallies] == [
        ("honest requests", 0),
        ("hostile requests", 0),
        ("kills", 0),
    ]

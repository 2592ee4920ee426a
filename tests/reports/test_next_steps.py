"""What a report tells its reader to do next."""

from test_report import data_audit, evaluated, leak_audit

from audionet.reports.next_steps import MOST_STEPS, next_steps


def steps_of(evaluation, *, audit=None, leaks=None) -> str:
    steps = next_steps(evaluation, data_audit=audit, leak_audit=leaks)
    assert len(steps) <= MOST_STEPS
    return " ".join(steps)


def all_right(labels=("alice", "bob", "carol"), recordings: int = 8) -> dict:
    evaluation = evaluated(labels, recordings=recordings)
    for row in evaluation["recordings"]:
        row |= {"right": True, "answer": row["label"], "accepted": True} if row["known"] else {"accepted": False}
    for row in evaluation["per_label"]:
        row["recording"]["recall"] = 1.0
    return evaluation


def test_without_a_test_there_is_nothing_to_say():
    assert next_steps(None, data_audit=data_audit(), leak_audit=leak_audit()) == []


def test_where_nothing_stands_out_it_asks_for_other_recordings():
    assert steps_of(all_right()).startswith("Nothing stands out. Test it on recordings of another day")


def test_two_labels_that_are_taken_for_each_other_are_named():
    evaluation = all_right()
    for row, answer in zip(evaluation["recordings"], ("bob", "bob"), strict=False):
        row |= {"answer": answer, "right": False}
    assert "alice and bob are taken for each other in 2 recordings." in steps_of(evaluation)


def test_a_weak_label_and_one_with_little_sound_are_named():
    evaluation = all_right()
    evaluation["per_label"][1]["recording"]["recall"] = 0.5
    assert "Record more of bob (4 of 8 right)" in steps_of(evaluation)


def test_a_channel_that_gives_labels_away_comes_before_scores():
    audit = data_audit(("alice", "bob", "carol"))
    assert next_steps(all_right(), data_audit=audit, leak_audit=None)[0].startswith("Labels can be told apart by")


def test_leaks_come_first():
    evaluation = all_right()
    assert "hold the same sound" in next_steps(evaluation, data_audit=None, leak_audit=leak_audit())[0]
    evaluation["recordings"][0]["in_training"] = 3
    assert "1 recording of those tested" in next_steps(evaluation, data_audit=None, leak_audit=leak_audit())[0]


def test_refused_few_and_untested_are_said():
    evaluation = all_right(recordings=2)
    evaluation["recordings"] = [row for row in evaluation["recordings"] if row["known"]]
    evaluation["recordings"][0]["accepted"] = False
    steps = steps_of(evaluation)
    assert "refused as unknown: alice (1)" in steps
    assert "rests on 6 recordings" in steps and "Nothing unknown was tested" in steps

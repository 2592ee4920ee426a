import threading
from dataclasses import replace

import pytest

from audionet.data.verdicts import VERDICTS_NAME, Verdict, add_verdicts, obey, read_table, read_verdicts, verdicts_of
from audionet.errors import InputError


def verdicts_in(rows: list[dict[str, str]]) -> tuple[dict[str, Verdict], list[str]]:
    faults: list[str] = []
    return verdicts_of(rows, faults), faults


def test_what_is_taken_down_is_read_again(tmp_path):
    one, other = Verdict("a/1.mp3", "relabel", "b"), Verdict("a/2,\udcff.mp3", "leave out")
    assert add_verdicts(tmp_path, {one.recording: one}) == 1
    assert add_verdicts(tmp_path, {other.recording: other}) == 2
    assert read_verdicts(tmp_path) == ({one.recording: one, other.recording: other}, [])
    kept = Verdict("a/1.mp3", "keep")
    assert add_verdicts(tmp_path, {"a/1.mp3": kept}) == 2
    assert read_verdicts(tmp_path)[0]["a/1.mp3"] == kept


def test_two_people_at_once_lose_nothing(tmp_path):
    def review(person: int) -> None:
        for number in range(5):
            name = f"a/{person}-{number}.mp3"
            add_verdicts(tmp_path, {name: Verdict(name, "keep")})

    threads = [threading.Thread(target=review, args=(person,)) for person in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_verdicts(tmp_path)[0]) == 15


def test_a_list_edited_by_hand_is_read_as_it_was_meant(tmp_path):
    (tmp_path / "list.csv").write_bytes(
        b"\xef\xbb\xbfrecording, verdict ,suggested,notes\r\na/1.mp3,Leave  Out,b,x\r\na/2.mp3,RELABEL,b\r\n"
        b"a/3.mp3\r\n\r\na/4.mp3,maybe,b\r\na/5.mp3,relabel,\r\na/6.mp3,keep,b,1,2,3\r\na/1.mp3,keep,b\r\n"
    )
    found, faults = verdicts_in(read_table(tmp_path / "list.csv", option="--verdicts"))
    assert found == {"a/2.mp3": Verdict("a/2.mp3", "relabel", "b"), "a/6.mp3": Verdict("a/6.mp3", "keep")}
    assert [fault.partition(":")[0] for fault in faults] == ["a/4.mp3", "a/5.mp3", "a/1.mp3"]
    assert "received 'maybe'" in faults[0] and "received several" in faults[2]


@pytest.mark.parametrize("content", [b"", b"name,verdict\na,keep\n"])
def test_what_is_no_list_is_refused_by_name(tmp_path, content):
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"--verdicts: expected columns recording and verdict in .*list.csv"):
        read_table(tmp_path / "list.csv", option="--verdicts")


def test_a_damaged_table_beside_the_recordings_is_not_written_over(tmp_path):
    (tmp_path / VERDICTS_NAME).write_text("recording,verdict,label\na/1.mp3,perhaps,\n")
    with pytest.raises(InputError, match=r"cannot be added to: a/1\.mp3"):
        add_verdicts(tmp_path, {"a/2.mp3": Verdict("a/2.mp3", "keep")})
    assert "perhaps" in (tmp_path / VERDICTS_NAME).read_text()


def test_verdicts_move_and_remove_recordings_of_a_data_set(drawn, tmp_path):
    from audionet.data.dataset import read_dataset

    dataset = read_dataset(drawn, tmp_path / "cache.sqlite")
    verdicts = [
        *(Verdict("alice/0.mp3", "relabel", "bob"), Verdict("alice/1.mp3", "leave out"), Verdict("bob/0.mp3", "keep")),
        *(Verdict("bob/gone.mp3", "keep"), Verdict("bob/1.mp3", "relabel", "zoe")),
        Verdict("carol/0.mp3", "relabel", "_unknown_"),
    ]
    obeyed = obey(dataset, {one.recording: one for one in verdicts})
    label_of = {example.recording: example.label for example in obeyed.dataset.examples}
    assert label_of["alice/0.mp3"] == "bob" and "alice/1.mp3" not in label_of and label_of["bob/1.mp3"] == "bob"
    assert [example.label for example in obeyed.dataset.examples] == sorted(
        label_of[one.recording] for one in obeyed.dataset.examples
    )
    assert {example.recording for example in obeyed.dataset.unknown} == {"carol/0.mp3"}
    assert obeyed.counts == {"relabel": 2, "leave out": 1, "keep": 1}
    assert len(obeyed.faults) == 2 and "not among the recordings" in obeyed.faults[0] and "zoe" in obeyed.faults[1]
    assert obey(dataset, {}).dataset is dataset


def test_verdicts_that_leave_nothing_of_a_label_are_refused(drawn, tmp_path):
    from audionet.data.dataset import read_dataset

    dataset = read_dataset(drawn, tmp_path / "cache.sqlite")
    gone = {one.recording: Verdict(one.recording, "leave out") for one in dataset.examples if one.label == "bob"}
    with pytest.raises(InputError, match="verdicts leave no recording of bob"):
        obey(dataset, gone)
    assert obey(replace(dataset, examples=dataset.examples), dict(list(gone.items())[:1])).counts == {"leave out": 1}

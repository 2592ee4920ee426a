import pytest
from conftest import noise, write_sound

from audionet.data.dataset import read_dataset
from audionet.data.groups import group_rule
from audionet.data.preprocessing import make_pictures
from audionet.errors import InputError
from audionet.features.recipes import find_recipe


@pytest.mark.parametrize(
    ("group_by", "group"),
    [
        ("recording", "alice/old/mon_1.mp3"),
        ("folder", "alice/old"),
        ("fold", "old"),
        (r"^[^_]+", "mon"),
        (r"_(\d+)", "1"),
    ],
)
def test_a_recording_is_grouped_by_its_name(group_by, group):
    assert group_rule(group_by)("alice/old/mon_1.mp3") == group


@pytest.mark.parametrize("named", ["alice/mon.mp3", "mon.mp3", "mon"])
def test_a_table_groups_recordings_that_it_names_with_or_without_label_and_suffix(tmp_path, named):
    (tmp_path / "sites.csv").write_text(f"file,site\n{named},harbour\n")
    rule = group_rule(f"{tmp_path / 'sites.csv'}:site")
    assert rule("alice/mon.mp3") == "harbour"
    with pytest.raises(InputError, match=r"sites\.csv has no row for bob/tue\.mp3"):
        rule("bob/tue.mp3")


def test_a_table_that_lacks_the_column_or_is_none_is_refused(tmp_path):
    (tmp_path / "sites.csv").write_text("file,site\n")
    (tmp_path / "coded.csv").write_bytes(b"\xff\xfe\x00")
    for place, reason in (("sites.csv:microphone", "has no column 'microphone'"), ("coded.csv:site", "cannot be read")):
        with pytest.raises(InputError, match=reason):
            group_rule(f"{tmp_path / place}")


def test_a_row_that_ends_before_the_column_has_no_group(tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("file,speaker\n1.wav\n2.wav,anna\n")
    rule = group_rule(f"{table}:speaker")
    assert rule("alice/2.wav") == "anna"
    with pytest.raises(InputError, match=r"has no row for alice/1\.wav"):
        rule("alice/1.wav")


def test_a_number_of_repetitions_beyond_all_is_refused():
    with pytest.raises(InputError, match="expected recording, folder"):
        group_rule("x{99999999999}")


def test_an_expression_that_is_none_or_does_not_match_is_refused():
    with pytest.raises(InputError, match=r"expected recording, folder, TABLE\.csv:COLUMN or a regular expression"):
        group_rule("(")
    with pytest.raises(InputError, match=r"does not match the name of alice/mon\.mp3"):
        group_rule("^[0-9]+")("alice/mon.mp3")


def test_a_speaker_that_a_recording_names_is_kept_together_over_all_labels(tmp_path):
    for label in ("no", "yes"):
        for speaker in ("a1b2", "c3d4"):
            write_sound(tmp_path / "audio" / label / f"{speaker}_nohash_0.wav", noise(1.0))
    make_pictures(tmp_path / "audio", tmp_path / "images", recipe=find_recipe("simple_audio"))
    examples = read_dataset(tmp_path / "images", tmp_path / "ledger.sqlite").examples
    assert {example.group for example in examples} == {"a1b2", "c3d4"}
    assert {example.recording for example in examples} >= {"no/a1b2_nohash_0.wav", "yes/a1b2_nohash_0.wav"}

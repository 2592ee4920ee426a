"""No recording moves to another split: not when others are added or taken away, nor when caches and folders change."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audionet.data.dataset import Example
from audionet.data.preprocessing import make_pictures
from audionet.errors import InputError
from audionet.features.recipes import find_recipe
from audionet.files import SPLITS_NAME, UNKNOWN_LABEL, digest_of, files_below, label_folders, write_json
from audionet.training.holdout import HoldoutPlan, SplitMemory, plan_holdout
from audionet.training.settings import HoldoutSettings

ALICE = {f"alice/{number}.mp3": "testing" if number == 3 else "training" for number in range(5)}


def examples_of(groups) -> list[Example]:
    return [Example(Path(f"{group}.jpg"), group.partition("/")[0], group, 0.0, "") for group in groups]


def planned(groups, image_dir: Path, bottleneck_dir: Path, **holdout) -> HoldoutPlan:
    """Split recordings as training does, and remember it."""
    settings = HoldoutSettings(**holdout)
    memory = SplitMemory.of(image_dir, settings, bottleneck_dir=bottleneck_dir)
    unknown = {group for group in groups if group.startswith(UNKNOWN_LABEL)}
    previous = memory.read()
    plan = plan_holdout(examples_of(set(groups) - unknown), examples_of(unknown), settings, previous=previous)
    memory.save(plan)
    return plan


def places(plan: HoldoutPlan) -> dict[str, tuple[str | None, int]]:
    return {group: ((plan.known | plan.unknown)[group], fold) for group, fold in plan.folds.items()}


@pytest.fixture
def image_dir(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


@pytest.fixture
def memory(image_dir, tmp_path):
    return SplitMemory.of(image_dir, HoldoutSettings(), bottleneck_dir=tmp_path / "bottlenecks")


names = st.text("abcdefgh\udc80ü", min_size=1, max_size=4)
changes = st.sampled_from(["delete the cache", "rename the folder", "change the seed and back", "nothing"])


def groups(fewest: int, most: int):
    of_label = st.sets(names, min_size=fewest, max_size=most)
    return st.tuples(of_label, of_label, st.sets(names, max_size=3)).map(
        lambda sets: {
            f"{label}/{name}" for label, found in zip(("a", "b", UNKNOWN_LABEL), sets, strict=True) for name in found
        }
    )


@given(groups(3, 10), st.lists(st.tuples(groups(0, 4), changes), min_size=1, max_size=4), st.sampled_from([0, 3]))
def test_recordings_that_were_there_stay_where_they_were(tmp_path_factory, first, steps, folds):
    home = tmp_path_factory.mktemp("home")
    image_dir, bottleneck_dir = home / "images", home / "bottlenecks"
    image_dir.mkdir()
    there, known = set(first), {}
    for added, change in steps:
        known |= places(planned(there, image_dir, bottleneck_dir, folds=folds))
        there |= added
        if change == "delete the cache":
            shutil.rmtree(bottleneck_dir, ignore_errors=True)
        elif change == "rename the folder":
            image_dir = image_dir.rename(home / f"{image_dir.name} again")
        elif change == "change the seed and back":
            planned(there, image_dir, bottleneck_dir, folds=folds, random_seed=7)
        after = places(planned(there, image_dir, bottleneck_dir, folds=folds))
        assert known.items() <= after.items()


@given(groups(5, 10), st.data())
def test_taking_recordings_away_moves_others_only_where_a_label_would_have_none_in_a_split(
    tmp_path_factory, first, data
):
    home = tmp_path_factory.mktemp("home")
    before = planned(first, home, home / "cache").known
    gone = data.draw(st.sets(st.sampled_from(sorted(before)), max_size=len(before)))
    kept = {group for group in before if group not in gone}
    for label in "ab":  # three must be left of each
        of_label = sorted(group for group in before if group.startswith(f"{label}/"))
        kept |= set(of_label[: max(0, 3 - sum(group in kept for group in of_label))])
        kept |= set(of_label[:3])
    after = planned(kept, home, home / "cache").known
    emptied = {label: 3 - len({before[group] for group in kept if group.startswith(f"{label}/")}) for label in "ab"}
    for label, count in emptied.items():
        moved = [group for group in kept if group.startswith(f"{label}/") and before[group] != after[group]]
        assert len(moved) == count


@given(groups(3, 8))
def test_a_recording_that_was_away_for_a_while_comes_back_to_its_split(tmp_path_factory, first):
    home = tmp_path_factory.mktemp("home")
    first |= {f"{label}/{number}" for label in "ab" for number in range(7)}
    before = planned(first, home, home / "cache")
    away = min(group for group, split in before.known.items() if split == "training")
    planned(first - {away}, home, home / "cache")
    assert planned(first, home, home / "cache").known[away] == "training"


def test_ways_to_split_are_remembered_side_by_side_in_one_file(image_dir, tmp_path):
    for seed in range(3):
        planned(ALICE, image_dir, tmp_path / "cache", random_seed=seed)
    planned(ALICE, image_dir, tmp_path / "cache", folds=3)
    saved = json.loads((image_dir / SPLITS_NAME).read_text())
    assert [path.name for path in image_dir.iterdir()] == [SPLITS_NAME]
    assert len(saved["plans"]) == 4
    assert not (tmp_path / "cache").exists()


def test_a_share_is_the_same_whether_typed_or_by_default(image_dir, tmp_path):
    for share in (20, 20.0):
        planned(ALICE, image_dir, tmp_path / "cache", testing_percentage=share)
    assert len(json.loads((image_dir / SPLITS_NAME).read_text())["plans"]) == 1


def test_a_plan_of_earlier_versions_is_taken_over_once(image_dir, memory, tmp_path):
    name = digest_of([str(image_dir.resolve()), 20, 20, 0, "recording", 0])
    earlier = tmp_path / "bottlenecks" / "splits" / f"{name}.json"
    write_json(earlier, {"sides": ALICE, "impostors": {}, "folds": dict.fromkeys(ALICE, 0)})
    assert memory.read().known == ALICE
    memory.save(memory.read())
    assert not earlier.exists()
    shutil.rmtree(tmp_path / "bottlenecks")
    assert memory.read().known == ALICE


def test_a_folder_that_cannot_be_written_has_its_memory_in_the_cache(image_dir, memory, capsys):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(image_dir)], capture_output=True)
    image_dir.chmod(0o555) if mounted.returncode else None
    try:
        memory.save(HoldoutPlan(known=ALICE))
        assert list(image_dir.iterdir()) == []
        assert memory.read().known == ALICE
        memory.save(HoldoutPlan(known=ALICE))
    finally:
        image_dir.chmod(0o755) if mounted.returncode else subprocess.run(["umount", str(image_dir)], check=True)
    message = capsys.readouterr().err
    assert message.count("cannot be written, so its split is remembered in") == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b"null",
        b'{"format": 1}',
        b'{"format": 2, "plans": {}}',
        b'{"format": 1, "plans": []}',
        b'{"format": 1, "plans": {"KEY": []}}',
        b'{"format": 1, "plans": {"KEY": {"known": {"a/1": "nowhere"}}}}',
        b'{"format": 1, "plans": {"KEY": {"known": {"a/1": ["testing"]}}}}',
        b'{"format": 1, "plans": {"KEY": {"folds": {"a/1": "0"}}}}',
        b'{"format": 1, "plans": {"KEY": {"folds": {"a/1": -1}}}}',
        b'{"format": 1, "plans": {"KEY": {"folds": {"a/1": true}}}}',
    ],
)
def test_a_memory_with_anything_else_in_it_is_refused_in_one_sentence_and_kept(image_dir, memory, content):
    content = content.replace(b"KEY", memory.key.encode())
    (image_dir / SPLITS_NAME).write_bytes(content)
    for work in (memory.read, lambda: memory.save(HoldoutPlan(known=ALICE))):
        with pytest.raises(
            InputError, match=rf"{SPLITS_NAME} cannot be read as the splits of earlier runs \("
        ) as refused:
            work()
        assert "\n" not in str(refused.value)
    assert (image_dir / SPLITS_NAME).read_bytes() == content


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["format", "plans", "known", "unknown", "folds", "sides", "a/1"]), inner)
        ),
    )
)
def test_no_json_whatever_makes_a_traceback(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("images")
    memory = SplitMemory.of(folder, HoldoutSettings(), bottleneck_dir=folder / "cache")
    for path in (memory.beside, memory.cached, memory.earlier):
        write_json(path, value)
        try:
            assert isinstance(memory.read(), HoldoutPlan)
        except InputError:
            path.unlink()


def test_the_memory_is_no_label_no_picture_and_outlives_new_drawings(audio_dir, image_dir, tmp_path):
    recipe = find_recipe("default")
    make_pictures(audio_dir, image_dir, recipe=recipe)
    planned(ALICE, image_dir, tmp_path / "cache")
    shutil.rmtree(audio_dir / "bob")
    result = make_pictures(audio_dir, image_dir, recipe=find_recipe("default", picture="pcen"))
    assert result.recordings_made == 2 and result.pictures_removed
    assert [folder.name for folder in label_folders(image_dir, option="--image_dir")] == ["alice"]
    assert SPLITS_NAME not in files_below(image_dir)
    assert (image_dir / SPLITS_NAME).is_file()


def listed(**splits: str) -> list[Example]:
    """Return examples by group, such as `alice_1`, in the splits that a table names."""
    return [
        Example(Path(f"{group}.jpg"), group.partition("_")[0], group, 0.0, "", split=split)
        for group, split in splits.items()
    ]


def test_splits_that_a_table_names_are_obeyed_and_what_it_does_not_name_is_trained_on():
    splits = {f"{label}_{number}": "" for label in ("a", "b") for number in range(9)}
    splits |= {"a_0": "testing", "b_1": "testing", "a_2": "validation", "b_3": "validation", "a_4": "training"}
    plan = plan_holdout(listed(**splits), [], HoldoutSettings(), previous=HoldoutPlan(known={"a_0": "training"}))
    assert plan.known == {group: split or "training" for group, split in splits.items()}


def test_validation_that_a_table_does_not_name_is_taken_from_what_it_trains_on():
    splits = {f"{label}_{number}": "training" for label in ("a", "b") for number in range(10)}
    splits |= {"a_0": "testing", "b_0": "testing"}
    plan = plan_holdout(listed(**splits), [], HoldoutSettings(), previous=HoldoutPlan())
    assert sorted(group for group, split in plan.known.items() if split == "testing") == ["a_0", "b_0"]
    assert sum(split == "validation" for split in plan.known.values()) == 4


def test_unknown_recordings_are_in_the_split_that_a_table_names():
    known = listed(**{f"{label}_{number}": "" for label in ("a", "b") for number in range(5)})
    unknown = listed(u_1="testing", u_2="validation", u_3="training")
    plan = plan_holdout(known, unknown, HoldoutSettings(), previous=HoldoutPlan())
    assert plan.unknown == {"u_1": "testing", "u_2": "training", "u_3": "training"}


def test_a_label_that_a_table_has_nothing_of_to_train_on_is_named():
    with pytest.raises(InputError, match="Nothing to train on for label b: the table has all of it in validation or"):
        plan_holdout(listed(a_1="", a_2="", b_1="testing"), [], HoldoutSettings(), previous=HoldoutPlan())

"""A classifier folder is read as one version, and one that was edited or damaged is refused in one sentence."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import names_below, run_audionet, run_python

from audionet.errors import ClassifierError
from audionet.files import sha256_of, whole_folder
from audionet.models.array_files import read_arrays
from audionet.models.classifier import Classifier
from audionet.models.classifier_folder import (
    changing_enrolled,
    folder_version,
    read_enrolled,
    read_labels,
    read_metrics,
)
from audionet.models.classifier_schema import digest_of_about

LABELS = ["alice", "bob", "carol"]


def test_who_has_but_the_demonstration_is_told_where_that_classifier_is(tmp_path):
    with pytest.raises(ClassifierError, match=r"name another folder\."):
        read_labels(tmp_path / "retrained_model")
    (tmp_path / "demo" / "retrained_model").mkdir(parents=True)
    (tmp_path / "demo" / "retrained_model" / "classifier.json").touch()
    with pytest.raises(ClassifierError, match=r"another folder, such as that of the demonstration, .*/demo/retrained_"):
        read_labels(tmp_path / "retrained_model")


def about_of(folder):
    return json.loads((folder / "classifier.json").read_text())


def write_about(folder, about):
    """Write `classifier.json` as if it had been saved so, with its own checksum."""
    checksums = about.get("sha256") if isinstance(about, dict) else None
    if isinstance(checksums, dict):
        checksums["classifier.json"] = digest_of_about(about)
    (folder / "classifier.json").write_text(json.dumps(about))


def write_file(folder, name, content):
    """Write a file as if it had been saved so, with its checksum."""
    (folder / name).write_bytes(content)
    about = about_of(folder)
    about["sha256"][name] = sha256_of(content)
    write_about(folder, about)


def packed(arrays, **options):
    file = io.BytesIO()
    np.savez(file, **arrays, **options)
    return file.getvalue()


def write_head(folder, **changes):
    """Change arrays of `head.npz`, or leave out those that are None, as if it had been saved so."""
    arrays = read_arrays((folder / "head.npz").read_bytes()) | changes
    write_file(folder, "head.npz", packed({name: array for name, array in arrays.items() if array is not None}))


def changed(folder, *place, to):
    """Change a field of `classifier.json`, which `place` leads to, as if it had been saved so; ... removes it."""
    about = about_of(folder)
    inner = about
    for name in place[:-1]:
        inner = inner[name]
    if to is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = to
    write_about(folder, about)


def enrolled_file(folder, labels=("hiss",), prototypes=None, **more):
    names = np.frombuffer(json.dumps(labels).encode() if not isinstance(labels, bytes) else labels, np.uint8)
    prototypes = np.ones((1, 96), np.float32) if prototypes is None else prototypes
    (folder / "enrolled.npz").write_bytes(packed({"labels": names, "prototypes": prototypes, **more}))


def cut(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content)


def bomb():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.npy", bytes(2**28))
    return file.getvalue()


def claiming(shape, *, descr="<f4"):
    """Return an npz file with an array whose header claims a shape."""
    file, header = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("weights.npy", header.getvalue() + bytes(16))
    return file.getvalue()


def pickled():
    return packed({"weights": np.array([{}], object)})


def other_name(path):
    path.rename(path.with_name(f"{path.name}.bak"))


def swap(folder, first, second):
    shutil.copy(folder / first, folder / "kept")
    shutil.copy(folder / second, folder / first)
    os.replace(folder / "kept", folder / second)


def as_folder(path):
    path.unlink()
    path.mkdir()


def as_pipe(path):
    path.unlink()
    os.mkfifo(path)


NAN = float("nan")
WRONG_HEADS = {
    "no weights": {"weights": None},
    "no biases": {"biases": None},
    "no keys": {"training_keys": None},
    "NaN weights": {"weights": np.full((96, 3), NAN, np.float32)},
    "infinite biases": {"biases": np.full(3, np.inf, np.float32)},
    "eight outputs": {"weights": np.ones((96, 8), np.float32), "biases": np.ones(8, np.float32)},
    "one bias too many": {"biases": np.ones(4, np.float32)},
    "another dimension": {"weights": np.ones((1280, 3), np.float32)},
    "flat weights": {"weights": np.ones(288, np.float32)},
    "whole numbers": {"weights": np.ones((96, 3), np.int64)},
    "texts": {"biases": np.array(["a", "b", "c"])},
    "a hidden layer without biases": {"hidden_weights": np.ones((96, 8), np.float32)},
    "a hidden layer of another width": {
        "hidden_weights": np.ones((96, 8), np.float32),
        "hidden_biases": np.ones(8, np.float32),
    },
    "keys of two columns": {"training_keys": np.ones((5, 2), np.uint64)},
    "no space of labels": {"open_set_origin": None},
    "a space of four labels": {"open_set_centres": np.ones((4, 2), np.float32)},
    "negative variances": {"open_set_variances": np.full(2, -2, np.float32)},
    "NaN in the space": {"open_set_origin": np.full(3, NAN, np.float32)},
    "no scale": {"similarity_scale": None},
    "a scale of zero": {"similarity_scale": np.zeros(96, np.float32)},
    "a mean of another dimension": {"similarity_mean": np.zeros(95, np.float32)},
}

WRONG_FIELDS = {
    "eight labels for three outputs": (["labels"], [*LABELS, "d", "e", "f", "g", "h"]),
    "no label": (["labels"], []),
    "labels twice": (["labels"], ["alice", "bob", "bob"]),
    "labels that are numbers": (["labels"], [1, 2, 3]),
    "labels as one text": (["labels"], "abc"),
    "labels missing": (["labels"], ...),
    "labels within labels": (["labels"], [["alice"], ["bob"], ["carol"]]),
    "no recipe at all": (["recipe"], ...),
    "a recipe as a list": (["recipe"], [1]),
    "an empty recipe": (["recipe"], {"name": "default"}),
    "a drawing that nobody knows": (["recipe", "drawing"], "oil"),
    "a negative rate": (["recipe", "sample_rate_hz"], -16_000),
    "a rate as a text": (["recipe", "sample_rate_hz"], "16000"),
    "a rate that is no whole number": (["recipe", "sample_rate_hz"], 16_000.5),
    "a rate that is true": (["recipe", "sample_rate_hz"], True),
    "a chunk of a year": (["recipe", "chunk_seconds"], 3e7),
    "a chunk of NaN": (["recipe", "chunk_seconds"], NAN),
    "windows as a number": (["recipe", "window_samples"], 1024),
    "a window of a text": (["recipe", "window_samples"], ["1024"]),
    "a setting of a later version": (["recipe", "colour"], "blue"),
    "a recipe nested in itself": (["recipe"], {"recipe": {"recipe": {}}}),
    "effects that are no text": (["recipe", "sox_effects"], 3),
    "effects that run a program": (["recipe", "sox_effects"], "'|touch owned' out.wav norm"),
    "effects that write a file": (["recipe", "sox_effects"], "spectrogram -o owned.png"),
    "no open set at all": (["open_set"], ...),
    "thresholds missing": (["open_set", "thresholds"], ...),
    "thresholds as texts": (["open_set", "thresholds"], ["high"]),
    "a threshold too many": (["open_set", "thresholds"], [0.0] * 9),
    "an infinite threshold": (["open_set", "thresholds", 0], float("inf")),
    "chunk counts from zero": (["open_set", "chunk_counts", 0], 0),
    "chunk counts in no order": (["open_set", "chunk_counts"], [2, 1]),
    "an open set of a later version": (["open_set", "mood"], "good"),
    "a rate that is a list": (["open_set", "false_reject_rate"], [0.5]),
    "an operating point with a threshold too few": (["open_set", "operating_points", 0, "thresholds"], []),
    "an operating point without a rate": (["open_set", "operating_points", 0, "stated_rate"], ...),
    "operating points as a number": (["open_set", "operating_points"], 3),
    "a slope of NaN": (["similarity", "slope"], NAN),
    "a similarity that is true": (["similarity"], True),
    "trials as a text": (["similarity", "trials"], "many"),
    "no backbone": (["backbone"], ...),
    "a backbone that is a name": (["backbone"], "inception_v3"),
    "a height of zero": (["backbone", "height"], 0),
    "a width of a million": (["backbone", "width"], 1_000_000),
    "a huge number": (["backbone", "height"], 10**4000),
    "no dimension": (["backbone", "dimension"], ...),
    "another dimension": (["backbone", "dimension"], 1280),
    "an architecture that is a number": (["backbone", "architecture"], 3),
    "weights without words": (["backbone", "weights"], [1, 2]),
    "a temperature that is hot": (["training", "temperature"], "hot"),
    "sides without sizes": (["training", "sides"], {"training": 3}),
    "training that is null": (["training"], None),
    "no checksums": (["sha256"], ...),
    "a checksum missing": (["sha256", "head.npz"], ...),
    "a checksum that is a number": (["sha256", "head.npz"], 3),
    "another format": (["format"], 2),
    "a format in no words": (["format"], {"a\nb": [1]}),
}

DAMAGE = {
    "no description": lambda folder: (folder / "classifier.json").unlink(),
    "an empty description": lambda folder: (folder / "classifier.json").write_text(""),
    "half a description": lambda folder: cut(folder / "classifier.json"),
    "a description of nonsense": lambda folder: (folder / "classifier.json").write_bytes(os.urandom(100)),
    "a description that is a list": lambda folder: (folder / "classifier.json").write_text("[1]"),
    "a description of a number": lambda folder: (folder / "classifier.json").write_text("1e999"),
    "a description nested for ever": lambda folder: (folder / "classifier.json").write_text('{"format":' * 100_000),
    "a description of too many digits": lambda folder: (folder / "classifier.json").write_text("9" * 10_000),
    "a renamed label": lambda folder: (folder / "classifier.json").write_text(
        (folder / "classifier.json").read_text().replace('"alice"', '"alicia"')
    ),
    "swapped labels": lambda folder: (folder / "classifier.json").write_text(
        json.dumps(about_of(folder) | {"labels": LABELS[::-1]})
    ),
    "a description that is a folder": lambda folder: as_folder(folder / "classifier.json"),
    "a description that is a pipe": lambda folder: as_pipe(folder / "classifier.json"),
    "no network": lambda folder: (folder / "backbone.pb").unlink(),
    "half a network": lambda folder: cut(folder / "backbone.pb"),
    "an empty network": lambda folder: cut(folder / "backbone.pb", 0),
    "a network with a flipped bit": lambda folder: flipped(folder / "backbone.pb"),
    "a network under another name": lambda folder: other_name(folder / "backbone.pb"),
    "a network that is a pipe": lambda folder: as_pipe(folder / "backbone.pb"),
    "no head": lambda folder: (folder / "head.npz").unlink(),
    "half a head": lambda folder: cut(folder / "head.npz"),
    "a head with a flipped bit": lambda folder: flipped(folder / "head.npz"),
    "a head that is a folder": lambda folder: as_folder(folder / "head.npz"),
    "files swapped": lambda folder: swap(folder, "backbone.pb", "head.npz"),
    "a head that is no zip": lambda folder: write_file(folder, "head.npz", b"nonsense"),
    "a head cut before it was signed": lambda folder: write_file(
        folder, "head.npz", (folder / "head.npz").read_bytes()[:-200]
    ),
    "an empty head": lambda folder: write_file(folder, "head.npz", packed({})),
    "a head that is a bomb": lambda folder: write_file(folder, "head.npz", bomb()),
    "a head of pickles": lambda folder: write_file(folder, "head.npz", pickled()),
    "a head that claims petabytes": lambda folder: write_file(folder, "head.npz", claiming((10**15,))),
    "a head of negative shape": lambda folder: write_file(folder, "head.npz", claiming((-2, -2))),
    "a head of no size": lambda folder: write_file(folder, "head.npz", claiming((10**18,), descr="<U0")),
    "half enrolled": lambda folder: (enrolled_file(folder), cut(folder / "enrolled.npz")),
    "enrolled NaN": lambda folder: enrolled_file(folder, prototypes=np.full((1, 96), NAN, np.float32)),
    "enrolled in another space": lambda folder: enrolled_file(folder, prototypes=np.ones((1, 5), np.float32)),
    "enrolled without prototypes": lambda folder: enrolled_file(folder, labels=["a", "b"]),
    "enrolled what was trained": lambda folder: enrolled_file(folder, labels=["alice"]),
    "enrolled numbers": lambda folder: enrolled_file(folder, labels=[3]),
    "enrolled no JSON": lambda folder: enrolled_file(folder, labels=b"["),
    "enrolled in another classifier": lambda folder: enrolled_file(
        folder, classifier=np.frombuffer(b"0" * 64, np.uint8)
    ),
    **{
        f"head: {name}": lambda folder, changes=changes: write_head(folder, **changes)
        for name, changes in WRONG_HEADS.items()
    },
    **{
        f"description: {name}": lambda folder, place=place, to=to: changed(folder, *place, to=to)
        for name, (place, to) in WRONG_FIELDS.items()
    },
}


@pytest.fixture
def picture(drawn):
    return drawn / "bob" / "0_00000.jpg"


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_folder_is_refused_in_one_line(model, picture, capsys, kind):
    DAMAGE[kind](model)
    with pytest.raises(ClassifierError) as caught:
        Classifier.load(model)
    message = str(caught.value)
    assert message.isprintable()
    assert str(model) in message and message.endswith((".", "make train."))
    assert run_audionet("label", "--model", model, picture) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("Error: ")


@pytest.mark.parametrize("kind", ["a network of nonsense", "pictures of another size", "vectors of another length"])
def test_a_network_that_does_not_fit_is_refused_when_it_is_asked(model, picture, capsys, kind):
    from conftest import tiny_graph

    graphs = {
        "a network of nonsense": b"nonsense" * 100,
        "pictures of another size": tiny_graph(64, 16),
        "vectors of another length": tiny_graph(48, 32),
    }
    write_file(model, "backbone.pb", graphs[kind])
    if kind == "vectors of another length":
        changed(model, "backbone", "height", to=48)
    with pytest.raises(ClassifierError, match=r"backbone\.pb"):
        Classifier.load(model).score(picture)
    assert run_audionet("label", "--model", model, picture) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b'{"chunk": 3}', b'{"recording": {"n": "many"}}', b'{"chunk": {"n": 1']
)
def test_damaged_scores_are_named(model, capsys, content):
    (model / "metrics.json").write_bytes(content)
    with pytest.raises(ClassifierError, match=r"metrics\.json is damaged"):
        read_metrics(model)
    assert run_audionet("inspect", "--model", model) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: cut(path),
        lambda path: path.write_bytes(packed({"names": np.array(["a"])})),
        lambda path: cut(path, 0),
    ],
)
@pytest.mark.parametrize("has_checksum", [True, False])
def test_damaged_fingerprints_are_named_when_they_are_asked_for(model, spoil, has_checksum):
    spoil(model / "fingerprints.npz")
    if not has_checksum:  # as earlier versions saved them
        changed(model, "sha256", "fingerprints.npz", to=...)
    with pytest.raises(ClassifierError, match=r"fingerprints\.npz is damaged"):
        print(Classifier.load(model).fingerprints)


def test_a_file_that_may_not_be_read_is_not_called_damaged(model, monkeypatch):
    system_open = os.open

    def refusing(path, *arguments, **options):
        if path == "head.npz":
            raise PermissionError(errno.EACCES, "Permission denied")
        return system_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(ClassifierError, match=r"head\.npz cannot be read \(Permission denied\)") as caught:
        Classifier.load(model)
    assert "damaged" not in str(caught.value)


def test_a_classifier_of_an_earlier_version_is_read(model):
    before = Classifier.load(model)
    about = about_of(model)
    about["sha256"] = {name: about["sha256"][name] for name in ("backbone.pb", "head.npz")}
    for name in ("hop_samples", "padding", "long_clips"):
        del about["recipe"][name]
    del about["training"], about["audionet_version"]
    (model / "classifier.json").write_text(json.dumps(about))
    enrolled_file(model)
    after = Classifier.load(model)
    assert after.labels == (*before.labels, "hiss")
    assert after.recipe == before.recipe
    assert read_labels(model) == [*LABELS, "hiss"]


def test_arrays_come_back_as_numpy_saved_them():
    arrays = {
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">f4"),
        "scalar": np.array(3),
        "empty": np.empty((0, 2), np.uint32),
        "texts": np.array(["a", "üü"]),
        "no texts": np.array([], np.str_),
    }
    found = read_arrays(packed(arrays))
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("damage", range(200))
def test_any_flipped_byte_of_an_npz_file_gives_an_error_or_its_arrays(damage):
    rng = np.random.default_rng(damage)
    file = io.BytesIO()
    np.savez_compressed(file, weights=np.arange(100, dtype=np.float32), names=np.array(["a", "b"]))
    content = bytearray(file.getvalue())
    for place in rng.integers(0, len(content), 3):
        content[place] = rng.integers(0, 256)
    try:
        read_arrays(bytes(content))
    except ValueError as error:
        assert str(error)


def test_what_zlib_cannot_read_is_a_damaged_file():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.npy", os.urandom(1000))
    content = bytearray(file.getvalue())
    content[45:60] = zlib.compress(b"other")[:15]
    with pytest.raises(ValueError, match="expected a whole npz file"):
        read_arrays(bytes(content))


# Readers and writers at the same time

REPLACE_FOR_EVER = """
import shutil, sys
from pathlib import Path
from audionet import scratch
from audionet.files import whole_folder
if sys.argv[1] == "two renames":
    scratch.exchange = lambda *_: False
folder, *sources = map(Path, sys.argv[2:])
print("begun", flush=True)
while True:
    for source in sources:
        with whole_folder(folder) as new:
            shutil.copytree(source, new, dirs_exist_ok=True)
"""


@pytest.fixture
def other(saved, tmp_path):
    """Another classifier, of other labels."""
    from dataclasses import replace

    known = Classifier.load(saved / "retrained_model")
    (member,) = known.members
    head = replace(member.head, weights=-member.head.weights)
    classifier = Classifier(
        labels=("x", "y", "z"),
        members=(replace(member, head=head),),
        about=known.about,
        fingerprints={},
    )
    classifier.save(tmp_path / "other")
    return tmp_path / "other"


@pytest.mark.parametrize("how", ["one step", "two renames"])
def test_a_reader_gets_the_one_version_or_the_other(model, other, tmp_path, how):
    versions = {Classifier.load(folder).fingerprint: Classifier.load(folder) for folder in (model, other)}
    served = shutil.copytree(model, tmp_path / "served")
    command = [sys.executable, "-c", REPLACE_FOR_EVER, how, str(served), str(model), str(other)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        try:
            writer.stdout.readline()
            loaded = [Classifier.load(served) for _ in range(200)]
        finally:
            writer.kill()
    for classifier in loaded:
        version = versions[classifier.fingerprint]
        assert classifier.labels == version.labels
        assert set(classifier.fingerprints) == set(version.fingerprints)
    assert len({classifier.fingerprint for classifier in loaded}) == 2


ENROLL = """
import sys
from pathlib import Path
import numpy as np
from audionet.models.classifier_folder import changing_enrolled
for number in range(5):
    with changing_enrolled(Path(sys.argv[1])) as enrolled:
        enrolled[f"{sys.argv[2]} {number}"] = np.ones(96, np.float32)
"""


def test_labels_enrolled_at_the_same_time_are_all_there(model):
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda name: run_python("-c", ENROLL, model, name), "abcd"))
    assert [process.stderr for process in done] == [""] * 4
    assert sorted(read_enrolled(model)) == [f"{name} {number}" for name in "abcd" for number in range(5)]
    assert not [name for name in names_below(model) if name.startswith(".")]


def test_a_label_is_not_enrolled_in_a_classifier_that_took_the_place_of_the_one_at_hand(model, other, hisses):
    classifier = Classifier.load(model)
    with whole_folder(model) as new:
        shutil.copytree(other, new, dirs_exist_ok=True)
    with pytest.raises(ClassifierError, match=r"trained anew since it was loaded. Enroll the label again"):
        classifier.enroll("hiss", hisses[:1])
    assert read_enrolled(model) == {}


def test_a_folder_is_replaced_only_when_a_label_is_enrolled(model, other):
    def replace():
        with whole_folder(model) as new:
            shutil.copytree(other, new, dirs_exist_ok=True)

    with ThreadPoolExecutor(1) as pool:
        with changing_enrolled(model) as enrolled:
            replaced = pool.submit(replace)
            enrolled["hiss"] = np.ones(96, np.float32)
            assert read_labels(model) == LABELS
        replaced.result()
    assert read_labels(model) == ["x", "y", "z"]


def test_a_version_is_another_after_enrolling_and_after_replacing(model, other):
    versions = {folder_version(model)}
    with changing_enrolled(model) as enrolled:
        enrolled["hiss"] = np.ones(96, np.float32)
    versions.add(folder_version(model))
    with whole_folder(model) as new:
        shutil.copytree(other, new, dirs_exist_ok=True, copy_function=shutil.copy2)
    versions.add(folder_version(model))
    assert len(versions) == 3
    assert folder_version(model) in versions

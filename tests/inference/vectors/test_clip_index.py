import numpy as np
import pytest

from audionet.errors import InputError
from audionet.files import mark_folder
from audionet.inference.vectors import clip_index
from audionet.inference.vectors.clip_index import ClipIndex, IndexWriter
from audionet.inference.vectors.vector_source import FileVectors

DIMENSION = 200


class MadeSource:
    """Vectors of no network."""

    dimension = DIMENSION

    def __init__(self, digest: str = "0123"):
        self.digest = digest

    def sentence(self) -> str:
        return f"made vectors {self.digest}"


def vectors(chunks: int, *, seed: int) -> FileVectors:
    found = np.random.default_rng(seed).normal(size=(chunks, DIMENSION)).astype(np.float16)
    starts = np.arange(chunks, dtype=np.float32) * 2
    return FileVectors(starts, starts + 2, found, found.mean(axis=0))


def stamp(number: int) -> tuple[int, int, int, int]:
    return number, 2**62 + number, number, 2**63 - 1 - number


@pytest.fixture
def written(tmp_path):
    writer = IndexWriter.open(tmp_path / "index", MadeSource(), option="--index")
    files = [(f"/a/{number}\udcff ü.wav", stamp(number), vectors(3 + number, seed=number)) for number in range(4)]
    writer.add(files[:3])
    writer.add(files[3:])
    return writer, files


def test_what_is_added_is_there_whatever_the_names_are(written):
    writer, files = written
    index = ClipIndex.open(writer.folder, MadeSource())
    assert index.rows_by_path() == {name: row for row, (name, _, _) in enumerate(files)}
    for row, (name, when, found) in enumerate(files):
        stored_name, stored_stamp, stored = index.stored(row)
        assert (stored_name, stored_stamp) == (name, when)
        for one in ("starts", "ends", "chunks", "whole"):
            assert np.array_equal(getattr(stored, one), getattr(found, one))
        assert (index.chunks["file"][index.chunks_of(row)] == row).all()


def test_what_a_stopped_run_left_without_its_file_is_cut_off(written):
    writer, _ = written
    for name in ("names", "chunks", "chunk_vectors", "chunk_near", "file_vectors", "file_near", "files"):
        with open(writer.folder / name, "ab") as table:
            table.write(b"torn")
    assert len(ClipIndex.open(writer.folder, MadeSource()).files) == 4  # a reader does not wait for a writer
    IndexWriter.open(writer.folder, MadeSource(), option="--index").add([("/b", stamp(9), vectors(5, seed=9))])
    index = ClipIndex.open(writer.folder, MadeSource())
    assert index.rows_by_path()["/b"] == 4
    assert np.array_equal(index.stored(4)[2].chunks, vectors(5, seed=9).chunks)


@pytest.mark.parametrize("table", ["names", "chunks", "chunk_vectors", "chunk_near", "file_vectors", "file_near"])
def test_files_whose_rows_are_missing_count_as_not_there(written, table):
    writer, files = written
    path = writer.folder / table
    path.write_bytes(path.read_bytes()[:-1])
    IndexWriter.open(writer.folder, MadeSource(), option="--index").add(files[3:])
    assert list(ClipIndex.open(writer.folder, MadeSource()).rows_by_path()) == [name for name, _, _ in files]


def test_an_index_most_of_which_is_gone_is_written_anew(written):
    writer, files = written
    writer.mark_gone([0])
    writer.tidy()
    assert len(ClipIndex.open(writer.folder, MadeSource()).files) == 4
    writer.mark_gone([1, 3])
    writer.tidy()
    index = ClipIndex.open(writer.folder, MadeSource())
    assert list(index.rows_by_path()) == [files[2][0]] and len(index.chunks) == 5
    assert np.array_equal(index.stored(0)[2].chunks, files[2][2].chunks)


def test_an_index_of_another_network_is_refused(written):
    writer, _ = written
    for open_it in (ClipIndex.open, IndexWriter.open):
        with pytest.raises(InputError, match=r"index of another network .*made vectors 0123.*made vectors 4567") as why:
            open_it(writer.folder, MadeSource("4567"), option="--index")
        assert "Name another folder, or remove it" in str(why.value)


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "files").write_text("mine")
    mark_folder(tmp_path / "pictures", "pictures")
    for name, message in (("mine", "holds something else"), ("pictures", "holds pictures of another kind")):
        with pytest.raises(InputError, match=message):
            IndexWriter.open(tmp_path / name, MadeSource(), option="--index")
    assert (tmp_path / "mine" / "files").read_text() == "mine"
    with pytest.raises(InputError, match="holds no index"):
        ClipIndex.open(tmp_path / "nothing", MadeSource())


def test_what_is_nearest_is_among_what_is_near():
    rng = np.random.default_rng(0)
    of_voices = rng.normal(size=(30, 2_000))
    places = (of_voices[np.arange(600) % 30] + 1.2 * rng.normal(size=(600, 2_000))).astype(np.float16)
    places = (places / np.linalg.norm(places.astype(np.float32), axis=1, keepdims=True)).astype(np.float16)
    table = clip_index.IndexedVectors(places, clip_index.nearness(places))
    query = of_voices[3].astype(np.float32)
    best = np.argsort(-(places.astype(np.float32) @ query))[:10]
    everything = np.ones(600, bool)
    assert set(best) <= set(table.nearest(query, count=60, among=everything))
    assert set(table.nearest(query, count=5, among=np.arange(600) % 30 == 4)) <= set(range(4, 600, 30))
    assert len(table.nearest(query, count=1_000, among=everything)) == 600

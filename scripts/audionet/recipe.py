"""Recipes: every setting that decides how the picture of a sound looks.

A recipe is frozen, travels inside every picture and every classifier as JSON, and has a fingerprint, so that pictures
made by different recipes can never be mixed up. To add one, add a row to `RECIPES`. Any of them may be drawn in another
way: `DRAWINGS` has a row for each.
"""

import dataclasses
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audionet.errors import InputError
from audionet.files import fingerprint_of


@dataclass(frozen=True)
class Drawing:
    """What suits one way to draw; everything else is up to the recipe.

    Attributes:
        window_seconds: lengths of the analysis windows.
        range_db: what lies this far or further below the loudest point is black.
        is_full_range: whether it shows everything from 0 Hz to half of the sample rate.
    """

    window_seconds: tuple[float, ...]
    range_db: float
    is_full_range: bool = False


DRAWINGS: Mapping[str, Drawing] = {
    "log_mel": Drawing(window_seconds=(0.064,), range_db=55.0),
    "log_mel_3": Drawing(window_seconds=(0.025, 0.064, 0.128), range_db=80.0),
    "linear": Drawing(window_seconds=(0.016,), range_db=100.0, is_full_range=True),
    "chromagram": Drawing(window_seconds=(0.256,), range_db=30.0),
    "pcen": Drawing(window_seconds=(0.064,), range_db=60.0),
}
"""By name; `spectrogram` has a function of the same name for each."""


@dataclass(frozen=True)
class Recipe:
    """The settings of one way to turn sound into pictures.

    Raises:
        InputError: a setting is outside its range.
    """

    name: str
    sample_rate_hz: int = 16_000
    chunk_seconds: float = 2.0
    sox_effects: str = ""
    """A SoX effect chain that every recording goes through, such as `norm -3`."""
    drawing: str = "log_mel"
    """One of DRAWINGS."""
    picture_height: int = 224
    picture_width: int = 224
    window_samples: tuple[int, ...] = (1024,)
    """Lengths of the analysis windows; a drawing with three colours gives one to each."""
    mel_bands: int = 128
    """Rows before they are stretched to the picture's height, for drawings over the mel scale."""
    low_hz: float = 50.0
    high_hz: float = 7_800.0
    range_db: float = 55.0
    """What lies this far or further below the loudest point is black."""
    jpg_quality: int = 92

    def __post_init__(self) -> None:
        self._expect("sample_rate_hz", "1000 to 192000", 1_000 <= self.sample_rate_hz <= 192_000)
        self._expect("chunk_seconds", "0.1 to 600 seconds", 0.1 <= self.chunk_seconds <= 600)
        self._expect("drawing", "one of " + ", ".join(DRAWINGS), self.drawing in DRAWINGS)
        self._expect("picture_height", "32 to 1024 pixels", 32 <= self.picture_height <= 1024)
        self._expect("picture_width", "32 to 1024 pixels", 32 <= self.picture_width <= 1024)
        self._expect(
            "window_samples",
            "one or three lengths of 64 to 65536 samples",
            len(self.window_samples) in (1, 3) and all(64 <= samples <= 65_536 for samples in self.window_samples),
        )
        self._expect("mel_bands", "8 to 512", 8 <= self.mel_bands <= 512)
        self._expect("low_hz", "at least 0 and below high_hz", 0 <= self.low_hz < self.high_hz)
        self._expect("high_hz", "half of sample_rate_hz at most", self.high_hz <= self.sample_rate_hz / 2)
        self._expect("range_db", "10 to 200 decibels", 10 <= self.range_db <= 200)
        self._expect("jpg_quality", "50 to 100", 50 <= self.jpg_quality <= 100)
        try:
            shlex.split(self.sox_effects)
        except ValueError as error:
            raise InputError(
                f"sox_effects: expected a SoX effect chain, received {self.sox_effects!r} ({error})."
            ) from error

    def _expect(self, field: str, expected: str, holds: bool) -> None:
        if not holds:
            raise InputError(f"{field}: expected {expected}, received {getattr(self, field)!r}.")

    @property
    def chunk_samples(self) -> int:
        """Length of a chunk in samples."""
        return round(self.chunk_seconds * self.sample_rate_hz)

    def to_json(self) -> dict:
        """Return the recipe as a JSON object."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: dict) -> "Recipe":
        """Rebuild a recipe from `to_json`.

        Raises:
            InputError: the object has settings that this version does not know, or lacks some.
        """
        try:
            return cls(**{**value, "window_samples": tuple(value["window_samples"])})
        except (TypeError, KeyError) as error:
            raise InputError(f"Expected a recipe of this version, received {json.dumps(value)} ({error}).") from error

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that are the same for recipes that draw the same pictures, whatever their names."""
        settings = self.to_json()
        del settings["name"]
        return fingerprint_of({"drawing_version": DRAWING_VERSION, **settings})


# Goes up by one when the code that draws is changed, so that pictures drawn before are drawn again.
DRAWING_VERSION = 1

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("default"),
        Recipe("three_windows", drawing="log_mel_3", window_samples=(400, 1024, 2048), range_db=80.0),
        Recipe(
            "audionet",
            chunk_seconds=20.0,
            drawing="linear",
            window_samples=(256,),
            low_hz=0.0,
            high_hz=8_000.0,
            range_db=100.0,
        ),
    )
}


def find_recipe(name: str, *, picture: str | None = None, **changes: Any) -> Recipe:
    """Return the recipe called `name`, with those `changes` that are not None.

    Args:
        name: one of RECIPES.
        picture: one of DRAWINGS, to draw in another way than the recipe would, with the settings that suit it.
        changes: settings by name.

    Raises:
        InputError: no recipe or drawing has that name, or a change is outside its range.
    """
    if name not in RECIPES:
        raise InputError(f"--recipe: expected one of {', '.join(RECIPES)}, received {name!r}.")
    changed = {field: value for field, value in changes.items() if value is not None}
    return dataclasses.replace(_redrawn(RECIPES[name], picture), **changed)


def _redrawn(recipe: Recipe, picture: str | None) -> Recipe:
    if picture is None or picture == recipe.drawing:
        return recipe
    if picture not in DRAWINGS:
        raise InputError(f"--picture: expected one of {', '.join(DRAWINGS)}, received {picture!r}.")
    drawing = DRAWINGS[picture]
    full_range: dict[str, Any] = {"low_hz": 0.0, "high_hz": recipe.sample_rate_hz / 2}
    return dataclasses.replace(
        recipe,
        drawing=picture,
        window_samples=tuple(round(seconds * recipe.sample_rate_hz) for seconds in drawing.window_seconds),
        range_db=drawing.range_db,
        **(full_range if drawing.is_full_range else {}),
    )

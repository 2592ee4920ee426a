"""Recipes: every setting that decides how the picture of a sound looks, and for named ones how to train on it.

A recipe is frozen, travels inside every picture and every classifier as JSON, and has a digest, so that pictures
made by different recipes can never be mixed up. What concerns training stays behind in the table. To add a recipe, add
a row to `RECIPES`. Any of them may be drawn in another way: `DRAWINGS` has a row for each.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from audionet.errors import InputError
from audionet.files import digest_of, printable


@dataclass(frozen=True)
class Drawing:
    """One way to draw: what its rows stand for, and the settings that suit it; everything else is up to the recipe."""

    # What rises with the height in the picture: places on the mel scale, frequencies, which run from 0 Hz to half of
    # the sample rate by default, or pitch classes.
    axis: Literal["mel", "linear", "pitch"]
    window_seconds: tuple[float, ...]  # lengths of the analysis windows
    range_db: float  # what lies this far or further below the loudest point is black
    ignored: tuple[str, ...] = ()  # settings of a recipe that change nothing in it


DRAWINGS: Mapping[str, Drawing] = {
    "log_mel": Drawing("mel", window_seconds=(0.064,), range_db=55.0),
    "log_mel_3": Drawing("mel", window_seconds=(0.025, 0.064, 0.128), range_db=80.0),
    "linear": Drawing("linear", window_seconds=(0.016,), range_db=100.0, ignored=("mel_bands",)),
    "chromagram": Drawing("pitch", window_seconds=(0.256,), range_db=30.0, ignored=("mel_bands",)),
    "pcen": Drawing("mel", window_seconds=(0.064,), range_db=60.0),
    "spectrogram": Drawing(
        "linear", window_seconds=(0.016,), range_db=100.0, ignored=("mel_bands", "low_hz", "high_hz")
    ),
    "magnitude": Drawing(
        "linear", window_seconds=(0.016,), range_db=55.0, ignored=("mel_bands", "low_hz", "high_hz", "range_db")
    ),
}
"""By name; `spectrogram.DRAWERS` has the function that draws each."""

CHANNELS = ("mean", "left", "right", "each", "loudest")
"""What is heard of a recording with several channels, or one of them by its number, from 1."""
MOST_CHANNELS = 64

PADDINGS = ("repeat", "zeros")
LONG_CLIPS = ("cut", "crop")
KINDS_OF_SETTINGS: Mapping[Any, tuple[tuple[type, ...], str]] = {
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "text"),
}
"""What values a setting may have, by its annotation, and in words."""

NOT_IN_PICTURES = ("about", "training", "any_pictures")
SINCE_RECENTLY = ("overlap", "channel")
"""Settings that recipes of earlier versions lack. At their defaults they are left out of JSON, so that digests stay."""

LOWEST_RATE_HZ = 100
HIGHEST_RATE_HZ = 768_000
FEWEST_SAMPLES = 64  # of a chunk, as of a window
WINDOWS_A_CHUNK = 4  # at least, where the sample rate is chosen


CHANNEL_EXPECTED = f"{', '.join(CHANNELS)} or a number from 1 to {MOST_CHANNELS}"


def is_channel(text: str) -> bool:
    """Tell whether a text names what is heard of several channels."""
    return text in CHANNELS or (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_CHANNELS)


@dataclass(frozen=True)
class Recipe:
    """The settings of one way to turn sound into pictures.

    Raises:
        InputError: a setting is outside its range.
    """

    name: str
    sample_rate_hz: int = 16_000
    chunk_seconds: float = 2.0
    sox_effects: str = ""  # a SoX effect chain that every recording goes through, such as `norm -3`
    drawing: str = "log_mel"  # one of DRAWINGS
    picture_height: int = 224
    picture_width: int = 224
    # Lengths of the analysis windows; a drawing with three colours gives one to each.
    window_samples: tuple[int, ...] = (1024,)
    mel_bands: int = 128  # rows before they are stretched to the picture's height, for drawings over the mel scale
    low_hz: float = 50.0
    high_hz: float = 7_800.0
    range_db: float = 55.0  # what lies this far or further below the loudest point is black
    jpg_quality: int = 92
    hop_samples: int = 0  # samples from one window to the next; 0 leaves it to the drawing
    padding: str = "repeat"  # how a clip that is shorter than a chunk fills it: `repeat`, or followed by `zeros`
    # What becomes of a longer one: it is `cut` into chunks, or the first chunk is kept and the rest is a `crop`.
    long_clips: str = "cut"
    channel: str = "mean"  # one of CHANNELS, or a number from 1
    overlap: float = 0.0  # the share of a chunk that the next one begins with again
    # What it is and where it comes from in one line, and behind it a line for each way in which it differs.
    about: str = field(default="", compare=False, repr=False)
    # Options of `audionet train` by name, where they are not its defaults.
    training: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    any_pictures: bool = field(default=False, compare=False, repr=False)  # whether it trains on ordinary pictures too

    def __post_init__(self) -> None:
        for setting in dataclasses.fields(self):
            if setting.type in KINDS_OF_SETTINGS:
                kinds, expected = KINDS_OF_SETTINGS[setting.type]
                value = getattr(self, setting.name)
                self._expect(setting.name, expected, isinstance(value, kinds) and not isinstance(value, bool))
        rates = f"{LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ}"
        self._expect("sample_rate_hz", rates, LOWEST_RATE_HZ <= self.sample_rate_hz <= HIGHEST_RATE_HZ)
        self._expect("chunk_seconds", "0.1 to 600 seconds", 0.1 <= self.chunk_seconds <= 600)
        fewest_seconds = FEWEST_SAMPLES / self.sample_rate_hz
        self._expect(
            "chunk_seconds",
            f"at {self.sample_rate_hz} samples a second {fewest_seconds:.3g} seconds or more",
            self.chunk_samples >= FEWEST_SAMPLES,
        )
        self._expect("drawing", "one of " + ", ".join(DRAWINGS), self.drawing in DRAWINGS)
        self._expect("picture_height", "32 to 1024 pixels", 32 <= self.picture_height <= 1024)
        self._expect("picture_width", "32 to 1024 pixels", 32 <= self.picture_width <= 1024)
        self._expect(
            "window_samples",
            "one or three lengths of 64 to 65536 samples",
            len(self.window_samples) in (1, 3)
            and all(isinstance(samples, int) and 64 <= samples <= 65_536 for samples in self.window_samples),
        )
        self._expect("mel_bands", "8 to 512", 8 <= self.mel_bands <= 512)
        self._expect("high_hz", "more than 0 Hz", self.high_hz > 0)
        self._expect(
            "low_hz", f"at least 0 and below high_hz, which is {self.high_hz:g}", 0 <= self.low_hz < self.high_hz
        )
        self._expect(
            "high_hz",
            f"half of sample_rate_hz at most, which is {self.sample_rate_hz / 2:g} (recordings with more may be drawn "
            f"up to it with --sample_rate_hz {min(2 * self.high_hz, HIGHEST_RATE_HZ):.0f})",
            self.high_hz <= self.sample_rate_hz / 2,
        )
        self._expect("range_db", "10 to 200 decibels", 10 <= self.range_db <= 200)
        self._expect("jpg_quality", "50 to 100", 50 <= self.jpg_quality <= 100)
        self._expect("hop_samples", "0 to 65536 samples", 0 <= self.hop_samples <= 65_536)
        self._expect("padding", " or ".join(PADDINGS), self.padding in PADDINGS)
        self._expect("long_clips", " or ".join(LONG_CLIPS), self.long_clips in LONG_CLIPS)
        self._expect("channel", CHANNEL_EXPECTED, is_channel(self.channel))
        self._expect("overlap", "0 to 0.95 of a chunk", 0 <= self.overlap <= 0.95)
        if self.sox_effects:
            from audionet.audio.sox_ffmpeg import effect_arguments  # with NumPy, which --help should not wait for

            effect_arguments(self.sox_effects)

    def _expect(self, field: str, expected: str, holds: bool) -> None:
        if not holds:
            raise InputError(f"{field}: expected {expected}, received {str(getattr(self, field))[:100]!r}.")

    @property
    def chunk_samples(self) -> int:
        """Length of a chunk in samples."""
        return round(self.chunk_seconds * self.sample_rate_hz)

    @property
    def hop_seconds(self) -> float:
        """Time from the start of one chunk to that of the next."""
        return self.chunk_seconds * (1 - self.overlap)

    @property
    def summary(self) -> str:
        """The first line of what there is to say about it."""
        return self.about.partition("\n")[0]

    def to_json(self) -> dict[str, Any]:
        """Return what decides how pictures look, and the name, as a JSON object."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in NOT_IN_PICTURES
            and not (field.name in SINCE_RECENTLY and getattr(self, field.name) == field.default)
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Recipe":
        """Rebuild a recipe from `to_json`.

        Raises:
            InputError: the object has settings that this version does not know, or lacks some.
        """
        try:
            return cls(**{**value, "window_samples": tuple(value["window_samples"])})
        except (TypeError, KeyError) as error:
            received = printable(json.dumps(value))[:1000]
            raise InputError(f"Expected a recipe of this version, received {received} ({error}).") from error

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that are the same for recipes that draw the same pictures, whatever their names."""
        settings = self.to_json()
        del settings["name"]
        return digest_of({"drawing_version": DRAWING_VERSION, **settings})


# Goes up by one when the code that draws is changed, so that pictures drawn before are drawn again.
DRAWING_VERSION = 1

# The classic way: the last layer averaged, gradient descent, no augmented views.
_AUDIONET = {
    "architecture": "inception_v3",
    "image_size": 299,
    "bottleneck": "classic",
    "head": "softmax",
    "how_many_training_steps": 500,
    "train_batch_size": 100,
    "learning_rate": 0.01,
    "views": 0,
    "testing_percentage": 10,
    "validation_percentage": 10,
}

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "default",
            about="What measures best: log-mel, a frozen network read in the middle, augmented views, the head that "
            "validation prefers.",
            any_pictures=True,
        ),
        Recipe(
            "three_windows",
            drawing="log_mel_3",
            window_samples=(400, 1024, 2048),
            range_db=80.0,
            about="The default with log-mel at three window lengths as colours: sharp in time, balanced, sharp in "
            "frequency.",
        ),
        Recipe(
            "audionet",
            chunk_seconds=20.0,
            drawing="linear",
            window_samples=(256,),
            low_hz=0.0,
            high_hz=8_000.0,
            range_db=100.0,
            about="AudioNet: chunks of 20 s, linear spectrogram in viridis, InceptionV3 averaged, softmax, 500 steps.\n"
            "Whole recordings are held out; the tutorial parts the chunks of a recording, which flatters.\n"
            "Its learning rate is meant per feature: steps over a thousand features add up.",
            training=_AUDIONET,
        ),
        Recipe(
            "audionet_chromagram",
            chunk_seconds=20.0,
            drawing="chromagram",
            window_samples=(4096,),
            range_db=30.0,
            about="AudioNet with chromagrams: the same training on pitch classes in place of frequencies.\n"
            "Whole recordings are held out; the tutorial parts the chunks of a recording, which flatters.",
            training=_AUDIONET,
        ),
        Recipe(
            "cnvrg",
            chunk_seconds=1.0,
            drawing="spectrogram",
            window_samples=(256,),
            picture_height=129,
            picture_width=71,
            low_hz=0.0,
            high_hz=8_000.0,
            range_db=100.0,
            padding="zeros",
            about="cnvrg's one network for speech and images: scipy's spectrogram, two convolutions from scratch.\n"
            "Spectrograms are drawn in decibels; the tutorial reads the bytes of floats as colours.\n"
            "Whole recordings are held out, and the weights that do best on validation are kept.",
            training={"network": "cnvrg", "optimizer": "rmsprop", "epochs": 10, "views": 0},
            any_pictures=True,
        ),
        Recipe(
            "simple_audio",
            chunk_seconds=1.0,
            drawing="magnitude",
            window_samples=(255,),
            hop_samples=128,
            picture_height=129,
            picture_width=124,
            low_hz=0.0,
            high_hz=8_000.0,
            padding="zeros",
            about="TensorFlow's simple audio recognition: words of 1 s, magnitudes at 32 x 32, a small network from "
            "scratch.\n"
            "Split 80/10/10 by speaker; the tutorial has every speaker on every side.\n"
            "Magnitudes are relative to the loudest of the clip, as a jpg cannot hold others.",
            training={
                "network": "simple_audio",
                "epochs": 10,
                "network_batch_size": 64,
                "patience": 2,
                "views": 0,
                "testing_percentage": 10,
                "validation_percentage": 10,
            },
        ),
        Recipe(
            "efficientnet",
            sample_rate_hz=48_000,
            chunk_seconds=5.0,
            drawing="magnitude",
            window_samples=(2048,),
            hop_samples=512,
            picture_height=128,
            picture_width=128,
            low_hz=0.0,
            high_hz=24_000.0,
            padding="zeros",
            long_clips="crop",
            about="The rainforest pipeline: magnitudes at 128 x 128, EfficientNetB0 from ImageNet trained end to end.\n"
            "Pictures are drawn once and kept; the tutorial draws them from the sound files at every step.\n"
            "Training and scoring normalise alike, and the weights that do best on validation are kept.",
            training={
                "network": "efficientnet_b0",
                "image_size": 128,
                "epochs": 10,
                "steps_per_epoch": 100,
                "network_batch_size": 32,
                "views": 0,
            },
            any_pictures=True,
        ),
        Recipe(
            "urban",
            sample_rate_hz=22_050,
            chunk_seconds=4.0,
            high_hz=11_000.0,
            about="The default for UrbanSound8K as published, tested on each of its 10 folds in turn.",
            training={"group_by": "fold", "folds": 10},
        ),
        Recipe(
            "esc50",
            sample_rate_hz=22_050,
            chunk_seconds=5.0,
            high_hz=11_000.0,
            about="The default for ESC-50 as published, tested on each of its 5 folds in turn.",
            training={"group_by": "fold", "folds": 5},
        ),
    )
}


def check_drawn_by(name: str, drawn_by: Recipe | None) -> None:
    """Raise unless the recipe called `name` trains on pictures drawn by a recipe, or by None for ordinary ones.

    Raises:
        InputError: they were drawn by another one, or are ordinary ones and the recipe is for sound; or no recipe has
            that name.
    """
    wanted = find_recipe(name)
    if drawn_by is None and not wanted.any_pictures:
        takes = ", ".join(recipe.name for recipe in RECIPES.values() if recipe.any_pictures)
        raise InputError(
            f"--recipe: {name} trains on pictures of sound, received ordinary pictures. Choose one of {takes}, or give "
            "it recordings: audionet data."
        )
    if drawn_by is not None and drawn_by.name != name:
        raise InputError(
            f"--recipe: expected pictures drawn by {name}, received pictures drawn by {drawn_by.name}. Draw them "
            f"again: audionet data --recipe {name}."
        )


def find_recipe(name: str, *, picture: str | None = None, **changes: Any) -> Recipe:
    """Return the recipe called `name`, with those `changes` of settings that are not None.

    With a `picture` of DRAWINGS, it draws in that way instead of its own, with the settings that suit it. With another
    sample rate, windows keep their samples, a quarter of a chunk at most; the band reaches as far up as before, of what
    the rate can hold, and where the rate is lower as far down.

    Raises:
        InputError: no recipe or drawing has that name, or a change is outside its range.
    """
    if name not in RECIPES:
        raise InputError(f"--recipe: expected one of {', '.join(RECIPES)}, received {name!r}.")
    recipe = redrawn(RECIPES[name], picture)
    changed = {field: value for field, value in changes.items() if value is not None}
    if isinstance(rate_hz := changed.get("sample_rate_hz"), int | float) and rate_hz != recipe.sample_rate_hz:
        low_hz, high_hz = _band_at(recipe, rate_hz)
        chunk_seconds = changed.get("chunk_seconds", recipe.chunk_seconds)
        longest = max(FEWEST_SAMPLES, int(chunk_seconds * rate_hz / WINDOWS_A_CHUNK))
        window_samples = tuple(min(samples, longest) for samples in recipe.window_samples)
        changed = {"low_hz": low_hz, "high_hz": high_hz, "window_samples": window_samples, **changed}
    return dataclasses.replace(recipe, **changed)


def _band_at(recipe: Recipe, sample_rate_hz: float) -> tuple[float, float]:
    """Return the band of a recipe at another sample rate."""
    factor = sample_rate_hz / recipe.sample_rate_hz
    return recipe.low_hz * min(1.0, factor), recipe.high_hz * factor


def redrawn(recipe: Recipe, picture: str | None) -> Recipe:
    """Return a recipe that draws as `picture` of DRAWINGS does, with the settings that suit it; None for no change.

    A band that was chosen is kept.

    Raises:
        InputError: no drawing has that name.
    """
    if picture is None or picture == recipe.drawing:
        return recipe
    if picture not in DRAWINGS:
        raise InputError(f"--picture: expected one of {', '.join(DRAWINGS)}, received {picture!r}.")
    drawing = DRAWINGS[picture]
    named = RECIPES.get(recipe.name, recipe)
    has_usual_band = (recipe.low_hz, recipe.high_hz) == _band_at(named, recipe.sample_rate_hz)
    full_range: dict[str, Any] = {"low_hz": 0.0, "high_hz": recipe.sample_rate_hz / 2}
    return dataclasses.replace(
        recipe,
        drawing=picture,
        window_samples=tuple(round(seconds * named.sample_rate_hz) for seconds in drawing.window_seconds),
        range_db=drawing.range_db,
        hop_samples=0,
        **(full_range if drawing.axis == "linear" and has_usual_band else {}),
    )

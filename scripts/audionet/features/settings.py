"""The settings of pictures. Each field is a command-line option too, with its default, help and check."""

from dataclasses import dataclass
from typing import Annotated, Literal

from audionet.errors import check
from audionet.features.recipes import DRAWINGS, HIGHEST_RATE_HZ, LOWEST_RATE_HZ, Recipe, find_recipe
from audionet.ranges import between, check_ranges


@dataclass(frozen=True)
class PictureSettings:
    """How recordings are drawn; a setting outside its range raises InputError."""

    recipe: str = "default"
    """How pictures look, by name."""
    picture: str | None = None
    """Draw in another way than the recipe: log_mel, log_mel_3, linear, chromagram, pcen, spectrogram or magnitude."""
    chunk_seconds: Annotated[float | None, between(0.1, 600)] = None
    """Length of the slice that one picture shows. By default the recipe's: 2 s, which serves voices best."""
    padding: Literal["repeat", "zeros"] | None = None
    """How a clip shorter than a chunk fills it: repeated, or with zeros behind. By default as the recipe does."""
    long_clips: Literal["cut", "crop"] | None = None
    """Cut longer recordings into chunks, or keep the first chunk alone. By default as the recipe does."""
    sample_rate_hz: Annotated[int | None, between(LOWEST_RATE_HZ, HIGHEST_RATE_HZ)] = None
    """Samples a second that sound is brought to: 48000 for birds, 384000 for bats. By default the recipe's."""
    low_hz: Annotated[float | None, between(0, HIGHEST_RATE_HZ / 2)] = None
    """Lowest frequency in pictures. By default as the recipe has it."""
    high_hz: Annotated[float | None, between(0, HIGHEST_RATE_HZ / 2)] = None
    """Highest frequency in pictures, half of the sample rate at most. By default as far up as the recipe goes."""
    range_db: Annotated[float | None, between(10, 200)] = None
    """What lies this many decibels or further below the loudest point is black. By default as the recipe has it."""
    mel_bands: Annotated[int | None, between(8, 512)] = None
    """How many bands the mel scale is divided into. By default as the recipe has it."""
    overlap: Annotated[float | None, between(0, 0.95)] = None
    """The share of a chunk that the next one begins with again: 0.5 gives twice as many. By default none."""
    channel: str | None = None
    """Which channel to hear: mean of all, left, right, a number from 1, each by itself, or loudest. By default mean."""
    sox_effects: str | None = None
    """SoX effect chain for every recording, such as "norm -3 silence 1 0.1 1%"."""

    def __post_init__(self) -> None:
        check_ranges(self)
        recipe = self.chosen_recipe()
        for name in DRAWINGS[recipe.drawing].ignored:
            check(
                getattr(self, name) is None,
                f"--{name}: expected none with pictures drawn as {recipe.drawing}, in which it changes nothing, "
                f"received {getattr(self, name)}. Leave it away, or draw another --picture.",
            )

    def chosen_recipe(self) -> Recipe:
        """Return the recipe with the changes asked for."""
        changes = dict(vars(self))
        return find_recipe(changes.pop("recipe"), picture=changes.pop("picture"), **changes)

"""The settings of pictures. Each field is a command-line option too, with its default, help and check."""

from dataclasses import dataclass
from typing import Annotated, Literal

from audionet.features.recipes import Recipe, find_recipe
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
    sox_effects: str | None = None
    """SoX effect chain for every recording, such as "norm -3 silence 1 0.1 1%"."""

    def __post_init__(self) -> None:
        check_ranges(self)
        self.chosen_recipe()

    def chosen_recipe(self) -> Recipe:
        """Return the recipe with the changes asked for."""
        return find_recipe(
            self.recipe,
            picture=self.picture,
            chunk_seconds=self.chunk_seconds,
            padding=self.padding,
            long_clips=self.long_clips,
            sox_effects=self.sox_effects,
        )

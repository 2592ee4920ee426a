"""Measure how clips of one label vary, on many labels, for classifiers whose own labels are too few.

    audionet background --audio_dir birds/ --output birds.npz
    audionet background --audio_dir birds/ --output birds.npz --origin "My garden" --licence CC0
    audionet train --image_dir my_birds/ --background birds.npz
    audionet background --show birds.npz

Words, rooms, noise and microphones vary within one voice much as within any other, and so with birds and machines. The
file holds statistics alone, no recordings. It is for the network and the recipe that it was made with; what a file that
is there holds for others is kept. One of voices comes with the package, and training takes it where it fits.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from audionet.cli import EXIT_FAILED, TF_FILES, OmitArgPrefixes, run_command
from audionet.features.recipes import find_recipe
from audionet.files import printable
from audionet.models.backbones.settings import BackboneSettings
from audionet.ranges import between, check_ranges
from audionet.training.settings import HoldoutSettings, TrainingSettings


@dataclass(frozen=True)
class BackgroundOptions:
    """The command line of audionet background."""

    audio_dir: Path = TF_FILES / "data_audio"
    """Folder of recordings, one subfolder a label; six labels or more, with two recordings each."""
    output: Path = TF_FILES / "background.npz"
    """File to write."""
    origin: str | None = None
    """Whose recordings they are, as shown wherever the file is used."""
    licence: str = "licence not stated"
    """Licence of the recordings."""
    recipe: str = "default"
    """Recipe that the recordings are drawn by."""
    views: Annotated[int, between(0, 100)] = 4
    """Augmented views of each chunk, with noise, rooms and codecs."""
    bottleneck_dir: Path = TF_FILES / "bottlenecks"
    """Folder of the cache. It is safe to delete."""
    show: str | None = None
    """Only show what a file holds: its name, or auto for the one that comes with the package."""
    backbone: OmitArgPrefixes[BackboneSettings] = field(default_factory=BackboneSettings)

    def __post_init__(self) -> None:
        check_ranges(self)
        find_recipe(self.recipe)


def make(options: BackgroundOptions) -> int:
    """Fit, write and print what the file holds."""
    from audionet import api  # NumPy, Pillow and the networks, which --help should not wait for
    from audionet.models.background import SHIPPED, read_background

    if options.show:
        spaces = read_background(SHIPPED if options.show == "auto" else Path(options.show))
    else:
        settings = TrainingSettings(options.recipe, options.backbone, HoldoutSettings(views=options.views))
        spaces, failures = api.make_background(
            options.audio_dir,
            options.output,
            settings=settings,
            bottleneck_dir=options.bottleneck_dir,
            origin=options.origin,
            licence=options.licence,
        )
        print(f"Written: {printable(options.output)}")
    for space in spaces:
        print(space.sentence())
    return EXIT_FAILED if not options.show and failures else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(make, BackgroundOptions, __doc__, argv)

"""Turn folders of recordings into folders of spectrogram pictures.

    audionet data --audio_dir recordings/ --image_dir pictures/
    audionet data --audio_dir ~/podcasts --chunk_seconds 20 --recipe audionet

Each subfolder of --audio_dir is a label. Run it again after adding, changing or removing recordings: only what is new
or changed is done.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from audionet.cli import EXIT_FAILED, TF_FILES, run_command, short_path
from audionet.console import log
from audionet.features.recipes import Recipe, find_recipe
from audionet.files import printable
from audionet.ranges import between, check_ranges


@dataclass(frozen=True)
class DataMakerOptions:
    """The command line of audionet data."""

    audio_dir: Path = TF_FILES / "data_audio"
    """Folder of recordings, one subfolder a label, in any format that SoX or FFmpeg reads; UrbanSound8K; or ESC-50."""
    image_dir: Path = TF_FILES / "data_image"
    """Folder that the pictures go to."""
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
    jobs: Annotated[int | None, between(1, 1_024)] = None
    """How many processes to use. By default one a core."""
    keep_wav: bool = True
    """Write each chunk as wav beside its picture, for listening."""

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


def make_data(options: DataMakerOptions) -> int:
    """Make the pictures, print a summary, and return 1 if any recording failed."""
    from audionet import api  # NumPy, SciPy and more, which --help should not wait for
    from audionet.evaluation.data_audit import audit_data

    result = api.make_data(
        options.audio_dir,
        options.image_dir,
        recipe=options.chosen_recipe(),
        jobs=options.jobs,
        keep_wav=options.keep_wav,
    )
    for recording, reason in result.failures.items():
        log(f"Set aside: {printable(recording)}: {reason}")
    for label, pictures in sorted(result.chunks.items()):
        minutes = result.sound_seconds[label] / 60
        print(f"{printable(label)}: {result.recordings[label]} recordings, {minutes:.1f} minutes, {pictures} pictures")
    if result.recordings_made or result.pictures_removed:
        audit = audit_data(
            result.chunk_stats, {recording: Path(recording).parts[0] for recording in result.chunk_stats}
        )
        for fact in audit.facts:
            print(fact)
        for warning in audit.warnings:
            log(f"Note: {warning}")
    print(
        f"{result.recordings_made} recordings drawn, {result.recordings_kept} unchanged, "
        f"{len(result.failures)} failed, {result.pictures_removed} old pictures removed. "
        f"Pictures: {printable(short_path(options.image_dir))}"
    )
    return EXIT_FAILED if result.failures else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(make_data, DataMakerOptions, __doc__, argv)

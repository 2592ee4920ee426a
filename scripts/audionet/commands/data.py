"""Turn folders of recordings into folders of spectrogram pictures.

    audionet data --audio_dir recordings/ --image_dir pictures/
    audionet data --audio_dir ~/podcasts --chunk_seconds 20 --recipe audionet

Each subfolder of --audio_dir is a label. Run it again after adding, changing or removing recordings: only what is new
or changed is done.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from audionet.cli import EXIT_FAILED, TF_FILES, OmitArgPrefixes, run_command, short_path
from audionet.console import log
from audionet.distributed.cluster import connected
from audionet.errors import check
from audionet.features.settings import PictureSettings
from audionet.files import printable
from audionet.ranges import between, check_ranges


@dataclass(frozen=True)
class DataMakerOptions:
    """The command line of audionet data."""

    audio_dir: Path = TF_FILES / "data_audio"
    """Folder or URL of recordings, one subfolder a label, as SoX or FFmpeg reads them; or a published data set."""
    image_dir: Path = TF_FILES / "data_image"
    """Folder that the pictures go to."""
    labels: Path | None = None
    """Table of labels, or folder of them, that says where clips are cut: CSV (path, start, end, label, and split, group
    and weight where wanted), selection tables of Raven, label tracks of Audacity, or RTTM."""
    unlabelled: Literal["leave_out", "unknown"] = "leave_out"
    """What becomes of sound between the clips of --labels: leave_out, or unknown, which is of none of the labels."""
    pictures: OmitArgPrefixes[PictureSettings] = field(default_factory=PictureSettings)
    jobs: Annotated[int | None, between(1, 1_024)] = None
    """How many processes to use. By default one a core."""
    cluster: str | None = None
    """Ray cluster that does the work: auto, local, or an address such as ray://host:10001. By default this machine."""
    keep_wav: bool = True
    """Write each chunk as wav beside its picture, for listening."""

    def __post_init__(self) -> None:
        check_ranges(self)
        check(self.labels is not None or self.unlabelled == "leave_out", "--unlabelled is about the clips of --labels.")


def make_data(options: DataMakerOptions) -> int:
    """Make the pictures, print a summary, and return 1 if any recording failed."""
    from audionet import api  # NumPy, SciPy and more, which --help should not wait for
    from audionet.evaluation.data_audit import audit_data

    with connected(options.cluster, folders=[options.audio_dir, options.image_dir]):
        result = api.make_data(
            options.audio_dir,
            options.image_dir,
            recipe=options.pictures.chosen_recipe(),
            labels=options.labels,
            unlabelled=options.unlabelled == "unknown",
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

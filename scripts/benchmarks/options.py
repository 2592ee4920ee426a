"""Options that benchmarks have in common, and where they write what they found."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audionet.files import printable, write_json, write_text
from audionet.training.settings import HoldoutSettings

TF_FILES = Path(__file__).resolve().parents[2] / "tf_files"


@dataclass(frozen=True)
class BenchOptions:
    """Options of every benchmark that trains."""

    group_by: str = "recording"
    """What is never parted: recording, folder, fold, TABLE.csv:COLUMN, or a regular expression on the name."""
    random_seed: int = 0
    """Another seed, other choices by chance."""
    output_dir: Path = TF_FILES / "bench"
    """Folder for results, and for what is made to measure with. It is safe to delete."""

    @property
    def bottleneck_dir(self) -> Path:
        """The cache of all benchmarks."""
        return self.output_dir / "bottlenecks"

    @property
    def holdout(self) -> HoldoutSettings:
        """How recordings are held out, as in training."""
        return HoldoutSettings(random_seed=self.random_seed, group_by=self.group_by)

    def write(self, folder: Path, name: str, result: Mapping, document: str = "") -> None:
        """Write what was found as `name`.json, and a Markdown document of it as `name`.md, and say where.

        Args:
            folder: where to.
            name: of the files, without an ending.
            result: as JSON; the options are added.
            document: the Markdown, if there is one.
        """
        place = folder / name
        options = {option: str(value) for option, value in vars(self).items()}
        write_json(place.with_suffix(".json"), {**result, "options": options})
        if document:
            write_text(place.with_suffix(".md"), document)
        print(f"Written: {printable(place.with_suffix('.md' if document else '.json'))}")


@dataclass(frozen=True)
class FolderBenchOptions(BenchOptions):
    """Options of every benchmark on a folder of recordings."""

    audio_dir: Path = TF_FILES / "data_audio"
    """Folder of recordings, one subfolder a label."""

    @property
    def folder(self) -> Path:
        """Where pictures of these recordings are, and results."""
        return self.output_dir / self.audio_dir.resolve().name

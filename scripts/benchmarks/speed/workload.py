"""What speed is measured on: recordings, pictures, caches and classifiers of the sizes wanted, made when asked for."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from audionet.audio.decoding import find_recordings
from audionet.console import log
from audionet.data.preprocessing import PreprocessingResult, make_pictures
from audionet.features.image_io import is_picture
from audionet.features.recipes import find_recipe
from audionet.files import printable, walk_files, write_bytes
from audionet.models.backbones.backbone import load_backbone
from benchmarks.speed import pipeline_steps, synthetic_data
from benchmarks.speed.timing import Competitor, run_timed, script

DIMENSION = 1280  # of the bottlenecks of the classic layer of the default network
LONG_SECONDS = 300.0  # of a long recording, about
TEXTS = 400  # files that classic training reads again and again
TRAINED_ON = 40  # recordings that the classifiers to label with are trained on; how good they are does not matter


@dataclass(frozen=True)
class Sizes:
    """How much of everything there is. The classic way is measured on `classic_pictures`, or it would take hours."""

    long_minutes: float = 20
    short_recordings: int = 1000
    pictures: int = 200
    cached_pictures: int = 20_000
    training_steps: int = 500
    labelled_pictures: int = 200
    labelled_minutes: float = 10
    classic_pictures: int = 20


FULL_SIZES = Sizes(
    long_minutes=120,
    short_recordings=10_000,
    pictures=1000,
    cached_pictures=100_000,
    labelled_pictures=1000,
    labelled_minutes=60,
    classic_pictures=40,
)


@dataclass(frozen=True)
class Workload:
    """A folder for all that is made; it is safe to delete."""

    folder: Path
    sizes: Sizes
    audio_dir: Path | None = None  # recordings of the user's in place of the long ones made
    engine: str = "auto"  # what runs networks in AudioNet's way

    @cached_property
    def long_recordings(self) -> Path:
        """Long recordings, or those of the user's that can be read."""
        if self.audio_dir is None:
            count = max(2, round(60 * self.sizes.long_minutes / LONG_SECONDS))
            return self.recordings("long", count, seconds=60 * self.sizes.long_minutes / count, suffix=".mp3")
        result = make_pictures(self.audio_dir, self.folder / "user_image", recipe=find_recipe("default"))
        for recording, reason in result.failures.items():
            log(f"Set aside: {printable(recording)}: {reason}")
        good = [self.audio_dir / recording for recording in sorted(result.chunk_stats)]
        synthetic_data.link_files(good, self.audio_dir, self.folder / "user")
        return self.folder / "user"

    @cached_property
    def short_recordings(self) -> Path:
        """Wavs of one second."""
        return self.recordings("short", self.sizes.short_recordings, seconds=1.0, suffix=".wav")

    @cached_property
    def pictures(self) -> Path:
        """Pictures of the short recordings, or of the user's."""
        if self.audio_dir:
            return self.drawn(self.long_recordings)[0]
        count = min(self.sizes.short_recordings, max(self.sizes.pictures, self.sizes.labelled_pictures))
        source = self.part(self.short_recordings, count)
        return self.drawn(source)[0]

    def recordings(self, name: str, count: int, *, seconds: float, suffix: str) -> Path:
        """Return a folder of made recordings."""
        folder = self.folder / f"{name}_{count}_of_{seconds:g}_s"
        synthetic_data.make_recordings(folder, count=count, seconds=seconds, suffix=suffix)
        return folder

    def count(self, folder: Path) -> int:
        """Return how many recordings, or else pictures, there are in a folder."""
        return len(_clips_in(folder))

    def part(self, source: Path, count: int) -> Path:
        """Return a folder with links to some of the recordings or pictures of another, of all labels alike."""
        folder = self.folder / f"{source.name}_part_{count}"
        files = _clips_in(source)
        chosen = [files[number * len(files) // count] for number in range(min(count, len(files)))]
        if not folder.is_dir() or self.count(folder) != len(chosen):
            synthetic_data.link_files(chosen, source, folder)
        return folder

    def clip(self, seconds: float) -> tuple[Path, float]:
        """Return some seconds of sound, made or of the user's shortest recordings, and how many seconds it is."""
        if self.audio_dir is None:
            return self.recordings("clip", 1, seconds=seconds, suffix=".mp3"), seconds
        source = self.long_recordings
        result = self.drawn(source)[1]
        lengths = {
            recording: sum(stats["measures"]["seconds"] for stats in chunks)
            for recording, chunks in result.chunk_stats.items()
        }
        chosen: list[str] = []
        for recording in sorted(lengths, key=lambda name: lengths[name]):
            if sum(lengths[name] for name in chosen) < seconds:
                chosen.append(recording)
        folder = self.folder / f"{source.name}_shortest_{seconds:g}"
        synthetic_data.link_files([source / recording for recording in chosen], source, folder)
        return folder, sum(lengths[name] for name in chosen)

    def drawn(self, source: Path) -> tuple[Path, PreprocessingResult]:
        """Return the pictures of a folder of recordings, without wavs, and what was found there."""
        image_dir = self.folder / f"{source.name}_image"
        return image_dir, make_pictures(source, image_dir, recipe=find_recipe("default"), keep_wav=False)

    def seconds_of(self, source: Path) -> float:
        """Return how many seconds of sound AudioNet finds in a folder of recordings."""
        return sum(self.drawn(source)[1].sound_seconds.values())

    def cached(self, count: int) -> tuple[Path, Path]:
        """Return tiny pictures, and a cache with a bottleneck of each."""
        pictures, cache = (self.folder / f"{name}_{count}" for name in ("cached_pictures", "cache"))
        synthetic_data.make_pictures(pictures, count=count)
        pipeline_steps.read_bottlenecks(str(pictures), str(cache), DIMENSION)
        return pictures, cache

    @cached_property
    def texts(self) -> Path:
        """Bottlenecks in text files."""
        folder = self.folder / "texts"
        synthetic_data.make_texts(folder, count=min(TEXTS, self.sizes.cached_pictures), dimension=DIMENSION)
        return folder

    def graph(self, architecture: str) -> Path:
        """Return the frozen graph of a network, up to its classic layer."""
        path = self.folder / "graphs" / f"{architecture}.pb"
        write_bytes(path, load_backbone(architecture, bottleneck="classic").graph)
        return path

    def classifier(self, bottleneck: str, head: str) -> Path:
        """Return a folder with a classifier `retrained_model`, and `graph.pb` and `labels.txt` of it."""
        folder = self.folder / f"classifier_{head}"
        if not (folder / "labels.txt").is_file():
            few = self.recordings("few", TRAINED_ON, seconds=2.0, suffix=".wav")
            command = script(
                "retrain.py",
                *("--image_dir", self.drawn(few)[0], "--bottleneck", bottleneck, "--head", head, "--views", 0),
                *("--bottleneck_dir", self.folder / "few_bottlenecks", "--runs_dir", folder / "runs"),
                *("--output_model", folder / "retrained_model", "--output_graph", folder / "graph.pb"),
                *("--output_labels", folder / "labels.txt", "--report", folder / "report.html"),
                *("--summaries_dir", folder / "summaries"),
            )
            run_timed(Competitor(f"training with {head}", 1, command))
        return folder

    @cached_property
    def classic_classifier(self) -> dict[str, Path]:
        """The frozen `graph` and the `labels` of a classifier of the classic way."""
        folder = self.classifier("classic", "softmax")
        return {"graph": folder / "graph.pb", "labels": folder / "labels.txt"}

    def output(self, name: str) -> Path:
        """Return a folder for output."""
        return self.folder / "output" / name


def _clips_in(folder: Path) -> list[Path]:
    return find_recordings(folder) or [path for path in walk_files(folder) if is_picture(path)]

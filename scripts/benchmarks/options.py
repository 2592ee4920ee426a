"""The options of every benchmark, and where each writes its results. Imports no NumPy, so that --help is quick."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from audionet.cli import TF_FILES
from audionet.errors import check
from audionet.features.recipes import find_recipe
from audionet.files import printable, write_json, write_text
from audionet.models.backbones.settings import Engine
from audionet.ranges import between, check_ranges
from audionet.tables import Table, markdown, print_tables
from audionet.training.settings import HoldoutSettings


@dataclass(frozen=True)
class TrainingBenchmarkOptions:
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

    def write(
        self, path: Path, result: Mapping[str, Any], tables: Mapping[str, Table] | None = None, introduction: str = ""
    ) -> None:
        """Write a result and these options as JSON, and tables as Markdown beside it; print the tables, and where."""
        write_json(path, {**result, "options": {option: str(value) for option, value in vars(self).items()}})
        if tables:
            print_tables(tables, introduction)
            path = path.with_suffix(".md")
            write_text(path, markdown(tables, introduction))
        print(f"Written: {printable(path)}")


@dataclass(frozen=True)
class FolderBenchmarkOptions(TrainingBenchmarkOptions):
    """Options of every benchmark on a folder of recordings."""

    audio_dir: Path = TF_FILES / "data_audio"
    """Folder of recordings, one subfolder a label."""

    @property
    def folder(self) -> Path:
        """Where pictures of these recordings are, and results."""
        return self.output_dir / self.audio_dir.resolve().name


@dataclass(frozen=True)
class ClassifierBenchmarkOptions(FolderBenchmarkOptions):
    """Options of every benchmark of one classifier."""

    architecture: str = "efficientnet_lite0"
    """Pretrained network."""


@dataclass(frozen=True)
class AccuracyOptions(FolderBenchmarkOptions):
    """Compare networks, alone and together, with the tutorial's way and with a speaker encoder.

    Networks are trained as retrain.py trains them. Recordings held out of training are scored clean and under noises,
    codecs and rooms. The speaker encoder is Resemblyzer, where it is installed: pip install -r
    tests/requirements-bench.txt.
    """

    test: str | None = None
    """Hold out the recordings whose file name matches this regular expression, such as ^04."""
    folds: int = 5
    """Without --test: hold out every recording once, in as many trials."""
    architectures: str = "efficientnet_lite0"
    """Pretrained networks to score alone, with commas between."""
    committees: str = "auto"
    """Members to score together and alone, as --members of retrain.py names them, with semicolons between."""
    chunk_seconds: Annotated[float | None, between(0.1, 600)] = None
    """Seconds a chunk, instead of the default recipe's."""
    baselines: Annotated[bool, arg(aliases=["--peers"])] = True
    """Whether to compare with the tutorial's way, with cepstra and with Resemblyzer."""

    def __post_init__(self) -> None:
        check(self.folds >= 2, f"--folds: expected 2 or more, received {self.folds}.")
        check_ranges(self)

    @property
    def folder(self) -> Path:
        """Where pictures of these recordings are, those of each length of chunks apart, and results."""
        folder = super().folder
        return folder if self.chunk_seconds is None else folder.with_name(f"{folder.name}_{self.chunk_seconds:g}s")

    @property
    def architecture_names(self) -> list[str]:
        """The architectures, one by one."""
        return [name.strip() for name in self.architectures.split(",")]

    @property
    def committee_texts(self) -> list[str]:
        """The committees, one by one."""
        return [text.strip() for text in self.committees.split(";") if text.strip()]


@dataclass(frozen=True)
class OpenSetOptions(ClassifierBenchmarkOptions):
    """Measure how well clips of unknown labels are refused: some labels are held out of training altogether.

    There must be three labels or more. Everything is trained as retrain.py trains it by default, but for the
    background, whose labels may be among those held out.
    """

    held_out: int | None = None
    """How many labels to hold out altogether. By default a third."""
    draws: int = 6
    """How often, other labels each time."""
    members: str = "auto"
    """Networks that answer together, as --members of retrain.py names them."""
    background_dir: Path | None = None
    """Folder of other labels to fit a background on. By default there is none."""
    one_class: bool = False
    """Train on one label alone instead, each in turn, and take all others for unknown."""

    def __post_init__(self) -> None:
        check(self.draws >= 1, f"--draws: expected 1 or more, received {self.draws}.")
        check(self.held_out is None or not self.one_class, "--held_out: all labels but one are unknown to --one_class.")


@dataclass(frozen=True)
class VerificationOptions(ClassifierBenchmarkOptions):
    """Measure how well two clips of labels held out are told to be of the same label or not.

    There must be five labels or more. The space is fitted as retrain.py fits it by default, on some of the labels that
    are not held out, with a background of others and without. A speaker encoder is given the very same chunks.
    """

    held_out: int | None = None
    """How many labels to hold out altogether. By default a third, and two at least."""
    draws: int | None = None
    """How often, other labels each time. By default until each was held out."""
    own: str = "1,2,4,8"
    """How many of the labels that are not held out are the user's own, with commas between."""
    background_dir: Path | None = None
    """Folder of other labels to fit the background on, but for those of the same names as are held out. By default it
    is fitted on the labels that are neither held out nor own, where these are six or more."""
    baselines: Annotated[bool, arg(aliases=["--peers"])] = True
    """Compare with a speaker encoder."""

    def __post_init__(self) -> None:
        check(self.draws is None or self.draws >= 1, f"--draws: expected 1 or more, received {self.draws}.")
        check(self.held_out is None or self.held_out >= 2, f"--held_out: expected 2 or more, received {self.held_out}.")
        counts = [text.strip() for text in self.own.split(",")]
        check(
            all(text.isdecimal() and int(text) > 0 for text in counts),
            f"--own: expected numbers with commas between, such as 1,2,4, received {self.own!r}.",
        )

    @property
    def own_counts(self) -> list[int]:
        """How many labels are the user's own, one by one."""
        return [int(text) for text in self.own.split(",")]


@dataclass(frozen=True)
class DiarizationOptions(ClassifierBenchmarkOptions):
    """Measure the error rate of the timeline of a long conversation, made of recordings held out of training.

    With --speakers, conversations are made of voices held out altogether, and their speakers are clustered. The error
    rates are those of pyannote.metrics: pip install -r tests/requirements-timeline.txt.
    """

    test: str = "^04"
    """The conversation is made of the recordings whose file name matches this regular expression."""
    seconds: float = 10_800
    """How long the conversation is."""
    held_out: Annotated[int, arg(aliases=["--strangers"])] = 0
    """How many labels to hold out altogether; the classifier should call them unknown."""
    hop: float = 0.5
    """Seconds between decisions."""
    members: str = "auto"
    """Networks that answer together, as --members of retrain.py names them."""
    speakers: str = ""
    """Find speakers without names in conversations of so many voices, such as 2,4,8; --test and --held_out do not count
    then."""
    train_dir: Path | None = None
    """With --speakers: folder of recordings to train on, instead of the voices that do not speak."""
    draws: int = 3
    """With --speakers: how many conversations of each size, of other voices each time."""

    def __post_init__(self) -> None:
        check(
            not self.speakers or all(re.fullmatch(r"[2-9]|[1-9][0-9]{1,2}", one) for one in self.speakers.split(",")),
            f"--speakers: expected numbers from 2 to 999 with commas between, received {self.speakers!r}.",
        )
        check(self.speakers != "" or self.train_dir is None, "--train_dir goes with --speakers; name these as well.")
        check(self.draws >= 1, f"--draws: expected 1 or more, received {self.draws}.")
        check(self.seconds >= 60, f"--seconds: expected 60 or more, received {self.seconds:g}.")
        check(self.held_out >= 0, f"--held_out: expected 0 or more, received {self.held_out}.")
        check(self.hop > 0, f"--hop: expected more than 0, received {self.hop:g}.")

    @property
    def counts(self) -> list[int]:
        """How many speak in the conversations whose speakers are clustered."""
        return [int(count) for count in self.speakers.split(",") if count]


@dataclass(frozen=True)
class SearchOptions(TrainingBenchmarkOptions):
    """Measure how long a search takes among many stored chunks and many labels, of vectors that are made at random.

    The rival compares with each of them in turn.
    """

    chunks: Annotated[int, between(2_000, 100_000_000)] = 1_000_000
    """How many chunks are stored."""
    chunks_a_file: Annotated[int, between(1, 10_000)] = 100
    """How many of them are of one file."""
    labels: Annotated[int, between(2, 1_000_000)] = 1_000
    """How many labels they are of, and how many are enrolled."""
    dimension: Annotated[int, between(2, 100_000)] = 1_024
    """How many numbers a vector has; each takes two bytes on the disk."""
    keep: bool = False
    """Keep the index that was made."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class SuspectsOptions(FolderBenchmarkOptions):
    """Measure how many of the recordings whose label was swapped by chance are among the likeliest suspects."""

    share: float = 0.05
    """Share of recordings whose label is swapped."""
    trials: int = 10
    """How often, other recordings each time."""
    members: str = "auto"
    """Networks whose answers are judged by, as --members of retrain.py names them."""

    def __post_init__(self) -> None:
        check(0 < self.share < 0.5, f"--share: expected more than 0 and less than 0.5, received {self.share:g}.")
        check(self.trials >= 1, f"--trials: expected 1 or more, received {self.trials}.")


@dataclass(frozen=True)
class ReviewOptions(FolderBenchmarkOptions):
    """Measure how many labels it takes to come near the full accuracy, by what is picked for review and by chance."""

    step: int = 2
    """How many recordings get a label at a time."""
    trials: int = 10
    """How often, other recordings tested each time."""
    members: str = "auto"
    """Networks that pick and answer, as --members of retrain.py names them."""

    def __post_init__(self) -> None:
        for name in ("step", "trials"):
            value = getattr(self, name)
            check(value >= 1, f"--{name}: expected 1 or more, received {value}.")


@dataclass(frozen=True)
class LearningCurveOptions(FolderBenchmarkOptions):
    """Measure how often a forecast made from half of the recordings holds what all of them give."""

    trials: int = 10
    """How often, another half each time."""
    members: str = "single"
    """Networks whose heads are trained, as --members of retrain.py names them."""

    def __post_init__(self) -> None:
        check(self.trials >= 1, f"--trials: expected 1 or more, received {self.trials}.")


@dataclass(frozen=True)
class RecipesOptions(TrainingBenchmarkOptions):
    """Compare recipes: accuracy, time and size, on words spoken by espeak-ng or on a folder of recordings.

    The words are said by many speakers, none of whom is both trained on and tested. Nothing is taken from a cache, so
    that times are honest; it takes minutes.
    """

    audio_dir: Path | None = None
    """Folder of recordings, one subfolder a label. By default words are spoken."""
    recipes: str = "default,audionet,audionet_chromagram,cnvrg,simple_audio,efficientnet"
    """Recipes, with commas between."""
    test: str | None = None
    """Hold out the recordings whose file name matches this regular expression. By default a fifth of the groups."""
    speakers: int = 60
    """How many speakers say the words."""
    takes: int = 5
    """How often each says a word."""

    def __post_init__(self) -> None:
        for name in ("speakers", "takes"):
            check(getattr(self, name) >= 1, f"--{name}: expected 1 or more, received {getattr(self, name)}.")
        for name in self.names:
            find_recipe(name)

    @property
    def names(self) -> list[str]:
        """The recipes, one by one."""
        return [name.strip() for name in self.recipes.split(",")]


@dataclass(frozen=True)
class SpeedOptions:
    """Measure how fast each step is, against the tutorial's way and bare libraries, and how time and memory scale.

    Rivals take turns, each in a process of its own, on recordings and pictures that are made for it. With --audio_dir,
    recordings of yours are drawn and labelled instead.
    """

    audio_dir: Path | None = None
    """Folder of recordings of yours, one subfolder a label. By default some are made."""
    full: bool = False
    """Take sizes at which start-up no longer counts: hours of sound, ten thousand recordings, 100,000 pictures."""
    long_minutes: float | None = None
    """Minutes of sound in long mp3s."""
    short_recordings: int | None = None
    """How many wavs of one second."""
    pictures: int | None = None
    """How many pictures to compute bottlenecks of."""
    cached_pictures: int | None = None
    """How many bottlenecks the cache holds."""
    training_steps: int | None = None
    """How many steps softmax is trained for."""
    labelled_pictures: int | None = None
    """How many pictures to label."""
    labelled_minutes: float | None = None
    """Minutes of mp3 to label."""
    classic_pictures: int | None = None
    """How many pictures the tutorial's way gets, which would take hours for all."""
    steps: str = ""
    """Measure the steps alone whose name matches this regular expression."""
    rounds: int = 3
    """How often each competitor gets its turn."""
    scaling: Annotated[bool, arg(aliases=["--growth"])] = True
    """Whether to measure how time and memory scale, at a hundredth, a tenth and the whole of each size."""
    scaling_rounds: Annotated[int, arg(aliases=["--growth_rounds"])] = 1
    """How often each size gets its turn."""
    engine: Engine = "auto"
    """What runs networks in AudioNet's way."""
    output_dir: Path = TF_FILES / "bench" / "speed"
    """Folder for tables, plot, and everything made to measure with. It is safe to delete."""

    def __post_init__(self) -> None:
        counts = ("short_recordings", "pictures", "cached_pictures", "labelled_pictures", "classic_pictures")
        for name in (*counts, "long_minutes", "labelled_minutes", "training_steps", "rounds", "scaling_rounds"):
            least = 4 if name in counts else 0.1 if name.endswith("minutes") else 1
            value = getattr(self, name)
            check(value is None or value >= least, f"--{name}: expected {least} or more, received {value}.")
        try:
            re.compile(self.steps)
        except re.error as error:
            check(False, f"--steps: expected a regular expression, received {self.steps!r} ({error}).")


@dataclass(frozen=True)
class ClusterOptions(FolderBenchmarkOptions):
    """Compare a Ray cluster of this machine with its processes, and plan how nodes would do many hours of sound."""

    recordings: Annotated[int, between(1, 1_000_000)] = 1000
    """How many recordings of 4 s processes and cluster draw."""
    chunks: Annotated[int, between(40_960, 1_000_000_000)] = 1_000_000
    """How many synthetic bottlenecks a head is trained on in one pass."""
    hours: Annotated[float, between(0.1, 1e9)] = 1_000_000
    """Hours of sound to plan for."""
    recording_seconds: Annotated[float, between(0.1, 1e6)] = 60.0
    """How long a recording is."""
    recordings_per_task: Annotated[float, between(1, 64)] = 8
    """How many recordings a task has: those of 4 MB together, at most 64."""
    cores: Annotated[int, between(1, 10_000)] = 16
    """Cores of a node."""
    store_gigabytes: Annotated[float, between(0.001, 1e6)] = 10.0
    """What the store of recordings delivers a second."""
    node_price: Annotated[float, between(0, 1e6)] = 0.5
    """Price of a node for an hour."""
    request_price: Annotated[float, between(0, 1e6)] = 0.0004
    """Price of a thousand requests to the store."""

    def __post_init__(self) -> None:
        check_ranges(self)

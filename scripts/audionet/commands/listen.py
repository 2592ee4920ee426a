"""Label live sound: from a microphone, from another program, or from a file at its own pace.

    audionet listen
    audionet listen voice.mp3
    sox voice.mp3 -t wav - | audionet listen -

A prediction is made every --hop seconds for the last chunk, with how long after the sound it came. A microphone needs
the package sounddevice; Ctrl-C ends it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from audionet.cli import EXIT_FAILED, TF_FILES, OmitArgPrefixes, run_command
from audionet.console import log
from audionet.errors import check
from audionet.files import printable
from audionet.inference.settings import ClipSettings, ThresholdSettings
from audionet.models.backbones.settings import Engine
from audionet.ranges import between, check_ranges


@dataclass(frozen=True)
class ListenOptions:
    """The command line of audionet listen."""

    clips: OmitArgPrefixes[ClipSettings] = field(default_factory=ClipSettings)
    device: str | None = None
    """Which microphone, where no files are named: a number or a name. By default the system's."""
    hop: Annotated[float, between(0.05, 600)] = 0.5
    """Seconds between predictions."""
    model: Path = TF_FILES / "retrained_model"
    """Classifier folder."""
    threshold: OmitArgPrefixes[ThresholdSettings] = field(default_factory=ThresholdSettings)
    engine: Engine = "auto"
    """What runs the network. auto is TensorFlow where it has a GPU, and OpenVINO, which is faster, on a CPU."""

    def __post_init__(self) -> None:
        check_ranges(self)
        check(self.device is None or self.is_microphone, "--device names a microphone; name no files as well.")

    @property
    def is_microphone(self) -> bool:
        """Whether to take the microphone, since no files are named."""
        return not self.clips.paths and self.clips.from_file is None


def listen(options: ListenOptions) -> int:
    """Print predictions while the sound comes in, and return 1 if a source could not be read."""
    # NumPy and more, which --help should not wait for.
    from audionet.audio.decoding import STDIN
    from audionet.inference.audio_blocks import file_blocks, microphone_blocks
    from audionet.inference.batch_scoring import find_clips
    from audionet.inference.streaming import print_stream
    from audionet.models.classifier import Classifier

    classifier = Classifier.load(
        options.model,
        engine=options.engine,
        false_accept_rate=options.threshold.false_accept_rate,
        channel=options.clips.channel,
    )
    recipe = classifier.recipe_for("The sound")
    if recipe.sox_effects:
        log("The classifier's SoX effects need whole recordings; they are left out here, which may cost accuracy.")
    if options.is_microphone:
        blocks = microphone_blocks(sample_rate_hz=recipe.sample_rate_hz, device=options.device)
        return 0 if print_stream(classifier, blocks, name="the microphone", hop_seconds=options.hop) else EXIT_FAILED
    failed = 0
    for clip in find_clips(options.clips.paths, from_file=options.clips.from_file):
        blocks = file_blocks(clip, sample_rate_hz=recipe.sample_rate_hz, channel=recipe.channel)
        name = "standard input" if clip == STDIN else printable(clip)
        failed += not print_stream(classifier, blocks, name=name, hop_seconds=options.hop)
    return EXIT_FAILED if failed else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(listen, ListenOptions, __doc__, argv)

"""Find which label is where in long recordings.

    audionet timeline meeting.mp3
    audionet timeline meeting.mp3 --timeline_dir timelines/ --formats rttm srt
    audionet timeline meeting.mp3 --export_clips review/ --above 0.9
    audionet timeline recordings/ --output spans.csv --resume

A recording is divided into spans of one label, of unknown or of silence. Silent spans are in --json and --output only.
"""

from dataclasses import dataclass, field
from pathlib import Path

from audionet.cli import EXIT_FAILED, TF_FILES, OmitArgPrefixes, run_command
from audionet.distributed.cluster import connected
from audionet.inference.settings import ClipSettings, OutputSettings, ThresholdSettings, TimelineSettings
from audionet.models.backbones.settings import Engine
from audionet.outputs import check_outputs


@dataclass(frozen=True)
class TimelineOptions:
    """The command line of audionet timeline."""

    clips: OmitArgPrefixes[ClipSettings] = field(default_factory=ClipSettings)
    model: Path = TF_FILES / "retrained_model"
    """Classifier folder."""
    timeline: OmitArgPrefixes[TimelineSettings] = field(default_factory=TimelineSettings)
    out: OmitArgPrefixes[OutputSettings] = field(default_factory=OutputSettings)
    threshold: OmitArgPrefixes[ThresholdSettings] = field(default_factory=ThresholdSettings)
    engine: Engine = "auto"
    """What runs the network. auto is TensorFlow where it has a GPU, and OpenVINO, which is faster, on a CPU."""
    cluster: str | None = None
    """Ray cluster that does the work: auto, local, or an address such as ray://host:10001. By default this machine."""

    def __post_init__(self) -> None:
        self.clips.check_named()


def label_timelines(options: TimelineOptions) -> int:
    """Print or write the spans of every recording, and return 1 if any recording failed."""
    # NumPy and more, which --help should not wait for.
    from audionet.inference.batch_scoring import find_clips
    from audionet.inference.timelines.timeline_clips import print_timelines, write_timelines
    from audionet.models.classifier import Classifier

    timeline_dir, clips_dir = options.timeline.timeline_dir, options.timeline.export_clips
    check_outputs(
        files={"output": options.out.output}, folders={"timeline_dir": timeline_dir, "export_clips": clips_dir}
    )
    classifier = Classifier.load(
        options.model,
        engine=options.engine,
        false_accept_rate=options.threshold.false_accept_rate,
        channel=options.clips.channel,
    )
    clips = find_clips(options.clips.paths, from_file=options.clips.from_file)
    with connected(options.cluster):
        if options.out.output:
            failed = write_timelines(classifier, clips, options.out.output, options.timeline, resume=options.out.resume)
        else:
            failed = print_timelines(classifier, clips, options.timeline, as_json=options.out.json)
    return EXIT_FAILED if failed else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(label_timelines, TimelineOptions, __doc__, argv)

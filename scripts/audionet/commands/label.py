"""Label recordings or pictures by a trained classifier.

    audionet label voice.mp3
    audionet label clips/ 'more/*.flac' --output answers.csv --resume
    sox voice.mp3 -t wav - | audionet label - --json
    audionet label --graph retrained_graph.pb --labels retrained_labels.txt --image a.jpg

A recording is cut and drawn as in training, and its chunks are pooled into one answer. For the labels within a long
recording see audionet timeline, for live sound audionet listen, and for what an answer rests on audionet explain.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from audionet.cli import EXIT_FAILED, TF_FILES, OmitArgPrefixes, run_command
from audionet.distributed.cluster import connected
from audionet.errors import check
from audionet.inference.settings import ClipSettings, OutputSettings, ThresholdSettings
from audionet.models.backbones.settings import Engine
from audionet.outputs import check_outputs
from audionet.ranges import between, check_ranges


@dataclass(frozen=True)
class LabelOptions:
    """The command line of audionet label."""

    clips: OmitArgPrefixes[ClipSettings] = field(default_factory=ClipSettings)
    model: Path | None = None
    """Classifier folder. By default tf_files/retrained_model."""
    graph: Path | None = None
    """Frozen graph to use instead of a classifier folder, with --labels."""
    labels: Path | None = None
    """Labels of the frozen graph, one a line."""
    top_k: Annotated[int, between(1, 100_000)] = 5
    """How many labels to show for each file."""
    out: OmitArgPrefixes[OutputSettings] = field(default_factory=OutputSettings)
    threshold: OmitArgPrefixes[ThresholdSettings] = field(default_factory=ThresholdSettings)
    engine: Engine = "auto"
    """What runs the network. auto is TensorFlow where it has a GPU, and OpenVINO, which is faster, on a CPU."""
    cluster: str | None = None
    """Ray cluster that does the work: auto, local, or an address such as ray://host:10001. By default this machine."""
    jobs: Annotated[int | None, between(1, 1_024)] = None
    """How many files to label side by side. By default one for each core."""

    def __post_init__(self) -> None:
        check_ranges(self)
        self.clips.check_named()
        check((self.graph is None) == (self.labels is None), "--graph and --labels: expected both or neither.")
        has_rate = self.threshold.false_accept_rate is not None
        check(self.graph is None or not has_rate, "--false_accept_rate: a frozen graph has no threshold; use --model.")
        check(self.graph is None or self.clips.channel is None, "--channel: a frozen graph is given pictures.")
        check(self.graph is None or self.model is None, "--graph and --model: expected one of them, received both.")


def label_files(options: LabelOptions) -> int:
    """Print or write an answer for every file, and return 1 if any file failed."""
    # NumPy and more, which --help should not wait for.
    from audionet.inference.batch_scoring import find_clips
    from audionet.inference.label_clips import print_predictions, write_predictions
    from audionet.models.classifier import Classifier
    from audionet.models.graph_classifier import GraphClassifier

    check_outputs(files={"output": options.out.output})
    classifier: Classifier | GraphClassifier
    if options.graph and options.labels:
        classifier = GraphClassifier.load(options.graph, options.labels, engine=options.engine)
    else:
        classifier = Classifier.load(
            options.model or TF_FILES / "retrained_model",
            engine=options.engine,
            false_accept_rate=options.threshold.false_accept_rate,
            channel=options.clips.channel,
        )
    clips = find_clips(options.clips.paths, from_file=options.clips.from_file)
    top_k, jobs, out = options.top_k, options.jobs, options.out
    with connected(options.cluster):
        if out.output:
            failed = write_predictions(classifier, clips, out.output, top_k=top_k, resume=out.resume, jobs=jobs)
        else:
            failed = print_predictions(classifier, clips, top_k=top_k, as_json=out.json, jobs=jobs)
    return EXIT_FAILED if failed else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(label_files, LabelOptions, __doc__, argv)

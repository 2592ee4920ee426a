"""Say what a trained classifier hears in recordings or sees in pictures.

    python label_image.py voice.mp3
    python label_image.py clips/ 'more/*.flac' --output answers.csv --resume
    python label_image.py meeting.mp3 --timeline --timeline_dir timelines/ --export_clips review/
    sox voice.mp3 -t wav - | python label_image.py - --json
    python label_image.py --microphone
    python label_image.py voice.mp3 --explain why.png
    python label_image.py --graph ../tf_files/retrained_graph.pb --labels ../tf_files/retrained_labels.txt --image a.jpg

A recording is cut and drawn as in training, and its chunks are pooled into one answer.
"""

from dataclasses import dataclass, field
from pathlib import Path

from audionet.cli import EXIT_FAILED, TF_FILES, OmitArgPrefixes, Positional, run_script
from audionet.errors import check
from audionet.inference.settings import LiveSettings, TimelineSettings
from audionet.models.backbones.settings import Engine


@dataclass(frozen=True)
class LabelImageOptions:
    """The command line of label_image.py."""

    files: Positional[tuple[Path, ...]] = ()
    """Recordings, pictures, folders of them, patterns such as 'clips/*.mp3', or - for wav on stdin."""
    image: tuple[Path, ...] = ()
    """The same, as an option."""
    from_file: Path | None = None
    """A list of more of them, one a line; - for a list on stdin."""
    model: Path | None = None
    """Classifier folder that retrain.py wrote. By default tf_files/retrained_model."""
    graph: Path | None = None
    """Frozen graph to use instead of a classifier folder, with --labels."""
    labels: Path | None = None
    """Labels of the frozen graph, one a line."""
    top_k: int = 5
    """How many labels to show for each file."""
    json: bool = False
    """Print one JSON object a line instead of a table."""
    output: Path | None = None
    """File for the answers instead of the screen: .csv, .jsonl or .parquet."""
    resume: bool = False
    """Go on with --output: pass over what it holds an answer for."""
    engine: Engine = "auto"
    """What runs the network. auto is TensorFlow where it has a GPU, and OpenVINO, which is faster, on a CPU."""
    jobs: int | None = None
    """How many files to label side by side. By default one for each core."""
    timeline: OmitArgPrefixes[TimelineSettings] = field(default_factory=TimelineSettings)
    live: OmitArgPrefixes[LiveSettings] = field(default_factory=LiveSettings)

    def __post_init__(self) -> None:
        named = bool(self.files or self.image or self.from_file or self.live.microphone)
        modes = [self.timeline.is_wanted, self.live.microphone, self.live.live, self.live.explain is not None]
        check(sum(modes) <= 1, "--timeline, --microphone, --live and --explain: expected one of them.")
        check(not (self.output and any(modes[1:])), "--output takes answers or a --timeline.")
        check(self.top_k >= 1, f"--top_k: expected 1 or more, received {self.top_k}.")
        check(self.jobs is None or self.jobs >= 1, f"--jobs: expected 1 or more, received {self.jobs}.")
        check(named, "Expected a recording, a picture or a folder of them to label.")
        check((self.graph is None) == (self.labels is None), "--graph and --labels: expected both or neither.")
        check(self.graph is None or self.model is None, "--graph and --model: expected one of them, received both.")
        check(not (self.graph and any(modes)), "--graph gives answers alone; name a classifier folder by --model.")
        check(self.output is not None or not self.resume, "--resume goes on with --output; name that file as well.")
        check(self.output is None or not self.json, "--json and --output: expected one of them; name it .jsonl.")


def label_files(options: LabelImageOptions) -> int:
    """Answer for every file, and return 1 if any file failed."""
    # NumPy and more, which --help should not wait for.
    from audionet.inference import commands
    from audionet.inference.batch_scoring import find_clips
    from audionet.models.classifier import Classifier
    from audionet.models.graph_classifier import GraphClassifier

    classifier: Classifier | GraphClassifier
    if options.graph and options.labels:
        classifier = GraphClassifier.load(options.graph, options.labels, engine=options.engine)
    else:
        classifier = Classifier.load(options.model or TF_FILES / "retrained_model", engine=options.engine)
    clips = find_clips((*options.files, *options.image), from_file=options.from_file)
    output, resume, jobs, top_k = options.output, options.resume, options.jobs, options.top_k
    live, timeline = options.live, options.timeline
    if live.explain and isinstance(classifier, Classifier):
        failed = commands.explain_all(classifier, clips, live.explain)
    elif (live.live or live.microphone) and isinstance(classifier, Classifier):
        failed = commands.follow_live(classifier, clips, live, hop_seconds=timeline.hop)
    elif timeline.is_wanted and isinstance(classifier, Classifier):
        if output:
            failed = commands.write_timelines(classifier, clips, output, timeline, resume=resume)
        else:
            failed = commands.show_timelines(classifier, clips, timeline, as_json=options.json)
    elif output:
        failed = commands.write_answers(classifier, clips, output, top_k=top_k, resume=resume, jobs=jobs)
    else:
        failed = commands.show_answers(classifier, clips, top_k=top_k, as_json=options.json, jobs=jobs)
    return EXIT_FAILED if failed else 0


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run_script(label_files, LabelImageOptions, __doc__, argv)

"""Measure who-spoke-when on a long conversation put together from recordings that were not trained on.

    python bench_timeline.py --audio_dir ../tf_files/data_audio
    python bench_timeline.py --audio_dir ~/speakers --test '^04' --seconds 10800 --strangers 3

Each subfolder is a label. The recordings that --test matches make the conversation, the others train. The error rates
are those of pyannote.metrics: pip install -r tests/requirements-timeline.txt.
"""

import sys
from dataclasses import dataclass

from audionet.cli import EXIT_FAILED, run_script
from audionet.errors import check
from audionet.files import printable, whole_folder, write_text
from benchmarks.options import FolderBenchOptions


@dataclass(frozen=True)
class BenchTimelineOptions(FolderBenchOptions):
    """The command line of bench_timeline.py."""

    test: str = "^04"
    """The conversation is made of the recordings whose file name matches this regular expression."""
    seconds: float = 10_800
    """How long the conversation is."""
    strangers: int = 0
    """How many labels to leave out of training; the classifier should call them unknown."""
    hop: float = 0.5
    """Seconds between decisions."""
    architecture: str = "efficientnet_lite0"
    """Pretrained network."""

    def __post_init__(self) -> None:
        check(self.seconds >= 60, f"--seconds: expected 60 or more, received {self.seconds:g}.")
        check(self.strangers >= 0, f"--strangers: expected 0 or more, received {self.strangers}.")
        check(self.hop > 0, f"--hop: expected more than 0, received {self.hop:g}.")


def bench(options: BenchTimelineOptions) -> int:
    """Train, put a conversation together, make its timeline, and print how wrong it is."""
    # NumPy, SciPy and the networks, which --help should not wait for.
    from audionet.errors import InputError
    from audionet.inference import timeline_formats
    from audionet.parallel import process_pool
    from benchmarks import accuracy, diarization

    if missing := diarization.missing_scorer():
        raise InputError(missing)
    folder = options.folder
    dataset, failures = accuracy.dataset_of(options.audio_dir, folder, group_by=options.group_by)
    recipe = dataset.recipe
    assert recipe is not None  # the pictures were drawn of recordings
    (trial,) = accuracy.trial_by_name(dataset, options.test)
    tested = {example.recording: example.label for example in trial.tested}
    strangers = sorted(set(tested.values()))[: options.strangers]
    classifier = diarization.train_without(
        trial.dataset,
        strangers,
        training=accuracy.DefaultTraining(options.architecture, options.random_seed),
        bottleneck_dir=options.bottleneck_dir,
        holdout=options.holdout,
    )
    sources = diarization.by_label(tested, options.audio_dir)
    spoken = diarization.write_conversation(
        folder / "conversation.mp3", sources, seconds=options.seconds, seed=options.random_seed, recipe=recipe
    )
    truth = diarization.with_strangers(spoken, strangers)
    write_text(folder / "conversation.truth.rttm", timeline_formats.rttm(truth))
    with whole_folder(folder / "timeline_model") as model:
        classifier.save(model)
    with process_pool(1) as pool:  # so that the memory is its own, and not that of training
        measured = pool.submit(diarization.measure, folder / "timeline_model", truth.path, hop_seconds=options.hop)
        found, seconds, peak_megabytes = measured.result()
    timeline_formats.write_labels(found, folder / "conversation", timeline_formats.WRITERS, recipe=recipe)
    rates = diarization.error_rates(truth, found)
    for kind, rate in rates.items():
        parts = [f"{name.replace('_', ' ')} {share:.2%}" for name, share in rate.items() if name != "seconds"]
        print(f"{kind.replace('_', ' ')}: {', '.join(parts)}")
    print(
        f"{len(truth.non_silent_spans)} turns, {len(found.non_silent_spans)} spans; "
        f"{found.seconds:.0f} s in {seconds:.0f} s and {peak_megabytes:.0f} MB"
    )
    measures = {"seconds": seconds, "peak_megabytes": peak_megabytes, "strangers": strangers}
    options.write(folder, "timeline", {"rates": rates, **measures})
    print(f"Conversation, truth, timeline, classifier: {printable(folder)}")
    return EXIT_FAILED if failures else 0


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run_script(bench, BenchTimelineOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())

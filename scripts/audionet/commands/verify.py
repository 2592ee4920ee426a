"""Tell whether two clips are of one voice, bird or machine, trained on or not; or score a list of pairs.

    audionet verify a.mp3 b.mp3
    audionet verify a.mp3 carol
    audionet verify --trials veri_test.txt --audio_dir voxceleb1/ --json rates.json --output scores.csv
    audionet verify --trials veri_test.txt --audio_dir voxceleb1/ --cohort other_speakers/ --json rates.json

The second clip may be a label that audionet enroll added. A list has a pair a line, as VoxCeleb's: 1 for the same
speaker or 0 for another, and two names below --audio_dir, of which the first folder is the speaker.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from audionet.cli import EXIT_FAILED, TF_FILES, FlagOrWords, Positional, run_command
from audionet.errors import check
from audionet.files import write_json
from audionet.outputs import check_outputs, check_suffix
from audionet.ranges import between, check_ranges
from audionet.wording import counted

MOST_NEAR = 300  # of a cohort, by default


@dataclass(frozen=True)
class VerifyOptions:
    """The command line of audionet verify."""

    clips: Positional[tuple[str, ...]] = ()
    """Recording or picture, and another or an enrolled label."""
    model: Path = TF_FILES / "retrained_model"
    """Classifier folder."""
    trials: Path | None = None
    """List of pairs to compare instead, such as `1 a.wav b.wav` on each line."""
    audio_dir: Path | None = None
    """Folder that the names in the list are below."""
    json: FlagOrWords = False
    """Print a JSON object instead of sentences; with --trials, it may be written to a file that is named here."""
    output: Path | None = None
    """File for the score of every pair, with --trials: .csv or .tsv."""
    cohort: Path | None = None
    """Folder of recordings of other speakers, one subfolder a speaker, to normalise the scores of a list by."""
    top_n: Annotated[int | None, between(2, 100_000)] = None
    """How many speakers of --cohort, those most like a file, its scores are normalised by. By default 300."""
    jobs: Annotated[int | None, between(1, 1_024)] = None
    """How many files of a list to read side by side. By default one for each core."""

    def __post_init__(self) -> None:
        check_ranges(self)
        check(self.top_n is None or self.cohort is not None, "--top_n is of --cohort; name that folder as well.")
        if self.trials is not None:
            check(
                not self.clips and len(self.behind_json) < 2,
                "--trials takes the clips from a list; leave them out, or --trials.",
            )
            check(self.audio_dir is not None, "--trials needs --audio_dir, the folder that the names are below.")
            return
        for option in ("audio_dir", "output", "cohort"):
            check(getattr(self, option) is None, f"--{option} goes with a list of pairs; name that by --trials.")
        count = len(self.compared)
        no_file = " Of two clips the JSON object is printed; name no file behind --json." if self.behind_json else ""
        check(count == 2, f"Expected two clips, or a clip and an enrolled label, received {count}.{no_file}")

    @property
    def behind_json(self) -> tuple[str, ...]:
        """What stands behind --json: with --trials a file to write, else clips."""
        return self.json if isinstance(self.json, tuple) else ()

    @property
    def compared(self) -> tuple[str, ...]:
        """The two clips, or a clip and an enrolled label."""
        return (*self.behind_json, *self.clips)


def verify(options: VerifyOptions) -> int:
    """Compare and print; return 1 if a file of a list had to be set aside."""
    from audionet.models.classifier import Classifier  # NumPy, OpenVINO and more, which --help should not wait for

    if options.trials:
        return _verify_list(options, options.trials)
    from audionet.inference.clip_similarity import verify_clip

    clip, claimed = options.compared
    classifier = Classifier.load(options.model)
    probability = verify_clip(classifier, Path(clip), claimed)
    similarity = classifier.comparison_space()
    if options.json:
        print(json.dumps({"same": probability >= 0.5, "probability": probability, **similarity.to_json()}))
    else:
        print(f"{'The same' if probability >= 0.5 else 'Not the same'}: {probability:.1%}. {similarity.sentence()}")
    return 0


def _verify_list(options: VerifyOptions, trials: Path) -> int:
    from audionet.inference.trial_list import read_trials
    from audionet.inference.verification import DELIMITERS, score_trials
    from audionet.models.classifier import Classifier

    assert options.audio_dir  # as the options were checked
    written = Path(options.behind_json[0]) if options.behind_json else None
    if options.output:
        check_suffix(options.output, DELIMITERS)
    check_outputs(files={"json": written, "output": options.output})
    pairs = read_trials(trials)
    scored = score_trials(
        Classifier.load(options.model),
        pairs,
        options.audio_dir,
        cohort_dir=options.cohort,
        top_n=options.top_n or MOST_NEAR,
        jobs=options.jobs,
    )
    rates = scored.to_json()
    if options.output:
        scored.write(options.output)
    if written:
        write_json(written, rates)
    print(json.dumps(rates) if options.json is True else _sentence(rates))
    return EXIT_FAILED if scored.missing or scored.failures else 0


def _sentence(rates: dict[str, Any]) -> str:
    scored = rates["n_target"] + rates["n_nontarget"]
    of_all = f"{counted(scored, 'trial')}, {rates['n_target']} of them of the same speaker"
    if rates["eer"] is None:
        return f"Scored {of_all}. No rates: {rates['not_computed']['eer']}."
    interval = ""
    if rates["eer_ci95"]:
        low, high = rates["eer_ci95"]
        interval = f" (95 % interval {low:.1%} to {high:.1%}, over {counted(rates['speakers'], 'speaker')})"
    costs = " and ".join(f"{cost:.3f} where {float(prior):.1%} are" for prior, cost in rates["min_dcf"].items())
    return (
        f"Equal error rate {rates['eer']:.1%}{interval}, over {of_all}. The least cost, minDCF, with few true claims: "
        f"{costs}. From a probability of 50 % on, {rates['false_accept_rate']:.1%} of others pass and "
        f"{rates['false_reject_rate']:.1%} of the same are refused."
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(verify, VerifyOptions, __doc__, argv)

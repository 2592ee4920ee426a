"""Tell whether two clips are of the same voice, bird or machine, trained on or not.

    audionet verify a.mp3 b.mp3
    audionet verify a.mp3 carol

The second may be a label that audionet enroll added.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from audionet.cli import TF_FILES, Positional, run_command
from audionet.errors import check


@dataclass(frozen=True)
class VerifyOptions:
    """The command line of audionet verify."""

    clips: Positional[tuple[str, ...]] = ()
    """Recording or picture, and another or an enrolled label."""
    model: Path = TF_FILES / "retrained_model"
    """Classifier folder."""
    json: bool = False
    """Print a JSON object instead of sentences."""

    def __post_init__(self) -> None:
        check(len(self.clips) == 2, f"Expected two clips, or a clip and an enrolled label, received {len(self.clips)}.")


def verify(options: VerifyOptions) -> int:
    """Compare and print."""
    # NumPy, OpenVINO and more, which --help should not wait for.
    from audionet.inference.clip_similarity import verify_clip
    from audionet.models.classifier import Classifier

    clip, claimed = options.clips
    classifier = Classifier.load(options.model)
    probability = verify_clip(classifier, Path(clip), claimed)
    similarity = classifier.comparison_space()
    if options.json:
        print(json.dumps({"same": probability >= 0.5, "probability": probability, **similarity.to_json()}))
    else:
        print(f"{'The same' if probability >= 0.5 else 'Not the same'}: {probability:.1%}. {similarity.sentence()}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(verify, VerifyOptions, __doc__, argv)

"""Run the main job on the sample speakers: draw, train, and name a recording that training never saw.

    python demo.py

It types the three commands that a user would, and keeps to tf_files/demo.
"""

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from audionet.cli import run_script
from audionet.errors import AudioNetError

HOUSE = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class DemoOptions:
    """The command line of demo.py."""

    audio_dir: Path = HOUSE / "tf_files/sample_audio"
    """Folder of recordings, one subfolder a label."""
    demo_dir: Path = HOUSE / "tf_files/demo"
    """Folder for everything that the demonstration makes."""
    architecture: str = "efficientnet_lite0"
    """Pretrained network."""


def demonstrate(options: DemoOptions) -> int:
    """Run the three steps and say what came of them."""
    made = options.demo_dir
    model, image_dir = made / "retrained_model", made / "data_image"
    print("1. Recordings become pictures of sound.\n")
    _type("data_maker.py", "--audio_dir", options.audio_dir, "--image_dir", image_dir)
    print("\n2. A pretrained network looks at the pictures; a new top layer learns the labels.\n")
    _type(
        *("retrain.py", "--image_dir", image_dir, "--architecture", options.architecture),
        *("--bottleneck_dir", made / "bottlenecks", "--summaries_dir", made / "training_summaries"),
        *("--output_model", model, "--output_graph", made / "retrained_graph.pb"),
        *("--output_labels", made / "retrained_labels.txt", "--runs_dir", made / "runs"),
        *("--report", made / "report.html"),
    )
    print("\n3. A recording that training never saw is named.\n")
    sides = json.loads((model / "split.json").read_text())
    unseen = next(recording for recording, side in sides.items() if side == "testing")
    _type("label_image.py", "--model", model, options.audio_dir / unseen)
    print(f"\nEverything made is in {_short(made)}. Its pictures are worth a look: {_short(image_dir)}")
    print(f"How it was measured, what to doubt and what was mistaken: {_short(made / 'report.html')}")
    print("Next, put folders of your own recordings into tf_files/data_audio and type:\n  make data train")
    return 0


def _type(script: str, *arguments: str | Path) -> None:
    """Show a command as a user would type it, and run it."""
    command = [_short(HOUSE / "scripts" / script), *map(_short, arguments)]
    print("$ " + shlex.join(["python", *command]), flush=True)
    outcome = subprocess.run([sys.executable, *command], check=False)
    if outcome.returncode != 0:
        raise AudioNetError(f"{script} ended with status {outcome.returncode}; its messages above say why.")


def _short(argument: str | Path) -> str:
    """Return a path as it is best typed: relative to where the user stands, if it is below."""
    if isinstance(argument, Path) and argument.is_relative_to(Path.cwd()):
        return str(argument.relative_to(Path.cwd()))
    return str(argument)


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run_script(demonstrate, DemoOptions, __doc__, argv)

"""Train on the four sample speakers, and label a recording that took no part in training.

    audionet demo

It types the three commands that a user would, and keeps to tf_files/demo.
"""

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from audionet.cli import TF_FILES, package_environment, run_command, short_path, typed_command
from audionet.errors import AudioNetError
from audionet.outputs import check_outputs


@dataclass(frozen=True)
class DemoOptions:
    """The command line of audionet demo."""

    audio_dir: Path = TF_FILES / "sample_audio"
    """Folder of recordings, one subfolder a label."""
    demo_dir: Path = TF_FILES / "demo"
    """Folder for everything that the demonstration makes."""
    architecture: str = "efficientnet_lite0"
    """Pretrained network."""


def demonstrate(options: DemoOptions) -> int:
    """Draw, train and label, and print where everything is."""
    check_outputs(folders={"demo_dir": options.demo_dir})
    made = options.demo_dir
    model, image_dir = made / "retrained_model", made / "data_image"
    print("1. Draw the recordings as pictures.\n")
    _run("data", "--audio_dir", options.audio_dir, "--image_dir", image_dir)
    print("\n2. Pass the pictures through a pretrained network, and train a new top layer on what it gives.\n")
    _run(
        *("train", "--image_dir", image_dir, "--architecture", options.architecture),
        *("--bottleneck_dir", made / "bottlenecks", "--summaries_dir", made / "training_summaries"),
        *("--output_model", model, "--output_graph", made / "retrained_graph.pb"),
        *("--output_labels", made / "retrained_labels.txt", "--runs_dir", made / "runs"),
        *("--report", made / "report.html"),
    )
    print("\n3. Label a recording that took no part in training.\n")
    splits = json.loads((model / "split.json").read_text())
    held_out = next(recording for recording, split in splits.items() if split == "testing")
    _run("label", "--model", model, options.audio_dir / held_out)
    print(f"\nThe report shows scores and mistakes. Open it in a browser: {short_path(made / 'report.html')}")
    print(f"To try the classifier in a browser, type:\n  {typed_command('app')} --model {short_path(model)}")
    print("Next, put folders of your own recordings into tf_files/data_audio and type:\n  make data train")
    return 0


def _run(command: str, *arguments: str | Path) -> None:
    """Show a command as a user would type it, and run it."""
    typed = [short_path(one) if isinstance(one, Path) else one for one in arguments]
    print(f"$ {typed_command(command)} {shlex.join(typed)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "audionet", command, *typed], env=package_environment(), check=False)
    if done.returncode != 0:
        raise AudioNetError(f"audionet {command} ended with status {done.returncode}; its messages above say why.")


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(demonstrate, DemoOptions, __doc__, argv)

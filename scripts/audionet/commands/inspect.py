"""Show what a classifier folder holds: labels, recipe, network, weights, training, thresholds.

    audionet inspect --model voices/
    audionet inspect --model voices/ --json
    audionet inspect --model voices/ --tensorboard graph/

The JSON has more in it than the table.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from audionet.cli import TF_FILES, run_command
from audionet.files import printable
from audionet.outputs import check_outputs


@dataclass(frozen=True)
class InspectOptions:
    """The command line of audionet inspect."""

    model: Path = TF_FILES / "retrained_model"
    """Classifier folder."""
    json: bool = False
    """Print one JSON object, with more in it, instead of a table."""
    tensorboard: Path | None = None
    """Folder to write the graph to, for TensorBoard."""


def inspect_model(options: InspectOptions) -> int:
    """Print what the folder holds, and write its graph if that is wanted."""
    from audionet.models.classifier import Classifier
    from audionet.reports import model_summary  # NumPy and more, which --help should not wait for
    from audionet.tables import print_table

    check_outputs(folders={"tensorboard": options.tensorboard})
    classifier = Classifier.load(options.model)
    found = model_summary.inspect(classifier, options.model)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print_table((printable(options.model), ""), model_summary.rows_of(classifier, found))
    if options.tensorboard:
        model_summary.write_tensorboard(classifier, options.tensorboard)
        if not options.json:
            print(f"Graph: tensorboard --logdir {printable(options.tensorboard)}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(inspect_model, InspectOptions, __doc__, argv)

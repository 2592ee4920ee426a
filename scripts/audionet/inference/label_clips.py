"""Predictions for many clips: print them, or write them to a file."""

import json
from collections.abc import Iterable
from pathlib import Path

from audionet.console import log
from audionet.errors import AudioNetError
from audionet.files import printable
from audionet.inference.batch_scoring import score_all
from audionet.inference.prediction_file import PredictionFile, answer_columns, answer_row
from audionet.models.classifier import Classifier
from audionet.models.graph_classifier import GraphClassifier
from audionet.wording import named_list


def print_predictions(
    classifier: Classifier | GraphClassifier, clips: Iterable[Path], *, top_k: int, as_json: bool, jobs: int | None
) -> int:
    """Print an answer for every clip, and return how many clips failed."""
    failed = 0
    for clip, answer in score_all(classifier, clips, jobs=jobs):
        if isinstance(answer, AudioNetError):
            log(f"Set aside: {answer}")
            failed += 1
        elif as_json:
            print(json.dumps({"file": str(clip), **answer.to_json(top_k)}))
        else:
            without = f" (answered without {named_list('member', answer.left_out)})" if answer.left_out else ""
            print(printable(clip) + without + printable(answer.doubt()))
            if len(answer.labels) == 1 and answer.score is not None:
                continue  # it has no other to share its probability with
            for label, probability in answer.ranked(top_k).items():
                print(f"  {probability:6.1%}  {printable(label)}")
    return failed


def write_predictions(
    classifier: Classifier | GraphClassifier,
    clips: Iterable[Path],
    output: Path,
    *,
    top_k: int,
    resume: bool,
    jobs: int | None,
) -> int:
    """Write an answer for every clip that `output` holds none for, and return how many clips failed."""
    model = classifier.fingerprint
    with PredictionFile(output, columns=answer_columns(top_k), model=model, resume=resume) as predictions:
        for clip, answer in score_all(classifier, (clip for clip in clips if clip not in predictions), jobs=jobs):
            predictions.write([answer_row(clip, answer, model=model, top_k=top_k)])
    predictions.log_summary()
    return predictions.failed

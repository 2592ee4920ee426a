"""Transfer learning for sound: recordings become pictures, pictures become bottlenecks, bottlenecks train a head.

Words, used for these things only:

    recording   one source file of sound
    chunk       a fixed-length slice of a recording
    picture     the spectrogram image of a chunk, a jpg
    recipe      every setting that decides how a picture looks, and for a named one how to train on it
    backbone    the frozen pretrained network
    tap         the layer it is read at
    bottleneck  the vector it gives for one picture
    head        the new top layer that we train
    classifier  backbone + tap + head + labels + recipe, as one saved folder
    label       the folder's name, kept to the letter

Import rule: the data flow in one direction, and so do the imports. A module may import from those before it in this
list, never from those after it, and scripts never import each other:

    errors, files, screen, tables, workers, recipe, options, settings, layouts, audio, spectrogram, conditions,
    views, ledger, landmarks, measures, fingerprints, audit, pictures, dataset, weights, networks, backbones,
    bottlenecks, metrics, head, material, designs, lessons, endtoend, openset, similarity, runs, evaluation,
    comparison, findings, classifier, testset, figures, sections, report, reporting, exporting.drawing_ops,
    exporting.frozen_graph, exporting.keras_graph, exporting.formats, exporting.parity, exporting.exports,
    inspection, training, courses, outcome, scoring, timeline, answers, labelfiles, timeline_picture, live, explain,
    labelling, enrollment,
    app.glance, app.isolation, app.tasks, app.visitors, app.teaching, app.gate, app.page, app.web, app.serving,
    bench.bench_options, bench.disturbed, bench.peers, bench.benchmark, bench.leaderboard, bench.strangers,
    bench.verification, bench.conversation, bench.timing, bench.classic, bench.bare, bench.made_data, bench.ours,
    bench.workshop, bench.speed, bench.growth, bench.speed_tables, bench.spoken, bench.contest
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audionet.models.classifier import Classifier

__all__ = ["Classifier"]


def __getattr__(name: str) -> Any:
    """Import `audionet.Classifier` when it is first asked for: a script's --help asks for nothing that is heavy."""
    if name == "Classifier":
        from audionet.models.classifier import Classifier

        return Classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

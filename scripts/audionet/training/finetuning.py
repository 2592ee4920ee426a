"""Whole networks: trained from scratch, from pretrained weights, or further from the head that was trained on them.

Everything before the last layer becomes a backbone, frozen into a graph as any other, and the last layer the head, so
that a classifier of a whole network is saved, scored and exported like every classifier.

    bottleneck_dir/training/<fingerprint>/   what a killed run goes on from, and what the same run finds again
        backup/                              the weights of the last round
        best.weights.h5, progress.json       the best ones on validation, and the losses so far

Only the training split is trained on, be it weights or the mean brightness. The weights that do best on
validation are kept.
"""

import json
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audionet.console import log, progress_bar, silence_native_stderr
from audionet.errors import InputError
from audionet.evaluation.metrics import balanced_accuracy, log_loss
from audionet.files import digest_of, mark_folder, read_mark, sha256_of, write_json
from audionet.models.backbones.architectures import ARCHITECTURES, find_architecture
from audionet.models.backbones.backbone import Backbone, TrainableNetwork, trainable_network
from audionet.models.backbones.freezing import frozen
from audionet.models.backbones.network_builders import SMALLEST_SIDE
from audionet.models.backbones.small_cnns import SMALL_CNNS
from audionet.models.head import Head
from audionet.models.pooling import log_softmax
from audionet.training.dataloader import DataLoader
from audionet.training.fitting.optimisation import LayerRates, loss_of_logits, optimizer_of, scheduled_rate
from audionet.training.settings import HeadSettings, NetworkSettings
from audionet.training.training_data import TrainingData

if TYPE_CHECKING:
    import keras

OF_LOSS = ("label_weights", "label_smoothing", "focal", "rate_schedule", "warmup")
ADDED = ("weight_averaging", "staged", "rate_decay")  # since trainings were first kept, which are found again without
VERSION = 1  # goes up by one when the same settings come to give other networks
PART = "network"  # the name of the one part of such a backbone's bottleneck
SCRATCH_RATE = 1e-3
TUNING_RATE = 5e-5


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that was trained whole."""

    backbone: Backbone  # all of it but the last layer
    head: Head  # the last layer
    name: str  # what was done, such as `simple_audio from scratch`
    curve: dict[str, Any]  # by gradient `steps`, `accuracy` and `log_loss` on validation, and in `training` the same
    best_step: int  # after how many steps it did best on validation


def check_network(name: str) -> None:
    """Raise InputError unless the name is of a small CNN or of an architecture that can be trained."""
    trainable = [row.name for row in ARCHITECTURES.values() if row.is_trainable]
    if name not in SMALL_CNNS and name not in trainable:
        raise InputError(f"--network: expected one of {', '.join([*SMALL_CNNS, *trainable])}, received {name!r}.")


def probe(network: str, image_size: int | None, *, of_sound: bool) -> Backbone:
    """Return a backbone that gives but a picture's mean brightness, to find what can be read, and of what size.

    `image_size` is in pixels a side, by default what suits the network for pictures of sound, or for others. An unknown
    network, or pictures that are too small for it, raise InputError.
    """
    check_network(network)
    size = image_size or _usual_size(network, of_sound=of_sound)
    _check_fits(network, size)
    with silence_native_stderr():
        import tensorflow as tf  # several seconds

        graph, _ = frozen(lambda pictures: [tf.reduce_mean(pictures, axis=(1, 2))[:, :1]], (size, size, 3))
    return Backbone(
        architecture="probe",
        bottleneck=PART,
        height=size,
        width=size,
        dimension=1,
        digest=digest_of(["probe", size]),
        slices={PART: (0, 1)},
        weights={"origin": "", "sha256": "", "licence": "", "note": ""},
        graph=graph,
    )


@dataclass(frozen=True)
class NetworkTraining:
    """What a whole network is trained on, and how."""

    labels: Sequence[str]
    loader: DataLoader
    settings: NetworkSettings
    loss: HeadSettings  # of which the loss and the rate's schedule count
    weights: Path | None  # a file of weights of the user's own
    seed: int
    folder: Path  # where a killed run finds itself again
    summaries_dir: Path | None = None  # for learning curves for TensorBoard


def train_network(training: NetworkTraining) -> TrainedNetwork:
    """Train a whole network: a small CNN from scratch, or an architecture from its pretrained weights.

    Where no source delivers the weights, it raises WeightsError.
    """
    settings, loader = training.settings, training.loader
    name = settings.network or ""
    with silence_native_stderr():
        import keras  # several seconds
    keras.utils.set_random_seed(training.seed)
    if name in SMALL_CNNS:
        pictures = keras.Input((loader.height, loader.width, 3))
        features = keras.Model(pictures, SMALL_CNNS[name].build(pictures, settings.activation, *loader.brightness))
        described = {"origin": "trained here from scratch", "sha256": "", "licence": "", "note": ""}
    else:
        found = trainable_network(
            name,
            bottleneck="classic",
            height=loader.height,
            width=loader.width,
            weights=training.weights,
            keeps_statistics=False,
        )
        features = keras.Model(found.model.input, keras.layers.Dropout(0.5)(found.model.output))
        described = {**found.weights, "origin": f"trained here end to end, from {found.weights['origin']}"}
    fit = _NetworkFit(
        training,
        name=name,
        features=features,
        last=keras.layers.Dense(len(training.labels)),
        rate=settings.network_rate or SCRATCH_RATE,
    )
    fit.run([name, described["sha256"], training.labels])
    return fit.trained_network(f"{name} {'from scratch' if name in SMALL_CNNS else 'end to end'}", name, described)


def fine_tune(training: NetworkTraining, head: Head, *, backbone: Backbone) -> TrainedNetwork:
    """Train on from a head, which was trained on the training split alone, end to end, at a low rate.

    The backbone is read at what the head takes. Without anything for validation, which has to tell whether it became
    better, or with a network that cannot be trained, it raises InputError.
    """
    settings, loader = training.settings, training.loader
    if not loader.validation.paths:
        raise InputError(
            "--fine_tune: expected validation recordings, which tell whether it became better, received none. Pass a "
            "--validation_percentage above 0, or leave --fine_tune away."
        )
    with silence_native_stderr():
        import keras  # several seconds
    keras.utils.set_random_seed(training.seed)
    found = trainable_network(
        backbone.architecture,
        bottleneck=backbone.bottleneck,
        height=loader.height,
        width=loader.width,
        weights=training.weights,
        keeps_statistics=True,
    )
    _freeze_all_but_the_last(found, settings.fine_tune)
    features, last = found.model, keras.layers.Dense(len(training.labels))
    if isinstance(head.hidden, Head):
        units = keras.layers.Dense(len(head.hidden.biases), activation="relu")
        features = keras.Model(features.input, units(features.output))
        units.set_weights([head.hidden.weights, head.hidden.biases])
    fit = _NetworkFit(
        training,
        name=f"{backbone.architecture} fine-tuned",
        features=features,
        last=last,
        rate=settings.network_rate or TUNING_RATE,
    )
    last.set_weights([head.weights, head.biases])
    fit.run([backbone.digest, sha256_of(head.weights.tobytes() + head.biases.tobytes()), training.labels])
    layers = "all layers" if settings.fine_tune == "all" else f"the last {settings.fine_tune} layers"
    described = {**found.weights, "origin": f"fine-tuned here, from {found.weights['origin']}"}
    return fit.trained_network(f"fine-tuning of {layers}", backbone.architecture, described)


@dataclass(frozen=True)
class ValidationScores:
    """The balanced accuracy and the log loss on validation: the means over clean pictures and over views."""

    accuracy: float
    log_loss: float


def validation_scores(data: TrainingData, head: Head, bottleneck: str) -> ValidationScores:
    """Score a head on validation recordings, of which there are some."""
    accuracies, losses = [], []
    validation = data.select("validation")
    for kind in (validation.take(validation.views == 0), validation.take(validation.views > 0)):
        if len(kind):
            logits = head.logits(kind.bottlenecks(bottleneck))
            accuracies.append(balanced_accuracy(kind.label_ids, logits.argmax(axis=1)))
            losses.append(log_loss(kind.label_ids, log_softmax(logits)))
    return ValidationScores(float(np.mean(accuracies)), float(np.mean(losses)))


class _Progress:
    """The losses so far and the best weights, kept on disk, so that a killed run loses at most a round."""

    def __init__(self, folder: Path, steps_per_epoch: int, patience: int, is_chosen: bool):
        self._path = folder / "progress.json"
        self.best_weights = folder / "best.weights.h5"
        self._steps_per_epoch = steps_per_epoch
        self._patience = patience
        self._is_chosen = is_chosen
        try:
            noted = json.loads(self._path.read_text())
        except (OSError, ValueError):
            noted = {"finished": False, "epochs": []}
        self.is_finished: bool = noted["finished"] and self.best_weights.is_file()
        self.epochs: list[dict[str, float]] = noted["epochs"] if self.best_weights.is_file() else []

    def note(self, model: "keras.Model", epoch: int, logs: dict[str, float]) -> bool:
        """Take note of a round, counted from 0, and return True when training has not become better for long."""
        self.epochs = [*self.epochs[:epoch], {name: float(value) for name, value in logs.items()}]
        if self._best_epoch == len(self.epochs) - 1:
            partial_path = self.best_weights.with_name("part.weights.h5")
            model.save_weights(partial_path)
            partial_path.replace(self.best_weights)
        self.write(finished=False)
        return self._is_chosen and len(self.epochs) - 1 - self._best_epoch >= self._patience

    def write(self, *, finished: bool) -> None:
        """Write the losses so far, and whether training has come to its end."""
        write_json(self._path, {"finished": finished, "epochs": self.epochs})

    @property
    def _best_epoch(self) -> int:
        """The round with the lowest loss on validation; without validation, the last."""
        if not self._is_chosen:
            return len(self.epochs) - 1
        return int(np.argmin([epoch["val_loss"] for epoch in self.epochs]))

    @property
    def best_step(self) -> int:
        """How many steps were done by the end of that round."""
        return (self._best_epoch + 1) * self._steps_per_epoch

    def curve(self) -> dict[str, Any]:
        """Return the losses and accuracies by step."""
        names = {"accuracy": "accuracy", "log_loss": "loss"}
        curve: dict[str, Any] = {
            "steps": [(number + 1) * self._steps_per_epoch for number in range(len(self.epochs))],
            "training": {ours: [epoch[theirs] for epoch in self.epochs] for ours, theirs in names.items()},
        }
        if self._is_chosen:
            curve |= {ours: [epoch[f"val_{theirs}"] for epoch in self.epochs] for ours, theirs in names.items()}
        return curve


class _NetworkFit:
    """A network that is being trained: `features` is everything before its last layer."""

    progress: _Progress

    def __init__(
        self, training: NetworkTraining, *, name: str, features: "keras.Model", last: "keras.layers.Dense", rate: float
    ):
        import keras  # imported by now

        self._training, self._loader, self._settings = training, training.loader, training.settings
        self._name, self._features, self._last, self._rate = name, features, last, rate
        self._model = keras.Model(features.input, last(features.output))

    def run(self, origin: Sequence[Any]) -> None:
        """Train, or go on where a killed run was, or find again what the same run has come to.

        `origin` is what the network is before training, as JSON.
        """
        import tensorflow as tf

        settings, loader = self._settings, self._loader
        count = len(loader.training.paths)
        steps = settings.steps_per_epoch or -(-count // settings.network_batch_size)
        folder = self._training.folder / digest_of([VERSION, list(origin), self._fingerprint()])
        if read_mark(self._training.folder) is None:
            mark_folder(self._training.folder, "training")
        folder.mkdir(parents=True, exist_ok=True)
        self.progress = _Progress(folder, steps, settings.patience, bool(loader.validation.paths))
        if not self.progress.is_finished:
            device = "the GPU" if tf.config.list_physical_devices("GPU") else "the CPU"
            done = len(self.progress.epochs)
            beginning = f"going on after round {done}" if done else "training"
            log(f"{self._name}: {beginning}, {count} pictures, {steps} steps a round, on {device}.")
            total, loss = steps * settings.epochs, self._training.loss
            layers = LayerRates.of(_layers_of_variables(self._model), settings, steps=total)
            self._model.compile(
                optimizer_of(settings, scheduled_rate(self._rate, loss, steps=total), layers),
                loss=loss_of_logits(loss, label_count=len(self._training.labels)),
                weighted_metrics=["accuracy"],
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Keras' quarrels with NumPy are not ours
                self._fit(folder, steps)
            self.progress.write(finished=True)
            shutil.rmtree(folder / "backup", ignore_errors=True)
        self._model.load_weights(self.progress.best_weights)

    def _fit(self, folder: Path, steps: int) -> None:
        import keras

        settings, loader = self._settings, self._loader
        batch_size = settings.network_batch_size
        callbacks: list[keras.callbacks.Callback] = []
        if settings.weight_averaging:  # before the others, which are given the average
            callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
        if self._training.summaries_dir:
            if read_mark(self._training.summaries_dir) is None:
                mark_folder(self._training.summaries_dir, "summaries")
            callbacks.append(keras.callbacks.TensorBoard(self._training.summaries_dir / self._name, write_graph=False))
        with progress_bar(total=settings.epochs, description="Training", unit="rounds") as bar:
            bar.update(len(self.progress.epochs))

            def note(epoch: int, logs: dict[str, float]) -> None:
                self._model.stop_training = self.progress.note(self._model, epoch, logs)
                bar.set_postfix(logs)
                bar.update()

            callbacks.append(keras.callbacks.LambdaCallback(on_epoch_end=note))
            # Behind it, so that a round that was backed up has been noted.
            callbacks.append(keras.callbacks.BackupAndRestore(str(folder / "backup"), delete_checkpoint=False))
            validation = loader.pipeline(loader.validation, batch_size=batch_size)
            self._model.fit(
                loader.pipeline(loader.training, batch_size=batch_size, seed=self._training.seed),
                epochs=settings.epochs,
                steps_per_epoch=steps,
                validation_data=validation if loader.validation.paths else None,
                callbacks=callbacks,
                shuffle=False,  # the pipeline does it
                verbose=0,
            )

    def _fingerprint(self) -> list[Any]:
        """Return all that decides how training comes out, as JSON."""
        splits = [[split.keys, split.label_ids.tolist()] for split in (self._loader.training, self._loader.validation)]
        settings = {
            name: str(value)
            for name, value in vars(self._settings).items()
            if name not in ADDED or value != getattr(NetworkSettings(), name)
        }
        loss, usual = self._training.loss, HeadSettings()
        settings |= {name: str(getattr(loss, name)) for name in OF_LOSS if getattr(loss, name) != getattr(usual, name)}
        pictures = sha256_of(repr(splits).encode())
        return [settings, self._rate, self._training.seed, self._loader.height, self._loader.width, pictures]

    def trained_network(self, name: str, architecture: str, weights: dict[str, str]) -> TrainedNetwork:
        """Freeze everything before the last layer into a backbone, and make the last layer the head."""
        height, width = self._loader.height, self._loader.width
        with silence_native_stderr():
            graph, (dimension,) = frozen(
                lambda pictures: [self._features(pictures, training=False)], (height, width, 3)
            )
        head_weights, biases = self._last.get_weights()
        backbone = Backbone(
            architecture=architecture,
            bottleneck=PART,
            height=height,
            width=width,
            dimension=dimension,
            digest=digest_of([VERSION, sha256_of(graph)]),
            slices={PART: (0, dimension)},
            weights=weights,
            graph=graph,
        )
        head = Head(np.asarray(head_weights, np.float32), np.asarray(biases, np.float32))
        return TrainedNetwork(backbone, head, name, self.progress.curve(), self.progress.best_step)


def _layers_of_variables(model: "keras.Model") -> list[int]:
    """Return for each variable that is trained the number of its layer, counted from the input."""
    layers = [layer for layer in model._flatten_layers(include_self=False) if not hasattr(layer, "layers")]
    number_of = {id(one): number for number, layer in enumerate(layers) for one in layer.trainable_variables}
    return [number_of[id(one)] for one in model.trainable_variables]


def _usual_size(name: str, *, of_sound: bool) -> int:
    if name in SMALL_CNNS:
        return SMALL_CNNS[name].image_size
    row = find_architecture(name)
    return row.sound_size if of_sound else row.image_size


def _check_fits(name: str, size: int) -> None:
    least = SMALL_CNNS[name].image_size // 4 if name in SMALL_CNNS else SMALLEST_SIDE
    if size < least:
        raise InputError(f"--image_size: expected at least {least} pixels for {name}, received {size}.")


def _freeze_all_but_the_last(network: TrainableNetwork, layers: Any) -> None:
    if layers == "all":
        return
    for layer in network.layers[: -int(layers)]:
        layer.trainable = False

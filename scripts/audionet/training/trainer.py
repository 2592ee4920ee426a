"""Training a classifier's network and head, in one of three ways.

    a new head       backbone, bottlenecks, `model_selection.select_model`
    fine-tuned       the same, then `finetuning.fine_tune`; whichever does better on validation is kept
    a whole network  `finetuning.train_network`; its last layer is the head

Each way gives a network and a head, of which a classifier is made.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from audionet.console import log
from audionet.data.dataset import Dataset
from audionet.errors import InputError, WeightsError
from audionet.evaluation.test_set import find_test_sources
from audionet.features.extraction import heard_share
from audionet.features.recipes import Recipe, redrawn
from audionet.files import printable
from audionet.models.backbones.architectures import find_architecture
from audionet.models.backbones.backbone import Backbone, loader_of
from audionet.models.backbones.member_names import AUTO, MemberName, check_drawing, parse_members
from audionet.models.backbones.settings import BackboneSettings
from audionet.models.backbones.taps import candidate_bottlenecks, union_of
from audionet.models.background import SHIPPED, BackgroundSpace, NetworkKey, find_space, read_background
from audionet.training.dataloader import DataLoader
from audionet.training.finetuning import (
    NetworkTraining,
    TrainedNetwork,
    check_network,
    fine_tune,
    probe,
    train_network,
    validation_scores,
)
from audionet.training.fitting.background_fitting import fit_background
from audionet.training.fitting.calibration import best_temperature
from audionet.training.fitting.comparison_space import ComparisonSpace
from audionet.training.fitting.openset_fitting import fit_open_set
from audionet.training.fitting.view_selection import with_useful_views
from audionet.training.holdout import HoldoutPlan
from audionet.training.model_selection import (
    Candidate,
    SelectedMember,
    SelectedModel,
    head_before_fine_tuning,
    inner_folds,
    score_samples,
    select_model,
)
from audionet.training.one_class import select_one_class
from audionet.training.settings import HeadSettings, TrainingSettings, parse_label_weights
from audionet.training.training_data import MemberNetwork, TrainingData, gather_training_data, wav_of
from audionet.wording import in_hertz, listed

LEAST_HEARD = 0.25  # of the band that is drawn, or of the network's own: a network that hears less is no help
MOST_UNSAID = 0.75


@dataclass(frozen=True)
class TrainedModel:
    """Networks, and a head for each."""

    data: TrainingData  # what they were trained on and are tested with, as the networks see it
    selected: SelectedModel  # the heads, and how they were chosen
    backbones: tuple[Backbone, ...]  # one for each member, read at the chosen bottleneck and nowhere else


def check_settings(settings: TrainingSettings) -> None:
    """Raise InputError before the long work, where there is no such network, architecture, bottleneck or test."""
    candidate_bottlenecks(find_architecture(settings.backbone.architecture), settings.backbone.bottleneck)
    parse_members(settings.backbone)
    if settings.whole.network:
        check_network(settings.whole.network)
    spaces_for(settings)
    if settings.holdout.test_dir:
        find_test_sources(settings.holdout.test_dir, group_by=settings.holdout.group_by)


def spaces_for(settings: TrainingSettings) -> tuple[BackgroundSpace, ...]:
    """Return the spaces of the background that settings name; none where there is no such file for `auto`.

    Raises:
        InputError: the file named is missing or damaged, or a whole network is to be trained, which has no background.
    """
    wanted = settings.comparison.background
    if isinstance(wanted, Path):
        if settings.whole.network:
            raise InputError("--background is of a pretrained network: leave it away, or --network.")
        return read_background(wanted)
    return read_background(SHIPPED) if wanted == "auto" and not settings.whole.network and SHIPPED.exists() else ()


def check_background(
    settings: TrainingSettings, spaces: Sequence[BackgroundSpace], members: Sequence["CandidateMember"]
) -> None:
    """Name the members that a background has nothing for; raise InputError where it was named and fits none."""
    wanted, keys = settings.comparison.background, [member.key for member in members]
    if isinstance(wanted, Path) and not any(space.key.fits(key) for space in spaces for key in keys):
        raise InputError(
            f"--background: expected one for {' or '.join(key.words() for key in keys)}, but {printable(wanted)} is "
            f"for {' and '.join(space.key.words() for space in spaces)}. Make one with audionet background, or leave "
            "the option away."
        )
    of_sound = [member for member in members if member.key.samples or member.key.recipe]
    missing = [
        f"{one.network.name} at {union_of(one.network.bottlenecks)}"
        for one in of_sound
        if find_space(spaces, one.key, union_of(one.network.bottlenecks)) is None
    ]
    if spaces and missing:
        log(
            f"Note: the background has nothing for {' and '.join(missing)} with this recipe; clips are compared by "
            "your own labels alone. audionet background makes one."
        )


def fit_spaces(
    dataset: Dataset, settings: TrainingSettings, *, bottleneck_dir: Path, origin: str, licence: str
) -> tuple[BackgroundSpace, ...]:
    """Fit a background on all recordings of a data set, a space for each network that settings name.

    Raises:
        InputError: too few labels or recordings.
        WeightsError: no source delivers the weights of a network.
    """
    members = candidate_members(dataset, settings)
    holdout = replace(settings.holdout, testing_percentage=0, validation_percentage=0)
    networks = [member.network for member in members]
    data = gather_training_data(
        dataset, *networks, bottleneck_dir=bottleneck_dir, holdout=holdout, previous=HoldoutPlan()
    ).without_optional_views()
    found = []
    for number, member in enumerate(members):
        samples = data.seen_by(number).select("training")
        found.append(
            fit_background(
                samples.table,
                samples.label_ids,
                recordings=samples.recording_ids(),
                views=samples.views,
                slices=samples.slices,
                key=member.key,
                origin=origin,
                licence=licence,
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class CandidateMember:
    """A network that may become a member of the classifier."""

    network: MemberNetwork
    load: Callable[..., Backbone]  # reads the network at the bottleneck given

    @property
    def key(self) -> NetworkKey:
        """What stands for the network and what it is given."""
        return NetworkKey.of(self.network.backbone.describe(), self.network.input.recipe)


def candidate_members(dataset: Dataset, settings: TrainingSettings) -> tuple[CandidateMember, ...]:
    """Load the networks that settings name, read at all candidates; first one that looks at the pictures as they are.

    Where nobody named the members, those that cannot be had or cannot take the data are left out, and this is said.

    Raises:
        InputError: a member that was named cannot take the data.
        WeightsError: no source delivers the weights of a member that was named, or of the only one.
    """
    wanted, recipe = settings.backbone, dataset.recipe
    is_default = wanted.architecture == BackboneSettings().architecture
    is_open = wanted.members == AUTO
    names = parse_members(wanted, chunk_seconds=recipe.chunk_seconds if recipe else math.inf)
    if is_open and (not is_default or recipe is None or settings.whole.fine_tune is not None):
        names = names[:1]
    found = []
    for number, name in enumerate(names):
        if not _hears(name, recipe, may_be_left_out=is_open and number > 0):
            continue
        try:
            found.append(_candidate(name, dataset, wanted))
        except (InputError, WeightsError) as error:
            if not is_open or not number:
                raise
            log(f"Note: {name} is left out. {error}")
    found.sort(key=lambda one: one.network.input.is_sound or one.network.input.recipe != recipe)  # it is stable
    if settings.whole.fine_tune is not None and len(found) > 1:
        raise InputError("--fine_tune trains one network on; name one by --members, or leave --members away.")
    for one in found:
        log(one.network.backbone.sentence())
    return tuple(found)


def _hears(name: MemberName, recipe: Recipe | None, *, may_be_left_out: bool) -> bool:
    """Tell whether a network hears enough of the band that is drawn to be of use, and say if it is but a part."""
    rate_hz = find_architecture(name.architecture).sample_rate_hz
    if recipe is None or not rate_hz:
        return True
    share = heard_share(recipe, sample_rate_hz=rate_hz)
    is_left_out = may_be_left_out and share < LEAST_HEARD
    if share < MOST_UNSAID:
        log(
            f"Note: {name} {'is left out' if is_left_out else 'hears only a part'}: it listens up to "
            f"{in_hertz(rate_hz / 2)}, and pictures show {in_hertz(recipe.low_hz)} to {in_hertz(recipe.high_hz)}."
        )
    return not is_left_out


def _candidate(name: MemberName, dataset: Dataset, settings: BackboneSettings) -> CandidateMember:
    row, recipe = find_architecture(name.architecture), dataset.recipe
    drawn = redrawn(recipe, name.drawing) if recipe else None
    needs_wavs = row.listens or drawn != recipe
    if needs_wavs:
        _check_wavs(name, dataset)
    own = settings.of_member(name.architecture)
    chunk_seconds = recipe.chunk_seconds if recipe else None
    load = loader_of(row, own, of_sound=recipe is not None, chunk_seconds=chunk_seconds)
    bottlenecks = candidate_bottlenecks(row, own.bottleneck, of_sound=recipe is not None)
    backbone = load(bottleneck=union_of(bottlenecks))
    if backbone.listens and not needs_wavs:  # as only the network itself told
        check_drawing(name, listens=True)
        _check_wavs(name, dataset)
    shown = f"{row.name}:{drawn.drawing}" if drawn and not backbone.listens else row.name
    return CandidateMember(MemberNetwork.of(shown, backbone, drawn, bottlenecks), load)


def _check_wavs(name: MemberName, dataset: Dataset) -> None:
    """Raise InputError unless there is the sound behind each picture."""
    if dataset.recipe is None:
        raise InputError(f"--members: {name} needs sound, and these are ordinary pictures. Leave it away.")
    examples = (*dataset.examples, *dataset.unknown)
    lacking = [example for example in examples if not wav_of(example).exists()]
    if lacking:
        raise InputError(
            f"--members: {name} needs the wav beside each picture, and {len(lacking)} of {len(examples)} have none, "
            f"such as {printable(lacking[0].path)}. Draw them again: audionet data."
        )


class Trainer:
    """From a data set to a classifier's network and head, as settings say; once, or once for each fold.

    Splits are remembered beside the pictures; or where there is a `previous` plan, they keep to that one.

    Raises:
        InputError: too few pictures, or settings that cannot work with them.
        WeightsError: no source delivers the weights.
    """

    def __init__(
        self,
        dataset: Dataset,
        settings: TrainingSettings,
        *,
        bottleneck_dir: Path,
        previous: HoldoutPlan | None = None,
    ):
        self._dataset, self._settings, self._bottleneck_dir = dataset, settings, bottleneck_dir
        self._spaces = spaces_for(settings)
        self._previous = previous
        _check_label_weights(dataset.labels, settings.head)
        if len(dataset.labels) == 1:
            _check_one_class(dataset.labels[0], settings)
        wanted, of_sound = settings.backbone, dataset.recipe is not None
        if settings.whole.network:
            first = probe(settings.whole.network, wanted.image_size, of_sound=of_sound)
            self._members: tuple[CandidateMember, ...] = ()
        else:
            self._members = candidate_members(dataset, settings)
            check_background(settings, self._spaces, self._members)
            first = self._members[0].network.backbone
        self._height, self._width = first.height, first.width
        self.data = (
            self._seen_by(*(member.network for member in self._members)) if self._members else self._seen_by(first)
        )
        """What can be trained on, and how it is split."""

    def with_head(self, settings: HeadSettings) -> "Trainer":
        """Return a trainer with the same data and networks that trains another head."""
        _check_label_weights(self._dataset.labels, settings)
        other = copy.copy(self)
        other._settings = replace(self._settings, head=settings)
        return other

    def train(self, data: TrainingData, *, summaries_dir: Path | None = None) -> TrainedModel:
        """Train on `self.data`, or on the same with other splits; curves for TensorBoard go to `summaries_dir`."""
        whole = self._settings.whole
        if whole.network:
            network = train_network(self._network_training(data, summaries_dir))
            return self._whole_network(network, data)
        bottlenecks, head_settings = self._members[0].network.bottlenecks, self._settings.head
        data = with_useful_views(
            data, bottlenecks=bottlenecks, settings=head_settings, seed=self._settings.holdout.random_seed
        )
        if len(data.labels) == 1:
            selected = select_one_class(data, bottlenecks=bottlenecks, settings=head_settings, spaces=self._spaces)
        else:
            selected = select_model(
                data,
                bottlenecks=bottlenecks,
                settings=head_settings,
                seed=self._settings.holdout.random_seed,
                summaries_dir=summaries_dir,
                spaces=self._spaces,
            )
        backbones = [self._members[one.number].load(bottleneck=one.best.bottleneck) for one in selected.members]
        trained = TrainedModel(data, selected, tuple(backbones))
        return trained if whole.fine_tune is None else self._fine_tuned(trained, summaries_dir)

    def _fine_tuned(self, trained: TrainedModel, summaries_dir: Path | None) -> TrainedModel:
        """Train the network beneath the head on too, and return whichever does better on validation."""
        data, selected = trained.data, trained.selected
        head = head_before_fine_tuning(data, selected, self._settings.head, self._settings.holdout.random_seed)
        network = fine_tune(self._network_training(data, summaries_dir), head, backbone=trained.backbones[0])
        tuned = self._whole_network(network, data)
        before = validation_scores(data, head, selected.best.bottleneck)
        after = validation_scores(tuned.data, network.head, tuned.selected.best.bottleneck)
        is_better = (after.accuracy, -after.log_loss) > (before.accuracy, -before.log_loss)
        log(
            f"On validation, before and after {network.name}: accuracy {before.accuracy:.1%} and {after.accuracy:.1%}, "
            f"log loss {before.log_loss:.3f} and {after.log_loss:.3f}. Kept: {'after' if is_better else 'before'}."
        )
        kept = tuned if is_better else trained
        candidates = (*selected.candidates, tuned.selected.best)
        return replace(kept, selected=replace(kept.selected, candidates=candidates))

    def _whole_network(self, network: TrainedNetwork, data: TrainingData) -> TrainedModel:
        seen = self._seen_by(network.backbone).with_splits(data.samples.splits)
        return TrainedModel(seen, selected_network(network, seen, self._settings.head), (network.backbone,))

    def _seen_by(self, *networks: Backbone | MemberNetwork) -> TrainingData:
        return gather_training_data(
            self._dataset,
            *networks,
            bottleneck_dir=self._bottleneck_dir,
            holdout=self._settings.holdout,
            previous=self._previous,
        )

    def _network_training(self, data: TrainingData, summaries_dir: Path | None) -> NetworkTraining:
        holdout = self._settings.holdout
        loader = DataLoader.of(
            data,
            holdout,
            height=self._height,
            width=self._width,
            views_dir=self._bottleneck_dir / "views",
            label_weights=self._settings.head.label_weights,
        )
        return NetworkTraining(
            labels=data.labels,
            loader=loader,
            settings=self._settings.whole,
            loss=self._settings.head,
            weights=self._settings.backbone.weights,
            seed=holdout.random_seed,
            folder=self._bottleneck_dir / "training",
            summaries_dir=summaries_dir,
        )


def _check_label_weights(labels: Sequence[str], settings: HeadSettings) -> None:
    """Raise InputError where a weight is given to a label that there is not."""
    for label in parse_label_weights(settings.label_weights):
        if label not in labels:
            raise InputError(
                f"--label_weights: expected labels out of {listed([printable(one) for one in labels])}, received "
                f"{printable(label)}."
            )


def _check_one_class(label: str, settings: TrainingSettings) -> None:
    """Say what comes of one label, or raise InputError where settings ask for what takes two."""
    if settings.whole.network or settings.whole.fine_tune is not None:
        raise InputError(
            f"--network and --fine_tune train a network to tell labels apart, and there is one alone, "
            f"{printable(label)}. Leave them away, or add another label."
        )
    if settings.head.head != "auto":
        raise InputError(
            f"--head {settings.head.head} tells labels apart, and there is one alone, {printable(label)}. Leave --head "
            "away, or add another label."
        )
    log(f"One label alone, {printable(label)}: the classifier tells how unusual a clip is beside its recordings.")


def selected_network(network: TrainedNetwork, data: TrainingData, settings: HeadSettings) -> SelectedModel:
    """Return a network that was trained whole as the model selected: its last layer is the head.

    It was trained on the whole training split, so that only validation recordings show how it does on others: they
    decide the temperature and the open-set detector.
    """
    (bottleneck,) = data.samples.slices
    head, temperature, open_set, accuracy = network.head, 1.0, None, None
    compared = ComparisonSpace.fit(data, [(0, bottleneck)], ())
    validation = data.select("validation")
    if len(validation):
        accuracy = validation_scores(data, network.head, bottleneck).accuracy
        known = score_samples(validation, network.head, bottleneck, folds=inner_folds(validation))
        clean = known.clean()
        temperature = best_temperature(clean.logits, clean.label_ids)
        head = network.head.with_temperature(temperature)
        unknown = score_samples(data.select("training", unknown=True), head, bottleneck)
        open_set = fit_open_set(
            known.with_temperature(temperature), unknown=unknown, false_accept_rate=settings.false_accept_rate
        )
    best = Candidate(bottleneck, network.name, 0.0, network.best_step, accuracy, network.curve)
    member = SelectedMember(0, best, head, temperature, open_set, similarity=compared.parts[0])
    return SelectedModel((member,), (best,), open_set, similarity=compared.whole)

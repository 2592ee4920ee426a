"""What accuracy is compared between: networks, alone and together, trained by default, and what they are compared with.

The latter are the classic way, cepstra and a speaker encoder.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from audionet.data.dataset import Dataset
from audionet.features.recipes import Recipe
from audionet.models.backbones.architectures import find_architecture
from audionet.models.backbones.backbone import loader_of
from audionet.models.backbones.settings import BackboneSettings
from audionet.models.bottleneck_cache import Rows
from audionet.training.fitting.view_selection import with_useful_views
from audionet.training.model_selection import Candidate, SelectedMember, SelectedModel, select_model
from audionet.training.settings import HeadSettings, TrainingSettings
from audionet.training.trainer import CandidateMember, candidate_members
from audionet.training.training_data import MemberNetwork, TrainingData
from benchmarks.accuracy.baselines import (
    SPEAKER_ENCODER,
    Cepstra,
    baseline_network,
    speaker_encoder,
    train_regression,
)
from benchmarks.options import AccuracyOptions


@dataclass(frozen=True)
class System:
    """One way to classify chunks."""

    name: str
    networks: tuple[MemberNetwork, ...]  # read at every candidate
    views: int  # how many of the augmented views it is trained on

    def train(self, data: TrainingData) -> "TrainedSystem":
        """Train on data of these networks and of others."""
        own = with_views(data_of(data, self.networks), self.views)
        start = time.perf_counter()
        selected = self.select(own)
        return TrainedSystem(self, selected, len(own.samples), time.perf_counter() - start)

    def select(self, data: TrainingData) -> SelectedModel:
        """Train the heads, on data of its own networks."""
        raise NotImplementedError

    def serving_network(self, member: SelectedMember) -> MemberNetwork:
        """Return the network of a member as a classifier would have it, cut off behind the bottleneck chosen."""
        return self.networks[member.number]


@dataclass(frozen=True)
class TrainedSystem:
    """A system, the heads, how they were chosen, and what training took."""

    system: System
    selected: SelectedModel
    samples: int
    head_seconds: float

    @property
    def networks(self) -> tuple[MemberNetwork, ...]:
        """The network of each member."""
        return tuple(self.system.networks[member.number] for member in self.selected.members)

    @property
    def serving_networks(self) -> tuple[MemberNetwork, ...]:
        """The network of each member as a classifier would have it."""
        return tuple(self.system.serving_network(member) for member in self.selected.members)

    def logits(self, networks: Sequence[MemberNetwork], vectors: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the members' sum of logits, shape (n, labels), of vectors by the name of the network.

        The networks are one for each member, and those that the vectors are of.
        """
        summed = []
        for member, network in zip(self.selected.members, networks, strict=True):
            columns = [network.backbone.slices[part] for part in member.best.bottleneck.split("+")]
            logits = member.head.logits(Rows(vectors[network.name]).take_columns(columns))
            summed.append(np.float32(member.weight) * logits)
        return np.asarray(np.sum(summed, axis=0), np.float32)

    @property
    def megabytes(self) -> float:
        """The size of networks and heads, as a classifier has them."""
        heads = [array.nbytes for one in self.selected.members for array in (one.head.weights, one.head.biases)]
        graphs = [len(network.backbone.graph) for network in self.serving_networks]
        return (sum(heads) + sum(graphs)) / 1e6

    def choice(self) -> dict[str, Any]:
        """Return as JSON the `members`, the ways tried as `attempts`, and what each network is worth."""
        return {
            "members": [
                {
                    "network": self.system.networks[one.number].name,
                    "trainer": one.best.trainer,
                    "bottleneck": one.best.bottleneck,
                    "weight": one.weight,
                }
                for one in self.selected.members
            ],
            "attempts": [attempt.to_json() for attempt in self.selected.candidates],
            "worth": list(self.selected.worth),
        }


@dataclass(frozen=True)
class NetworkSystem(System):
    """Networks that are trained as retrain.py trains them."""

    members: tuple[CandidateMember, ...]  # one for each network
    settings: HeadSettings

    @classmethod
    def of(
        cls, name: str, members: Sequence[CandidateMember], *, views: int, settings: HeadSettings | None = None
    ) -> "NetworkSystem":
        """Return a system of some networks."""
        networks = tuple(member.network for member in members)
        return cls(name, networks, views, tuple(members), settings or HeadSettings())

    def select(self, data: TrainingData) -> SelectedModel:
        """Choose bottlenecks, trainers and members, and train the heads."""
        bottlenecks = self.networks[0].bottlenecks
        data = with_useful_views(data, bottlenecks=bottlenecks, settings=self.settings)
        return select_model(data, bottlenecks=bottlenecks, settings=self.settings)

    def serving_network(self, member: SelectedMember) -> MemberNetwork:
        """Return the network of a member, read at its bottleneck and nowhere else."""
        candidate = self.members[member.number]
        return replace(candidate.network, backbone=candidate.load(bottleneck=member.best.bottleneck))


@dataclass(frozen=True)
class RegressionSystem(System):
    """A logistic regression on vectors, standardised or as they are."""

    standardised: bool

    def select(self, data: TrainingData) -> SelectedModel:
        """Train the regression."""
        best = Candidate("classic", "regression", 0.0, 1, None, {})
        head = train_regression(data, bottleneck=best.bottleneck, standardised=self.standardised)
        return SelectedModel((SelectedMember(0, best, head, 1.0, None),), (best,), None)


def systems_of(options: AccuracyOptions, dataset: Dataset) -> list[System]:
    """Return the committees, all of their networks alone, and what they are compared with.

    Raises:
        InputError: there is no such network or committee, or it cannot take the data.
        WeightsError: no source delivers the weights of a network.
    """
    views, recipe = options.holdout.views, dataset.recipe
    assert recipe is not None  # the pictures were drawn of recordings
    systems: list[System] = list(network_systems(options, dataset))
    if not options.baselines:
        return systems
    systems += [_classic(name, recipe) for name in options.architecture_names]
    systems.append(RegressionSystem("MFCC", (baseline_network(Cepstra(recipe), recipe),), 0, standardised=True))
    encoder = speaker_encoder(recipe)
    if encoder is None:
        return systems
    return systems + [
        RegressionSystem(name, (encoder,), count, standardised=False)
        for name, count in ((SPEAKER_ENCODER, 1), (f"{SPEAKER_ENCODER}, {views} views", views))
    ]


def network_systems(options: AccuracyOptions, dataset: Dataset) -> list[NetworkSystem]:
    """Return the committees that have several networks, and each network alone, trained as retrain.py trains them."""
    wanted = [BackboneSettings(architecture=name, members="single") for name in options.architecture_names]
    wanted += [BackboneSettings(members=text) for text in options.committee_texts]
    loaded: dict[str, CandidateMember] = {}
    committees: dict[str, list[CandidateMember]] = {}
    for settings in wanted:
        found = candidate_members(dataset, TrainingSettings(backbone=settings))
        members = [loaded.setdefault(member.network.name, member) for member in found]
        if len(members) > 1:
            committees[settings.members] = members
    alone = {name: [member] for name, member in loaded.items()}
    return [
        NetworkSystem.of(name, members, views=options.holdout.views) for name, members in (committees | alone).items()
    ]


def networks_of(systems: Sequence[System]) -> tuple[MemberNetwork, ...]:
    """Return the networks of all systems, each once."""
    return tuple({network.name: network for system in systems for network in system.networks}.values())


def _classic(name: str, recipe: Recipe) -> NetworkSystem:
    """Return a network in the classic way: its last layer averaged, softmax, no augmented views."""
    load = loader_of(find_architecture(name), BackboneSettings(architecture=name), of_sound=False)
    network = MemberNetwork.of(f"{name}, classic", load(bottleneck="classic"), recipe, ("classic",))
    member = CandidateMember(network, load)
    return NetworkSystem.of(network.name, [member], views=0, settings=HeadSettings(head="softmax"))


def data_of(data: TrainingData, networks: Sequence[MemberNetwork]) -> TrainingData:
    """Return the same samples with the bottlenecks of some of the networks, by their names."""
    names = [network.name for network in data.networks]
    first, *others = (data.seen_by(names.index(network.name)) for network in networks)
    return replace(first, networks=tuple(networks), others=tuple(other.samples.table for other in others))


def with_views(data: TrainingData, count: int) -> TrainingData:
    """Keep the first views of each picture, and those that may be left out only if all others are kept."""
    if count >= data.samples.views.max() - len(data.optional_views):
        return data
    data = data.without_optional_views()
    kept = data.samples.views <= count
    others = tuple(table.take(kept) for table in data.others)
    return replace(data, samples=data.samples.take(kept), others=others)

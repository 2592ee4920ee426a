"""The classifier: members, labels and recipe. Load, score, divide into a timeline, enroll a label, save.

Scoring sends a sound through the very functions that made the training pictures, jpg coding included, so what was
measured is what is served. TensorFlow is not imported where OpenVINO can run the network.
"""

import dataclasses
import functools
import io
import json
import math
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from audionet.audio import decoding
from audionet.audio.chunks import Chunk, chunks_of
from audionet.audio.fingerprints import Fingerprint, pack_fingerprints, unpack_fingerprints
from audionet.audio.measurements import chunk_level_dbfs
from audionet.errors import ClassifierError, InputError
from audionet.features.extraction import chunks_by_recipe
from audionet.features.image_io import decode_picture, read_about, read_picture_file
from audionet.features.recipes import Recipe
from audionet.files import UNKNOWN_LABEL, digest_of, mark_folder, printable, sha256_of, write_bytes, write_json
from audionet.models.answer import UNKNOWN, Answer
from audionet.models.array_files import read_arrays
from audionet.models.backbones.settings import Engine
from audionet.models.classifier_folder import (
    ABOUT_NAME,
    FINGERPRINTS_NAME,
    FORMAT,
    FORMAT_OF_SEVERAL,
    HEAD_NAME,
    KIND,
    TRAIN_AGAIN,
    changing_enrolled,
    check_checksum,
    graph_names,
    named_faults,
    pack_head,
    read_files,
    unpack_head,
)
from audionet.models.classifier_schema import DescribedMember, described_members, digest_of_about, member_prefixes
from audionet.models.embedder import Embedder
from audionet.models.fused_similarity import FusedSimilarity
from audionet.models.member import Member
from audionet.models.openset import OpenSetDetector
from audionet.models.pooling import log_softmax, loudness_weights, pool
from audionet.models.similarity import Similarity
from audionet.models.timelines.diarization import SpeakerHops
from audionet.models.timelines.speaker_clustering import Projection
from audionet.models.timelines.timeline import (
    HOP_SECONDS,
    MIN_SECONDS,
    JudgedHops,
    LevelMeter,
    ScoredChunks,
    Timeline,
    make_timeline,
    silent_steps,
)


@dataclass(frozen=True, eq=False)
class ChunkScores:
    """What an answer rests on: which label chunks are of, and whether they are of any."""

    logits: np.ndarray  # float32, shape (chunks, labels)
    odds: np.ndarray | None  # float32, shape (chunks, trained labels), as `OpenSetDetector.evidence` takes them, if so

    @classmethod
    def joined(cls, parts: Sequence["ChunkScores"]) -> "ChunkScores":
        """Return those of several batches, at least one, as one."""
        odds = [part.odds for part in parts if part.odds is not None]
        return cls(np.concatenate([part.logits for part in parts]), np.concatenate(odds) if odds else None)


class Classifier(Embedder):
    """A trained classifier, ready to score.

    It has one member or more, each with a network and a head, which answer together. A chunk's bottleneck is those of
    all members side by side.
    """

    def __init__(
        self,
        *,
        labels: tuple[str, ...],  # in the order of the heads' outputs
        members: tuple[Member, ...],  # at least one; the first looks at pictures as they were trained on, if any does
        about: dict[str, Any],  # what else is known, as JSON, such as `training`
        open_set: OpenSetDetector | None = None,  # of all members; None, as for `similarity`, if none could be fitted
        training_keys: np.ndarray | None = None,  # uint64, shape (n,), of the pictures that it was trained on
        fingerprints: Mapping[str, Fingerprint] | None = None,  # of the sound that it was trained on, by recording
        similarity: Similarity | FusedSimilarity | None = None,  # the space in which clips of any label are compared
        enrolled: Mapping[str, np.ndarray] | None = None,  # prototypes, by label that was added without training
        folder: Path | None = None,  # where it was loaded from
    ):
        super().__init__(members, folder=folder)
        self.trained_labels = labels
        self.members = members
        self.similarity = similarity
        self.enrolled = dict(enrolled or {})
        self.labels = (*labels, *self.enrolled)
        self.about = about
        self.open_set = open_set
        self.training_keys = np.empty(0, np.uint64) if training_keys is None else training_keys
        self._packed_fingerprints: bytes | mmap.mmap | None = None
        if fingerprints is not None:
            self.fingerprints = fingerprints

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process makes the same classifier of, without what was mapped from its folder."""
        return {**vars(self), "_packed_fingerprints": None}

    @classmethod
    def load(
        cls,
        folder: Path | str,
        *,
        engine: Engine = "auto",
        with_enrolled: bool = True,
        false_accept_rate: float | None = None,
        channel: str | None = None,
    ) -> "Classifier":
        """Load a classifier from its folder, with the labels that were added without training or without them.

        All is of one version, even if another one takes its place meanwhile. Another `false_accept_rate` than that of
        training may be chosen from those that it was fitted at, and another `channel` to hear; neither is saved. Errors
        are those of `read_files`, and InputError where there is no such rate or channel.
        """
        folder = Path(folder)
        files = read_files(folder)
        about, arrays = files.about, files.arrays
        try:
            members = tuple(
                _unpacked_member(described, arrays, graph, engine=engine)
                for described, graph in zip(described_members(about), files.graphs, strict=True)
            )
        except InputError as error:
            raise ClassifierError(f"{printable(folder / ABOUT_NAME)} is damaged: {error} {TRAIN_AGAIN}") from error
        if channel is not None:
            members = tuple(
                dataclasses.replace(one, recipe=one.recipe and dataclasses.replace(one.recipe, channel=channel))
                for one in members
            )
        similarity = _unpacked_similarity(about, members)
        classifier = cls(
            labels=tuple(about["labels"]),
            members=members,
            about=about,
            open_set=OpenSetDetector.from_json(about["open_set"], arrays) if about["open_set"] else None,
            training_keys=arrays["training_keys"],
            similarity=similarity,
            enrolled=files.enrolled if similarity and with_enrolled else None,
            folder=folder,
        )
        classifier._packed_fingerprints = files.fingerprints
        if false_accept_rate is not None:
            classifier._use_rate(false_accept_rate)
        return classifier

    @property
    def has_one_class(self) -> bool:
        """Whether it has one label alone, and tells by a score how usual a clip is: its probability is always 1."""
        return len(self.labels) == 1 and self.open_set is not None

    def _use_rate(self, false_accept_rate: float) -> None:
        """Take the thresholds of another rate; raise InputError where there are none."""
        if self.open_set is None:
            raise InputError(
                "--false_accept_rate: this classifier takes nothing for unknown, since a label has one recording alone "
                "to train on. Train it again, on more recordings."
            )
        self.open_set = self.open_set.at_rate(false_accept_rate)
        self.members = tuple(
            dataclasses.replace(one, open_set=one.open_set and one.open_set.at_rate(false_accept_rate))
            for one in self.members
        )

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that stand for everything that its answers depend on."""
        arrays = self._member_arrays() | (self.open_set.arrays() if self.open_set else {}) | self.enrolled
        first, *others = self.members
        return digest_of(
            [
                self.labels,
                self.recipe.to_json() if self.recipe else None,
                self.open_set.to_json() if self.open_set else None,
                sha256_of(first.graph),
                {name: sha256_of(np.ascontiguousarray(array).tobytes()) for name, array in arrays.items()},
                *([first.weight] if others else []),
                *([one.weight, one.recipe and one.recipe.to_json(), sha256_of(one.graph)] for one in others),
            ]
        )

    def _member_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of the members' heads, by their names in the file."""
        return {
            f"{prefix}{name}": array
            for prefix, member in zip(member_prefixes(len(self.members)), self.members, strict=True)
            for name, array in pack_head(member.head).items()
        }

    @functools.cached_property
    def fingerprints(self) -> Mapping[str, Fingerprint]:
        """Fingerprints of the sound that it was trained on, by recording; unpacked when asked for."""
        if self._folder is None or self._packed_fingerprints is None:
            return {}
        path = self._folder / FINGERPRINTS_NAME
        check_checksum(path, self._packed_fingerprints, self.about)
        with named_faults(path, TRAIN_AGAIN):
            return unpack_fingerprints(read_arrays(bytes(self._packed_fingerprints)))

    def save(self, folder: Path, *, beside: Mapping[str, Any] | None = None) -> None:
        """Write the classifier's files into `folder`, which `files.whole_folder` gave, so that it appears whole.

        `beside` are JSON files to be kept with it, by name.
        """
        arrays = io.BytesIO()
        named: dict[str, Any] = {**self._member_arrays(), "training_keys": self.training_keys}
        named |= self.open_set.arrays() if self.open_set else {}
        named |= self.similarity.arrays() if isinstance(self.similarity, Similarity) else {}
        if len(self.members) > 1:
            for prefix, member in zip(member_prefixes(len(self.members)), self.members, strict=True):
                for one in (member.open_set, member.similarity):
                    named |= {f"{prefix}{name}": array for name, array in (one.arrays() if one else {}).items()}
        np.savez(arrays, **named)
        contents = {
            **{name: member.graph for name, member in zip(graph_names(len(self.members)), self.members, strict=True)},
            HEAD_NAME: arrays.getvalue(),
            FINGERPRINTS_NAME: pack_fingerprints(self.fingerprints),
            **{name: f"{json.dumps(value, indent=2)}\n".encode() for name, value in (beside or {}).items()},
        }
        mark_folder(folder, KIND)
        for name, content in contents.items():
            write_bytes(folder / name, content)
        about = {
            **self.about,
            "format": FORMAT if len(self.members) == 1 else FORMAT_OF_SEVERAL,
            "labels": list(self.trained_labels),
            "recipe": self.recipe.to_json() if self.recipe else None,
            "open_set": self.open_set.to_json() if self.open_set else None,
            "similarity": self.similarity.to_json() if isinstance(self.similarity, Similarity) else None,
            "backbone": self.members[0].backbone,
            **(_described_members(self) if len(self.members) > 1 else {}),
            "sha256": {name: sha256_of(content) for name, content in contents.items()},
        }
        about["sha256"][ABOUT_NAME] = digest_of_about(about)
        write_json(folder / ABOUT_NAME, about)

    def score(self, path: Path | str) -> Answer:
        """Score a file: a recording, cut and drawn as in training and pooled into one answer, or a picture.

        Raises:
            RecordingError: a recording that cannot be decoded or is silent.
            PictureError: a picture that cannot be read.
            InputError: a recording, but the classifier was trained on ordinary pictures.
        """
        path = Path(path)
        return self.score_recording(path) if decoding.is_recording(path) else self.score_picture(path)

    def score_picture(self, path: Path | str) -> Answer:
        """Score a picture file, a spectrogram or an ordinary picture; errors as for `score`.

        Of several members, the one that was trained on such pictures answers alone.
        """
        content = read_picture_file(Path(path))
        name = printable(path)
        picture, drawn_by = decode_picture(content, name=name), read_about(content, name=name).get("recipe")
        alone = self.for_pictures(Recipe.from_json(drawn_by).digest if drawn_by else None)
        scores = alone.scores([[alone.members[0].input.of_picture(picture)]])
        answer = alone._answer(scores, np.zeros(1), np.ones(1))
        unheard = tuple(member.name for member in self.members if member.name != alone.members[0].name)
        return dataclasses.replace(answer, left_out=unheard)

    def for_pictures(self, recipe_digest: str | None = None) -> "Classifier":
        """Return the classifier that answers for pictures: of several members, the one that looks at such, alone.

        Without the digest of the recipe that drew them, they are those that the first looking member was trained on.

        Raises:
            InputError: no member looks at pictures.
        """
        member = self.looking_member(recipe_digest)
        return self if len(self.members) == 1 else self._alone(self.members.index(member))

    def looking_member(self, recipe_digest: str | None = None) -> Member:
        """Return the member that looks at pictures of a recipe, by its digest, or else the first one that looks at any.

        Raises:
            InputError: no member looks at pictures.
        """
        looking = [member for member in self.members if not member.input.is_sound]
        if not looking:
            raise InputError("This classifier listens to sound and cannot look at pictures. Give it a recording.")
        drawn = [member for member in looking if member.recipe and member.recipe.digest == recipe_digest]
        return (drawn or looking)[0]

    def _alone(self, number: int) -> "Classifier":
        """Return a classifier of one of the members."""
        member = self.members[number]
        start = sum(one.dimension for one in self.members[:number])
        enrolled = {
            label: _of_length_one(prototype[start : start + member.dimension])
            for label, prototype in self.enrolled.items()
        }
        return Classifier(
            labels=self.trained_labels,
            members=(dataclasses.replace(member, weight=1.0),),
            about=self.about,
            open_set=member.open_set,
            training_keys=self.training_keys,
            similarity=member.similarity,
            enrolled=enrolled if member.similarity else None,
            folder=self._folder,
        )

    def score_recording(self, path: Path | str, *, on_seconds: Callable[[float], object] | None = None) -> Answer:
        """Score a recording of any length; memory does not grow with it. Errors are as for `score`.

        `on_seconds` is called now and then with how far it is.
        """
        recipe = self.recipe_for(path)
        offsets: list[float] = []
        levels: list[float] = []
        scores: list[ChunkScores] = []
        chunks = chunks_by_recipe(Path(path), recipe)
        for batch, of_batch in self.scores_by_batch(chunks):
            offsets += [chunk.offset_seconds for chunk in batch]
            levels += [chunk_level_dbfs(chunk) for chunk in batch]
            scores.append(of_batch)
            if on_seconds:
                on_seconds(batch[-1].offset_seconds + batch[-1].seconds)
        return self._answer(ChunkScores.joined(scores), np.array(offsets), loudness_weights(levels))

    def scores_by_batch(self, chunks: Iterable[Chunk]) -> Iterator[tuple[list[Chunk], ChunkScores]]:
        """Draw chunks and yield them in batches with their scores."""
        for batch, bottlenecks in self.bottlenecks_by_batch(chunks):
            yield batch, self.scores_of_bottlenecks(bottlenecks)

    def timeline(
        self,
        path: Path | str,
        *,
        hop_seconds: float = HOP_SECONDS,
        min_seconds: float = MIN_SECONDS,
        speakers: int | Literal["auto"] | None = None,
        on_seconds: Callable[[float], object] | None = None,
    ) -> Timeline:
        """Divide a recording into spans of one label, of unknown or of silence.

        Memory grows with the number of hops and labels alone. A decision is made every `hop_seconds`, at most the
        length of a chunk. Spans shorter than `min_seconds` are given to their neighbours. `on_seconds` is called now
        and then with how far it is.

        With `speakers`, how many there are or `auto`, the sound is clustered instead, as `speaker_clustering` does it:
        voices that are no label are told apart as `speaker 1` and so on, and nothing is unknown.

        Raises:
            RecordingError: the recording cannot be decoded or is silent throughout.
            InputError: the classifier was trained on ordinary pictures.
            ClassifierError: speakers are to be found, and the classifier cannot compare clips.
        """
        space = self.comparison_space() if speakers is not None else None
        path, recipe = Path(path), self.recipe_for(path)
        blocks = decoding.read_blocks(
            path, sample_rate_hz=recipe.sample_rate_hz, effects=recipe.sox_effects, channel=recipe.channel
        )
        level_meter = LevelMeter(blocks, sample_rate_hz=recipe.sample_rate_hz)
        scored, places = self._scored_chunks(
            path, level_meter, hop_seconds=min(hop_seconds, recipe.chunk_seconds), space=space, on_seconds=on_seconds
        )
        hops: JudgedHops | SpeakerHops
        if space:
            is_silent = silent_steps(level_meter.levels)
            count = None if speakers == "auto" else speakers
            hops = SpeakerHops.of(scored, places, space, is_silent=is_silent, speakers=count)
        else:
            hops = JudgedHops.of(scored)
        return make_timeline(path, hops, level_meter, min_seconds=min_seconds)

    def _scored_chunks(
        self,
        path: Path,
        level_meter: LevelMeter,
        *,
        hop_seconds: float,
        space: Similarity | FusedSimilarity | None,
        on_seconds: Callable[[float], object] | None,
    ) -> tuple[ScoredChunks, np.ndarray]:
        """Score the chunks of the sound that passes a meter, and project their places, shape (chunks, dimensions).

        Without a space there are no places.
        """
        recipe = self.recipe_for(path)
        chunks = chunks_of(
            level_meter,
            name=path,
            sample_rate_hz=recipe.sample_rate_hz,
            chunk_seconds=recipe.chunk_seconds,
            hop_seconds=hop_seconds,
            padding=recipe.padding,
        )
        first_hops: list[int] = []
        levels: list[float] = []
        scores: list[ChunkScores] = []
        places: list[np.ndarray] = []
        projection = Projection()
        for batch, bottlenecks in self.bottlenecks_by_batch(chunks):
            first_hops += [chunk.index for chunk in batch]
            levels += [chunk_level_dbfs(chunk) for chunk in batch]
            scores.append(self.scores_of_bottlenecks(bottlenecks))
            places.append(projection(space.places(bottlenecks)) if space else np.empty((len(batch), 0), np.float16))
            if on_seconds:
                on_seconds(batch[-1].offset_seconds + batch[-1].seconds)
        together = ChunkScores.joined(scores)
        scored = ScoredChunks(
            self.labels,
            together.logits,
            np.array(first_hops),
            np.array(levels),
            hops=math.ceil(level_meter.seconds / hop_seconds),
            hops_a_chunk=round(recipe.chunk_seconds / hop_seconds),
            hop_seconds=hop_seconds,
            open_set=self.open_set,
            odds=together.odds,
        )
        return scored, np.concatenate(places)

    def comparison_space(self) -> Similarity | FusedSimilarity:
        """Return the space in which clips of any label are compared, or raise ClassifierError where there is none."""
        if self.similarity is None:
            raise ClassifierError(
                "This classifier cannot compare clips: it was trained by an earlier version, or without a background "
                "and on fewer than three labels or one recording a label. Train it again, with --background or more."
            )
        return self.similarity

    def enroll(self, label: str, clips: Iterable[Path | str]) -> int:
        """Add a label by a few clips, without training, or replace one that was added before.

        The folder that the classifier was loaded from, if it was, keeps the label too. Clips are recordings or
        pictures, at least one. Returns how many chunks the label rests on.

        Raises:
            ClassifierError: the classifier cannot compare clips.
            InputError: the label was trained, or its name means something else.
            RecordingError, PictureError: a clip cannot be read.
        """
        self.check_enrollable(label)
        chunks = np.concatenate([self.chunk_bottlenecks(clip)[1] for clip in clips])
        self.enroll_prototypes({label: self.comparison_space().prototype(chunks)})
        return len(chunks)

    def check_enrollable(self, label: str, *, named_by: str = "--label") -> None:
        """Raise ClassifierError if the classifier cannot compare clips, InputError if `label` cannot be added.

        `named_by` is the option or the folder that has the name, for the message.
        """
        self.comparison_space()
        if label in (*self.trained_labels, UNKNOWN, UNKNOWN_LABEL, ""):
            raise InputError(
                f"{named_by}: expected a name of its own, received {printable(label)!r}, which the classifier was "
                "trained on or which means unknown. Choose another."
            )
        if label.startswith(".") or "/" in label or "\0" in label:
            raise InputError(
                f"{named_by}: expected a name that the folder of a label could have, received {printable(label)!r}. "
                "Leave slashes and a dot at its beginning out."
            )

    def enroll_prototypes(self, prototypes: Mapping[str, np.ndarray]) -> None:
        """Add labels as `enroll` does, by their prototypes in the comparison space, which `check_enrollable` admits."""
        if self._folder:
            with changing_enrolled(self._folder, head_digest=self.about["sha256"][HEAD_NAME]) as enrolled:
                enrolled.update(prototypes)
        self.enrolled.update(prototypes)
        self.labels = (*self.trained_labels, *self.enrolled)
        self.__dict__.pop("fingerprint", None)  # it stands for the labels too

    def warm_up(self) -> None:
        """Load the networks, so that the first file need not wait for that."""
        self.logits([[one.blank() for one in self.inputs]])

    def logits(self, inputs: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
        """Map what the members are given of each chunk, as `inputs_of` has it, to float32 logits, (chunks, labels)."""
        return self.logits_of_bottlenecks(self.bottlenecks_of(inputs))

    def scores(self, inputs: Sequence[Sequence[np.ndarray]]) -> ChunkScores:
        """Score what the members are given of each chunk, as `inputs_of` has it."""
        return self.scores_of_bottlenecks(self.bottlenecks_of(inputs))

    def logits_of_bottlenecks(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Map bottlenecks, shape (n, dimension), to float32 logits, shape (n, labels)."""
        return self.scores_of_bottlenecks(bottlenecks).logits

    def scores_of_bottlenecks(self, bottlenecks: np.ndarray) -> ChunkScores:
        """Score bottlenecks, shape (n, dimension), by all that an answer rests on.

        A label that was enrolled competes with all trained ones together, by the odds that the clip is its own; how
        these are to each other stays as it was.
        """
        logits = np.asarray(self.member_logits(bottlenecks).sum(axis=0))
        trained = self.open_set.prototypes if self.open_set else None
        if self.similarity is None or (trained is None and not self.enrolled):
            return ChunkScores(logits, None)
        places = self.similarity.places(bottlenecks)
        odds = None if trained is None else self.similarity.log_odds_of_places(places, trained)
        if self.enrolled:
            of_enrolled = self.similarity.log_odds_of_places(places, np.stack(list(self.enrolled.values())))
            together = np.logaddexp.reduce(logits, axis=1, keepdims=True)
            logits = np.concatenate([logits, together + of_enrolled], axis=1)
        return ChunkScores(logits, odds)

    def member_logits(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Map bottlenecks, shape (n, dimension), to what each member adds: float32, (members, n, trained labels)."""
        ends = np.cumsum([member.dimension for member in self.members])[:-1]
        parts = np.split(bottlenecks, ends, axis=1)
        logits = [member.head.logits(part) for member, part in zip(self.members, parts, strict=True)]
        if len(self.members) == 1:
            return np.stack(logits)
        weights = np.array([member.weight for member in self.members], np.float32)
        return np.stack(logits) * weights[:, None, None]

    def _answer(self, scores: ChunkScores, offsets: np.ndarray, weights: np.ndarray) -> Answer:
        log_probabilities = log_softmax(scores.logits)
        open_set = self.open_set
        return Answer(
            labels=self.labels,
            probabilities=pool(log_probabilities, weights).astype(np.float32),
            chunk_offsets_seconds=offsets.astype(np.float32),
            chunk_probabilities=np.exp(log_probabilities).astype(np.float32),
            score=open_set.score(open_set.evidence(scores.logits, scores.odds), weights) if open_set else None,
            threshold=open_set.threshold(weights.sum()) if open_set else None,
        )


def _described_members(classifier: Classifier) -> dict[str, Any]:
    """Return what `classifier.json` holds of several members, and of the space that they have together."""
    fused = classifier.similarity
    return {
        "members": [_described_member(member) for member in classifier.members],
        "fused_similarity": fused.to_json() if isinstance(fused, FusedSimilarity) else None,
    }


def _unpacked_similarity(about: Mapping[str, Any], members: Sequence[Member]) -> Similarity | FusedSimilarity | None:
    parts = [member.similarity for member in members if member.similarity]
    if len(members) == 1:
        return parts[0] if parts else None
    fused = about.get("fused_similarity")
    return FusedSimilarity.from_json(fused, parts) if fused else None


def _described_member(member: Member) -> dict[str, Any]:
    """Return what `classifier.json` holds of a member of several."""
    return {
        "name": member.name,
        "recipe": member.recipe.to_json() if member.recipe else None,
        "backbone": member.backbone,
        "weight": member.weight,
        "open_set": member.open_set.to_json() if member.open_set else None,
        "similarity": member.similarity.to_json() if member.similarity else None,
    }


def _unpacked_member(
    described: DescribedMember, arrays: Mapping[str, np.ndarray], graph: bytes, *, engine: Engine
) -> Member:
    about, prefix = described.about, described.prefix
    of_member = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    return Member(
        name=described.name,
        recipe=Recipe.from_json(about["recipe"]) if about["recipe"] else None,
        backbone=about["backbone"],
        graph=graph,
        head=unpack_head(of_member),
        weight=about.get("weight", 1.0),
        open_set=OpenSetDetector.from_json(about["open_set"], of_member) if about["open_set"] else None,
        similarity=Similarity.from_json(about["similarity"], of_member) if about.get("similarity") else None,
        engine=engine,
    )


def _of_length_one(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), vector.dtype)

"""Section of a report: what somebody should know who is handed the classifier."""

from collections.abc import Sequence

from audionet.files import printable
from audionet.models.classifier import Classifier
from audionet.reports.elements import Json, LeftOut, ModelCard, Section
from audionet.reports.sections.members import worth_in_words
from audionet.wording import listed

NAME = "Model card"
MOST_NAMED_LABELS = 12
USES = (
    "Sorting and searching recordings like those it was trained on, where a person looks at what matters.",
    "It knows its labels and nothing else. What it scored here says little of other rooms, microphones or languages.",
)
NEVER = (
    "Identifying people who have not agreed to it. A voice is personal data.",
    "Decisions about security or access: a voice can be copied, played back and synthesised.",
    "Decisions about somebody's work, health, credit or freedom, or as evidence of who said something.",
)


def card_section(card: ModelCard | None) -> Section | LeftOut:
    """Show what somebody should know who is handed the classifier."""
    return Section("card", NAME, card=card) if card else LeftOut(NAME, "nothing is known of the classifier")


def card_of_classifier(classifier: Classifier, *, more: Sequence[tuple[str, str]] = ()) -> ModelCard:
    """Return the model card of a classifier; `more` are further facts, each with its name."""
    backbones = [member.backbone for member in classifier.members]
    return card_of(classifier.about, classifier.labels, backbones=backbones, more=more)


def card_of(
    about: Json, labels: Sequence[str], *, backbones: Sequence[Json] = (), more: Sequence[tuple[str, str]] = ()
) -> ModelCard:
    """Return the model card of a classifier that is not loaded.

    Args:
        about: what `classifier.json` holds: `training`, and `backbone`, that of the first member.
        labels: its labels.
        backbones: those of all members, by default that one.
        more: further facts, each with its name.
    """
    training = about.get("training", {})
    backbones = backbones or [about.get("backbone", {})]
    read_at = [backbone.get("bottleneck") for backbone in backbones]
    read_at[0] = training.get("bottleneck") or read_at[0]
    weights = [backbone.get("weights", {}) for backbone in backbones]
    names = [
        " ".join(filter(None, [backbone.get("architecture"), one.get("note")]))
        for backbone, one in zip(backbones, weights, strict=True)
    ]
    licences = [one.get("licence") or ("not stated by their source" if one else "") for one in weights]
    facts = [
        ("Labels", f"{len(labels)}: {listed([printable(label) for label in labels], MOST_NAMED_LABELS)}"),
        ("Trained on", _sizes(training.get("sides", {}))),
        ("Networks" if len(names) > 1 else "Network", "; ".join(names)),
        ("What each is worth", worth_in_words(training.get("members", ()))),
        ("Read at", _each(read_at)),
        ("Weights from", _each([one.get("origin") for one in weights])),
        ("Licence of the weights", _each(licences)),
        *(_top_layer(training) if len(backbones) == 1 else []),
        *more,
    ]
    return ModelCard(tuple((name, str(text)) for name, text in facts if text), USES, NEVER)


def _top_layer(training: Json) -> list[tuple[str, str]]:
    temperature = f"{training['temperature']:.2f}" if "temperature" in training else ""
    return [("Top layer", training.get("trainer", "")), ("Temperature", temperature)]


def _each(texts: Sequence[str | None]) -> str:
    """Return what is said of each network, in their order, or of all alike."""
    said = [text or "" for text in texts]
    return said[0] if len(set(said)) == 1 else "; ".join(said)


def _sizes(splits: Json) -> str:
    sizes = [splits[split] for split in ("training", "validation") if split in splits]
    recordings, chunks = (sum(size[key] for size in sizes) for key in ("recordings", "chunks"))
    return f"{recordings} recordings, {chunks} chunks" if sizes else ""

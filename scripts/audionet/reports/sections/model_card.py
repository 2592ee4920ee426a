"""Section of a report: what somebody should know who is handed the classifier."""

from collections.abc import Sequence

from audionet.files import printable
from audionet.reports.elements import Json, LeftOut, ModelCard, Section
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


def card_of(about: Json, labels: Sequence[str], *, more: Sequence[tuple[str, str]] = ()) -> ModelCard:
    """Return the model card of a classifier by `backbone` and `training` of its `about`; `more` are further facts."""
    backbone, training = about.get("backbone", {}), about.get("training", {})
    weights = backbone.get("weights", {})
    facts = [
        ("Labels", f"{len(labels)}: {listed([printable(label) for label in labels], MOST_NAMED_LABELS)}"),
        ("Trained on", _sizes(training.get("sides", {}))),
        ("Network", " ".join(filter(None, [backbone.get("architecture"), weights.get("note")]))),
        ("Read at", training.get("bottleneck") or backbone.get("bottleneck")),
        ("Weights from", weights.get("origin")),
        ("Licence of the weights", weights.get("licence") or ("not stated by their source" if weights else "")),
        ("Top layer", training.get("trainer")),
        ("Temperature", f"{training['temperature']:.2f}" if "temperature" in training else ""),
        *more,
    ]
    return ModelCard(tuple((name, str(text)) for name, text in facts if text), USES, NEVER)


def _sizes(splits: Json) -> str:
    sizes = [splits[split] for split in ("training", "validation") if split in splits]
    recordings, chunks = (sum(size[key] for size in sizes) for key in ("recordings", "chunks"))
    return f"{recordings} recordings, {chunks} chunks" if sizes else ""

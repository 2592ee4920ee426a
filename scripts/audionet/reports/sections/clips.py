"""Sections of a report: clips that were answered wrong, and example clips with the pictures of them."""

from collections.abc import Sequence

from audionet.files import printable
from audionet.reports import figures
from audionet.reports.elements import ExampleClip, Json, LeftOut, Mistake, Section, percent, picture_uri, sound_uri

MISTAKES_NAME = "The worst mistakes"
EXAMPLES_NAME = "Example clips"
MOST_MISTAKES = 12


def pick_mistakes(recordings: Sequence[Json], *, most: int = MOST_MISTAKES) -> list[Json]:
    """Return the rows of `evaluation["recordings"]` that are worst wrong, the surest first.

    Unknown recordings that were accepted count as wrong. Every pair of label and answer gets one turn before any gets
    its second, so that no label crowds the rest out.
    """
    wrong = [row for row in recordings if row["right"] is False or (not row["known"] and row["accepted"])]
    turns: dict[tuple[str, str], int] = {}
    order = []
    for row in sorted(wrong, key=lambda row: -row["probability"]):
        pair = row["label"], row["answer"]
        turns[pair] = turns.get(pair, -1) + 1
        order.append((turns[pair], row))
    return [row for _, row in sorted(order, key=lambda each: each[0])[:most]]


def mistakes_section(mistakes: Sequence[Mistake], evaluation: Json | None) -> Section | LeftOut:
    """Show clips that were answered wrong, to look at and to listen to."""
    if not mistakes:
        recordings = (evaluation or {}).get("recordings") or []
        all_right = any(row["right"] for row in recordings) and not pick_mistakes(recordings)
        return LeftOut(MISTAKES_NAME, "every recording was named right" if all_right else "there are no clips to show")
    section = Section("mistakes", MISTAKES_NAME)
    section.lines.append(
        "The classifier was surest of these, and wrong. Look and listen: is the label right, is it another voice, is "
        "it noise?"
    )
    section.clips = [_clip(mistake) for mistake in mistakes[:MOST_MISTAKES]]
    return section


def _clip(mistake: Mistake) -> dict[str, str]:
    seconds = int(mistake.offset_seconds)
    return {
        "recording": printable(mistake.recording),
        "label": printable(mistake.label),
        "answer": printable(mistake.answer),
        "probability": percent(mistake.probability),
        "offset": f"{seconds // 60}:{seconds % 60:02d}",
        "picture": "" if mistake.picture is None else picture_uri(mistake.picture),
        "sound": "" if mistake.samples is None else sound_uri(mistake.samples, mistake.sample_rate_hz),
    }


def examples_section(examples: Sequence[ExampleClip]) -> Section | LeftOut:
    """Show some clips as waveforms and as the pictures that the classifier sees."""
    if not examples:
        return LeftOut(EXAMPLES_NAME, "there is no sound to show")
    section = Section("examples", EXAMPLES_NAME)
    section.lines.append("A sound, and the picture of it that the network looks at: time runs to the right.")
    for clip in examples:
        caption = f"{printable(clip.label)}: {printable(clip.recording)}"
        seconds = len(clip.samples) / clip.sample_rate_hz
        alt = f"Waveform and spectrogram of {seconds:.1f} seconds of {caption}."
        section.figures.append((figures.sound(clip.samples, clip.sample_rate_hz, clip.picture, alt=alt), caption))
    return section

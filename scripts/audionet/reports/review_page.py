"""The page of what to listen to next: each pick with its sound and its picture, and the score over rounds."""

from collections.abc import Mapping, Sequence

from audionet.files import printable
from audionet.reports import figures
from audionet.reports.elements import Clip, LeftOut, RecordingRow, Section
from audionet.reports.page import Page, render_page


def review_page(
    rows: Sequence[tuple[str, str, float, str]],
    clips: Mapping[str, Clip],
    rounds: Sequence[tuple[int, float]],
    *,
    title: str,
    summary: str,
) -> str:
    """Return the page as HTML.

    Args:
        rows: recording, suggested label, its probability and reason of each pick, the most useful first.
        clips: by recording, its loudest chunk.
        rounds: how many recordings had a label, and the share of these that is found without themselves.
        title: of the page.
        summary: a sentence or two.
    """
    sections = [_picks(rows, clips), _rounds(rounds)]
    return render_page(Page(kind="Review", title=title, verdict=summary, sections=sections))


def _picks(rows: Sequence[tuple[str, str, float, str]], clips: Mapping[str, Clip]) -> Section | LeftOut:
    if not rows:
        return LeftOut("Picks", "every recording has a verdict")
    section = Section("picks", "Listen to these")
    section.lines.append(
        "The most useful first. Write keep into the column verdict of the list where the suggested label is right, or "
        "relabel with the right one in the column suggested, or leave out; and give the list to --verdicts."
    )
    section.terms.append(("Answer", "the likeliest label, and how likely it is, by the recordings that have one."))
    for number, (recording, suggested, probability, why) in enumerate(rows, 1):
        section.recordings.append(
            RecordingRow(
                key=f"pick-{number}",
                pair=f"pair-{number}",
                recording=printable(recording),
                label="",
                answer=printable(suggested),
                nearest="",
                outcome=printable(why),
                is_mistake=False,
                probability=probability,
                chunks="",
                clip=clips.get(recording),
            )
        )
    return section


def _rounds(rounds: Sequence[tuple[int, float]]) -> Section | LeftOut:
    if len(rounds) < 2:
        return LeftOut("Score over rounds", "there is one round so far")
    section = Section("rounds", "Score over rounds")
    first, last = rounds[0], rounds[-1]
    alt = (
        f"Share of labelled recordings that are told: from {first[1]:.0%} of {first[0]} to {last[1]:.0%} of {last[0]}."
    )
    plot = figures.growth(
        [(size, share, None) for size, share in rounds], forecast=None, xlabel="recordings with a label", alt=alt
    )
    section.figures.append((plot, "Share of the recordings with a label whose label is found without themselves."))
    return section

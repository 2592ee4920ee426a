"""The page about label suspects: each of the likeliest with its sound and its picture."""

from collections import Counter
from collections.abc import Mapping, Sequence

from audionet.files import printable
from audionet.reports.elements import Clip, LeftOut, RecordingRow, Section
from audionet.reports.page import Page, render_page

TERMS = [
    (
        "How sure",
        "how much better the other label fits than its own: above 50 % it fits better, 100 % is the most.",
    ),
    (
        "Answer",
        "the label that fits best among the others, by networks' answers that never saw the recording.",
    ),
]


def suspects_page(
    rows: Sequence[tuple[str, str, str, float, str]],
    clips: Mapping[str, Clip],
    verdicts: Mapping[str, str],
    *,
    title: str,
    count: str,
) -> str:
    """Return the page as HTML.

    Args:
        rows: recording, label, suggested label, score and reason of each suspect, the likeliest mistake first.
        clips: by recording, the chunk that fits its label least.
        verdicts: `keep`, `relabel` or `leave out` by recording that has one.
        title: of the page.
        count: a sentence that says how many are suspect.
    """
    given = ", ".join(f"{number} {verdict}" for verdict, number in sorted(Counter(verdicts.values()).items()))
    page = Page(
        kind="Label suspects",
        title=title,
        verdict=f"{count}{f' Verdicts: {given}.' if given else ''}",
        sections=[_section(rows, clips, verdicts)],
    )
    return render_page(page)


def _section(
    rows: Sequence[tuple[str, str, str, float, str]],
    clips: Mapping[str, Clip],
    verdicts: Mapping[str, str],
) -> Section | LeftOut:
    if not rows:
        return LeftOut("Suspects", "no recording was judged")
    section = Section("suspects", "Look and listen")
    section.lines.append(
        "The likeliest mistake first. Decide what each is, write keep, relabel or leave out into the column verdict of "
        "the list, and give the list to --verdicts. Training then obeys."
    )
    section.terms += TERMS
    for number, (recording, label, suggested, score, why) in enumerate(rows, 1):
        section.recordings.append(
            RecordingRow(
                key=f"suspect-{number}",
                pair=f"pair-{number}",
                recording=printable(recording),
                label=printable(label),
                answer=printable(suggested),
                nearest="",
                outcome=f"{printable(why)}{f'; verdict: {verdicts[recording]}' if recording in verdicts else ''}",
                is_mistake=recording not in verdicts,
                probability=score,
                chunks="",
                clip=clips.get(recording),
            )
        )
    return section

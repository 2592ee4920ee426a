"""Timelines as other programs read them: label tracks, selection tables, RTTM and subtitles.

Times are seconds of the recording as it is played. Silence is what lies between the lines. Unknown is called `unknown`.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from audionet.features.recipes import Recipe
from audionet.files import printable, write_text
from audionet.models.timelines.timeline import Timeline

RAVEN_COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Label",
    "Probability",
    "Score",
)


def audacity_labels(timeline: Timeline, _: Recipe) -> str:
    """Return an Audacity label track: start, end and label with tabs between.

    Source: the Audacity manual, "Importing and Exporting Labels".
    """
    return "".join(
        f"{span.start_seconds:.6f}\t{span.end_seconds:.6f}\t{printable(span.label)}\n"
        for span in timeline.non_silent_spans
    )


def raven_table(timeline: Timeline, recipe: Recipe) -> str:
    """Return a selection table of Raven: a heading and a line for each span, with tabs between.

    Source: the Raven Pro user's manual, "Selection tables".
    """
    lines = ["\t".join(RAVEN_COLUMNS)]
    for number, span in enumerate(timeline.non_silent_spans, start=1):
        cells = [number, "Spectrogram 1", 1, f"{span.start_seconds:.3f}", f"{span.end_seconds:.3f}"]
        cells += [f"{recipe.low_hz:.1f}", f"{recipe.high_hz:.1f}", printable(span.label), _number(span.probability)]
        lines.append("\t".join(map(str, [*cells, _number(span.score)])))
    return "\n".join(lines) + "\n"


def rttm(timeline: Timeline, _: Recipe | None = None) -> str:
    """Return who spoke when as RTTM, ten fields a line; white space in names becomes an underscore.

    Source: NIST, "The 2009 Rich Transcription Evaluation Plan", appendix A.
    """
    file = _token(timeline.path.stem)
    return "".join(
        f"SPEAKER {file} 1 {span.start_seconds:.3f} {span.seconds:.3f} <NA> <NA> {_token(span.label)} "
        f"{_number(span.probability)} <NA>\n"
        for span in timeline.non_silent_spans
    )


def srt(timeline: Timeline, _: Recipe) -> str:
    """Return subtitles in SubRip's format: number, times, label."""
    cues = enumerate(timeline.non_silent_spans, start=1)
    return "\n".join(
        f"{number}\n{_clock(span.start_seconds)} --> {_clock(span.end_seconds)}\n{printable(span.label)}\n"
        for number, span in cues
    )


WRITERS: dict[str, tuple[str, Callable[[Timeline, Recipe], str]]] = {
    "audacity": (".txt", audacity_labels),
    "raven": (".selections.txt", raven_table),
    "rttm": (".rttm", rttm),
    "srt": (".srt", srt),
}
"""Suffix and writer by format."""


def write_labels(timeline: Timeline, stem: Path, formats: Iterable[str], *, recipe: Recipe) -> list[Path]:
    """Write a timeline in each of some formats, whole or not at all, and return the files.

    Args:
        timeline: of a recording.
        stem: the files' path without a suffix.
        formats: names in `WRITERS`.
        recipe: of the classifier.
    """
    written = []
    for suffix, write in (WRITERS[name] for name in formats):
        path = stem.with_name(stem.name + suffix)
        write_text(path, write(timeline, recipe))
        written.append(path)
    return written


def _token(name: str) -> str:
    return "_".join(printable(name).split()) or "_"


def _number(value: float | None) -> str:
    return "<NA>" if value is None else f"{value:.3f}"


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d},{rest % 1000:03d}"

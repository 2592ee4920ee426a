"""Records of runs: what was asked, with what, on what, how long it took and what came of it.

    runs_dir/
        20261121-093012-5f0c2ab1.json           one run each, never changed once written
        20261121-093012-5f0c2ab1/report.html    its report, where it has one

A record is one JSON object:

    id             the file's name without its suffix
    format         1
    started        when, in coordinated universal time
    script         which
    arguments      every option with its value, whether it was given or not
    seed           of everything random
    versions       of this package, of Python, of this machine's system, and of the libraries that compute the numbers
    commit         of the checkout that the package lies in, with `-dirty` behind it where files differ; else null
    environment    the variables that decide how numbers are computed, where they are set
    data           fingerprint, labels, recordings, chunks
    classifier     architecture, bottleneck, head; of trainings `weights`, the SHA-256 of each network's, and `files`,
                   the SHA-256 of each file in the classifier's folder
    seconds        of each stage, and `total`
    scores         as evaluation gives them: chunk.accuracy, recording.accuracy and so on
"""

import os
import platform
import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, InstanceOf, TypeAdapter

from audionet import __version__
from audionet.errors import InputError
from audionet.files import MARK_NAME, brief, digest_of, mark_folder, printable, read_mark, write_json, write_text
from audionet.json_files import parse_json, validated
from audionet.regular_files import read_regular

FORMAT = 1
GIT_SECONDS = 10
OF_NUMBERS = (
    "AUDIONET_NETWORK_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "KERAS_",
    "MKL_",
    "OMP_",
    "ONEDNN_",
    "OPENBLAS_",
    "TF_",
    "XLA_",
)
"""Beginnings of the names of environment variables that decide how numbers are computed."""
REPORT_NAME = "report.html"
LIBRARIES = (
    *("numpy", "scipy", "scikit-learn", "pillow", "soundfile", "soxr"),
    *("openvino", "tensorflow", "keras", "tensorflow-hub"),
)


def _moment(text: str) -> str:
    """Return a text that is a moment which can be told in local time, or raise ValueError."""
    try:
        datetime.fromisoformat(text).astimezone()
    except OverflowError as error:
        raise ValueError("beyond what a calendar has") from error
    return text


class _Level(BaseModel, strict=True):
    accuracy: float | None = None  # without a threshold for unknown ones
    named_right: float | None = None
    refused: float | None = None


class _Scores(BaseModel, strict=True):
    chunk: _Level | None = None
    recording: _Level | None = None


class _Seconds(BaseModel, strict=True):
    total: float | None = None


class _Record(BaseModel, strict=True):
    """What lists and comparisons rely on; the rest may be anything."""

    format: Literal[1]
    started: Annotated[InstanceOf[str], AfterValidator(_moment)]
    id: InstanceOf[str] = ""
    arguments: dict[Any, Any] | None = None
    data: dict[Any, Any] | None = None
    classifier: dict[Any, Any] | None = None
    seconds: _Seconds | None = None
    scores: _Scores | None = None


_RECORD = TypeAdapter(_Record)


@dataclass
class Stopwatch:
    """Measures the stages of a run.

    watch = Stopwatch()
    with watch.stage("bottlenecks"):
        ...
    watch.seconds  # {"bottlenecks": 12.3, "total": 12.4}
    """

    started: float = field(default_factory=time.time)
    _begun: float = field(default_factory=time.monotonic)
    _stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block; a stage that is entered again goes on where it was."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self._stages[name] = self._stages.get(name, 0.0) + time.monotonic() - begun

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage so far, and their `total`, which includes what lies between stages."""
        return {name: round(seconds, 3) for name, seconds in self._stages.items()} | {
            "total": round(time.monotonic() - self._begun, 3)
        }


def write_run(
    runs_dir: Path,
    *,
    script: str,
    options: object,
    watch: Stopwatch,
    seed: int | None,
    data: Mapping[str, object],
    classifier: Mapping[str, object],
    scores: Mapping[str, object],
    report: str | None = None,
) -> Path:
    """Add a record, whole or not at all, and return its path; earlier ones are never touched.

    The module's docstring says what its parts hold; `watch` was started when the run began. The report is HTML.
    """
    record = {
        "format": FORMAT,
        "started": datetime.fromtimestamp(watch.started, timezone.utc).isoformat(timespec="seconds"),
        "script": script,
        "arguments": _plain(asdict(options) if is_dataclass(options) and not isinstance(options, type) else options),
        "seed": seed,
        "versions": versions(),
        "commit": commit_of(Path(__file__).resolve().parents[3]),
        "environment": environment(),
        "data": _plain(data),
        "classifier": _plain(classifier),
        "seconds": watch.seconds,
        "scores": _plain(scores),
    }
    moment = datetime.fromtimestamp(watch.started).strftime("%Y%m%d-%H%M%S")
    name = f"{moment}-{digest_of(record)[:8]}"
    path = runs_dir / f"{name}.json"
    if read_mark(runs_dir) is None:
        mark_folder(runs_dir, "runs")
    if report is not None:
        write_text(runs_dir / name / REPORT_NAME, report)
    write_json(path, {"id": name, **record})
    return path


def write_evaluation(
    runs_dir: Path,
    *,
    script: str,
    options: object,
    watch: Stopwatch,
    evaluation: Mapping[str, Any],
    seed: int | None = None,
    report: str | None = None,
) -> Path:
    """Add the record of a run that tested a classifier, as `write_run` does, by what `evaluate_folder` returned."""
    sizes = ("fingerprint", "recordings", "chunks", "unknown_recordings", "unknown_chunks")
    data = {name: evaluation["data"].get(name) for name in sizes}
    return write_run(
        runs_dir,
        script=script,
        options=options,
        watch=watch,
        seed=seed,
        data={"labels": len(evaluation["labels"]), **data},
        classifier=evaluation.get("model", {}),
        scores=scores_of(evaluation),
        report=report,
    )


def trained_on(model: Path, runs_dirs: Iterable[Path], *, option: str) -> Path:
    """Return the folder that a classifier was trained on last, by records of runs; `option` names one instead.

    It is that of the recordings, where the pictures were made of some that are still there.

    Raises:
        InputError: no record tells, or the folder is gone.
    """
    records = [record for runs_dir in runs_dirs for record in read_runs(runs_dir)[0]]
    for record in sorted(records, key=lambda record: str(record["started"]), reverse=True):
        arguments = record.get("arguments") or {}
        output, image_dir = (str(arguments.get(name) or "") for name in ("output_model", "image_dir"))
        if output and image_dir and Path(output).resolve() == model.resolve() and Path(image_dir).is_dir():
            audio_dir = (read_mark(Path(image_dir)) or {}).get("audio_dir")
            return Path(audio_dir) if isinstance(audio_dir, str) and Path(audio_dir).is_dir() else Path(image_dir)
    raise InputError(f"No record of a run tells what {printable(model)} was trained on. Name a folder by {option}.")


def report_of(runs_dir: Path, record: Mapping[str, Any]) -> Path | None:
    """Return the report that a run keeps, or None if it has none."""
    name: str = record.get("id", "")
    path = runs_dir / name / REPORT_NAME
    return path if re.fullmatch(r"[\w-]+", name) and path.is_file() else None


def scores_of(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a record keeps of an evaluation: the numbers, and each recording's answer, for comparisons."""
    brief = {
        part: {name: value for name, value in evaluation[part].items() if not isinstance(value, dict | list)}
        for part in ("calibration", "open_set", "verification")
    }
    whole = {part: evaluation[part] for part in ("chunk", "recording", "recordings")}
    return whole | brief


def read_runs(runs_dir: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the records in a folder, the oldest first, and the reason by name of each file that is none."""
    records, failures = [], {}
    for path in sorted(runs_dir.glob("*.json")) if runs_dir.is_dir() else ():
        if path.name == MARK_NAME:
            continue
        try:
            records.append(_read_record(path))
        except ValueError as error:
            failures[path.name] = str(error)
    return sorted(records, key=lambda record: (record["started"], record.get("id", ""))), failures


def read_run(path: Path) -> dict[str, Any]:
    """Return the record in a file; raise InputError where it holds none."""
    try:
        return _read_record(path)
    except ValueError as error:
        raise InputError(f"{printable(path)}: {error}. Name a file that audionet runs lists.") from error


def _read_record(path: Path) -> dict[str, Any]:
    """Return the record in a file; raise ValueError, with the reason, where it holds none."""
    try:
        record: dict[str, Any] = parse_json(read_regular(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"it cannot be read ({brief(error)})") from error
    try:
        validated(_RECORD, record)
    except ValueError as error:
        raise ValueError(f"expected the record of a run, of format {FORMAT} ({error})") from error
    return record


def find_run(runs_dir: Path, name: str) -> dict[str, Any] | None:
    """Return the record whose id is or begins with `name`, or None if there is none.

    Raises:
        InputError: several ids begin so.
    """
    found = [record for record in read_runs(runs_dir)[0] if name and name in _beginnings(record, name)]
    if len(found) > 1:
        names = ", ".join(brief(record["id"]) for record in found[:5])
        raise InputError(
            f"{name}: expected one run, but {len(found)} begin so: {names}. Type more of the one you mean."
        )
    return found[0] if found else None


def _beginnings(record: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Both parts of an id may be typed: the moment, and what follows it."""
    whole: str = record.get("id", "")
    return tuple(part[: len(name)] for part in (whole, whole.rpartition("-")[2]))


def data_digest(contents: Iterable[tuple[str, str, str]]) -> str:
    """Return 16 hexadecimal digits for the label, recording and content hash of each picture, in whatever order."""
    return digest_of(sorted(map(list, contents)))


def versions() -> dict[str, str]:
    """Return the version of this package, Python, the system and every library that the numbers rest on."""
    found = {
        "audionet": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu_count": str(os.cpu_count()),
    }
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def environment() -> dict[str, str]:
    """Return the environment variables that decide how numbers are computed, where they are set."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(OF_NUMBERS)}


def commit_of(checkout: Path) -> str | None:
    """Return the commit that a checkout stands at, with `-dirty` behind it where files differ; None if none tells."""
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


COLUMNS = ("kind", "name", "right", "refused", "when", "run")
"""Of the table of runs: of the recordings the shares named right, and refused as unknown, where the record tells."""
WIDE_COLUMNS = (
    *(*COLUMNS, "no threshold", "chunks", "architecture", "bottleneck", "head"),
    *("labels", "recordings in all", "seconds"),
)
"""With all there is to say; the shares of recordings and chunks that are right without a threshold are among it."""
KINDS = {"retrain.py": "train", "evaluate.py": "evaluate"}
LONGEST_NAME = 15  # so that a table of `COLUMNS` fits a terminal of 80


def rows_of(records: Iterable[Mapping[str, Any]], *, wide: bool = False) -> list[tuple[str, ...]]:
    """Return a table of records: one tuple of texts each, as long as `COLUMNS`, or if `wide` as `WIDE_COLUMNS`.

    What is not known is a dash.
    """
    return [(*_row(record, wide), *(_details(record) if wide else ())) for record in records]


def _row(record: Mapping[str, Any], wide: bool) -> tuple[str, ...]:
    arguments, scores = (record.get(part) or {} for part in ("arguments", "scores"))
    script = str(record.get("script") or "")
    place = next((arguments[key] for key in ("output_model", "model", "image_dir") if arguments.get(key)), "")
    name = printable(Path(str(place)).name or "-")
    recording = scores.get("recording") or {}
    return (
        KINDS.get(script) or printable(script.removesuffix(".py")) or "-",
        name if wide or len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…",
        _percent(recording.get("named_right", recording.get("accuracy"))),
        _percent(recording.get("refused")),
        datetime.fromisoformat(record["started"]).astimezone().strftime("%Y-%m-%d %H:%M"),
        printable(record.get("id", "").rpartition("-")[2] or "-"),
    )


def _details(record: Mapping[str, Any]) -> tuple[str, ...]:
    data, classifier, scores = (record.get(part) or {} for part in ("data", "classifier", "scores"))
    return (
        *(_percent((scores.get(level) or {}).get("accuracy")) for level in ("recording", "chunk")),
        *(printable(classifier.get(name) or "-") for name in ("architecture", "bottleneck", "head")),
        *(printable(data.get(name, "-")) for name in ("labels", "recordings")),
        _whole((record.get("seconds") or {}).get("total")),
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _whole(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.0f}"


def _plain(value: object) -> object:
    """Turn options and scores into what JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "item"):  # a number of NumPy's
        return value.item()
    return str(value)

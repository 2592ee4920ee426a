"""Say what this machine has of what is needed, and what to type where something is missing.

    audionet doctor
    audionet doctor --json

It ends with status 1 where something is missing without which nothing works.
"""

import json
import platform
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from importlib import metadata

from audionet import __version__
from audionet.cli import EXIT_FAILED, TF_FILES, run_command
from audionet.files import printable

ROOM_BYTES = 2_000_000_000  # for pictures, bottlenecks and weights of a small project
EXTRAS = {"app": "fastapi", "export": "onnx", "parquet": "pyarrow", "microphone": "sounddevice", "search": "optuna"}
"""The package that tells whether an extra is installed."""


@dataclass(frozen=True)
class DoctorOptions:
    """The command line of audionet doctor."""

    json: bool = False
    """Print one JSON object a line instead of a table."""


@dataclass(frozen=True)
class Finding:
    """What there is of one thing."""

    name: str
    found: str  # a version or a few words; empty where it is missing
    advice: str = ""  # what to type or to know
    is_needed: bool = False  # whether nothing works without it


def doctor(options: DoctorOptions) -> int:
    """Look, print, and return 1 if something is missing without which nothing works."""
    from audionet.tables import print_table

    findings = [*_programs(), *_libraries(), *_weights(), _disk(), *_extras()]
    if options.json:
        for finding in findings:
            print(json.dumps(asdict(finding)))
    else:
        rows = [(one.name, printable(one.found) or "missing", one.advice) for one in findings]
        print_table(("what", "found", "to know, or to type"), rows)
    lacking = [one.name for one in findings if one.is_needed and not one.found]
    if not options.json:
        print(f"Missing, and needed: {', '.join(lacking)}." if lacking else "All that is needed is there.")
    return EXIT_FAILED if lacking else 0


def _programs() -> list[Finding]:
    sox_help = _output("sox", "--help")
    formats = re.search(r"^AUDIO FILE FORMATS:(.*)$", sox_help, re.MULTILINE)
    has_mp3 = formats is not None and "mp3" in formats[1].split()
    sox = _version(r"SoX v?([\w.]+)", _output("sox", "--version"))
    ffmpeg = _version(r"ffmpeg version (\S+)", _output("ffmpeg", "-version"))
    return [
        Finding("AudioNet", __version__),
        Finding("Python", platform.python_version()),
        Finding(
            "SoX",
            f"{sox}{', with mp3' if has_mp3 else ', without mp3' if formats else ''}" if sox else "",
            "" if sox and has_mp3 else "libsndfile decodes instead; sudo apt-get install sox libsox-fmt-mp3",
        ),
        Finding("FFmpeg", ffmpeg, "" if ffmpeg else "for films, m4a and aac: sudo apt-get install ffmpeg"),
    ]


def _libraries() -> list[Finding]:
    from audionet.models.backbones.engines import has_gpu_device  # NumPy, which --help should not wait for

    soundfile, openvino, tensorflow = (_installed(name) for name in ("soundfile", "openvino", "tensorflow"))
    both = (("OpenVINO", openvino), ("TensorFlow", tensorflow))
    engines = " and ".join(f"{name} {version}" for name, version in both if version)
    return [
        Finding("libsndfile", soundfile, "" if soundfile else "pip install soundfile", is_needed=True),
        Finding(
            "networks run by", engines, "" if openvino else "faster on a CPU: pip install openvino", is_needed=True
        ),
        Finding("GPU", "yes" if has_gpu_device() else "none", "" if has_gpu_device() else "not needed; a CPU serves"),
    ]


def _weights() -> list[Finding]:
    from audionet.models.backbones.architectures import find_architecture
    from audionet.models.backbones.member_names import parse_members
    from audionet.models.backbones.settings import BackboneSettings
    from audionet.models.backbones.weights import kept_weights

    findings = []
    for name in parse_members(BackboneSettings()):
        kept = kept_weights(find_architecture(name.architecture).sources)
        advice = "" if kept else "fetched when first trained with, which needs the network; or train --weights FILE"
        findings.append(Finding(f"weights of {name.architecture}", kept.origin if kept else "", advice))
    return findings


def _disk() -> Finding:
    folder = next(one for one in (TF_FILES, *TF_FILES.absolute().parents) if one.exists())
    free = shutil.disk_usage(folder).free
    advice = "" if free >= ROOM_BYTES else f"little; a small project takes {ROOM_BYTES / 1e9:g} GB"
    return Finding("room on the disk", f"{free / 1e9:.1f} GB at {folder}", advice)


def _extras() -> list[Finding]:
    return [
        Finding(f"extra {extra}", "installed" if _installed(package) else "", _advice_on(extra, package))
        for extra, package in EXTRAS.items()
    ]


def _advice_on(extra: str, package: str) -> str:
    return "" if _installed(package) else f"if wanted: pip install './scripts[{extra}]'"


def _output(program: str, *arguments: str) -> str:
    """Return what a program prints, or nothing where it is not there or does not answer."""
    if shutil.which(program) is None:
        return ""
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, errors="replace", timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def _version(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""


def _installed(package: str) -> str:
    """Return the version of an installed package, or nothing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(doctor, DoctorOptions, __doc__, argv)

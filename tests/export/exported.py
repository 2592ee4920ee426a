"""What the tests of exports have in common."""

from pathlib import Path

import pytest

from audionet.export.formats import FORMATS


def place(folder: Path, name: str) -> Path:
    """Return where the fixture `export` writes a format."""
    return folder / f"voices{FORMATS[name].suffix}"


def skip_without(name: str) -> None:
    """Skip a test of a format whose packages are not installed."""
    for package in FORMATS[name].packages:
        pytest.importorskip(package, reason=f"the format {name} needs {package}", exc_type=ImportError)

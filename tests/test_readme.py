import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parent.parent
README = (HOUSE / "README.md").read_text("utf-8")
SHIPPED = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of what git would clone, with the environment that these tests run in, and recordings of a user."""
    if not (Path(sys.prefix) / "installed").exists():
        pytest.skip("the tests do not run in the environment that make test sets up")
    folder = tmp_path_factory.mktemp("clone")
    for name in ("scripts", "requirements.txt", "Makefile", "README.md"):
        source = HOUSE / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, folder / name, **({"ignore": SHIPPED} if source.is_dir() else {}))
    for name in ("sample_audio", "docs"):
        shutil.copytree(HOUSE / "tf_files" / name, folder / "tf_files" / name)
    shutil.copytree(HOUSE / "tf_files" / "sample_audio", folder / "tf_files" / "data_audio")
    (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    return folder


def run(command: list[str], folder: Path) -> None:
    path = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ["PATH"]])
    outcome = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, f"{command}\n{outcome.stdout}\n{outcome.stderr}"


@pytest.mark.slow
def test_every_command_does_what_it_says(clone):
    for block in blocks("sh"):
        run(["bash", "-euc", block], clone)
    for name in ("demo/report.html", "retrained_model/classifier.json", "report.html", "evaluation.json"):
        assert (clone / "tf_files" / name).stat().st_size > 1000
    for block in blocks("python"):
        run([sys.executable, "-c", block], clone)


def test_every_picture_of_the_readme_ships():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures and all((HOUSE / picture).is_file() for picture in pictures)


def test_every_option_of_the_readme_exists():
    scripts = "".join(path.read_text("utf-8") for path in HOUSE.glob("scripts/**/*.py"))
    ours = re.sub(r"^curl .*", "", README, flags=re.MULTILINE)
    for option in set(re.findall(r"--([a-z_]{3,})", ours)):
        assert re.search(rf"^    {option}: ", scripts, flags=re.MULTILINE) or option == "help", option

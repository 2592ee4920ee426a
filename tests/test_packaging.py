"""The package as it is installed: what pyproject.toml asks for, and a wheel in an environment without the checkout."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from conftest import CHECKOUT, SCRIPTS, voice, write_sound, write_speakers

import audionet

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((SCRIPTS / "pyproject.toml").read_text())["project"]
UNREACHABLE = re.compile(r"No matching distribution|Could not find a version|Connection|Temporary failure|timed out")


def requirements_of(path: Path) -> list[str]:
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    return sorted(line for line in lines if line and not line.startswith("-"))


def test_requirements_are_those_of_the_package_and_its_page():
    assert requirements_of(CHECKOUT / "requirements.txt") == sorted(
        PROJECT["dependencies"] + PROJECT["optional-dependencies"]["app"]
    )


def test_what_was_promised_is_required():
    required = {re.split(r"[<>=]", line)[0] for line in PROJECT["dependencies"]}
    assert required >= {"tensorflow", "tensorflow-hub", "efficientnet", "sox", "numpy"}


def test_every_extra_is_in_all():
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras.pop("all")
    assert set(re.findall(r"\w+", everything.partition("[")[2])) == set(extras)


def run(command: list[object], *, cwd: Path, **environment: str) -> str:
    """Run a program outside of the checkout, which must not be found by PYTHONPATH either."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=inherited | environment, capture_output=True, text=True, timeout=600
    )
    if done.returncode and UNREACHABLE.search(done.stdout + done.stderr):
        pytest.skip("the package registry, which has what builds a wheel, cannot be reached from here")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    pytest.importorskip("build", reason="build is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    shutil.copytree(SCRIPTS, folder / "scripts", ignore=ignored)
    run([sys.executable, "-m", "build", "--wheel", "--outdir", folder, folder / "scripts"], cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """The folder of programs of an environment with the wheel, and with the libraries of this one."""
    folder = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", "--without-pip", folder], cwd=folder)
    python = folder / "bin" / "python"
    run([sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--quiet", wheel], cwd=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


@pytest.mark.slow
def test_a_wheel_holds_the_package_and_nothing_else(wheel):
    assert wheel.name == f"audionet-{audionet.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tracked = {
        str(path.relative_to(SCRIPTS))
        for path in (SCRIPTS / "audionet").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {name for name in names if ".dist-info/" not in name} == tracked
    assert {"audionet/py.typed", "audionet/reports/templates/report.html.j2", "audionet/app/static/page.css"} <= names


@pytest.mark.slow
def test_a_wheel_works_outside_of_the_checkout(environment, tmp_path):
    audio_dir = write_speakers(tmp_path / "audio", recordings=3, seconds=2.0)
    command = environment / "audionet"
    where = run([environment / "python", "-c", "import audionet; print(audionet.__file__)"], cwd=tmp_path)
    assert where.startswith(str(environment.parent))
    assert "train" in run([command, "--help"], cwd=tmp_path)
    assert "3 recordings" in run([command, "data", "--audio_dir", audio_dir], cwd=tmp_path)
    path = os.pathsep.join([str(environment), os.environ["PATH"]])
    closing = run([command, "train", "--head", "lda", "--views", "0"], cwd=tmp_path, PATH=path)
    assert "Label a clip: audionet label --model tf_files/retrained_model" in closing
    clip = write_sound(tmp_path / "new.wav", voice("alice", seed=5))
    assert "alice" in run([command, "label", clip], cwd=tmp_path)
    assert "retrained_model" in {path.name for path in (tmp_path / "tf_files").iterdir()}

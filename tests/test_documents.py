"""What the README and the pages say: commands and examples run, and what they name exists."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pytest
from conftest import CHECKOUT

README = CHECKOUT / "README.md"
PAGES = sorted((CHECKOUT / "tf_files" / "docs").glob("*.md"))
CONTRIBUTING = CHECKOUT / ".github" / "CONTRIBUTING.md"
DOCUMENTS = [README, *PAGES, CONTRIBUTING]
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "*.egg-info", "build", "dist")

OTHERS_COMMANDS = r"(RAY_\w+=0 )?(curl|pip|ray|srun|kubectl|#SBATCH) "

by_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def examples(document: Path) -> list[tuple[str, str]]:
    """Return the language, sh or python, and the text of each example; neighbours of one language are one example."""
    found = re.findall(r"^```(sh|python)\n(.*?)^```", document.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [(language, "".join(map(itemgetter(1), some))) for language, some in groupby(found, itemgetter(0))]


def snippets(document: Path) -> Iterator[str]:
    """Yield each line of code of a document, and what stands in backticks in its sentences and tables."""
    text = document.read_text("utf-8")
    for block in re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        yield from block.splitlines()
    sentences = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"^    (.*)", sentences, flags=re.MULTILINE)
    sentences = re.sub(r"^    .*", "", sentences, flags=re.MULTILINE)
    yield from (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", sentences))


def anchors(document: Path) -> set[str]:
    """Return what links to the headings of a document end in."""
    headings = re.findall(r"^#+ (.*)", document.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of what git would clone, with the environment that these tests run in, and recordings of a user."""
    if not (Path(sys.prefix) / "installed").exists():
        pytest.skip("the tests do not run in the environment that make test sets up")
    folder = tmp_path_factory.mktemp("clone")
    for name in ("scripts", "tf_files/sample_audio", "tf_files/docs"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=NOT_COPIED)
    for name in ("requirements.txt", "Makefile", "README.md"):
        shutil.copy2(CHECKOUT / name, folder / name)
    shutil.copytree(folder / "tf_files" / "sample_audio", folder / "tf_files" / "data_audio")
    (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    for name in ("requirements.txt", "scripts/pyproject.toml"):  # older than the environment: nothing to install
        os.utime(folder / name, (0, 0))
    return folder


def run(command: list[str], folder: Path) -> str:
    """Run a command as a user would who has activated the environment of a clone."""
    path = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder / "scripts")}  # not the checkout's package
    outcome = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, f"{command}\n{outcome.stdout}\n{outcome.stderr}"
    return outcome.stdout


@pytest.mark.slow
def test_every_example_runs(clone):
    interpreters = {"sh": ["bash", "-euxo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
    for document in (README, *PAGES):
        for language, example in examples(document):
            run([*interpreters[language], example], clone)
    for name in ("demo/report.html", "retrained_model/classifier.json", "report.html", "evaluation.json"):
        assert (clone / "tf_files" / name).stat().st_size > 1000


def test_the_readme_is_short():
    assert len(README.read_text("utf-8").splitlines()) <= 200


def test_the_readme_leads_to_every_page():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text("utf-8"))
    assert {str(page.relative_to(CHECKOUT)) for page in (*PAGES, CONTRIBUTING)} <= set(links)


@by_document
def test_a_page_begins_with_what_it_is_for(document):
    title, blank, sentence = document.read_text("utf-8").splitlines()[:3]
    assert title.startswith("# ") and not blank
    assert document == README or sentence.startswith("This page ")


@by_document
def test_every_link_and_picture_of_a_document_is_there(document):
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", document.read_text("utf-8")):
        if not target.startswith("https://"):
            there = document.parent / target if target else document
            assert there.is_file(), target
            assert not anchor or anchor in anchors(there), anchor


@by_document
def test_every_option_of_a_document_exists(document):
    declared = [*CHECKOUT.glob("scripts/**/*.py"), CHECKOUT / "tests" / "torture" / "options.py"]
    sources = "".join(path.read_text("utf-8") for path in declared)
    for snippet in snippets(document):
        ours = "" if re.match(OTHERS_COMMANDS, snippet) else snippet
        for option in re.findall(r"--(?:no[-_])?([a-z][a-z_-]{2,})", ours):
            name = option.replace("-", "_")
            is_ours = re.search(rf"^    {name}: |\"--{name}\"", sources, flags=re.MULTILINE)
            assert is_ours or name == "help", option


@by_document
def test_every_command_of_a_document_has_the_options_that_are_given(document, capsys):
    for snippet in snippets(document):
        if command := re.match(r"audionet ([a-z]+)", snippet):
            main, arguments = importlib.import_module(f"audionet.commands.{command[1]}").main, []
        elif benchmark := re.match(r"make bench(?:-([a-z-]+))?", snippet):
            main, arguments = importlib.import_module("bench").main, [benchmark[1] or "speed"]
        else:
            continue
        with pytest.raises(SystemExit):
            main([*arguments, "--help"])
        known = re.findall(r"--[\w-]+", capsys.readouterr().out)
        assert set(re.findall(r"(?<=[ \"=])--[\w-]+", snippet)) <= {"--help", *known}, snippet


@by_document
def test_every_target_of_make_in_a_document_exists(document):
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    for snippet in snippets(document):
        if given := re.match(r"make((?: [a-z-]+(?![\w=]))+)", snippet):
            assert set(given[1].split()) <= targets, snippet


def test_every_request_of_the_page_about_http_exists():
    from audionet.app.routes import classifier, models, pages, teach

    routes = [route for module in (classifier, models, pages, teach) for route in module.router.routes]
    known = {f"{method} {route.path}" for route in routes for method in route.methods}
    text = (CHECKOUT / "tf_files" / "docs" / "page.md").read_text("utf-8")
    assert set(re.findall(r"`((?:GET|POST|DELETE) /[^`]*)`", text)) <= {"GET /openapi.json", *known}


@by_document
def test_every_file_of_a_document_exists(document):
    """Paths from the checkout or from the package; what else is in tf_files is made by the examples."""
    for snippet in snippets(document):
        for path in re.findall(r"(?<![\w./~-])(?:scripts|tests|audionet|benchmarks|\.github|\.ci)/[\w./-]+", snippet):
            assert (CHECKOUT / path).exists() or (CHECKOUT / "scripts" / path).exists(), path
        if re.fullmatch(r"\w+\.(py|md|toml)", snippet):
            assert list(CHECKOUT.glob(f"*/**/{snippet}")) or (CHECKOUT / snippet).exists(), snippet

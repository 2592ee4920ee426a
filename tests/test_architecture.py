"""Rules of the code that a reader relies on; the direction of imports is checked by `make check`."""

import ast
import contextlib
import dataclasses
import importlib
import typing
from pathlib import Path

import pytest
from command_options import options_class
from conftest import CHECKOUT, SCRIPTS, run_python

from audionet.__main__ import COMMANDS
from audionet.cli import SCRIPT_NAMES, Positional, parse_options
from audionet.errors import InputError

PACKAGE = SCRIPTS / "audionet"
MODULES = sorted(PACKAGE.rglob("[!_]*.py"))
SCRIPT_OF_COMMAND = {command: SCRIPT_NAMES.get(command, command) for command in COMMANDS}
MOST_FILES = 16  # in a folder, so that it can be read at a glance
HEAVY = "{'tensorflow', 'keras', 'numpy', 'soundfile', 'openvino', 'PIL', 'scipy', 'matplotlib', 'fastapi'}"


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file imports by name, wherever it does so."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


def fields_of(options: type) -> dict[str, object]:
    """Return the annotation of each of a command's options by name, those of groups of options included."""
    hints = typing.get_type_hints(options, include_extras=True)
    found = {}
    for field in dataclasses.fields(options):
        is_group = dataclasses.is_dataclass(field.default_factory)
        found |= fields_of(field.default_factory) if is_group else {field.name: hints[field.name]}
    return found


def every_option() -> list[tuple[str, str]]:
    return [
        (command, name)
        for command in COMMANDS
        for name, hint in fields_of(options_class(command)).items()
        if Positional not in getattr(hint, "__metadata__", ())  # which has no flag
    ]


def is_recognised(options: type, flag: str, capsys) -> bool:
    with contextlib.suppress(SystemExit, InputError):
        parse_options(options, "", [flag])
    return "Unrecognized" not in capsys.readouterr().err


def test_there_is_a_module_and_a_script_for_each_command():
    assert sorted(COMMANDS) == sorted(path.stem for path in (PACKAGE / "commands").glob("[!_]*.py"))
    scripts = {path.stem for path in SCRIPTS.glob("*.py") if not path.stem.startswith("bench")}
    assert scripts == set(SCRIPT_OF_COMMAND.values())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_script_only_calls_its_command(command):
    script = SCRIPTS / f"{SCRIPT_OF_COMMAND[command]}.py"
    lines = [line for line in script.read_text().splitlines() if line.strip()]
    assert len(lines) < (45 if command == "label" else 7)  # label_image.py knows options that became commands
    assert {name for name in imports_of(script) if name.startswith("audionet")} <= {
        "audionet.commands",
        f"audionet.commands.{command}",
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_module_imports_a_script(path):
    assert not imports_of(path) & {script.stem for script in SCRIPTS.glob("*.py")}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_comes_without_tensorflow_numpy_or_sound_libraries(command):
    program = (
        f"import sys, audionet.__main__\n"
        f"try: audionet.__main__.main([{command!r}, '--help'])\n"
        f"except SystemExit: assert not {HEAVY} & set(sys.modules), {HEAVY} & set(sys.modules)\n"
    )
    done = run_python("-c", program)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage" in done.stdout.lower()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_begins_with_commands_that_can_be_typed(command):
    assert f"\n    audionet {command}" in importlib.import_module(f"audionet.commands.{command}").__doc__


@pytest.mark.parametrize(("command", "name"), every_option())
def test_every_option_works_with_underscores_and_with_dashes(command, name, capsys):
    options = options_class(command)
    assert is_recognised(options, f"--{name}", capsys)
    assert is_recognised(options, f"--{name.replace('_', '-')}", capsys)
    assert not is_recognised(options, f"--{name}-nonsense", capsys)


def test_a_picture_is_labelled_without_what_takes_long_to_import(saved, drawn):
    pytest.importorskip("openvino", reason="without OpenVINO, TensorFlow has to score")
    heavy = "{'tensorflow', 'keras', 'scipy.stats', 'sklearn', 'matplotlib', 'sox', 'typeguard', 'openvino.tools.ovc'}"
    arguments = ["label", "--model", str(saved / "retrained_model"), str(drawn / "bob" / "0_00000.jpg")]
    program = (
        f"import sys, audionet.__main__\nassert audionet.__main__.main({arguments!r}) == 0\n"
        f"assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)\n"
    )
    done = run_python("-c", program)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_module_swallows_what_it_does_not_know(path):
    handlers = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ExceptHandler)]
    names = {handler.type.id for handler in handlers if isinstance(handler.type, ast.Name)}
    assert "Exception" not in names
    assert all(handler.type is not None for handler in handlers)


def test_no_folder_holds_more_files_than_can_be_read_at_a_glance():
    # Commands are as many as there are verbs, which `audionet --help` lists.
    others = ("__pycache__", "commands")
    folders = [PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir() and path.name not in others)]
    crowded = {folder.name: len(list(folder.glob("[!_]*.py"))) for folder in folders}
    assert {name: count for name, count in crowded.items() if count > MOST_FILES} == {}


def test_everyone_sees_the_same_few_things_at_the_top():
    tracked = {"Makefile", "README.md", "requirements.txt", "LICENSE", "tf_files", "scripts", "tests"}
    assert {path.name for path in CHECKOUT.iterdir() if not path.name.startswith(".")} <= tracked

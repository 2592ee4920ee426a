"""The options of every command, for tests that walk over them."""

import importlib
import types
import typing
from dataclasses import is_dataclass

# What a command needs besides, or would refuse before it looks at a number.
NEEDED = {
    "explain": ["a.wav", "--output", "a.png"],
    "evaluate": ["--audio_dir", "audio"],
    "experiment": ["grid.toml"],
    "export": ["--format", "keras", "--output", "a.keras"],
    "enroll": ["--list"],
    "review": ["unlabelled"],
    "similar": ["a.wav"],
    "embed": ["a.wav"],
    "verify": ["a.wav", "b.wav"],
    "label": ["a.wav"],
    "timeline": ["a.wav"],
}


def options_class(command: str) -> type:
    """Return the dataclass of a command's options."""
    module = importlib.import_module(f"audionet.commands.{command}")
    (found,) = [
        value
        for name, value in vars(module).items()
        if name.endswith("Options") and is_dataclass(value) and value.__module__ == module.__name__
    ]
    return found


def parts_of(hint: object) -> set[object]:
    """Return the types that an annotation is made of, without what is noted beside them."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) in (typing.Annotated, typing.Union, tuple):
        return set().union(*(parts_of(part) for part in typing.get_args(hint)[: 1 if is_noted(hint) else None]))
    return {hint}


def is_noted(hint: object) -> bool:
    return typing.get_origin(hint) is typing.Annotated

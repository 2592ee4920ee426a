"""Compare recipes: accuracy, time and size, on words spoken by espeak-ng or on a folder of yours.

    python bench_recipes.py
    python bench_recipes.py --audio_dir ~/speakers --test '^04' --recipes default,audionet,simple_audio
    python bench_recipes.py --audio_dir ~/sounds --group_by '^[^_]+'

The words are said by many speakers, none of whom is both trained on and tested. Everything is made anew, so that times
are honest; it takes minutes.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from audionet.cli import run_script
from audionet.errors import check
from audionet.features.recipes import find_recipe
from benchmarks.options import BenchOptions


@dataclass(frozen=True)
class BenchRecipesOptions(BenchOptions):
    """The command line of bench_recipes.py."""

    audio_dir: Path | None = None
    """Folder of recordings, one subfolder a label. By default words are spoken."""
    recipes: str = "default,audionet,audionet_chromagram,cnvrg,simple_audio,efficientnet"
    """Recipes, with commas between."""
    test: str | None = None
    """Hold out the recordings whose file name matches this regular expression. By default a fifth of the groups."""
    speakers: int = 60
    """How many speakers say the words."""
    takes: int = 5
    """How often each says a word."""

    def __post_init__(self) -> None:
        for name in ("speakers", "takes"):
            check(getattr(self, name) >= 1, f"--{name}: expected 1 or more, received {getattr(self, name)}.")
        for name in self.names:
            find_recipe(name)

    @property
    def names(self) -> list[str]:
        """The recipes, one by one."""
        return [name.strip() for name in self.recipes.split(",")]


def bench(options: BenchRecipesOptions) -> int:
    """Let the recipes compete, print the table and write it down."""
    # NumPy, SciPy and the networks, which --help should not wait for.
    from audionet.tables import markdown, print_tables
    from benchmarks import recipe_comparison, synthetic_speech

    audio_dir = options.audio_dir or options.output_dir / "spoken" / "words"
    if options.audio_dir is None:
        synthetic_speech.speak_words(
            audio_dir, speakers=options.speakers, takes=options.takes, seed=options.random_seed
        )
    result = recipe_comparison.contest(
        audio_dir,
        options.names,
        folder=options.output_dir / "recipes",
        group_by=options.group_by,
        test=options.test,
        seed=options.random_seed,
    )
    tables, introduction = recipe_comparison.tables(result), recipe_comparison.introduction(result)
    print_tables(tables, introduction)
    options.write(options.output_dir / audio_dir.resolve().name, "recipes", result, markdown(tables, introduction))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run_script(bench, BenchRecipesOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())

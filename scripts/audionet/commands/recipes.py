"""List the recipes: named, complete settings, from sound to classifier.

    audionet recipes
    audionet recipes simple_audio

Data and training take a recipe by its name: --recipe NAME. To add one, add a row to RECIPES in
audionet/features/recipes.py.
"""

from dataclasses import dataclass

from audionet.cli import Positional, run_command
from audionet.features.recipes import RECIPES, find_recipe
from audionet.tables import print_table


@dataclass(frozen=True)
class RecipesOptions:
    """The command line of audionet recipes."""

    name: Positional[str | None] = None
    """Show all of this one instead."""


def show(options: RecipesOptions) -> int:
    """Print one line for each recipe, or all of one."""
    if options.name is None:
        print_table(["recipe", "what it is"], [[recipe.name, recipe.summary] for recipe in RECIPES.values()])
        return 0
    recipe = find_recipe(options.name)
    print(recipe.about, end="\n\n")
    print_table(["picture", ""], [[name, str(value)] for name, value in recipe.to_json().items()])
    print_table(["training", ""], [[name, str(value)] for name, value in recipe.training.items()])
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(show, RecipesOptions, __doc__, argv)

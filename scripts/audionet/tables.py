"""Tables on the screen, as wide as they need to be where nobody is looking."""

import sys
from collections.abc import Collection, Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDE = 240  # columns of a pipe or a file, which wrap nothing


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", numbers: Collection[str] = ()
) -> None:
    """Print a table to stdout.

    Args:
        columns: their headings.
        rows: a text for each column.
        title: shown above.
        numbers: the headings of columns that are flushed right.
    """
    table = Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # as it is: a label may look like rich's markup
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE, highlight=False)
    console.print(table)

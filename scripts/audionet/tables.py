"""Tables on the screen, as wide as they need to be in a pipe or a file, and in Markdown."""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table as ScreenTable
from rich.text import Text

WIDE = 240  # columns of a pipe or a file, which wrap nothing

Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # headings, and rows with a text for each


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", numbers: Collection[str] = ()
) -> None:
    """Print a table to stdout; `numbers` are the headings of columns that are flushed right."""
    table = ScreenTable(
        title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # as it is: a label may look like rich's markup
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE, highlight=False)
    console.print(table)


def print_tables(tables: Mapping[str, Table], introduction: str) -> None:
    """Print tables, by title, and what must be known to read them, to stdout."""
    for title, (columns, rows) in tables.items():
        print_table(columns, rows, title=title)
    print(introduction)


def markdown(tables: Mapping[str, Table], introduction: str) -> str:
    """Return what must be known to read tables, and the tables, by title, as a Markdown document."""
    parts = [introduction]
    for title, (columns, rows) in tables.items():
        lines = [columns, ["---"] * len(columns), *rows]
        parts += [f"## {title}", "\n".join(f"| {' | '.join(cells)} |" for cells in lines)]
    return "\n\n".join(parts) + "\n"

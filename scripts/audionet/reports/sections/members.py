"""What each network of a classifier of several is worth, for the model card and the section about training."""

from collections.abc import Sequence

from audionet.files import printable
from audionet.reports.elements import Json, Table, decimal, percent, table

TERMS = [
    (
        "Alone, all but it",
        "how chunks are answered by one network alone, and by the others without it; by heads that were not trained on "
        "the recording, altered versions included. A network that makes nothing better is left out.",
    ),
    ("Log loss", "how far off the answers are, doubt counted: 0 where each is right and sure."),
]


def worth_in_words(members: Sequence[Json]) -> str:
    """Return how many chunks are right by all networks together and by each alone; `members` are as training has them.

    Nothing where there is one network.
    """
    if len(members) < 2:
        return ""
    alone = [
        f"{printable(one['name'])} alone {percent(one['alone']['accuracy'])}{'' if one['weight'] else ', left out'}"
        for one in members
    ]
    return f"Together {percent(members[0]['with']['accuracy'])} of chunks right; {'; '.join(alone)}."


def worth_table(members: Sequence[Json]) -> Table:
    """Return a table of what each network is worth; `members` are as training has them, two or more."""
    columns = ("Network", "Weight", "Alone", "All but it", "Log loss alone", "Log loss of all but it")
    rows = [
        (
            str(one["name"]),
            decimal(one["weight"], 2) if one["weight"] else "left out",
            *(percent((one[how] or {}).get("accuracy")) for how in ("alone", "without")),
            *(decimal((one[how] or {}).get("log_loss")) for how in ("alone", "without")),
        )
        for one in members
    ]
    together = members[0]["with"]
    rows.append(("together", "", percent(together["accuracy"]), "–", decimal(together["log_loss"]), "–"))
    return table("What each network is worth", columns, rows)

"""A page of sections as one HTML file that opens offline: the frame of every report."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audionet.files import printable
from audionet.reports.elements import LeftOut, Section, percent, unbroken

TEMPLATES = Path(__file__).with_name("templates")
STATIC = Path(__file__).with_name("static")  # what the report has in common with the page of app.py
TEMPLATE_NAME = "report.html.j2"
SCRIPT_NAME = "report.js"


@dataclass(frozen=True)
class Number:
    """A number of the headline: what, how much, and how sure that is."""

    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Page:
    """What is on a page; what is empty is left out."""

    kind: str  # above the title, such as `Classifier report`
    title: str
    verdict: str  # what came of it, in a sentence or two
    sections: Sequence[Section | LeftOut]
    subtitle: str = ""
    headline: Sequence[Number] = ()
    next_steps: Sequence[str] = ()


def render_page(page: Page) -> str:
    """Return the page as HTML, with style, plots, pictures and sound inside."""
    import jinja2  # for this alone

    script = (STATIC / SCRIPT_NAME).read_text("utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([TEMPLATES, STATIC]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    environment.filters["percent"] = percent
    environment.filters["unbroken"] = unbroken
    return environment.get_template(TEMPLATE_NAME).render(
        page=page,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        sections=[one for one in page.sections if isinstance(one, Section)],
        left_out=[one for one in page.sections if isinstance(one, LeftOut)],
    )

"""Jinja environments of the pages, the report and the charts: they escape every value."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from domain.text import TypedText, harmless
from reports import phrases


def make_environment(package: str) -> Environment:
    """An environment of the templates of a package; an undefined name in one is an error."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_show_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def environment() -> Environment:
    """The environment of the report and the charts."""
    made = make_environment("reports")
    for phrase in (phrases.format_duration, phrases.format_time):
        made.filters[phrase.__name__] = phrase
    return made


def _show_controls(value: object) -> object:
    """A text with its control characters made visible; any other value, and markup, as it is."""
    if isinstance(value, str) and not isinstance(value, (TypedText, Markup)):
        return harmless(value)
    return value

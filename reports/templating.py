"""The Jinja environment of the page and the charts: it escapes every value that it prints."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from domain.text import harmless
from reports import phrases


def show_controls(value: object) -> object:
    """A text with its control characters made visible; any other value, and markup, as it is."""
    return harmless(value) if isinstance(value, str) else value


@cache
def environment() -> Environment:
    """The one environment; an undefined name in a template is an error."""
    made = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=show_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for phrase in (phrases.format_duration, phrases.format_time):
        made.filters[phrase.__name__] = phrase
    return made

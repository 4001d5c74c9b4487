"""The templates of the pages. Loaded with the first page: it loads Jinja and a Markdown parser."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from api.web.assets import FONTS, SCRIPTS, STYLES, address_of
from api.web.formats import FILTERS
from api.web.pages import TypedText
from domain.text import harmless


def make_environment() -> Environment:
    """An environment that escapes every value; an undefined name is an error."""
    made = Environment(
        loader=PackageLoader("api.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_show_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= FILTERS
    made.globals |= {
        "styles": address_of(STYLES),
        "scripts": [address_of(name) for name in SCRIPTS],
        "fonts": [address_of(name) for name in FONTS],
    }
    return made


def _show_controls(value: object) -> object:
    """A text with its control characters made visible; any other value as it is."""
    if isinstance(value, str) and not isinstance(value, (TypedText, Markup)):
        return harmless(value)
    return value

"""The one Jinja environment of all templates: escapes everything, shows what is unseen."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from reports import telling, wording
from reports.markup import markdown, plain, visible


@cache
def environment() -> Environment:
    """Made once; an undefined name in a template is an error."""
    made = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for word in (
        *(wording.duration, wording.money, wording.number, wording.size, wording.moment),
        *(wording.spoken, telling.pretty, telling.brief, telling.after, telling.indented),
        *(telling.settled, plain, markdown),
    ):
        made.filters[word.__name__] = word
    made.globals["plural"] = wording.plural
    return made

"""The consoles for stdout and stderr; `cli.show` loads them when something is printed."""

from typing import Any

from rich.console import Console
from rich.text import Text

from domain.text import harmless


class Terminal(Console):
    """A console that makes control characters visible; rich passes escape sequences on.

    Otherwise a text from a model could overwrite the tool call that a person is asked to approve.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """The text as rich renders it, with visible control characters."""
        return super().render_str(harmless(text), **options)


out = Terminal(highlight=False)
err = Terminal(stderr=True, highlight=False)

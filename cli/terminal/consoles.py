"""The consoles for stdout and stderr; `cli.terminal.show` loads them when something is printed."""

from typing import Any

from rich.console import Console
from rich.text import Text

from domain.text import clean, harmless

Part = str | tuple[str, str]
"""A text, or a text and its style."""


class Terminal(Console):
    """A console that prints text as it is: no markup, no emoji codes, no line breaks of its own.

    Control characters become visible. Otherwise a text from a model could overwrite the tool call
    that a person is asked to approve, or show another one.
    """

    def __init__(self, **options: Any) -> None:
        """The options are those of `Console`."""
        plain = {"highlight": False, "markup": False, "emoji": False, "soft_wrap": True}
        super().__init__(**{**plain, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """The text with visible control characters."""
        return super().render_str(harmless(text), **options)

    def print_line(self, *parts: Part) -> None:
        """Print one line that is made of parts with their own styles."""
        self.print(style_text(*parts))

    def print_text(self, text: str, *, end: str = "\n") -> None:
        """Print a text of a model; to a file or a pipe, byte for byte.

        The end is left out where the text ends with it.
        """
        end = "" if text.endswith("\n") else end
        if self.file.isatty():
            self.print(text, end=end)
        else:
            self.file.write(clean(text) + end)
            self.file.flush()


def style_text(*parts: Part) -> Text:
    """Text that is made of parts with their own styles, with visible control characters."""
    text = Text()
    for part in parts:
        content, style = (part, "") if isinstance(part, str) else part
        text.append(harmless(content), style or None)
    return text


out = Terminal()
err = Terminal(stderr=True)

"""The colours of every format: page, text, and the marks of charts.

The marks are based on Okabe and Ito's set, which people with any colour vision can distinguish
("Color Universal Design", 2008), made darker or lighter until each has a contrast of 3 to its
background (WCAG 2.2, 1.4.11). No chart relies on colour alone: lanes have names, failures are
hatched.
"""

from collections.abc import Mapping
from types import MappingProxyType

Shades = Mapping[str, str]

LIGHT: Shades = MappingProxyType(
    {
        "page": "#f6f5f2",
        "surface": "#ffffff",
        "sunken": "#f7f6f3",
        "line": "#e4e1da",
        "line-strong": "#cfcbc1",
        "text": "#1f1e1b",
        "muted": "#6a675f",
        "accent": "#b4532a",
        "link": "#8f3f1d",
        "good": "#1c7a4b",
        "good-soft": "#e3f3ea",
        "bad": "#b3261e",
        "bad-soft": "#fbe9e7",
        "still": "#6a675f",
        "still-soft": "#eceae5",
        "model": "#d55e00",
        "tools": "#0072b2",
        "subtasks": "#a3477d",
        "people": "#a67600",
        "cached": "#7d8f9e",
    }
)
DARK: Shades = MappingProxyType(
    {
        "page": "#171614",
        "surface": "#201f1c",
        "sunken": "#1a1917",
        "line": "#35332e",
        "line-strong": "#4b4841",
        "text": "#ece9e2",
        "muted": "#a29e94",
        "accent": "#e58a5e",
        "link": "#f0a37d",
        "good": "#6fcf9b",
        "good-soft": "#1b3327",
        "bad": "#ff8f85",
        "bad-soft": "#40211f",
        "still": "#a29e94",
        "still-soft": "#2e2c28",
        "model": "#f08a48",
        "tools": "#56b4e9",
        "subtasks": "#d98abb",
        "people": "#e6b84a",
        "cached": "#6f7f8c",
    }
)


def variables() -> str:
    """Both sets as CSS variables; print is always light."""
    dark = _variables(DARK)
    return f"{_variables(LIGHT)}\n@media screen and (prefers-color-scheme: dark) {{ {dark} }}\n"


def _variables(shades: Shades) -> str:
    return ":root {" + " ".join(f"--{name}: {colour};" for name, colour in shades.items()) + "}"

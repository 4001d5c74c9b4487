"""The colours of every format: page, text, and the marks of charts.

The marks are based on Okabe and Ito's set, which people with any colour vision can distinguish
("Color Universal Design", 2008), made darker or lighter until each has a contrast of 3 to its
background (WCAG 2.2, 1.4.11). No chart relies on colour alone: lanes have names, failures are
hatched.
"""

from collections.abc import Mapping
from types import MappingProxyType

Shades = Mapping[str, str]

_COLOURS = {
    # name: light, dark
    "page": ("#f6f5f2", "#171614"),
    "surface": ("#ffffff", "#201f1c"),
    "sunken": ("#f7f6f3", "#1a1917"),
    "line": ("#e4e1da", "#35332e"),
    "line-strong": ("#cfcbc1", "#4b4841"),
    "text": ("#1f1e1b", "#ece9e2"),
    "muted": ("#6a675f", "#a29e94"),
    "accent": ("#b4532a", "#e58a5e"),
    "link": ("#8f3f1d", "#f0a37d"),
    "good": ("#1c7a4b", "#6fcf9b"),
    "good-soft": ("#e3f3ea", "#1b3327"),
    "bad": ("#b3261e", "#ff8f85"),
    "bad-soft": ("#fbe9e7", "#40211f"),
    "still": ("#6a675f", "#a29e94"),
    "still-soft": ("#eceae5", "#2e2c28"),
    "model": ("#d55e00", "#f08a48"),
    "tools": ("#0072b2", "#56b4e9"),
    "subtasks": ("#a3477d", "#d98abb"),
    "people": ("#a67600", "#e6b84a"),
    "cached": ("#7d8f9e", "#6f7f8c"),
}

LIGHT: Shades = MappingProxyType({name: light for name, (light, _) in _COLOURS.items()})
DARK: Shades = MappingProxyType({name: dark for name, (_, dark) in _COLOURS.items()})


def css_variables() -> str:
    """Both sets as CSS variables; print is always light."""
    dark = _list_variables(DARK)
    return (
        f"{_list_variables(LIGHT)}\n@media screen and (prefers-color-scheme: dark) {{ {dark} }}\n"
    )


def _list_variables(shades: Shades) -> str:
    return ":root {" + " ".join(f"--{name}: {colour};" for name, colour in shades.items()) + "}"

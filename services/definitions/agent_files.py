"""Agents' files: Markdown with YAML front matter, read as texts only."""

from collections.abc import Mapping
from typing import Any

import yaml
from frontmatter.default_handlers import YAMLHandler

from domain.errors import FieldProblem, InvalidInputError

LONGEST_FRONT_MATTER = 16_384
"""Characters; reading YAML takes a microsecond or ten for each (chosen)."""


def split(markdown: str) -> tuple[Mapping[str, Any], str]:
    """A file's front matter, its values as texts and lists of texts, and the text below it.

    Raises:
        InvalidInputError: it has no front matter, or one that can't be read.
    """
    handler = YAMLHandler()
    try:
        front_matter, text = handler.split(markdown.strip())
    except ValueError:
        raise _refusal("Begin with front matter between two lines of ---.") from None
    if len(front_matter) > LONGEST_FRONT_MATTER:
        raise _refusal(f"The front matter is over {LONGEST_FRONT_MATTER} characters.")
    try:
        # Texts only: a name that looks like a number or a day is still a name.
        metadata = handler.load(front_matter, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _refusal(f"The front matter is no YAML: {error!s:.300}") from error
    if not isinstance(metadata, dict):
        raise _refusal("The front matter must hold fields, such as `name: reviewer`.")
    return metadata, text.strip()


def _refusal(msg: str) -> InvalidInputError:
    problem = FieldProblem(("body", "markdown"), msg, "agent_file")
    return InvalidInputError("This is no agent's file; see errors.", [problem])

"""Reading agent files: Markdown with YAML front matter, whose values are read as texts only."""

from collections.abc import Mapping
from typing import Any

import yaml
from frontmatter.default_handlers import YAMLHandler

from domain.errors import FieldProblem, InvalidInputError

LONGEST_FRONT_MATTER = 16_384
"""Characters (chosen: YAML takes 1 to 10 microseconds for each)."""


def split_front_matter(markdown: str) -> tuple[Mapping[str, Any], str]:
    """Split a file into its front matter, with texts and lists of texts, and the text below it.

    Raises:
        InvalidInputError: the front matter is missing or invalid.
    """
    handler = YAMLHandler()
    try:
        front_matter, text = handler.split(markdown.strip())
    except ValueError:
        raise _refusal("Start the file with front matter between two lines of ---.") from None
    if len(front_matter) > LONGEST_FRONT_MATTER:
        raise _refusal(f"The front matter is over {LONGEST_FRONT_MATTER} characters; shorten it.")
    try:
        # Texts only, because a name that looks like a number or a date is still a name.
        metadata = handler.load(front_matter, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _refusal(f"The front matter is not valid YAML: {error!s:.300}") from error
    if not isinstance(metadata, dict):
        raise _refusal("The front matter must contain fields, such as `name: reviewer`.")
    return metadata, text.strip()


def _refusal(msg: str) -> InvalidInputError:
    problem = FieldProblem(("body", "markdown"), msg, "agent_file")
    return InvalidInputError("This is not a valid agent file; see errors.", [problem])

"""What will probably go wrong with a definition that is valid."""

from collections.abc import Sequence

from contracts.definitions import TaskDefinition
from domain.templates import unknown_expressions


def definition_warnings(definition: TaskDefinition) -> Sequence[str]:
    """Return a sentence for each thing that its author probably did not want."""
    return [
        f"{expression} is not a placeholder and stays in the prompt: a name consists of letters, "
        "digits, _ and -."
        for expression in unknown_expressions(definition.prompt_template)
    ]

"""What will probably go wrong with a definition that is valid."""

from collections.abc import Sequence

from definitions.tasks import TaskDefinition
from domain.templates import unknown_expressions
from services.model_catalog import ModelCatalog


def model_warnings(models: ModelCatalog, model: str | None) -> Sequence[str]:
    """Return a sentence if the model is retired or soon will be."""
    warning = models.warn(model) if model is not None else None
    return [] if warning is None else [warning]


def definition_warnings(definition: TaskDefinition) -> Sequence[str]:
    """Return a sentence for each thing that its author probably did not want."""
    return [
        f"{expression} is not a placeholder and stays in the prompt: a name consists of letters, "
        "digits, _ and -."
        for expression in unknown_expressions(definition.prompt_template)
    ]

"""What will probably go wrong with a definition that is valid."""

from collections.abc import Iterator, Sequence

from definitions.tasks import TaskDefinition
from domain.network import NetworkList
from domain.permissions import valid_rules
from domain.templates import unknown_expressions
from domain.tool_rules import WEB_TOOLS
from domain.web_calls import SET_NETWORK
from services.model_catalog import ModelCatalog


def model_warnings(models: ModelCatalog, model: str | None) -> Sequence[str]:
    """Return a sentence if the model is retired or soon will be."""
    warning = models.warn(model) if model is not None else None
    return [] if warning is None else [warning]


def network_warnings(definition: TaskDefinition, operator: NetworkList) -> Sequence[str]:
    """Return a sentence for each host that the operator no longer allows completely."""
    entries = definition.allowed_network.entries
    return [found for entry in entries if (found := operator.excess_problem(entry)) is not None]


def definition_warnings(definition: TaskDefinition) -> Sequence[str]:
    """Return a sentence for each thing that its author probably did not want."""
    return [*placeholder_warnings(definition), *_web_warnings(definition)]


def placeholder_warnings(definition: TaskDefinition) -> Sequence[str]:
    """Return a sentence for each text in double braces that is no placeholder."""
    return [
        f"{expression} is not a placeholder and stays in the prompt: a name consists of letters, "
        "digits, _ and -."
        for expression in unknown_expressions(definition.prompt_template)
    ]


def _web_warnings(definition: TaskDefinition) -> Iterator[str]:
    rules = valid_rules([*definition.allowed_tools, *definition.ask_tools])
    named = dict.fromkeys(rule.tool for rule in rules if rule.tool in WEB_TOOLS)
    if named and not definition.allowed_network:
        yield f"Not offered, because there is no network: {', '.join(named)}. {SET_NETWORK}"

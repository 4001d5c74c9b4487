"""Names and shapes that running histories and clients rely on."""

import importlib
import pkgutil
from collections.abc import Iterator
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError
from temporalio import activity, workflow

import activities.failures
import contracts
import definitions
from contracts import execution, names
from contracts.activities import ExecutionActivities
from contracts.notifications import NotificationActivities
from definitions.tasks import SdkOptions
from domain.errors import ErrorCode, PerdureError
from workflows.execution import TaskExecution
from workflows.notification import NotificationDelivery


def subclasses(of: type) -> Iterator[type]:
    one: type
    for one in of.__subclasses__():
        yield one
        yield from subclasses(one)


def domain_errors() -> set[type]:
    return {e for e in subclasses(PerdureError) if e.__module__ == "domain.errors"}


def test_every_error_is_in_the_table_of_retries() -> None:
    assert domain_errors() == set(activities.failures.IS_RETRYABLE)


def test_error_codes_are_unique() -> None:
    codes = [e.code for e in domain_errors() if issubclass(e, PerdureError)]

    assert len(codes) == len(set(codes))


def test_wire_names_are_pinned() -> None:
    defined = workflow._Definition.must_from_class(TaskExecution)
    activity_names = [
        found.name
        for method in vars(ExecutionActivities).values()
        if (found := activity._Definition.from_callable(method)) is not None
    ]

    assert defined.name == "TaskExecution"
    assert set(defined.signals) == {"wake"}
    assert "progress" in defined.queries
    assert activity_names == [
        "create_execution",
        "create_session",
        "render_prompt",
        "check_worker",
        "call_claude",
        "report",
        "finish",
    ]
    assert names.EXECUTIONS_QUEUE == "perdure-executions"
    assert names.workflow_id(UUID(int=1)) == f"execution-{UUID(int=1)}"
    assert names.schedule_id(UUID(int=1)) == f"task-{UUID(int=1)}"
    assert names.scheduled_workflow_id(UUID(int=1)) == f"scheduled-{UUID(int=1)}"
    assert set(names.SEARCH_ATTRIBUTES) == {
        "PerdureUserId",
        "PerdureTaskId",
        "PerdureTitle",
        "PerdureStatus",
        "PerdureTrigger",
        "PerdureAgent",
        "PerdureTags",
        "PerdureCostUsd",
    }


def test_wire_names_of_deliveries_are_pinned() -> None:
    defined = workflow._Definition.must_from_class(NotificationDelivery)
    delivery = activity._Definition.from_callable(NotificationActivities.deliver_notification)

    assert defined.name == "NotificationDelivery"
    assert delivery is not None
    assert delivery.name == "deliver_notification"
    assert names.NOTIFICATIONS_QUEUE == "perdure-notifications"
    assert names.notification_workflow_id(UUID(int=1)) == f"notification-{UUID(int=1)}"


def test_error_codes_of_executions_are_pinned() -> None:
    assert {
        "model_refused",
        "model_error",
        "context_exceeded",
        "max_turns",
        "budget_exhausted",
        "tool_failed",
        "timeout",
        "input_expired",
        "prerequisite_failed",
        "worker_error",
        "invalid_definition",
        "model_not_configured",
        "terminated",
    } <= set(ErrorCode)


def contract_models() -> list[type[BaseModel]]:
    """Every model of contracts/ and definitions/."""
    for package in (contracts, definitions):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    ours = ("contracts.", "definitions.")
    found = {m for m in subclasses(BaseModel) if m.__module__.startswith(ours)}
    return sorted(found, key=lambda model: model.__qualname__)


@pytest.mark.parametrize("model", contract_models())
def test_contracts_are_frozen_and_refuse_unknown_fields(model: type[BaseModel]) -> None:
    assert model.model_config["frozen"] is True
    with pytest.raises(ValidationError) as refused:
        model.model_validate({"no_such_field": 1})
    assert ("extra_forbidden", ("no_such_field",)) in [
        (error["type"], error["loc"]) for error in refused.value.errors()
    ]


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (execution.ExecutionInput, '{"execution_id":"01a1fc50-1cc6-7ecc-80ec-34a8ccfccf7c"}'),
        (execution.ExecutionInput, '{"task_id":"01a1fc50-1cc6-7ecc-80ec-34a8ccfccf7c"}'),
        (
            execution.RunRef,
            '{"execution_id":"01a1fc50-1cc6-7ecc-80ec-34a8ccfccf7c","segment":1}',
        ),
        (execution.CallClaudeResult, '{"outcome":"done"}'),
        (execution.FinishResult, '{"status":"completed"}'),
    ],
)
def test_old_payloads_still_parse(payload: type[BaseModel], text: str) -> None:
    payload.model_validate_json(text)


def test_unknown_fields_of_a_definition_are_refused() -> None:
    with pytest.raises(ValidationError, match="modle"):
        SdkOptions.model_validate({"modle": "claude-opus-5-5"})

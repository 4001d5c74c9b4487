"""Tools that list input requests and answer them."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from api.mcp.context import ToolContext
from api.mcp.registry import AgentTool, ToolArguments, ToolResult
from api.mcp.views import RequestView, view_request
from domain.errors import ScopeMissingError
from persistence.db.paging import Window
from persistence.executions import input_requests
from services.executions import answers
from services.executions.inputs import AnswerBody, Decision
from services.field_types import Text

SHOWN_REQUESTS = 50


class ListInputRequestsArguments(ToolArguments):
    """Filters."""

    status: Literal["open", "answered", "expired", "cancelled"] = "open"
    execution_id: UUID | None = None


class InputRequestList(ToolResult):
    """The latest input requests, newest first."""

    input_requests: list[RequestView]
    has_more: bool


async def _list_input_requests(
    context: ToolContext, arguments: ListInputRequestsArguments
) -> InputRequestList:
    principal = context.call.principal
    async with context.reading() as session:
        page = await input_requests.page(
            session,
            principal.user_id,
            arguments.model_dump(),
            Window(SHOWN_REQUESTS),
            assignees=context.call.caller.assignees,
        )
    return InputRequestList(
        input_requests=[view_request(context, row) for row in page.rows],
        has_more=page.has_more,
        next_step=(
            "Answer questions with answer_input_request, in the words of the user. Where "
            "needs_person is true, give the user the url."
            if page.rows and arguments.status == "open"
            else "No answer is needed."
        ),
    )


class AnswerInputRequestArguments(ToolArguments):
    """The request, and the answer."""

    input_request_id: UUID
    decision: Annotated[
        Decision | None,
        Field(
            description="For questions: leave it out, or `deny` to refuse an answer. Approvals: "
            "approve, deny or edit. Budgets: approve, finish or deny. Effect checks: happened, "
            "not_happened or skip."
        ),
    ] = None
    values: Annotated[
        Any,
        Field(description="The answer to a question with options or a schema, which it must fit."),
    ] = None
    message: Annotated[
        Text | None, Field(description="The answer to a question in free text, or a comment.")
    ] = None
    input: Annotated[
        dict[str, Any] | None, Field(description="The edited tool input, with `edit`.")
    ] = None
    remember: Literal["once", "execution", "task"] | None = None


class AnsweredRequest(RequestView, ToolResult):
    """The request with its answer."""


async def _answer_input_request(
    context: ToolContext, arguments: AnswerInputRequestArguments
) -> AnsweredRequest:
    body = AnswerBody(**arguments.model_dump(exclude={"input_request_id"}, exclude_unset=True))
    async with context.transaction() as work:
        try:
            row = await answers.answer(work, arguments.input_request_id, body)
        except ScopeMissingError as error:
            page = context.request_page(arguments.input_request_id)
            raise ScopeMissingError(f"{error.detail} A person decides it at {page}") from error
        view = view_request(context, row)
    next_step = (
        "The approval is stored, but the request needs the approval of more people."
        if view.status == "open"
        else "The answer is stored and the execution continues; wait with watch_execution."
    )
    return AnsweredRequest(**dict(view), next_step=next_step)


LIST_INPUT_REQUESTS = AgentTool(
    name="list_input_requests",
    group="default",
    title="List input requests",
    description=(
        "List the questions and approvals that executions wait for: those of the user's executions "
        "and those assigned to the user. By default the open ones. Each has the url of a page on "
        "which a person can answer."
    ),
    arguments=ListInputRequestsArguments,
    result=InputRequestList,
    handler=_list_input_requests,
    is_read_only=True,
)

ANSWER_INPUT_REQUEST = AgentTool(
    name="answer_input_request",
    group="default",
    title="Answer an input request",
    description=(
        "Answer an open question or form of an execution, in the words of the user or with what "
        "you know for certain; the execution then continues. Send message for free text, values "
        "where the request has options or a schema. Approvals, budgets and effect checks are for "
        "people: they need credentials with the scope approve; without it, give the user the url "
        "of the request. The first answer wins."
    ),
    arguments=AnswerInputRequestArguments,
    result=AnsweredRequest,
    handler=_answer_input_request,
    is_destructive=True,
)

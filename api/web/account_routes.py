"""Pages of the viewer and the installation: first run, API keys, settings, users."""

from functools import partial
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.health.components import check_components
from api.http.paging import ListQuery, public_address
from api.users.schemas import UserQuery, render_me, render_stats, render_user
from api.web import pages
from api.web.listings import make_list, read_query
from api.web.page_forms import SHOWN_ERRORS, form_values, make_body, status_for
from api.web.page_route import PageRoute
from api.web.visits import FORM_IS_OWN, Form, OwnForm, Visit, Visiting
from domain.errors import PerdureError
from persistence.db.paging import Window
from persistence.definitions import tasks
from persistence.definitions.tasks import StoredTask, TaskFilter
from persistence.executions import input_requests
from persistence.identity import users
from persistence.identity.users import UserFilter
from persistence.ledger import stats
from services.definitions import tasks as task_services
from services.definitions.inputs import TaskCreate
from services.executions import starting
from services.executions.inputs import ExecuteBody
from services.identity import api_keys, slack_accounts
from services.identity import users as services
from services.identity.api_keys import API_KEYS, ApiKeyCreate
from services.identity.slack_accounts import SlackAccount
from services.identity.users import UserUpdate, read_profile
from services.unit_of_work import UnitOfWork

router = APIRouter(include_in_schema=False, route_class=PageRoute)

_SCRIPT = """The scripted model of Perdure reads the following block; ignore it.

```script
- text: I write the file first.
  tool_use: {name: write_file, input: {path: hello.txt, content: "Hello, world!\\n"}}
- text: Now I would like to run a command, which needs your approval.
  tool_use: {name: bash, input: {command: cat hello.txt}}
- text: "The command printed: {last_tool_result}"
```
"""

FIRST_TASK = {
    "name": "First task",
    "description": "Writes a file, and asks before it runs a command.",
    "prompt_template": "Write a file hello.txt that greets {{ name }}. Then run `cat hello.txt`, "
    "and report in one sentence what it printed.",
    "system_prompt": _SCRIPT,
    "default_variables": {"name": "the world"},
    "allowed_tools": ["write_file", "read_file", "bash"],
    "ask_tools": ["bash"],
    "sdk_options": {"max_budget_usd": 0.5},
    "tags": ["example"],
}
"""A task that shows tools, an approval and a budget, with Claude or with the scripted model."""


@router.get("/start")
async def show_start(visit: Visiting) -> Response:
    """What is done and what comes next, from nothing to a running task."""
    async with visit.call.gateway.database.reading() as session:
        done = await _find_done_steps(session, visit.call.principal.user_id)
    shown = {**done, "model": visit.call.services.settings.default_model}
    address = public_address(visit.call.request)
    return pages.render("start.html.j2", **visit.layout, **shown, api=address)


async def _find_done_steps(session: AsyncSession, user_id: UUID) -> dict[str, Any]:
    defined = await tasks.page(session, user_id, TaskFilter(), Window(1))
    example = await _find_first_task(session, user_id)
    answered = await input_requests.page(
        session, user_id, {"status": "answered"}, Window(1), assignees=()
    )
    return {
        "has_tasks": defined.total > (1 if example else 0),
        "has_run": example is not None,  # its creation starts it
        "has_answers": answered.total > 0,
    }


@router.post("/start", dependencies=[FORM_IS_OWN])
async def run_first_task(visit: Visiting) -> Response:
    """Create the example task, unless the viewer has it, and run it."""
    row = await visit.perform(_run_first_task)
    return pages.redirect(f"/executions/{row}")


async def _find_first_task(session: AsyncSession, user_id: UUID) -> StoredTask | None:
    found = await tasks.find_by_name(session, user_id, str(FIRST_TASK["name"]))
    return next((task for task in found if task.row.user_id == user_id), None)


async def _run_first_task(work: UnitOfWork) -> UUID:
    task = await _find_first_task(work.session, work.caller.user_id)
    if task is None:
        task = await task_services.create_task(work, make_body(TaskCreate, FIRST_TASK))
    row = await starting.start_stored_task(work, task, ExecuteBody())
    return row.id


@router.get("/keys")
async def list_keys(request: Request, visit: Visiting) -> Response:
    """The API keys of the viewer."""
    return await _render_keys(request, visit)


@router.post("/keys")
async def create_key(request: Request, visit: Visiting, form: OwnForm) -> Response:
    """Create an API key. Only this page shows its secret."""
    scopes = ["approve"] if form.text("approve") else []
    try:
        form.require_sent()
        body = make_body(ApiKeyCreate, {"name": form.text("name").strip(), "scopes": scopes})
        key = await visit.perform(partial(api_keys.create_api_key, body=body))
    except SHOWN_ERRORS as error:
        return await _render_keys(request, visit, form=form, error=error)
    return await _render_keys(request, visit, secret=key.secret)


@router.post("/keys/{key_id}/revoke", dependencies=[FORM_IS_OWN])
async def revoke_key(visit: Visiting, key_id: UUID) -> Response:
    """Revoke an API key."""
    await visit.perform(lambda work: API_KEYS.delete(work, key_id, lambda _: None))
    return pages.redirect("/keys")


@router.get("/settings")
async def show_settings(visit: Visiting) -> Response:
    """The viewer's limits and how much of them is used; for admins, the installation."""
    call = visit.call
    async with call.gateway.database.reading() as session:
        profile = await read_profile(session, call.caller, call.services)
        totals = await stats.load_stats(session) if call.principal.is_admin else None
    shown: dict[str, Any] = {
        "me": render_me(call, profile),
        "stats": totals and render_stats(totals),
    }
    health = await check_components(call.gateway)
    model = call.services.settings.default_model
    return pages.render("settings.html.j2", **visit.layout, **shown, health=health, model=model)


@router.get(links.SLACK)
async def confirm_slack_account(visit: Visiting, code: str = "") -> Response:
    """Ask whether an account of Slack answers as the viewer."""
    account = SlackAccount.open(visit.call.services.links, code)
    return pages.render("slack.html.j2", **visit.layout, account=account, code=code)


@router.post(links.SLACK, dependencies=[FORM_IS_OWN])
async def change_slack_account(visit: Visiting, form: OwnForm) -> Response:
    """Link an account of Slack with the viewer; without a code, unlink it."""
    code = form.text("code")
    service = partial(slack_accounts.link_account, code=code) if code else None
    await visit.perform(service or slack_accounts.unlink_account)
    return pages.redirect("/settings")


@router.get("/users")
async def list_users(request: Request, visit: Visiting) -> Response:
    """All users, for admins."""
    visit.call.caller.require_admin()
    query = read_query(request, UserQuery)
    async with visit.call.gateway.database.reading() as session:
        page = await users.page(session, UserFilter(**query.filters()), query.window())
    items = [render_user(visit.call, row) for row in page.rows]
    shown = make_list(visit, query, page, items)
    return pages.render("users.html.j2", **visit.layout, list=shown, query=query)


@router.post("/users/{user_id}", dependencies=[FORM_IS_OWN])
async def change_user(visit: Visiting, user_id: UUID, form: OwnForm) -> Response:
    """Disable or enable a user."""
    update = UserUpdate.model_validate({"is_disabled": form.text("is_disabled") == "true"})
    await visit.perform(lambda work: services.update_user(work, user_id, update, lambda _: None))
    return pages.redirect("/users")


async def _render_keys(
    request: Request,
    visit: Visit,
    *,
    secret: str = "",
    form: Form | None = None,
    error: PerdureError | None = None,
) -> Response:
    query = read_query(request, ListQuery)
    async with visit.call.gateway.database.reading() as session:
        page = await API_KEYS.page(session, visit.call.caller, query.window())
    shown = make_list(visit, query, page, page.rows)
    values = {"list": shown, "secret": secret, **form_values(form, error)}
    return pages.render("keys.html.j2", status_for(error), **visit.layout, **values)

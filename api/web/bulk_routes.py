"""The page on which a person sees several tool calls in full and decides about all of them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from api import links
from api.web import decisions, pages
from api.web.page_forms import SHOWN_ERRORS, form_values, make_body, status_for
from api.web.page_route import PageRoute
from api.web.request_views import UNDO_SECONDS, describe_call
from api.web.visits import Form, OwnForm, Visit, Visiting
from domain.errors import PerdureError
from persistence.executions import input_requests, queries
from services.executions import bulk_answers
from services.executions.access import get_answerable_request
from services.executions.bulk_answers import (
    MOST_ANSWERS,
    AlikeBody,
    AlikeOutcome,
    WithdrawBody,
)

router = APIRouter(prefix=f"{links.INBOX}/together", include_in_schema=False, route_class=PageRoute)

Chosen = Annotated[Sequence[UUID], Query(alias="request", max_length=MOST_ANSWERS)]


@router.get("")
async def show_together(visit: Visiting, chosen: Chosen = ()) -> Response:
    """The calls of the chosen requests in full, with one form that answers them all."""
    if not chosen:
        return pages.redirect(links.INBOX)
    return await _render(visit, chosen, Form())


@router.post("")
async def answer_together(visit: Visiting, form: OwnForm) -> Response:
    """Give the requests that the page has shown the same answer."""
    seen = [entry.partition(":")[::2] for entry in form.entries.get("seen", ())]
    try:
        form.require_sent()
        outcome = await _answer(visit, form, seen)
    except SHOWN_ERRORS as error:
        return await _render(visit, list(_read_ids(of for of, _ in seen)), form, error)
    return pages.render(
        "together_done.html.j2", **visit.layout, outcome=outcome, undo_seconds=UNDO_SECONDS
    )


@router.post("/withdraw")
async def withdraw_together(visit: Visiting, form: OwnForm) -> Response:
    """Withdraw the answers that one decision has given, before they take effect."""
    form.require_sent()
    body = make_body(WithdrawBody, {"ids": form.entries.get("request", ())})
    outcome = await visit.perform(partial(bulk_answers.withdraw_all, body=body))
    return pages.render("together_withdrawn.html.j2", **visit.layout, outcome=outcome)


async def _answer(visit: Visit, form: Form, seen: Sequence[tuple[str, ...]]) -> AlikeOutcome:
    members = {
        "requests": [{"id": of, "input_sha256": sha} for of, sha in seen],
        "decision": form.text("decision"),
        "message": form.text("message").strip() or None,
        "undo_seconds": UNDO_SECONDS,
    }
    body = make_body(AlikeBody, members)
    return await visit.perform(partial(bulk_answers.answer_alike, body=body))


def _read_ids(entries: Iterable[str]) -> Iterator[UUID]:
    """The ids that a form names; others are left out."""
    for entry in entries:
        with suppress(ValueError):
            yield UUID(entry)


async def _render(
    visit: Visit, chosen: Sequence[UUID], form: Form, error: PerdureError | None = None
) -> Response:
    async with visit.call.gateway.database.reading() as session:
        caller = visit.call.caller
        rows = [await get_answerable_request(session, caller, one) for one in dict.fromkeys(chosen)]
        open_rows = [row for row in rows if decisions.is_open_approval(row)]
        titles = await queries.find_titles(session, [row.execution_id for row in rows])
        contexts = [await input_requests.load_context(session, row) for row in open_rows[:1]]
    shown = form_values(form, error)
    shown["errors"] = {_place_of(name): msg for name, msg in shown["errors"].items()}
    return pages.render(
        "together.html.j2",
        status_for(error),
        **visit.layout,
        requests=open_rows,
        closed=len(rows) - len(open_rows),
        parts={row.id: describe_call(row) for row in open_rows},
        titles=titles,
        effect=decisions.describe_effect(contexts[0].effect) if contexts else "",
        **shown,
    )


def _place_of(name: str) -> str:
    """Where the page shows what a problem is about: `requests/1` is the second call."""
    number = name.partition("/")[2]
    return f"call-{int(number) + 1}" if number.isdecimal() else name

"""The report of a plan in every format."""

import json
from dataclasses import replace

import pytest

from domain.plans.facts import PlanFacts
from reports.render import render_plan
from tests.reports import plan_examples
from tests.reports.html_page import read_page
from tests.reports.pdf_file import open_pdf, text_of


@pytest.mark.parametrize(
    "plan", [plan_examples.ordinary(), plan_examples.failed(), plan_examples.chain(1)]
)
def test_every_format_has_the_steps(plan: PlanFacts) -> None:
    page = "".join(read_page(render_plan(plan, "html")).text)
    markdown = render_plan(plan, "markdown").decode()
    printed = text_of(render_plan(plan, "pdf"))
    for shown in (page, markdown, printed):
        assert "Plan report" in shown
        assert all(step.key in shown for step in plan.steps)
    content = json.loads(render_plan(plan, "json"))
    assert [step["key"] for step in content["steps"]] == [step.key for step in plan.steps]
    assert content["cost_usd"] == float(plan.cost_usd)


def test_the_page_shows_the_graph_the_failures_and_the_results() -> None:
    plan = plan_examples.failed()
    html = render_plan(plan, "html").decode()
    assert "7 steps in 3 batches: 1 blocked, 1 running" in html
    assert "The provider refused the call." in html
    assert "<strong>Read the price lists</strong> is done." in html
    assert "It failed: step failed" in html
    assert "Compare &lt;prices&gt; &amp; volumes" in html


def test_the_answers_of_a_scripted_model_are_marked() -> None:
    plan = replace(plan_examples.ordinary(), is_scripted=True)
    for format_name in ("html", "markdown"):
        made = render_plan(plan, format_name).decode()
        assert "Claude was not called" in made
        assert "of $5.00, nothing was paid" in made
    assert "was paid" not in render_plan(plan_examples.ordinary(), "html").decode()


def test_the_duration_of_a_retried_plan_is_that_of_its_newest_run() -> None:
    plan = plan_examples.ordinary()
    retried = replace(plan, started_at=plan.read_at)
    notes = ["of the newest run" in render_plan(p, "html").decode() for p in (plan, retried)]
    assert notes == [False, True]


def test_markdown_lists_the_steps_by_batch() -> None:
    lines = render_plan(plan_examples.ordinary(), "markdown").decode().splitlines()
    first = lines.index("1. **Batch 1**")
    assert lines[first + 2] == "   - `collect` Collect the reports of all branches: completed"
    assert "   - `print` Print it: cancelled, after translate" in lines


@pytest.mark.parametrize("length", [50, 200])
def test_a_long_plan_fits_the_pages(length: int) -> None:
    pdf = render_plan(plan_examples.chain(length), "pdf")
    assert len(open_pdf(pdf).pages) < 4 + length / 25
    assert "Total" in text_of(pdf)

"""The MCP server at `/mcp`, for agents such as Claude Code.

`endpoint.py` admits a request, `server.py` answers it, `tools/` declares the tools and
`catalogue.py` lists them. To add a tool:

1. Declare it in a module of `tools/`, as an `AgentTool` (`registry.py`):

       class GetPlanArguments(ToolArguments):
           plan_id: UUID

       class PlanResult(ToolResult):
           title: str

       async def _get_plan(context: ToolContext, arguments: GetPlanArguments) -> PlanResult:
           async with context.reading() as session:
               row = await own_plan(session, context.caller, arguments.plan_id)
           return PlanResult(title=row.title, next_step="Start it with start_plan.")

       GET_PLAN = AgentTool(
           name="get_plan",
           group="plans",
           title="Get a plan",
           description="...what it does, when to use it, and which tool comes next...",
           arguments=GetPlanArguments,
           result=PlanResult,
           handler=_get_plan,
           is_read_only=True,
       )

2. List it in `catalogue.py`, whose order is the order in which clients see the tools. A new
   group also goes into `registry.Group`.

A handler changes state through `async with context.transaction() as work` and one service
function, and reads through `async with context.reading() as session` and the functions of
`services.executions.access` with `context.caller`, for which another user's object does not exist.
It raises the domain's errors; `errors.py` turns them into results that the model reads. Everything
that the model must know is in the result model: clients don't show the text blocks beside it.
`next_step` of each result says what to do next.

A tool that starts an execution declares `starts_work=True`. Its handler returns `StartedWork` after
the commit. A client with tasks gets a task (`tasks_extension.py`); another one waits (`work.py`),
and its user is asked what the execution asks (`elicitation.py`).
"""

"""All tools, in the order in which clients see them."""

from api.mcp.registry import Catalogue
from api.mcp.tools import artifacts, executions, input_requests, task_definitions

CATALOGUE = Catalogue(
    (
        executions.EXECUTE_TASK,
        task_definitions.CREATE_TASK,
        task_definitions.LIST_TASKS,
        executions.GET_EXECUTION,
        executions.WATCH_EXECUTION,
        input_requests.LIST_INPUT_REQUESTS,
        input_requests.ANSWER_INPUT_REQUEST,
        artifacts.GET_ARTIFACT,
    )
)

"""All tools, in the order in which clients see them."""

from api.mcp.registry import Catalogue
from api.mcp.tools import (
    artifacts,
    executions,
    input_requests,
    memory,
    orchestrator,
    orchestrator_reads,
    orchestrator_work,
    queue,
    queue_reads,
    task_definitions,
)

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
        orchestrator.PLAN_TASK,
        orchestrator_work.EXECUTE_TASK,
        orchestrator_work.COMPLETE_TASK,
        orchestrator.UPDATE_TASK,
        orchestrator.CANCEL_TASK,
        orchestrator.FINISH_TASK,
        orchestrator.DELETE_TASK,
        orchestrator.CLEAN_UP_TASKS,
        orchestrator_reads.QUERY_TASKS,
        orchestrator_reads.GET_STATUS,
        orchestrator_reads.SYNTHESIZE_RESULTS,
        queue.ENQUEUE,
        queue.GET,
        queue.LIST,
        queue.CANCEL,
        queue.PRUNE,
        queue_reads.STATUS,
        queue_reads.EXECUTION_PLAN,
        memory.ADD,
        memory.GET,
        memory.SEARCH,
        memory.UPDATE,
        memory.DELETE,
        task_definitions.UPDATE_TASK,
        task_definitions.DELETE_TASK,
    )
)

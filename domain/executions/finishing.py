"""Finishing early: a person asks an execution to answer now with what it has."""

FINISH_REQUEST = (
    "A person asks you to finish now. Do not call tools any more; answer with what you have."
)
"""The message that the model receives; the person's own words follow."""

NOT_RUN = "This call has not run, because a person asked this execution to finish now."
"""The result of calls that were still to run or to be decided."""

NOT_ENDED = "This was stopped before it ended: a person asked this execution to finish now."
"""The result of calls whose subtasks or MCP servers had not answered, and of such a subtask."""

MAX_REFUSED_TURNS = 2
"""Turns in which the model may still ask for tools; then its last text is the result (chosen)."""

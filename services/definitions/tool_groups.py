"""Tool groups: named lists of tool rules, which tasks name as `group:NAME`."""

from collections.abc import Mapping
from typing import Any

from domain.errors import InvalidInputError
from persistence.tables.definitions import ToolGroupRow
from services.definitions.inputs import ToolGroupCreate
from services.definitions.resources import NamedResource
from services.definitions.task_rules import tool_rule_problems
from services.unit_of_work import UnitOfWork


class ToolGroups(NamedResource[ToolGroupRow, ToolGroupCreate]):
    """The declaration of tool groups."""

    entity, noun = "tool_group", "tool group"
    table, create_model = ToolGroupRow, ToolGroupCreate

    async def check(self, work: UnitOfWork, row: ToolGroupRow, body: ToolGroupCreate) -> None:
        """Check the rules in the list; a group cannot name other groups."""
        del work, row
        if problems := list(tool_rule_problems("tools", body.tools)):
            raise InvalidInputError("The tool group is invalid; see errors.", problems)

    def audited_fields(self, row: ToolGroupRow) -> Mapping[str, Any]:
        """Return all fields that a user can set."""
        return self.body_fields(row)


TOOL_GROUPS = ToolGroups()

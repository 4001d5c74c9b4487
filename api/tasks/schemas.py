"""Request and response bodies of tasks."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.field_types import Read


class TaskRead(Read):
    """The current state of a task."""

    id: UUID
    user_id: UUID
    name: str
    description: str | None
    prompt_template: str
    variables_schema: dict[str, Any] | None
    default_variables: dict[str, Any]
    system_prompt: str | None
    agent_id: str | None
    allowed_tools: list[str]
    ask_tools: list[str]
    disallowed_tools: list[str]
    sdk_options: dict[str, Any]
    working_directory_path: str | None
    is_scheduled: bool
    schedule_cron: str | None
    schedule_timezone: str
    schedule_enabled: bool
    schedule_overlap_policy: str
    schedule_catchup_window_seconds: int | None
    schedule_jitter_seconds: int | None
    generate_report: bool
    report_format: str | None
    notification_config: dict[str, Any] | None
    human_input_policy: dict[str, Any]
    tags: list[str]
    is_public: bool
    is_active: bool
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    is_deleted: bool

"""The columns of executions in SQL that is not made by SQLAlchemy."""

from collections.abc import Collection

from persistence.tables.executions import ExecutionRow


def select_columns(alias: str, *, without: Collection[str] = ()) -> str:
    """The columns of executions under this alias, for the list of a SELECT."""
    names = (column.name for column in ExecutionRow.__table__.columns)
    return ", ".join(f'{alias}."{name}"' for name in names if name not in without)


def select_readers(alias: str) -> str:
    """Two more columns, which decide which links are shown.

    `task_reader` is a user who can read the execution's task, if there is one. Both are subqueries
    by key: joins or EXISTS would read whole tables.
    """
    return f"""(
        SELECT CASE WHEN t.is_public THEN {alias}.user_id ELSE t.user_id END
        FROM tasks t WHERE t.id = {alias}.task_id AND t.deleted_at IS NULL
    ) AS task_reader, (
        SELECT s.deleted_at IS NOT NULL FROM sessions s WHERE s.id = {alias}.session_id
    ) AS session_is_deleted"""  # noqa: S608 - our own names

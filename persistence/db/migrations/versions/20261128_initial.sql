-- The schema of the first release. Statements end with a semicolon and an empty line.

CREATE TABLE audit_seals (
    seq bigint NOT NULL,
    audit_id uuid NOT NULL,
    hash bytea NOT NULL,
    sealed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_audit_seals PRIMARY KEY (seq),
    CONSTRAINT uq_audit_seals_audit_id UNIQUE (audit_id)
);

CREATE TABLE audit_unsealed (
    audit_id uuid NOT NULL,
    CONSTRAINT pk_audit_unsealed PRIMARY KEY (audit_id)
);

CREATE TABLE execution_events (
    execution_id uuid NOT NULL,
    seq integer NOT NULL,
    type text NOT NULL,
    data json NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_execution_events PRIMARY KEY (execution_id, seq)
);

CREATE TABLE execution_tags (
    user_id uuid NOT NULL,
    tag text NOT NULL,
    execution_id uuid NOT NULL,
    CONSTRAINT pk_execution_tags PRIMARY KEY (user_id, tag, execution_id)
);

CREATE TABLE messages (
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    seq integer NOT NULL,
    role text NOT NULL,
    content text NOT NULL,
    model text,
    stop_reason text,
    usage json,
    cost_usd numeric(18, 6),
    request_id text,
    superseded_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_messages PRIMARY KEY (id)
);

CREATE INDEX ix_messages_execution_id_seq ON messages (execution_id, seq);

CREATE INDEX ix_messages_superseded ON messages (session_id, seq) WHERE superseded_at IS NOT NULL;

CREATE UNIQUE INDEX uq_messages_session_id_seq
    ON messages (session_id, seq) WHERE superseded_at IS NULL;

CREATE TABLE model_calls (
    id uuid NOT NULL,
    execution_id uuid NOT NULL,
    turn integer NOT NULL,
    try_number integer NOT NULL,
    status text NOT NULL,
    model text NOT NULL,
    max_tokens integer NOT NULL,
    last_message_seq integer NOT NULL,
    request_sha256 bytea NOT NULL,
    stop_reason text,
    stop_details json,
    usage json,
    usage_estimated boolean NOT NULL,
    estimate_usd numeric(18, 6),
    cost_usd numeric(18, 6),
    error_kind text,
    error_message text,
    http_status integer,
    request_id text,
    first_token_ms integer,
    superseded_at timestamptz,
    started_at timestamptz DEFAULT now() NOT NULL,
    completed_at timestamptz,
    CONSTRAINT pk_model_calls PRIMARY KEY (id)
);

CREATE INDEX ix_model_calls_execution_id_turn ON model_calls (execution_id, turn, try_number);

CREATE TABLE prefixes (
    sha256 bytea NOT NULL,
    body text NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_prefixes PRIMARY KEY (sha256)
);

CREATE TABLE schedule_skips (
    id uuid NOT NULL,
    task_id uuid NOT NULL,
    workflow_id text NOT NULL,
    first_run_id text NOT NULL,
    scheduled_at timestamptz NOT NULL,
    reason text NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_schedule_skips PRIMARY KEY (id)
);

CREATE INDEX ix_schedule_skips_task_id_id ON schedule_skips (task_id, id);

CREATE UNIQUE INDEX uq_schedule_skips_workflow_id_first_run_id
    ON schedule_skips (workflow_id, first_run_id);

CREATE TABLE tool_calls (
    id uuid NOT NULL,
    execution_id uuid NOT NULL,
    turn integer NOT NULL,
    position integer NOT NULL,
    tool_use_id text NOT NULL,
    name text NOT NULL,
    input text NOT NULL,
    approved_input text,
    input_sha256 bytea NOT NULL,
    effect text NOT NULL,
    status text NOT NULL,
    reason text,
    output text,
    is_error boolean NOT NULL,
    output_artifact_id uuid,
    child_execution_id uuid,
    wakes_at timestamptz,
    host_id text,
    process_group integer,
    process_started_ticks bigint,
    superseded_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    started_at timestamptz,
    completed_at timestamptz,
    CONSTRAINT pk_tool_calls PRIMARY KEY (id)
);

CREATE INDEX ix_tool_calls_execution_id_turn ON tool_calls (execution_id, turn, position);

CREATE TABLE usage_closed_days (
    day date NOT NULL,
    closed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_usage_closed_days PRIMARY KEY (day)
);

CREATE TABLE usage_days (
    id bigint GENERATED ALWAYS AS IDENTITY,
    day date NOT NULL,
    user_id uuid NOT NULL,
    task_id uuid,
    model text,
    executions bigint NOT NULL,
    completed bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    cost_usd numeric(18, 6) NOT NULL,
    running_ms bigint NOT NULL,
    human_wait_ms bigint NOT NULL,
    CONSTRAINT pk_usage_days PRIMARY KEY (id)
);

CREATE INDEX ix_usage_days_day ON usage_days (day);

CREATE INDEX ix_usage_days_user_id_day ON usage_days (user_id, day);

CREATE TABLE users (
    id uuid NOT NULL,
    subject text NOT NULL,
    role text NOT NULL,
    disabled_at timestamptz,
    max_concurrent_executions integer,
    max_usd_per_day numeric(18, 6),
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT uq_users_subject UNIQUE (subject)
);

CREATE INDEX ix_users_disabled ON users (id) WHERE disabled_at IS NOT NULL;

CREATE INDEX ix_users_role_id ON users (role, id);

CREATE TABLE agents (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    system_prompt text NOT NULL,
    model text,
    allowed_tools json NOT NULL,
    executor text NOT NULL,
    capabilities json NOT NULL,
    tags json NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_agents PRIMARY KEY (id),
    CONSTRAINT fk_agents_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_agents_user_id_id ON agents (user_id, id);

CREATE UNIQUE INDEX uq_agents_user_id_slug ON agents (user_id, slug);

CREATE TABLE api_keys (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    prefix text NOT NULL,
    sha256 bytea NOT NULL,
    role text NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT pk_api_keys PRIMARY KEY (id),
    CONSTRAINT fk_api_keys_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_api_keys_user_id_id ON api_keys (user_id, id) WHERE revoked_at IS NULL;

CREATE UNIQUE INDEX uq_api_keys_sha256 ON api_keys (sha256);

CREATE UNIQUE INDEX uq_api_keys_user_id_name_current
    ON api_keys (user_id, name) WHERE revoked_at IS NULL;

CREATE TABLE audit_log (
    id uuid NOT NULL,
    actor_id uuid,
    owner_id uuid,
    action text NOT NULL,
    entity_type text NOT NULL,
    entity_id uuid NOT NULL,
    request_id text,
    address text,
    before json,
    after json,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_audit_log PRIMARY KEY (id),
    CONSTRAINT fk_audit_log_actor_id FOREIGN KEY(actor_id) REFERENCES users (id)
);

CREATE INDEX ix_audit_log_action_id ON audit_log (action, id);

CREATE INDEX ix_audit_log_actor_id_id ON audit_log (actor_id, id);

CREATE INDEX ix_audit_log_actor_id_id_of_others
    ON audit_log (actor_id, id) WHERE owner_id IS DISTINCT FROM actor_id;

CREATE INDEX ix_audit_log_entity_id_id ON audit_log (entity_id, id);

CREATE INDEX ix_audit_log_entity_type_id ON audit_log (entity_type, id);

CREATE INDEX ix_audit_log_owner_id_id ON audit_log (owner_id, id);

CREATE TABLE idempotency_keys (
    user_id uuid NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    request_sha256 bytea NOT NULL,
    status integer,
    response json,
    created_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (user_id, route, key),
    CONSTRAINT fk_idempotency_keys_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_idempotency_keys_expires_at ON idempotency_keys (expires_at);

CREATE TABLE mcp_servers (
    is_public boolean NOT NULL,
    url text,
    command text,
    args json NOT NULL,
    headers json NOT NULL,
    env json NOT NULL,
    health json,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    description text,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_mcp_servers PRIMARY KEY (id),
    CONSTRAINT fk_mcp_servers_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_mcp_servers_public ON mcp_servers (id) WHERE is_public;

CREATE INDEX ix_mcp_servers_user_id_id ON mcp_servers (user_id, id);

CREATE UNIQUE INDEX uq_mcp_servers_user_id_name ON mcp_servers (user_id, name);

CREATE TABLE secrets (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    encrypted_value bytea NOT NULL,
    hosts json NOT NULL,
    tools json NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    last_used_at timestamptz,
    CONSTRAINT pk_secrets PRIMARY KEY (id),
    CONSTRAINT uq_secrets_user_id_name UNIQUE (user_id, name),
    CONSTRAINT fk_secrets_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_secrets_user_id_id ON secrets (user_id, id);

CREATE TABLE sessions (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    title text,
    agent_id text,
    sdk_options json,
    is_interactive boolean NOT NULL,
    workspace_host_id uuid,
    forked_from_session_id uuid,
    forked_at_seq integer,
    forked_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT fk_sessions_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_sessions_forked_from_session_id
        FOREIGN KEY(forked_from_session_id) REFERENCES sessions (id)
);

CREATE INDEX ix_sessions_user_id_agent_id_id ON sessions (user_id, agent_id, id);

CREATE INDEX ix_sessions_user_id_id ON sessions (user_id, id);

CREATE INDEX ix_sessions_user_id_id_interactive
    ON sessions (user_id, id) WHERE is_interactive IS true;

CREATE TABLE task_templates (
    is_public boolean NOT NULL,
    parameters json NOT NULL,
    task json NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    description text,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_task_templates PRIMARY KEY (id),
    CONSTRAINT fk_task_templates_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_task_templates_public ON task_templates (id) WHERE is_public;

CREATE INDEX ix_task_templates_user_id_id ON task_templates (user_id, id);

CREATE UNIQUE INDEX uq_task_templates_user_id_name ON task_templates (user_id, name);

CREATE TABLE tasks (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    description text,
    tags text[] NOT NULL,
    version integer NOT NULL,
    is_public boolean NOT NULL,
    is_active boolean NOT NULL,
    is_scheduled boolean NOT NULL,
    schedule_cron text,
    schedule_timezone text NOT NULL,
    schedule_enabled boolean NOT NULL,
    schedule_overlap_policy text NOT NULL,
    schedule_catchup_window_seconds integer,
    schedule_jitter_seconds integer,
    entered_tools json,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT pk_tasks PRIMARY KEY (id),
    CONSTRAINT fk_tasks_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_tasks_public ON tasks (id) WHERE is_public AND deleted_at IS NULL;

CREATE INDEX ix_tasks_scheduled ON tasks (user_id, id) WHERE is_scheduled AND deleted_at IS NULL;

CREATE INDEX ix_tasks_tags ON tasks USING gin (tags);

CREATE INDEX ix_tasks_user_id_id ON tasks (user_id, id);

CREATE UNIQUE INDEX uq_tasks_user_id_name_current ON tasks (user_id, name) WHERE deleted_at IS NULL;

CREATE TABLE tool_groups (
    tools json NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    description text,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_tool_groups PRIMARY KEY (id),
    CONSTRAINT fk_tool_groups_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_tool_groups_user_id_id ON tool_groups (user_id, id);

CREATE UNIQUE INDEX uq_tool_groups_user_id_name ON tool_groups (user_id, name);

CREATE TABLE executions (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    task_id uuid,
    task_version integer,
    definition json,
    notification_config jsonb,
    session_id uuid,
    report_id uuid,
    parent_execution_id uuid,
    parent_tool_call_id uuid,
    depth integer NOT NULL,
    retry_of_id uuid,
    forked_from_id uuid,
    title text NOT NULL,
    summary text,
    agent_id text,
    executor text NOT NULL,
    tags text[] DEFAULT '{}' NOT NULL,
    trigger_type text NOT NULL,
    trigger_metadata json NOT NULL,
    prompt_variables json NOT NULL,
    missing_variables json NOT NULL,
    rendered_prompt text,
    status text NOT NULL,
    status_reason text,
    wakes_at timestamptz,
    error_code text,
    error_message text,
    result_data json,
    report_error text,
    budget_usd numeric(18, 6),
    priority integer NOT NULL,
    workflow_id text NOT NULL,
    first_run_id text,
    run_id text,
    deadline_at timestamptz,
    cancel_requested_at timestamptz,
    cancel_reason text,
    pause_requested_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    started_at timestamptz,
    completed_at timestamptz,
    prefix_sha256 bytea,
    run_epochs jsonb DEFAULT '{}' NOT NULL,
    epoch integer DEFAULT '0' NOT NULL,
    segment integer DEFAULT '0' NOT NULL,
    attempt integer DEFAULT '0' NOT NULL,
    stalled_attempts integer DEFAULT '0' NOT NULL,
    running_ms bigint DEFAULT '0' NOT NULL,
    event_seq integer DEFAULT '0' NOT NULL,
    total_messages integer DEFAULT '0' NOT NULL,
    total_tool_calls integer DEFAULT '0' NOT NULL,
    total_turns integer DEFAULT '0' NOT NULL,
    input_tokens bigint DEFAULT '0' NOT NULL,
    output_tokens bigint DEFAULT '0' NOT NULL,
    cache_read_tokens bigint DEFAULT '0' NOT NULL,
    cache_write_tokens bigint DEFAULT '0' NOT NULL,
    cost_usd numeric(18, 6) DEFAULT '0' NOT NULL,
    CONSTRAINT pk_executions PRIMARY KEY (id),
    CONSTRAINT fk_executions_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_executions_task_id FOREIGN KEY(task_id) REFERENCES tasks (id),
    CONSTRAINT fk_executions_session_id FOREIGN KEY(session_id) REFERENCES sessions (id),
    CONSTRAINT fk_executions_parent_execution_id
        FOREIGN KEY(parent_execution_id) REFERENCES executions (id)
)
 WITH (fillfactor = 70);

CREATE INDEX ix_executions_active
    ON executions (id)
    WHERE status IN ('pending', 'running', 'waiting_for_user', 'waiting_for_subtask', 'paused');

CREATE INDEX ix_executions_blocked_deadline_at
    ON executions (deadline_at) WHERE status = 'blocked' AND deadline_at IS NOT NULL;

CREATE INDEX ix_executions_completed_at ON executions (completed_at) WHERE completed_at IS NOT NULL;

CREATE INDEX ix_executions_parent_execution_id_id
    ON executions (parent_execution_id, id) WHERE parent_execution_id IS NOT NULL;

CREATE INDEX ix_executions_retry_of_id ON executions (retry_of_id) WHERE retry_of_id IS NOT NULL;

CREATE INDEX ix_executions_session_id_id ON executions (session_id, id);

CREATE INDEX ix_executions_task_id_id ON executions (task_id, id);

CREATE INDEX ix_executions_task_id_scheduled
    ON executions (task_id, id) WHERE trigger_type = 'scheduled' AND status = 'completed';

CREATE INDEX ix_executions_task_id_scheduled_runs
    ON executions (task_id, id) WHERE trigger_type = 'scheduled';

CREATE INDEX ix_executions_user_id_agent_id_id ON executions (user_id, agent_id, id);

CREATE INDEX ix_executions_user_id_id ON executions (user_id, id);

CREATE INDEX ix_executions_user_id_status_id ON executions (user_id, status, id);

CREATE INDEX ix_executions_user_id_trigger_type_id ON executions (user_id, trigger_type, id);

CREATE UNIQUE INDEX uq_executions_session_id_active
    ON executions (session_id)
    WHERE status IN ('pending', 'running', 'waiting_for_user', 'waiting_for_subtask', 'paused');

CREATE UNIQUE INDEX uq_executions_workflow_id_first_run_id
    ON executions (workflow_id, first_run_id);

CREATE TABLE hooks (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    task_id uuid NOT NULL,
    name text,
    token_sha256 bytea NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    last_used_at timestamptz,
    CONSTRAINT pk_hooks PRIMARY KEY (id),
    CONSTRAINT fk_hooks_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_hooks_task_id FOREIGN KEY(task_id) REFERENCES tasks (id)
);

CREATE INDEX ix_hooks_task_id_id ON hooks (task_id, id);

CREATE UNIQUE INDEX uq_hooks_token_sha256 ON hooks (token_sha256);

CREATE TABLE schedule_backfills (
    id uuid NOT NULL,
    task_id uuid NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    overlap_policy text NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    sent_at timestamptz,
    CONSTRAINT pk_schedule_backfills PRIMARY KEY (id),
    CONSTRAINT fk_schedule_backfills_task_id FOREIGN KEY(task_id) REFERENCES tasks (id)
);

CREATE INDEX ix_schedule_backfills_unsent ON schedule_backfills (id) WHERE sent_at IS NULL;

CREATE TABLE schedules (
    task_id uuid NOT NULL,
    revision integer NOT NULL,
    applied_revision integer NOT NULL,
    changed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_schedules PRIMARY KEY (task_id),
    CONSTRAINT fk_schedules_task_id FOREIGN KEY(task_id) REFERENCES tasks (id)
);

CREATE INDEX ix_schedules_unsynchronised
    ON schedules (changed_at) WHERE revision <> applied_revision;

CREATE TABLE task_versions (
    task_id uuid NOT NULL,
    version integer NOT NULL,
    definition json NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_task_versions PRIMARY KEY (task_id, version),
    CONSTRAINT fk_task_versions_task_id FOREIGN KEY(task_id) REFERENCES tasks (id),
    CONSTRAINT fk_task_versions_created_by FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE TABLE artifacts (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    execution_id uuid,
    tool_call_id uuid,
    kind text NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 text NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_artifacts PRIMARY KEY (id),
    CONSTRAINT fk_artifacts_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_artifacts_execution_id FOREIGN KEY(execution_id) REFERENCES executions (id)
);

CREATE INDEX ix_artifacts_execution_id_id ON artifacts (execution_id, id);

CREATE TABLE execution_prerequisites (
    execution_id uuid NOT NULL,
    prerequisite_id uuid NOT NULL,
    CONSTRAINT pk_execution_prerequisites PRIMARY KEY (execution_id, prerequisite_id),
    CONSTRAINT fk_execution_prerequisites_execution_id
        FOREIGN KEY(execution_id) REFERENCES executions (id),
    CONSTRAINT fk_execution_prerequisites_prerequisite_id
        FOREIGN KEY(prerequisite_id) REFERENCES executions (id)
);

CREATE INDEX ix_execution_prerequisites_prerequisite_id
    ON execution_prerequisites (prerequisite_id);

CREATE TABLE input_requests (
    id uuid NOT NULL,
    execution_id uuid NOT NULL,
    user_id uuid NOT NULL,
    tool_call_id uuid,
    kind text NOT NULL,
    title text NOT NULL,
    body text,
    options json,
    schema json,
    tool_name text,
    tool_input text,
    input_sha256 bytea,
    tool_input_schema json,
    assignee text,
    status text NOT NULL,
    due_at timestamptz,
    on_expiry text NOT NULL,
    default_answer json,
    answer json,
    answered_by uuid,
    answered_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_input_requests PRIMARY KEY (id),
    CONSTRAINT fk_input_requests_execution_id FOREIGN KEY(execution_id) REFERENCES executions (id),
    CONSTRAINT fk_input_requests_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_input_requests_tool_call_id FOREIGN KEY(tool_call_id) REFERENCES tool_calls (id),
    CONSTRAINT fk_input_requests_answered_by FOREIGN KEY(answered_by) REFERENCES users (id)
);

CREATE INDEX ix_input_requests_assignee_status_id
    ON input_requests (assignee, status, id) WHERE assignee IS NOT NULL;

CREATE INDEX ix_input_requests_due_at ON input_requests (due_at) WHERE status = 'open';

CREATE INDEX ix_input_requests_execution_id_status ON input_requests (execution_id, status);

CREATE INDEX ix_input_requests_user_id_status_id ON input_requests (user_id, status, id);

CREATE TABLE notifications (
    id uuid NOT NULL,
    message_id uuid NOT NULL,
    user_id uuid NOT NULL,
    execution_id uuid,
    event_seq integer,
    type text NOT NULL,
    kind text NOT NULL,
    position integer NOT NULL,
    target json NOT NULL,
    payload json,
    status text NOT NULL,
    error text,
    attempts integer DEFAULT '0' NOT NULL,
    start_at timestamptz,
    next_attempt_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    completed_at timestamptz,
    CONSTRAINT pk_notifications PRIMARY KEY (id),
    CONSTRAINT fk_notifications_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_notifications_execution_id FOREIGN KEY(execution_id) REFERENCES executions (id)
);

CREATE INDEX ix_notifications_execution_id ON notifications (execution_id);

CREATE INDEX ix_notifications_start_at ON notifications (start_at) WHERE status = 'pending';

CREATE INDEX ix_notifications_user_id_execution_id_id ON notifications (user_id, execution_id, id);

CREATE INDEX ix_notifications_user_id_id ON notifications (user_id, id);

CREATE INDEX ix_notifications_user_id_kind_id ON notifications (user_id, kind, id);

CREATE INDEX ix_notifications_user_id_status_id ON notifications (user_id, status, id);

CREATE UNIQUE INDEX uq_notifications_event_target
    ON notifications (execution_id, event_seq, kind, position) WHERE id = message_id;

CREATE TABLE reports (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    task_id uuid,
    title text NOT NULL,
    format text NOT NULL,
    content json NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_reports PRIMARY KEY (id),
    CONSTRAINT fk_reports_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_reports_execution_id FOREIGN KEY(execution_id) REFERENCES executions (id)
);

CREATE INDEX ix_reports_execution_id ON reports (execution_id);

CREATE INDEX ix_reports_user_id_format_id ON reports (user_id, format, id);

CREATE INDEX ix_reports_user_id_id ON reports (user_id, id);

CREATE INDEX ix_reports_user_id_task_id_id ON reports (user_id, task_id, id);

CREATE TABLE signals (
    id uuid NOT NULL,
    execution_id uuid NOT NULL,
    kind text NOT NULL,
    payload json NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    wake_at timestamptz NOT NULL,
    consumed_at timestamptz,
    CONSTRAINT pk_signals PRIMARY KEY (id),
    CONSTRAINT fk_signals_execution_id FOREIGN KEY(execution_id) REFERENCES executions (id)
);

CREATE INDEX ix_signals_consumed_at ON signals (consumed_at) WHERE consumed_at IS NOT NULL;

CREATE INDEX ix_signals_execution_id_unread ON signals (execution_id, id) WHERE consumed_at IS NULL;

CREATE INDEX ix_signals_wake_at ON signals (wake_at) WHERE consumed_at IS NULL;

CREATE TABLE notification_attempts (
    id uuid NOT NULL,
    notification_id uuid NOT NULL,
    number integer NOT NULL,
    started_at timestamptz DEFAULT now() NOT NULL,
    duration_ms integer,
    status_code integer,
    error text,
    excerpt text,
    CONSTRAINT pk_notification_attempts PRIMARY KEY (id),
    CONSTRAINT fk_notification_attempts_notification_id
        FOREIGN KEY(notification_id) REFERENCES notifications (id)
);

CREATE UNIQUE INDEX uq_notification_attempts_notification_id_number
    ON notification_attempts (notification_id, number);

CREATE FUNCTION perdure_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege',
        HINT = 'Entries are written once and kept; see docs/guides/audit.md.';
END
$$;

CREATE FUNCTION perdure_queue_for_sealing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_unsealed (audit_id) VALUES (NEW.id);
    RETURN NULL;
END
$$;

CREATE TRIGGER audit_log_queue AFTER INSERT ON audit_log
FOR EACH ROW EXECUTE FUNCTION perdure_queue_for_sealing();

CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION perdure_refuse_change();

CREATE TRIGGER audit_seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals
FOR EACH STATEMENT EXECUTE FUNCTION perdure_refuse_change();

-- Every statement that appends an event notifies in the same transaction. An execution without a
-- configuration costs one read of its row, which the statement has just changed; events of which
-- nothing is notified cost nothing (the WHEN clause of the trigger).
CREATE FUNCTION perdure_notify() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    owner uuid;
    task uuid;
    config jsonb;
BEGIN
    SELECT user_id, task_id, notification_config INTO owner, task, config FROM executions
    WHERE id = NEW.execution_id AND notification_config IS NOT NULL
        -- A subtask notifies only when it asks a person.
        AND (parent_execution_id IS NULL OR NEW.type LIKE 'input.%');
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM FROM tasks WHERE id = task AND user_id <> owner;
    IF FOUND THEN
        -- The targets of another user's public task are not notified.
        RETURN NULL;
    END IF;
    INSERT INTO notifications (id, message_id, user_id, execution_id, event_seq, type, kind,
        position, target, status, start_at)
    SELECT new_id, new_id, owner, NEW.execution_id, NEW.seq, NEW.type, kind, position,
        target - 'events', 'pending', now()
    FROM (
        SELECT uuidv7() AS new_id, field.kind, CAST(given.n AS int) AS position,
            CASE jsonb_typeof(given.value) WHEN 'string' THEN jsonb_build_object('to', given.value)
                ELSE given.value END AS target
        FROM (VALUES ('webhook', 'webhooks'), ('email', 'email'), ('slack', 'slack'))
                AS field (kind, name),
            jsonb_array_elements(
                CASE jsonb_typeof(config -> field.name) WHEN 'array' THEN config -> field.name
                    ELSE '[]' END
            ) WITH ORDINALITY AS given (value, n)
        WHERE jsonb_typeof(given.value) IN ('object', 'string')
    ) AS targets
    WHERE CASE jsonb_typeof(target -> 'events')
        WHEN 'array' THEN target -> 'events' ? NEW.type
        ELSE NEW.type IN ('execution.completed', 'execution.failed', 'execution.cancelled',
            'input.requested')
        END;
    IF FOUND THEN
        PERFORM pg_notify('perdure_notifications', '');
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER execution_events_notify AFTER INSERT ON execution_events FOR EACH ROW
WHEN (NEW.type IN ('execution.started', 'execution.completed', 'execution.failed',
    'execution.cancelled', 'input.requested', 'input.answered', 'input.expired', 'report.ready'))
EXECUTE FUNCTION perdure_notify();

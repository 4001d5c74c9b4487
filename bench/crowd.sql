-- Copies of an execution that waits for a person, each with its open request.
WITH made AS (
    INSERT INTO executions
    SELECT copy.*
    FROM executions, generate_series(1, 9999) AS number,
         LATERAL jsonb_populate_record(executions, jsonb_build_object(
             'id', uuidv7(),
             'workflow_id', 'crowd-' || number,
             'first_run_id', 'crowd-' || number,
             'session_id', NULL,
             'created_at', now()
         )) AS copy
    WHERE executions.id = :execution
    RETURNING id
)
INSERT INTO input_requests
SELECT copy.*
FROM made, input_requests,
     LATERAL jsonb_populate_record(input_requests, jsonb_build_object(
         'id', uuidv7(),
         'execution_id', made.id,
         'tool_call_id', NULL,
         'created_at', now()
     )) AS copy
WHERE input_requests.execution_id = :execution;

-- The definitions of a user that name something. Only the newest ones are searched.

-- name: agent
WITH definitions AS ($definitions)
SELECT kind, id, name FROM definitions WHERE definition ->> 'agent_id' = :name LIMIT :shown

-- name: mcp_server
WITH definitions AS ($definitions)
SELECT kind, id, name FROM definitions
WHERE EXISTS (
    SELECT 1 FROM json_each(definition -> 'sdk_options' -> 'mcp_servers') AS server
    WHERE server.value ->> 'ref' = :name
)
LIMIT :shown

-- name: secret
WITH definitions AS ($definitions)
SELECT kind, id, name FROM definitions
WHERE definition -> 'sdk_options' ->> 'mcp_servers' ~ :reference
    OR EXISTS (
        SELECT 1 FROM (
            SELECT * FROM json_array_elements(definition -> 'notification_config' -> 'webhooks')
            UNION ALL
            SELECT * FROM json_array_elements(definition -> 'notification_config' -> 'slack')
        ) AS target
        WHERE target.value ->> 'secret_ref' IN (:name, 'secret://' || :name)
    )
UNION ALL
SELECT 'mcp_server', id, name FROM mcp_servers
WHERE user_id = :user_id AND (headers::text ~ :reference OR env::text ~ :reference)
LIMIT :shown

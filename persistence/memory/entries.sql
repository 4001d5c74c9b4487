-- Writes of memory entries.

-- name: add_version
-- The next version of a locked entry, and the use by the execution that writes it.
WITH entry AS (
    UPDATE memory_entries SET
        version = version + 1,
        memory_type = :memory_type,
        value = CAST(:value AS json),
        created_by = :created_by,
        execution_id = :execution_id,
        stored_bytes = stored_bytes + :size_bytes,
        search = setweight(to_tsvector('simple', :place), 'A')
            || setweight(to_tsvector('simple', :words), 'B')
            || setweight(to_tsvector(CAST(:language AS regconfig), :stemmed), 'B'),
        expires_at = :expires_at,
        deleted_at = :deleted_at,
        updated_at = clock_timestamp()
    WHERE id = :entry_id
    RETURNING *
),
version AS (
    INSERT INTO memory_versions
        (entry_id, version, memory_type, value, is_deletion, created_by, execution_id)
    SELECT id, version, memory_type,
        CASE WHEN deleted_at IS NULL THEN value ELSE 'null' END,
        deleted_at IS NOT NULL, created_by, execution_id
    FROM entry
),
used AS (
    INSERT INTO memory_uses
        (id, execution_id, tool_use_id, entry_id, namespace, key, version, action)
    SELECT :use_id, execution_id, :tool_use_id, id, namespace, key, version, :action
    FROM entry
    WHERE execution_id IS NOT NULL
)
SELECT version, stored_bytes, created_at, updated_at FROM entry

-- Writes of memory entries.

-- name: read
-- An entry, even if it is deleted or has expired; `is_current` if it is neither.
SELECT $columns, $is_current AS is_current
FROM memory_entries WHERE user_id = :user_id AND namespace = :namespace AND key = :key

-- name: lock
SELECT $columns, $is_current AS is_current
FROM memory_entries WHERE user_id = :user_id AND namespace = :namespace AND key = :key FOR UPDATE

-- name: extend
UPDATE memory_entries SET expires_at = :expires_at
WHERE id = :id AND version = :version AND $is_current
RETURNING $columns

-- name: write
-- The next version of an entry that still has the version `:version`, 0 if it does not exist, with
-- the use by the execution that writes it. Returns no row if another transaction has changed it.
-- Without its lock, an entry that is deleted completely meanwhile would be written again.
WITH entry AS (
    INSERT INTO memory_entries AS e (
        id, user_id, namespace, key, version, memory_type, value, created_by, execution_id,
        stored_bytes, search, expires_at, deleted_at
    )
    SELECT CAST(:entry_id AS uuid), CAST(:user_id AS uuid), CAST(:namespace AS text),
        CAST(:key AS text), 1, CAST(:memory_type AS text), CAST(:value AS json),
        CAST(:created_by AS text), CAST(:execution_id AS uuid), CAST(:size_bytes AS bigint),
        setweight(to_tsvector('simple', :place), 'A')
            || setweight(to_tsvector('simple', :words), 'B')
            || setweight(to_tsvector(CAST(:language AS regconfig), :stemmed), 'B'),
        CAST(:expires_at AS timestamptz), CAST(:deleted_at AS timestamptz)
    WHERE CAST(:version AS int) = 0
        OR EXISTS (
            SELECT FROM memory_entries WHERE id = :entry_id AND version = :version
            FOR NO KEY UPDATE
        )
    ON CONFLICT (user_id, namespace, key) DO UPDATE SET
        version = e.version + 1,
        memory_type = excluded.memory_type,
        value = excluded.value,
        created_by = excluded.created_by,
        execution_id = excluded.execution_id,
        stored_bytes = e.stored_bytes + excluded.stored_bytes,
        search = excluded.search,
        expires_at = excluded.expires_at,
        deleted_at = excluded.deleted_at,
        updated_at = clock_timestamp()
    WHERE e.version = :version
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
    SELECT uuidv7(), execution_id, CAST(:tool_use_id AS text), id, namespace, key, version,
        CAST(:action AS text)
    FROM entry
    WHERE execution_id IS NOT NULL
),
audited AS (
    $insert_by_actor, user_id, CAST(:audited AS text), 'memory_entry', id,
        json_strip_nulls(json_build_object(
            'namespace', namespace, 'key', key, 'version', version, 'execution_id', execution_id))
    FROM entry
)
SELECT $columns FROM entry

-- Entities: state under a key, with operations that run one after the other.

CREATE FUNCTION durable.signal_entity(
    name       text,
    key        text,
    operation  text,
    input      "any"       DEFAULT NULL,
    deliver_at timestamptz DEFAULT NULL
) RETURNS void
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_signal_entity';

CREATE FUNCTION durable.call_entity(
    name       text,
    key        text,
    operation  text,
    input      "any" DEFAULT NULL
) RETURNS jsonb
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_call_entity';

CREATE FUNCTION durable.apply_entity(
    name       text,
    key        text,
    operation  text,
    input      "any" DEFAULT NULL
) RETURNS jsonb
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_apply_entity';

CREATE FUNCTION durable.lock_entities(VARIADIC ids text[]) RETURNS void
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_lock_entities';

CREATE FUNCTION durable.unlock_entities() RETURNS void
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_unlock_entities';

CREATE FUNCTION durable.in_critical_section() RETURNS boolean
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_in_critical_section';

CREATE FUNCTION durable.entity_state(name text, key text, owner regrole DEFAULT NULL) RETURNS jsonb
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_entity_state';

CREATE FUNCTION durable.purge_entity(name text, key text) RETURNS boolean
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'durable_purge_entity';

-- waiting: number of operations that wait because of a lock of another instance or a problem, and of operations of an
-- external entity that have no results yet.  Operations in the inbox are not counted.  state of an external entity is a
-- string with the text of its state.
CREATE VIEW durable.entities WITH (security_barrier = true) AS
SELECT e.entity_id,
       substring(e.entity_id FROM '^@([^@]*)@') AS name,
       substring(e.entity_id FROM '^@[^@]*@(.*)$') AS key,
       e.owner,
       CASE WHEN durable.may_read(e.owner) THEN e.state END AS state,
       CASE WHEN durable.may_read(e.owner) THEN CASE WHEN e.is_text THEN e.state #>> '{}' ELSE e.state::text END END AS state_text,
       (SELECT i.instance_id FROM durable.instance i WHERE i.key = e.locked_by) AS locked_by,
       coalesce(e.parked, 0)::bigint AS waiting,
       e.created_at AS created_time,
       e.updated_at AS last_updated_time,
       CASE WHEN durable.may_read(e.owner) THEN e.failure END AS last_failure,
       CASE WHEN durable.may_read(e.owner) THEN e.problem END AS problem,
       e.held_until AS next_try,
       e.queue
FROM durable.entity e
WHERE durable.may_see(e.owner);

COMMENT ON FUNCTION durable.signal_entity(text, text, text, "any", timestamptz) IS
    'sends an operation to an entity without waiting for it, at once or for a later time; orchestrations may call it, too';
COMMENT ON FUNCTION durable.call_entity(text, text, text, "any") IS
    'runs an operation of an entity and waits for its result; raises the failure of the operation with its SQLSTATE';
COMMENT ON FUNCTION durable.apply_entity(text, text, text, "any") IS
    'runs an operation of an entity in the transaction of the caller, and returns its result; not for orchestrations';
COMMENT ON FUNCTION durable.lock_entities(text[]) IS
    'waits until the orchestration has exclusive access to the entities with these ids (@name@key)';
COMMENT ON FUNCTION durable.unlock_entities() IS
    'ends the critical section that durable.lock_entities has begun; does nothing outside of one';
COMMENT ON FUNCTION durable.in_critical_section() IS
    'returns true between durable.lock_entities and durable.unlock_entities';
COMMENT ON FUNCTION durable.entity_state(text, text, regrole) IS
    'returns the state of an entity, or null if it has none';
COMMENT ON FUNCTION durable.purge_entity(text, text) IS
    'deletes an entity with its state and its scheduled signals; returns false if there was nothing to delete';
COMMENT ON VIEW durable.entities IS
    'entities that you may see: your own, those of roles of which you are a member, and for members of pg_monitor those of all roles without their states';

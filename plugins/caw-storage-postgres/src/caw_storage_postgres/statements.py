"""The statements, with the name of the schema in them.

Each write is one statement, so one round trip and one commit: it locks the lease's row, and does
nothing if the token there is another one. Two writes of one session never overlap, since they hold
the same lease and wait for one another in their process; so what ``old`` reads is what is there.
"""

# ruff: noqa: S608 - every part of every statement stands in this file

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable

_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

_HELD = """
held AS (
    SELECT FROM {s}.leases WHERE session_id = %(id)s AND token = %(token)s::bigint FOR SHARE
)"""

_PUT_HEAD = """
INSERT INTO {{s}}.heads AS h (session_id, completed, facts, document)
    SELECT %(id)s, %(completed)s::boolean, %(facts)s::jsonb, %(head)s::text
    FROM {source}
    ON CONFLICT (session_id) DO UPDATE SET completed = excluded.completed,
        facts = excluded.facts, document = excluded.document"""

_TAKE_LEASE = """
INSERT INTO {s}.leases AS l (session_id, token, holder, request, expires)
VALUES (%(id)s, nextval(%(tokens)s::regclass), %(holder)s, %(request)s,
        clock_timestamp() + make_interval(secs => %(seconds)s::float8))
ON CONFLICT (session_id) DO UPDATE SET token = excluded.token, holder = excluded.holder,
    request = excluded.request,
    expires = clock_timestamp() + make_interval(secs => %(seconds)s::float8)
    WHERE l.expires <= clock_timestamp() OR l.request = excluded.request
RETURNING token
"""

_TURN = """%(index)s::bigint, %(status)s::text, %(version)s::smallint, %(all_words)s::boolean,
        array_to_tsvector(string_to_array(%(words)s::text, ' ')), %(document)s::text"""

_REPLACE_TURN = """ON CONFLICT (history, index) DO UPDATE SET status = excluded.status,
        version = excluded.version, all_words = excluded.all_words, words = excluded.words,
        document = excluded.document
        WHERE t.status = 'running' OR excluded.status <> 'running'"""

# What most turns are: one more of a session whose head is as this writer left it. It gives nothing
# where that does not hold, nor why; then the statement for any turn is for this one, too.
_PUT_NEXT_TURN = f"""
WITH put AS (
    INSERT INTO {{s}}.turns AS t (history, index, status, version, all_words, words, document)
    SELECT s.history, {_TURN}
    FROM (SELECT FROM {{s}}.leases WHERE session_id = %(id)s AND token = %(token)s::bigint
        FOR SHARE) held
    JOIN {{s}}.sessions s ON s.id = %(id)s AND greatest(s.shared, s.lent) <= %(index)s::bigint
    {_REPLACE_TURN}
    RETURNING (xmax = 0) AS is_new
)
UPDATE {{s}}.sessions o SET updated = greatest(o.updated + 1, {_NOW}),
    num_turns = o.num_turns + put.is_new::integer,
    first_turn = least(o.first_turn, %(index)s::bigint),
    last_turn = greatest(o.last_turn, %(index)s::bigint),
    title = CASE WHEN %(index)s::bigint <= coalesce(o.first_turn, %(index)s::bigint)
        THEN %(title)s::text ELSE o.title END,
    status = CASE WHEN %(index)s::bigint >= coalesce(o.last_turn, %(index)s::bigint)
        THEN %(status)s::text ELSE o.status END
FROM put WHERE o.id = %(id)s
RETURNING true
"""

_PUT_TURN = f"""
WITH {_HELD}, old AS (
    SELECT history, greatest(shared, lent) AS bound FROM {{s}}.sessions WHERE id = %(id)s
), put AS (
    INSERT INTO {{s}}.turns AS t (history, index, status, version, all_words, words, document)
    SELECT coalesce((SELECT history FROM old), nextval(%(histories)s::regclass)),
        {_TURN}
    FROM held WHERE coalesce((SELECT bound FROM old), 0) <= %(index)s::bigint
    {_REPLACE_TURN}
    RETURNING t.history, (xmax = 0) AS is_new
), head AS ({_PUT_HEAD.format(source="put")}), session AS (
    INSERT INTO {{s}}.sessions AS o
        (id, history, updated, num_turns, first_turn, last_turn, status, title)
    SELECT %(id)s, put.history, {_NOW}, put.is_new::integer, %(index)s::bigint,
        %(index)s::bigint, %(status)s::text, %(title)s::text
    FROM put
    ON CONFLICT (id) DO UPDATE SET updated = greatest(o.updated + 1, excluded.updated),
        num_turns = o.num_turns + excluded.num_turns,
        first_turn = least(o.first_turn, excluded.first_turn),
        last_turn = greatest(o.last_turn, excluded.last_turn),
        title = CASE WHEN excluded.first_turn <= coalesce(o.first_turn, excluded.first_turn)
            THEN excluded.title ELSE o.title END,
        status = CASE WHEN excluded.last_turn >= coalesce(o.last_turn, excluded.last_turn)
            THEN excluded.status ELSE o.status END
)
SELECT EXISTS (SELECT FROM held),
    coalesce((SELECT bound FROM old), 0) > %(index)s::bigint
"""

_PUT_SESSION = f"""
WITH {_HELD}, head AS ({_PUT_HEAD.format(source="held")}), session AS (
    INSERT INTO {{s}}.sessions AS o (id, history, updated)
    SELECT %(id)s, nextval(%(histories)s::regclass), {_NOW} FROM held
    ON CONFLICT (id) DO UPDATE SET updated = greatest(o.updated + 1, excluded.updated)
)
SELECT EXISTS (SELECT FROM held), false
"""

# Whose turns are whose: a session's own history, and what it began with.
_OWNERS = """(
    SELECT id AS session_id, history, 0 AS start, 9223372036854775807 AS stop FROM {s}.sessions
    UNION ALL SELECT session_id, history, start, stop FROM {s}.segments
)"""

_LOAD = """
SELECT NULL::bigint, NULL::smallint, NULL::text, document
FROM {s}.heads WHERE session_id = %(id)s
UNION ALL
(SELECT t.index, t.version, t.status, t.document FROM (
    SELECT history, 0 AS start, 9223372036854775807 AS stop FROM {s}.sessions WHERE id = %(id)s
    UNION ALL SELECT history, start, stop FROM {s}.segments WHERE session_id = %(id)s
) o CROSS JOIN LATERAL (
    SELECT index, version, status, document FROM {s}.turns
    WHERE history = o.history AND index >= o.start AND index < o.stop
        AND index >= %(start)s::bigint AND index < %(stop)s::bigint
    ORDER BY index DESC LIMIT %(last)s::bigint
) t ORDER BY t.index DESC LIMIT %(last)s::bigint)
"""

_SEARCH = f"""
SELECT t.history, t.index, o.session_id, h.document, t.document, t.version, t.status
FROM {{s}}.turns t
JOIN {_OWNERS} o ON o.history = t.history AND t.index >= o.start AND t.index < o.stop
JOIN {{s}}.heads h ON h.session_id = o.session_id
WHERE {{filters}}
ORDER BY t.history DESC, t.index DESC, o.session_id COLLATE "C" DESC LIMIT %(limit)s::bigint
"""

_STATUS = """CASE WHEN s.status = 'running' AND (l.expires > clock_timestamp()) IS NOT true
    THEN 'unknown' ELSE s.status END"""

_LIST = f"""
SELECT s.id, s.updated, s.num_turns, s.title, {_STATUS}, h.document
FROM {{s}}.sessions s
JOIN {{s}}.heads h ON h.session_id = s.id
LEFT JOIN {{s}}.leases l ON l.session_id = s.id
WHERE {{filters}}
ORDER BY s.updated DESC, s.id DESC LIMIT %(limit)s::bigint
"""

_FILTERS = {
    "words": "(t.words @@ %(words)s::tsquery OR NOT t.all_words)",
    "hit": "(t.history, t.index, o.session_id) < (%(history)s::bigint, %(index)s::bigint, %(id)s)",
    "place": "(s.updated, s.id) < (%(updated)s::bigint, %(id)s)",
    "status": f"{_STATUS} = %(status)s",
    "since": "s.updated >= %(since)s::bigint",
    "until": "s.updated < %(until)s::bigint",
    "facts": "h.facts @> %(facts)s::jsonb",
    # The index finds what has these members at least; here their values are whole.
    "metadata": """NOT EXISTS (SELECT FROM jsonb_each(%(metadata)s::jsonb) m
        WHERE h.facts -> 'metadata' -> m.key IS DISTINCT FROM m.value)""",
}

_PUBLISH = """
WITH put AS (
    INSERT INTO {s}.live_events AS e (session_id, turn, number, size, document)
    SELECT %(id)s, event.turn, event.number, octet_length(event.document), event.document
    FROM unnest(%(turns)s::bigint[], %(numbers)s::bigint[], %(documents)s::text[])
        AS event (turn, number, document)
    WHERE %(token)s::bigint IS NULL
        OR EXISTS (SELECT FROM {s}.leases WHERE session_id = %(id)s AND token = %(token)s::bigint)
    ON CONFLICT (session_id, turn, number) DO UPDATE
        SET size = excluded.size, document = excluded.document
    RETURNING 1
)
SELECT (SELECT count(*) FROM put), set_config('synchronous_commit', 'off', true),
    pg_notify(%(channel)s, %(id)s)
"""

_TRIM = """
DELETE FROM {s}.live_events e USING (
    SELECT turn, number, row_number() OVER newest AS place, sum(size) OVER newest AS total
    FROM {s}.live_events WHERE session_id = %(id)s
    WINDOW newest AS (ORDER BY turn DESC, number DESC)
) o
WHERE e.session_id = %(id)s AND e.turn = o.turn AND e.number = o.number
    AND (o.place > %(most)s OR o.total > %(size)s)
"""

_SWEEP = f"""
DELETE FROM {{s}}.live_events e USING {{s}}.sessions s JOIN {{s}}.heads h ON h.session_id = s.id
WHERE e.session_id = s.id AND s.updated < {_NOW} - 1000000 * CASE WHEN h.completed
    THEN %(completed)s::bigint ELSE %(open)s::bigint END
"""

_READ_EVENTS = """
SELECT turn, number, document FROM {s}.live_events
WHERE session_id = %(id)s AND (turn, number) > (%(turn)s::bigint, %(number)s::bigint)
ORDER BY turn, number LIMIT %(limit)s::bigint
"""

_TURNS_OF_SEGMENT = """
INSERT INTO {s}.turns
SELECT s.history, t.index, t.status, t.version, t.all_words, t.words, t.document
FROM {s}.segments g
JOIN {s}.sessions s ON s.id = g.session_id
JOIN {s}.turns t ON t.history = g.history AND t.index >= g.start AND t.index < g.stop
"""

# A history that nobody shares goes with its owner, another one but for what they share.
_DELETE_TURNS = """
DELETE FROM {s}.turns t USING (
    SELECT h.history, coalesce(max(g.stop), 0) AS kept
    FROM unnest(%(histories)s::bigint[]) AS h (history)
    LEFT JOIN {s}.segments g ON g.history = h.history
    WHERE NOT EXISTS (SELECT FROM {s}.sessions s WHERE s.history = h.history)
    GROUP BY h.history
) k WHERE t.history = k.history AND t.index >= k.kept
"""

_SHARE = f"""
WITH given AS (
    INSERT INTO {{s}}.segments (session_id, history, start, stop)
    SELECT %(id)s, o.history, greatest(o.start, CASE WHEN o.history = p.history THEN p.shared END),
        least(o.stop, %(stop)s::bigint)
    FROM {_OWNERS} o JOIN {{s}}.sessions p ON p.id = o.session_id
    WHERE o.session_id = %(parent)s
    RETURNING history, start, stop
), turns AS (
    SELECT t.index, t.status FROM given g
    JOIN {{s}}.turns t ON t.history = g.history AND t.index >= g.start AND t.index < g.stop
), last AS (
    SELECT index, status FROM turns ORDER BY index DESC LIMIT 1
)
UPDATE {{s}}.sessions s SET shared = %(stop)s::bigint,
    num_turns = (SELECT count(*) FROM turns),
    first_turn = (SELECT min(index) FROM turns),
    last_turn = (SELECT index FROM last),
    status = coalesce((SELECT status FROM last), ''),
    title = coalesce((SELECT p.title FROM {{s}}.sessions p
        WHERE p.id = %(parent)s AND p.first_turn < %(stop)s::bigint), '')
WHERE s.id = %(id)s AND NOT EXISTS (SELECT FROM {{s}}.turns t WHERE t.history = s.history)
RETURNING (SELECT count(*) FROM turns WHERE status = 'running')
"""

STATEMENTS = {
    "take_lease": _TAKE_LEASE,
    "holder": "SELECT holder FROM {s}.leases WHERE session_id = %(id)s",
    "renew_lease": """
        UPDATE {s}.leases
        SET expires = clock_timestamp() + make_interval(secs => %(seconds)s::float8)
        WHERE session_id = %(id)s AND token = %(token)s AND expires > '-infinity'
        RETURNING token""",
    # Losing this costs nobody more than waiting for the lease to run out, so it waits for no disk.
    "release_lease": """
        WITH kept AS (
            UPDATE {s}.leases l SET expires = '-infinity'
            WHERE session_id = %(id)s AND token = %(token)s
                AND EXISTS (SELECT FROM {s}.sessions WHERE id = %(id)s)
        ), gone AS (
            DELETE FROM {s}.leases WHERE session_id = %(id)s AND token = %(token)s
                AND NOT EXISTS (SELECT FROM {s}.sessions WHERE id = %(id)s)
        ) SELECT set_config('synchronous_commit', 'off', true)""",
    "check_lease": """
        SELECT 1 FROM {s}.leases WHERE session_id = %(id)s AND token = %(token)s FOR SHARE""",
    "put_turn": _PUT_TURN,
    "put_next_turn": _PUT_NEXT_TURN,
    "put_session": _PUT_SESSION,
    "load": _LOAD,
    "exists": "SELECT 1 FROM {s}.sessions WHERE id = %(id)s",
    "publish": _PUBLISH,
    "trim": _TRIM,
    "sweep": _SWEEP,
    "read_events": _READ_EVENTS,
    "lock_sharing": "SELECT pg_advisory_xact_lock(%(key)s)",
    "lend": """
        UPDATE {s}.sessions SET lent = greatest(lent, %(stop)s::bigint) WHERE id = %(parent)s
        RETURNING lent""",
    "lend_segments": """
        UPDATE {s}.sessions SET lent = greatest(lent, %(stop)s::bigint)
        WHERE history IN (SELECT history FROM {s}.segments WHERE session_id = %(id)s)""",
    "share": _SHARE,
    "own_turns": _TURNS_OF_SEGMENT
    + "WHERE g.session_id = %(id)s ON CONFLICT (history, index) DO NOTHING",
    "own_segments": "DELETE FROM {s}.segments WHERE session_id = %(id)s",
    "lent_turns": _TURNS_OF_SEGMENT
    + """WHERE g.history = (SELECT history FROM {s}.sessions WHERE id = %(id)s)
        ON CONFLICT (history, index) DO NOTHING""",
    "lent_segments": """
        DELETE FROM {s}.segments
        WHERE history = (SELECT history FROM {s}.sessions WHERE id = %(id)s)""",
    "own_all": "UPDATE {s}.sessions SET shared = 0, lent = 0 WHERE id = %(id)s",
    "delete_session": "DELETE FROM {s}.sessions WHERE id = %(id)s RETURNING history",
    "delete_segments": "DELETE FROM {s}.segments WHERE session_id = %(id)s RETURNING history",
    "delete_turns": _DELETE_TURNS,
    "delete_head": "DELETE FROM {s}.heads WHERE session_id = %(id)s",
    "delete_events": "DELETE FROM {s}.live_events WHERE session_id = %(id)s",
}
"""Every statement but those of lists, by its name."""


class Statements:
    """The statements for one schema.

    Args:
        schema: its name.
    """

    def __init__(self, schema: str) -> None:
        self._schema = sql.Identifier(schema)
        self._bytes = {name: self._in_schema(text) for name, text in STATEMENTS.items()}
        self.tokens = sql.Identifier(schema, "tokens").as_string()
        self.histories = sql.Identifier(schema, "histories").as_string()

    def __getitem__(self, name: str) -> bytes:
        return self._bytes[name]

    def listing(self, filters: Iterable[str]) -> bytes:
        """Return the statement for a list with these of `_FILTERS`."""
        return self._filtered(_LIST, filters)

    def searching(self, filters: Iterable[str]) -> bytes:
        """Return the statement for a search with these of `_FILTERS`."""
        return self._filtered(_SEARCH, filters)

    def _filtered(self, text: str, filters: Iterable[str]) -> bytes:
        chosen = " AND ".join(_FILTERS[name] for name in filters) or "true"
        return self._in_schema(text.replace("{filters}", chosen))

    def _in_schema(self, text: str) -> bytes:
        return sql.SQL(text).format(s=self._schema).as_bytes()

-- pgbench: one poll of one client.
--
-- Commits are not in the order of positions, so a poller that only remembers its last position would skip rows that are
-- committed later with smaller ones. This poller deletes what it takes: it finds a row that appears late at its next
-- poll. Notifications of one case are in order, those of different cases may be not (as with `ordering = "per_case"`).
-- The rows are with the poller before the commit, which is its acknowledgement: at least once.
--
-- One connection polls for a client, so nothing has to be locked before. After a full batch it polls again at once.
-- The line that ends with `timed` is left out if no latency is measured.
\set notifications 0
BEGIN;
WITH taken AS (
    DELETE FROM outbox
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM outbox WHERE client = :client_id ORDER BY position LIMIT :batch))
    RETURNING *
)
, timed AS (INSERT INTO waits SELECT array_agg(clock_timestamp() - created) FROM taken HAVING count(*) > 0) -- timed
SELECT position, message_id, case_id, type, details_uri, event_time, origin,
    row_number() OVER (ORDER BY position) AS notifications
FROM taken ORDER BY position \aset
\if :notifications > 0
UPDATE acknowledged SET position = greatest(position, :position), notifications = notifications + :notifications
    WHERE client = :client_id;
\endif
COMMIT;
\if :notifications < :batch
\sleep :poll_ms ms
\endif

-- pgbench: one command in one transaction, like one request. A connection creates 100 cases, updates them, closes them
-- and deletes them, then takes the next 100. One command in a hundred is sent twice, under the same command id.
\if random(1, 100) > 1
\set n :n + 1
\endif
\set type :n / 100 % 4
\set case :n / 400 * 100 + :n % 100
SELECT command(1, :type, md5('case' || :client_id::int || '.' || :case::int)::uuid,
    md5('command' || :client_id::int || '.' || :n::int)::uuid,
    'https://esdh.example/cases/details/' || :case::int, now());

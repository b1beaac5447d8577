-- The tables of the outbox, and a command as one function: one round trip, and plans that are made once. An application
-- that sends each statement by itself is slower.

CREATE TABLE clients (client int PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE grants (origin int, client int REFERENCES clients, PRIMARY KEY (origin, client));

CREATE TABLE cases (id uuid PRIMARY KEY, origin int NOT NULL, created timestamptz NOT NULL,
    updated timestamptz NOT NULL, details_uri text NOT NULL, closed boolean NOT NULL);
CREATE TABLE tombstones (origin int, id uuid, deleted timestamptz NOT NULL, PRIMARY KEY (id, origin));

-- What a repeat of a command is recognised by, and its outcome.
CREATE TABLE commands (id uuid PRIMARY KEY, case_id uuid NOT NULL, type smallint NOT NULL, status text NOT NULL);

-- Without CACHE: a session that holds numbers back would give a later command of a case a smaller position.
CREATE SEQUENCE positions;

CREATE TABLE outbox (client int, position bigint, message_id uuid NOT NULL, case_id uuid NOT NULL,
    type smallint NOT NULL, details_uri text, event_time timestamptz, origin int NOT NULL, created timestamptz NOT NULL,
    PRIMARY KEY (client, position)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100000, autovacuum_vacuum_cost_delay = 0);

-- What each client has acknowledged: its last position, and how many notifications so far.
CREATE TABLE acknowledged (client int PRIMARY KEY, position bigint NOT NULL, notifications bigint NOT NULL)
    WITH (fillfactor = 20);

-- How long the notifications of each batch took: from just before the commit of their command to their poller.
CREATE UNLOGGED TABLE waits (times interval[] NOT NULL);

-- Types: Create 0, Update 1, Close 2, Delete 3. Each write checks the state of the case and locks the case until the
-- commit. The position is taken under that lock, so the positions of one case follow the order of its commits.
CREATE FUNCTION command(sender int, command_type int, subject uuid, command_id uuid, uri text, at timestamptz)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE next bigint;
BEGIN
    INSERT INTO commands VALUES (command_id, subject, command_type, 'applied') ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN 'duplicate'; END IF;
    CASE command_type
    WHEN 0 THEN
        INSERT INTO cases SELECT subject, sender, at, at, uri, false
            WHERE NOT EXISTS (SELECT FROM tombstones WHERE id = subject AND origin = sender) ON CONFLICT DO NOTHING;
    WHEN 1 THEN UPDATE cases SET updated = greatest(updated, at) WHERE id = subject AND origin = sender;
    WHEN 2 THEN UPDATE cases SET closed = true WHERE id = subject AND origin = sender AND NOT closed;
    ELSE
        DELETE FROM cases WHERE id = subject AND origin = sender;
        IF FOUND THEN INSERT INTO tombstones VALUES (sender, subject, at); END IF;
    END CASE;
    IF NOT FOUND THEN
        UPDATE commands SET status = 'unchanged' WHERE id = command_id;
        RETURN 'unchanged';
    END IF;
    next := nextval('positions');
    INSERT INTO outbox
        SELECT client, next, command_id, subject, command_type, CASE WHEN command_type < 3 THEN uri END, at, sender,
            clock_timestamp()
        FROM grants WHERE origin = sender;
    RETURN 'applied';
END $$;

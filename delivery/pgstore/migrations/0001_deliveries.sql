-- Deliveries, from the moment they are taken until retention forgets them.
-- Each file runs in one transaction with the schema's name first in search_path.

-- One of 64 parts of the lanes; who serves it is in engine, nobody is null.
CREATE TABLE shard (id smallint PRIMARY KEY, engine bigint) WITH (fillfactor = 50);
INSERT INTO shard SELECT generate_series(0, 63);

-- A process that delivers. It lives until expires, unless that is moved on.
-- low: of its shards, each older row is settled or waiting.
CREATE TABLE engine (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL,
	expires timestamptz NOT NULL, low bigint NOT NULL) WITH (fillfactor = 50);

-- Numbers for rows are given out in blocks of 4096, one block to one engine.
CREATE SEQUENCE block;

-- Every delivery, in the order of seq within a lane; appended, never changed.
CREATE TABLE delivery (seq bigint PRIMARY KEY, id text COLLATE "C" NOT NULL, shard smallint NOT NULL,
	lane text COLLATE "C" NOT NULL, due bigint NOT NULL, expires bigint NOT NULL, data bytea NOT NULL);
CREATE UNIQUE INDEX delivery_id ON delivery (id);

-- How it ended: 1 delivered, 2 dead, 3 an event nobody had subscribed to.
-- A delivery without an outcome is pending. data: reason and last attempt.
CREATE TABLE outcome (seq bigint PRIMARY KEY, state smallint NOT NULL, at bigint NOT NULL,
	attempts integer NOT NULL, data bytea NOT NULL);
CREATE INDEX outcome_dead ON outcome (seq) WHERE state = 2;

-- The attempts before the last one.
CREATE TABLE attempt (seq bigint NOT NULL, number integer NOT NULL, data bytea NOT NULL, PRIMARY KEY (seq, number));

-- Pending deliveries that their engine's memory need not hold: the hot table.
CREATE TABLE waiting (seq bigint PRIMARY KEY, shard smallint NOT NULL, lane text COLLATE "C" NOT NULL,
	key bytea NOT NULL, retry boolean NOT NULL, due bigint NOT NULL, attempts integer NOT NULL,
	tries integer NOT NULL, expires bigint NOT NULL, hidden boolean NOT NULL)
	WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX waiting_lane ON waiting (shard, lane, retry, due, seq) WHERE NOT hidden;
CREATE INDEX waiting_key ON waiting (lane, key, seq) WHERE key <> '';
CREATE INDEX waiting_head ON waiting (lane, key) WHERE key <> '' AND NOT hidden;
CREATE INDEX waiting_ahead ON waiting (shard) WHERE due = 0;

-- Lanes that are served otherwise than by default.
CREATE TABLE lane (name text COLLATE "C" PRIMARY KEY, shard smallint NOT NULL, mode smallint NOT NULL, reason text NOT NULL,
	max_in_flight integer NOT NULL, per_second double precision NOT NULL, not_before bigint NOT NULL,
	failures integer NOT NULL, throttle integer NOT NULL, failing_since bigint NOT NULL, warned boolean NOT NULL);
CREATE INDEX lane_shard ON lane (shard);

-- What a shard's engine is to take: deliveries, and what is to be done with its
-- lanes. xid tells a reader what was not visible when it looked before.
CREATE TABLE inbox (xid xid8 NOT NULL DEFAULT pg_current_xact_id(), id bigint GENERATED ALWAYS AS IDENTITY,
	shard smallint NOT NULL, kind smallint NOT NULL, name text COLLATE "C" NOT NULL,
	lane text COLLATE "C" NOT NULL, key bytea NOT NULL, data bytea NOT NULL, PRIMARY KEY (xid, id))
	WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
CREATE INDEX inbox_name ON inbox (name);
CREATE INDEX inbox_lane ON inbox (xid, id) WHERE kind = 2;
CREATE INDEX inbox_key ON inbox (lane, key) WHERE key <> '';

-- Changes of the numbers of deliveries by state; their sums are the numbers.
-- An engine's batch is stored once: this is where a repeat fails.
CREATE TABLE tally (engine bigint NOT NULL, batch bigint NOT NULL, pending bigint NOT NULL, delivered bigint NOT NULL,
	dead bigint NOT NULL, PRIMARY KEY (engine, batch))
	WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);

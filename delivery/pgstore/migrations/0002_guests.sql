-- Who publishes for a lane that another engine serves may attempt that itself.

-- A delivery that an engine stored as a guest of its lane: until it is waiting or
-- ended that engine's memory alone has it.
ALTER TABLE delivery ADD COLUMN guest bigint;

-- Engines that are guests of a lane, or would like to be. slots: attempts at a
-- time that the lane's engine leaves to it, 0 if it only asked. dismissed: it is
-- to leave. still: it starts nothing any more, though attempts may be under way.
-- pressed: the lane's engine could use its attempts, should it not need them.
CREATE TABLE guest (lane text COLLATE "C" NOT NULL, engine bigint NOT NULL, shard smallint NOT NULL, slots integer NOT NULL,
	dismissed boolean NOT NULL DEFAULT false, still boolean NOT NULL DEFAULT false,
	pressed boolean NOT NULL DEFAULT false, PRIMARY KEY (lane, engine))
	WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
CREATE INDEX guest_engine ON guest (engine);
CREATE INDEX guest_shard ON guest (shard);

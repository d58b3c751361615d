package pgstore

// statements are the texts with the schema's name filled in.
type statements struct {
	settings, store, storeNew, attempts, wait, keyed, unwait, reveal, setLanes, dropLanes, kill, post, take string
	takeNote, homeLock, home                                                                                string
	queued, stored, hidden, heads, refill, fetch, block, leap                                               string
	loadHeads, loadAhead, loadLanes                                                                         string
}

func (s schema) statements() statements {
	return statements{
		// A table that grew since its plan was made must not be read as a whole,
		// and what is acknowledged must be durable whatever the session's default.
		settings: `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
			set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true),
			set_config('plan_cache_mode', 'force_generic_plan', true),
			set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
				ELSE current_setting('synchronous_commit') END, true)`,

		// The fence and the guard against repeating are the row of tally: without
		// the engine's row, or where a shard is not its own any more, its engine is
		// null, a second time its key is taken.
		store: s.sql(`WITH mine AS (SELECT id FROM @.engine WHERE id = $1 AND NOT EXISTS (
				SELECT FROM unnest($16::smallint[]) AS u (id) WHERE (SELECT s.engine FROM @.shard s WHERE s.id = u.id) IS DISTINCT FROM $1) FOR KEY SHARE),
			new AS (
				INSERT INTO @.delivery (seq, id, shard, lane, due, expires, data, guest)
				SELECT d.seq, d.id, d.shard, d.lane, d.due, d.expires, d.data, CASE WHEN d.guest THEN $1::bigint END
				FROM unnest($3::bigint[], $4::text[], $5::smallint[], $6::text[], $7::bigint[], $8::bigint[], $9::bytea[], $17::boolean[])
					AS d (seq, id, shard, lane, due, expires, data, guest)
				ON CONFLICT (id) DO NOTHING RETURNING seq),
			ended AS (
				INSERT INTO @.outcome (seq, state, at, attempts, data)
				SELECT o.seq, o.state, $10::bigint, o.attempts, o.data
				FROM unnest($11::bigint[], $12::smallint[], $13::integer[], $14::bytea[], $15::boolean[]) AS o (seq, state, attempts, data, fresh)
				WHERE NOT o.fresh OR EXISTS (SELECT FROM new WHERE new.seq = o.seq)
				ON CONFLICT DO NOTHING RETURNING state)
			INSERT INTO @.tally (engine, batch, pending, delivered, dead)
			SELECT (SELECT id FROM mine), $2, (SELECT count(*) FROM new) - (SELECT count(*) FROM ended),
				(SELECT count(*) FROM ended WHERE state = 1), (SELECT count(*) FROM ended WHERE state = 2)
			RETURNING (SELECT count(*) FROM new)`),
		// The same of rows that are all new, as they nearly always are: it takes two
		// thirds of the time, and fails where one is not.
		storeNew: s.sql(`WITH mine AS (SELECT id FROM @.engine WHERE id = $1 AND NOT EXISTS (
				SELECT FROM unnest($15::smallint[]) AS u (id) WHERE (SELECT s.engine FROM @.shard s WHERE s.id = u.id) IS DISTINCT FROM $1) FOR KEY SHARE),
			new AS (
				INSERT INTO @.delivery (seq, id, shard, lane, due, expires, data, guest)
				SELECT d.seq, d.id, d.shard, d.lane, d.due, d.expires, d.data, CASE WHEN d.guest THEN $1::bigint END
				FROM unnest($3::bigint[], $4::text[], $5::smallint[], $6::text[], $7::bigint[], $8::bigint[], $9::bytea[], $19::boolean[])
					AS d (seq, id, shard, lane, due, expires, data, guest)),
			ended AS (
				INSERT INTO @.outcome (seq, state, at, attempts, data)
				SELECT o.seq, o.state, $10::bigint, o.attempts, o.data
				FROM unnest($11::bigint[], $12::smallint[], $13::integer[], $14::bytea[]) AS o (seq, state, attempts, data))
			INSERT INTO @.tally (engine, batch, pending, delivered, dead) VALUES ((SELECT id FROM mine), $2, $16, $17, $18)`),
		attempts: s.sql(`INSERT INTO @.attempt (seq, number, data)
			SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bytea[]) ON CONFLICT DO NOTHING`),
		wait: s.sql(`INSERT INTO @.waiting (seq, shard, lane, key, retry, due, attempts, tries, expires, hidden)
			SELECT w.seq, w.shard, w.lane, w.key, w.retry, w.due, w.attempts, w.tries, w.expires, false
			FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::bytea[], $5::boolean[], $6::bigint[], $7::integer[], $8::integer[], $9::bigint[], $10::boolean[])
				AS w (seq, shard, lane, key, retry, due, attempts, tries, expires, fresh)
			WHERE NOT w.fresh OR EXISTS (SELECT FROM @.delivery d WHERE d.seq = w.seq)
			ON CONFLICT (seq) DO UPDATE SET retry = excluded.retry, due = excluded.due, attempts = excluded.attempts, tries = excluded.tries`),
		keyed: s.sql(`INSERT INTO @.waiting (seq, shard, lane, key, retry, due, attempts, tries, expires, hidden)
			SELECT w.seq, w.shard, w.lane, w.key, w.retry, w.due, w.attempts, w.tries, w.expires, w.place > 1
				OR EXISTS (SELECT FROM @.waiting x WHERE x.lane = w.lane AND x.key = w.key AND x.key <> '')
			FROM (SELECT u.*, row_number() OVER (PARTITION BY u.lane, u.key ORDER BY u.n) AS place
				FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::bytea[], $5::boolean[], $6::bigint[], $7::integer[], $8::integer[], $9::bigint[])
					WITH ORDINALITY AS u (seq, shard, lane, key, retry, due, attempts, tries, expires, n)
				WHERE EXISTS (SELECT FROM @.delivery d WHERE d.seq = u.seq)) w
			RETURNING seq, hidden`),
		// What a guest leaves to the lane's engine, which may have ended it meanwhile:
		// an edit and this go one after the other.
		homeLock: s.sql(`SELECT FROM @.delivery WHERE seq = ANY($1::bigint[]) FOR UPDATE`),
		home: s.sql(`INSERT INTO @.waiting (seq, shard, lane, key, retry, due, attempts, tries, expires, hidden)
			SELECT w.seq, w.shard, w.lane, w.key, w.retry, w.due, w.attempts, w.tries, w.expires, false
			FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::bytea[], $5::boolean[], $6::bigint[], $7::integer[], $8::integer[], $9::bigint[])
				AS w (seq, shard, lane, key, retry, due, attempts, tries, expires)
			WHERE (SELECT true FROM @.delivery d WHERE d.seq = w.seq) AND (SELECT true FROM @.outcome o WHERE o.seq = w.seq) IS NULL
			ON CONFLICT (seq) DO NOTHING`),
		unwait: s.sql(`DELETE FROM @.waiting WHERE seq = ANY($1::bigint[])`),
		reveal: s.sql(`UPDATE @.waiting w SET hidden = false
			FROM (SELECT (SELECT x.seq FROM @.waiting x WHERE x.lane = k.lane AND x.key = k.key AND x.key <> '' ORDER BY x.lane, x.key, x.seq LIMIT 1) AS seq
				FROM (SELECT DISTINCT lane, key FROM unnest($1::text[], $2::bytea[]) AS u (lane, key)) k) h, @.delivery d
			WHERE w.seq = h.seq AND w.hidden AND d.seq = h.seq
				AND NOT EXISTS (SELECT FROM @.waiting y WHERE y.lane = w.lane AND y.key = w.key AND y.key <> '' AND NOT y.hidden)
			RETURNING w.seq, w.due, w.attempts, w.tries, w.expires, d.id, d.data`),
		setLanes: s.sql(`INSERT INTO @.lane (name, shard, mode, reason, max_in_flight, per_second, not_before, failures, throttle, failing_since, warned)
			SELECT * FROM unnest($1::text[], $2::smallint[], $3::smallint[], $4::text[], $5::integer[], $6::double precision[], $7::bigint[],
				$8::integer[], $9::integer[], $10::bigint[], $11::boolean[])
			ON CONFLICT (name) DO UPDATE SET mode = excluded.mode, reason = excluded.reason, max_in_flight = excluded.max_in_flight,
				per_second = excluded.per_second, not_before = excluded.not_before, failures = excluded.failures,
				throttle = excluded.throttle, failing_since = excluded.failing_since, warned = excluded.warned`),
		dropLanes: s.sql(`DELETE FROM @.lane WHERE name = ANY($1::text[])`),
		// First those that are hidden, so that a kill that is cut off leaves none
		// of them without the one that hides it.
		kill: s.sql(`WITH h AS (SELECT seq FROM @.waiting WHERE lane = $1 AND key <> '' AND hidden AND NOT seq = ANY($3::bigint[]) LIMIT $4),
			v AS (SELECT seq FROM @.waiting WHERE shard = $2 AND lane = $1 AND NOT hidden AND NOT seq = ANY($3::bigint[])
				LIMIT greatest($4 - (SELECT count(*) FROM h), 0)),
			gone AS (DELETE FROM @.waiting WHERE seq = ANY(ARRAY(SELECT seq FROM h UNION ALL SELECT seq FROM v)) RETURNING seq, attempts),
			ended AS (INSERT INTO @.outcome (seq, state, at, attempts, data)
				SELECT seq, 2, $5::bigint, attempts, $6::bytea FROM gone ON CONFLICT DO NOTHING RETURNING seq),
			counted AS (UPDATE @.tally SET pending = pending - n, dead = dead + n
				FROM (SELECT count(*) AS n FROM ended) e WHERE engine = $7 AND batch = $8)
			SELECT count(*) FROM gone`),
		post: s.sql(`INSERT INTO @.inbox (shard, kind, name, lane, key, data)
			SELECT * FROM unnest($1::smallint[], $2::smallint[], $3::text[], $4::text[], $5::bytea[], $6::bytea[])
			RETURNING xid::text, id`),
		take: s.sql(`DELETE FROM @.inbox i USING unnest($1::text[]::xid8[], $2::bigint[]) AS s (xid, id) WHERE i.xid = s.xid AND i.id = s.id`),
		// A note is kept in memory: who has not that shard any more leaves it.
		takeNote: s.sql(`DELETE FROM @.inbox i WHERE i.xid = $1::text::xid8 AND i.id = $2 AND (SELECT s.engine FROM @.shard s WHERE s.id = i.shard) = $3`),

		queued: s.sql(`SELECT DISTINCT u.lane, u.key FROM unnest($1::text[], $2::bytea[]) AS u (lane, key)
			WHERE (SELECT true FROM @.inbox i WHERE i.lane = u.lane AND i.key = u.key AND i.key <> '' LIMIT 1)`),
		stored: s.sql(`SELECT seq FROM @.delivery WHERE seq = ANY($1::bigint[])`),
		hidden: s.sql(`SELECT seq FROM @.waiting WHERE seq = ANY($1::bigint[]) AND hidden`),
		heads: s.sql(`SELECT w.seq, w.due, w.attempts, w.tries, w.expires, d.id, d.data
			FROM (SELECT DISTINCT lane, key FROM unnest($1::text[], $2::bytea[]) AS u (lane, key)) k
			JOIN @.waiting w ON w.lane = k.lane AND w.key = k.key AND w.key <> '' AND NOT w.hidden
			JOIN @.delivery d ON d.seq = w.seq`),
		// Data is left out beyond a want's bytes. Its size is known without
		// reading it where it is large.
		refill: s.sql(`SELECT r.want, r.seq, r.due, r.attempts, r.tries, r.expires, r.id,
				CASE WHEN r.place <= r.known + 1 OR r.before < r.bytes THEN r.data END
			FROM (SELECT u.want, u.known, u.bytes, w.seq, w.due, w.attempts, w.tries, w.expires, d.id, d.data,
					row_number() OVER same AS place, sum(octet_length(d.data)) OVER same - octet_length(d.data) AS before
				FROM unnest($1::smallint[], $2::text[], $3::boolean[], $4::integer[], $5::integer[], $6::integer[])
					WITH ORDINALITY AS u (shard, lane, retry, rows, known, bytes, want)
				CROSS JOIN LATERAL (SELECT x.seq, x.due, x.attempts, x.tries, x.expires FROM @.waiting x
					WHERE x.shard = u.shard AND x.lane = u.lane AND x.retry = u.retry AND NOT x.hidden
					ORDER BY x.shard, x.lane, x.retry, x.due, x.seq LIMIT u.rows) w
				JOIN @.delivery d ON d.seq = w.seq
				WINDOW same AS (PARTITION BY u.want ORDER BY w.due, w.seq)) r
			ORDER BY r.want, r.due, r.seq`),
		fetch: s.sql(`SELECT u.place, d.id, d.data FROM unnest($1::bigint[]) WITH ORDINALITY AS u (seq, place)
			JOIN @.delivery d ON d.seq = u.seq`),
		block: s.sql(`SELECT nextval('@.block')`),
		leap:  s.sql(`SELECT setval('@.block', greatest(nextval('@.block'), (SELECT max(seq) FROM @.delivery) / 4096 + 1))`),

		// From lane to lane: what it costs depends on the lanes, not on the rows.
		loadHeads: s.sql(`WITH RECURSIVE h AS (
			SELECT f.* FROM unnest($1::smallint[]) AS s (id) CROSS JOIN LATERAL (
				SELECT shard, lane, retry, due FROM @.waiting WHERE shard = s.id AND NOT hidden ORDER BY shard, lane, retry, due LIMIT 1) f
			UNION ALL
			SELECT n.* FROM h CROSS JOIN LATERAL (
				SELECT w.shard, w.lane, w.retry, w.due FROM @.waiting w
				WHERE w.shard = h.shard AND (w.lane, w.retry) > (h.lane, h.retry) AND NOT w.hidden
				ORDER BY w.shard, w.lane, w.retry, w.due LIMIT 1) n)
			SELECT lane, retry, due FROM h`),
		loadAhead: s.sql(`SELECT lane, retry, seq FROM @.waiting
			WHERE due = 0 AND shard = ANY($1::smallint[]) AND NOT hidden AND attempts = 0`),
		loadLanes: s.sql(`SELECT name, mode, reason, max_in_flight, per_second, not_before, failures, throttle, failing_since, warned
			FROM @.lane WHERE shard = ANY($1::smallint[])`),
	}
}

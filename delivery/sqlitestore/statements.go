package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
)

// chunkSizes are how many rows one execution takes; each has a statement.
var chunkSizes = [...]int{64, 8, 1}

// bulk runs one statement over many rows with as few executions as may be. The
// text has a part that stands once for each row.
type bulk struct {
	columns int
	stmts   [len(chunkSizes)]*sql.Stmt
}

func prepareBulk(ctx context.Context, db *sql.DB, head, each, tail string) (*bulk, error) {
	b := &bulk{columns: strings.Count(each, "?")}
	for i, n := range chunkSizes {
		stmt, err := db.PrepareContext(ctx, head+strings.TrimSuffix(strings.Repeat(each+",", n), ",")+tail)
		if err != nil {
			return nil, err
		}
		b.stmts[i] = stmt
	}
	return b, nil
}

// run executes the statement for all rows in args and returns how many rows it
// changed; short is called with the range of each execution that changed fewer
// rows than it was given, unless it is nil.
func (b *bulk) run(ctx context.Context, tx *sql.Tx, args []any, short func(from, to int) error) (int, error) {
	changed, row := 0, 0
	for i, n := range chunkSizes {
		var stmt *sql.Stmt
		for len(args)/b.columns >= n {
			if stmt == nil {
				stmt = tx.StmtContext(ctx, b.stmts[i])
			}
			res, err := stmt.ExecContext(ctx, args[:n*b.columns]...)
			if err != nil {
				return changed, err
			}
			affected, err := res.RowsAffected()
			if err != nil {
				return changed, err
			}
			if int(affected) < n && short != nil {
				if err := short(row, row+n); err != nil {
					return changed, err
				}
			}
			changed += int(affected)
			args = args[n*b.columns:]
			row += n
		}
	}
	return changed, nil
}

func (b *bulk) close() error {
	var errs []error
	for _, s := range b.stmts {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// statements are prepared once, for the writer unless they say read.
type statements struct {
	insert, outcome, attempt, wait, unwait *bulk

	epoch, setMeta, addMeta, setLane, dropLane         *sql.Stmt
	isStored, byID, waits, hasOutcome, dropOutcome     *sql.Stmt
	waitKeyed, rewait, reveal, data, killOpen, killKey *sql.Stmt

	readRows, readSeqs, readEvent *sql.Stmt
}

func (r *rows) prepare(ctx context.Context) (err error) {
	s := &r.stmts
	for _, b := range []struct {
		to               **bulk
		head, each, tail string
	}{
		{&s.insert, `INSERT OR IGNORE INTO ringback_delivery (seq, id, data) VALUES `, `(?,?,?)`, ``},
		{&s.outcome, `INSERT OR IGNORE INTO ringback_outcome (seq, state, at, attempts, data) VALUES `, `(?,?,?,?,?)`, ``},
		{&s.attempt, `INSERT OR IGNORE INTO ringback_attempt (seq, number, data) VALUES `, `(?,?,?)`, ``},
		{
			&s.wait, `INSERT INTO ringback_waiting (seq, lane, key, retry, due, attempts, tries, expires, hidden) VALUES `, `(?,?,?,?,?,?,?,?,0)`,
			` ON CONFLICT (seq) DO UPDATE SET retry = excluded.retry, due = excluded.due, attempts = excluded.attempts, tries = excluded.tries`,
		},
		{&s.unwait, `DELETE FROM ringback_waiting WHERE seq IN (`, `?`, `)`},
	} {
		if *b.to, err = prepareBulk(ctx, r.write, b.head, b.each, b.tail); err != nil {
			return err
		}
	}
	for _, p := range []struct {
		to   **sql.Stmt
		db   *sql.DB
		text string
	}{
		{&s.epoch, r.write, `SELECT value FROM ringback_meta WHERE name = 'epoch'`},
		{&s.setMeta, r.write, `UPDATE ringback_meta SET value = ? WHERE name = ?`},
		{&s.addMeta, r.write, `UPDATE ringback_meta SET value = CASE name WHEN 'pending' THEN value + ? WHEN 'delivered' THEN value + ?
			WHEN 'dead' THEN value + ? ELSE max(value, ?) END WHERE name IN ('pending', 'delivered', 'dead', 'clock')`},
		{&s.setLane, r.write, `INSERT OR REPLACE INTO ringback_lane (name, mode, reason, max_in_flight, per_second, not_before,
			failures, throttle, failing_since, warned) VALUES (?,?,?,?,?,?,?,?,?,?)`},
		{&s.dropLane, r.write, `DELETE FROM ringback_lane WHERE name = ?`},
		{&s.isStored, r.write, `SELECT 1 FROM ringback_delivery WHERE seq = ?`},
		{&s.byID, r.write, `SELECT seq, data FROM ringback_delivery WHERE id = ?`},
		{&s.data, r.write, `SELECT id, data FROM ringback_delivery WHERE seq = ?`},
		{&s.hasOutcome, r.write, `SELECT state, attempts, data FROM ringback_outcome WHERE seq = ?`},
		{&s.dropOutcome, r.write, `DELETE FROM ringback_outcome WHERE seq = ?`},
		{&s.waits, r.write, `SELECT due, attempts, tries, expires, hidden FROM ringback_waiting WHERE seq = ?`},
		{&s.waitKeyed, r.write, `INSERT INTO ringback_waiting (seq, lane, key, retry, due, attempts, tries, expires, hidden)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, EXISTS (SELECT 1 FROM ringback_waiting WHERE lane = ?2 AND key = ?3 AND key <> '')) RETURNING hidden`},
		{&s.rewait, r.write, `UPDATE ringback_waiting SET due = ?, tries = 0 WHERE seq = ?`},
		{&s.reveal, r.write, `UPDATE ringback_waiting SET hidden = 0
			WHERE seq = (SELECT min(seq) FROM ringback_waiting WHERE lane = ?1 AND key = ?2 AND key <> '') AND hidden = 1
			AND NOT EXISTS (SELECT 1 FROM ringback_waiting WHERE lane = ?1 AND key = ?2 AND key <> '' AND hidden = 0)
			RETURNING seq, due, attempts, tries, expires`},
		{&s.killOpen, r.write, `SELECT seq, attempts FROM ringback_waiting WHERE lane = ? AND hidden = 0 LIMIT ?`},
		{&s.killKey, r.write, `SELECT seq, attempts FROM ringback_waiting WHERE lane = ? AND key <> '' AND hidden = 1 LIMIT ?`},
		{&s.readRows, r.read, `SELECT w.seq, w.due, w.attempts, w.tries, w.expires, d.id, d.data
			FROM ringback_waiting w JOIN ringback_delivery d ON d.seq = w.seq
			WHERE w.lane = ? AND w.retry = ? AND w.hidden = 0 ORDER BY w.due, w.seq LIMIT ?`},
		{&s.readSeqs, r.read, `SELECT j.key, d.id, d.data FROM json_each(?) j CROSS JOIN ringback_delivery d ON d.seq = j.value`},
		{&s.readEvent, r.read, `SELECT count(*), total(o.state = 3) FROM ringback_delivery d LEFT JOIN ringback_outcome o ON o.seq = d.seq
			WHERE d.id = ?1 OR d.id >= ?2 AND d.id < ?3`},
	} {
		if *p.to, err = p.db.PrepareContext(ctx, p.text); err != nil {
			return err
		}
		r.prepared = append(r.prepared, *p.to)
	}
	return nil
}

func (r *rows) unprepare() error {
	var errs []error
	s := &r.stmts
	for _, b := range []*bulk{s.insert, s.outcome, s.attempt, s.wait, s.unwait} {
		if b != nil {
			errs = append(errs, b.close())
		}
	}
	for _, st := range r.prepared {
		errs = append(errs, st.Close())
	}
	return errors.Join(errs...)
}

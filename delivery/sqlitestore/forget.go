package sqlitestore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ringback-go/ringback/delivery"
)

// forget deletes settled rows that ended before the cutoffs, done for delivered
// ones and markers, and gives back free pages. All that is kept under a Seq
// goes at once: so a Seq may be given again after a start, should the newest
// rows have been among them, and finds nothing of the old one.
func (r *rows) forget(ctx context.Context, seqs []int64, done, dead int64) (more bool, err error) {
	if len(seqs) == 0 {
		return r.vacuum(ctx)
	}
	err = r.inTx(ctx, func(tx *sql.Tx) error {
		counts, gone, err := dropOutcomes(ctx, tx, seqs, done, dead)
		if err != nil {
			return err
		}
		for _, q := range []string{
			`DELETE FROM ringback_attempt WHERE seq IN (SELECT value FROM json_each(?))`,
			`DELETE FROM ringback_waiting WHERE seq IN (SELECT value FROM json_each(?))`,
			`DELETE FROM ringback_delivery WHERE seq IN (SELECT value FROM json_each(?))`,
		} {
			if _, err := tx.ExecContext(ctx, q, gone); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `UPDATE ringback_meta SET value = value - CASE name WHEN 'delivered' THEN ? ELSE ? END
			WHERE name IN ('delivered', 'dead')`, counts[stateDelivered], counts[stateDead])
		if err != nil {
			return err
		}
		more, err = giveBack(ctx, tx)
		return err
	})
	return more, err
}

// dropOutcomes deletes the outcomes of those rows that are still settled and
// old: somebody may have retried one since it was read.
func dropOutcomes(ctx context.Context, tx *sql.Tx, seqs []int64, done, dead int64) (counts [stateMarker + 1]int64, gone string, err error) {
	list, err := json.Marshal(seqs)
	if err != nil {
		return counts, "", err
	}
	rs, err := tx.QueryContext(ctx, `DELETE FROM ringback_outcome WHERE seq IN (SELECT value FROM json_each(?))
		AND at < CASE state WHEN 2 THEN ? ELSE ? END RETURNING seq, state`, string(list), dead, done)
	if err != nil {
		return counts, "", err
	}
	defer rs.Close()
	old := []int64{}
	for rs.Next() {
		var seq, state int64
		if err := rs.Scan(&seq, &state); err != nil {
			return counts, "", err
		}
		if state > 0 && state < int64(len(counts)) {
			counts[state]++
		}
		old = append(old, seq)
	}
	if err := errors.Join(rs.Err(), rs.Close()); err != nil {
		return counts, "", err
	}
	list, err = json.Marshal(old)
	return counts, string(list), err
}

// vacuum gives free pages back, if there are many.
func (r *rows) vacuum(ctx context.Context) (more bool, err error) {
	if n, err := spare(ctx, r.read); err != nil || n <= 0 {
		return false, err
	}
	err = r.inTx(ctx, func(tx *sql.Tx) error {
		more, err = giveBack(ctx, tx)
		return err
	})
	return more, err
}

// giveBack shortens the file. One that was not made with incremental vacuum
// stays as long as it is.
func giveBack(ctx context.Context, tx *sql.Tx) (more bool, err error) {
	before, err := spare(ctx, tx)
	if err != nil || before <= 0 {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, min(before, vacuumPages))); err != nil {
		return false, err
	}
	after, err := spare(ctx, tx)
	return after > 0 && after < before, err
}

// spare counts the free pages that are not kept for what comes next.
func spare(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
},
) (int64, error) {
	var pages, free int64
	if err := db.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&pages); err != nil {
		return 0, err
	}
	err := db.QueryRowContext(ctx, `PRAGMA freelist_count`).Scan(&free)
	return free - pages/16, err
}

// inTx writes, if the file is still this owner's.
func (r *rows) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := r.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	var epoch int64
	err = tx.QueryRowContext(ctx, `SELECT value FROM ringback_meta WHERE name = 'epoch'`).Scan(&epoch)
	if err == nil && epoch != r.epoch {
		err = delivery.ErrOwned
	}
	if err == nil {
		err = do(tx)
	}
	if err != nil {
		return errors.Join(err, rollback(tx))
	}
	if err := tx.Commit(); err != nil {
		return errors.Join(err, rollback(tx))
	}
	return nil
}

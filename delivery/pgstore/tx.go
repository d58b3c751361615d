package pgstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery"
)

// EnqueueTx stores deliveries in the caller's transaction: they are there when
// it commits, and never otherwise. It appends rows, and locks and reads nothing
// that another transaction could wait for, however long this one stays open.
// Call [delivery.Engine.Wake] after the commit to have them sent at once;
// otherwise they are found within [Config.Poll].
func (s *Store) EnqueueTx(ctx context.Context, tx pgx.Tx, ds ...delivery.Delivery) error {
	_, err := s.leave(ctx, tx, time.Time{}, ds)
	return err
}

// EnqueueSQLTx is [Store.EnqueueTx] for a transaction of database/sql, whatever
// its driver, on the same database.
func (s *Store) EnqueueSQLTx(ctx context.Context, tx *sql.Tx, ds ...delivery.Delivery) error {
	p, err := s.posts(time.Time{}, ds)
	if err != nil {
		return err
	}
	for from := 0; from < len(p.shard); {
		n := 1
		if len(p.shard)-from >= sqlRows {
			n = sqlRows
		}
		args := make([]any, 0, n*6)
		for i := from; i < from+n; i++ {
			args = append(args, p.shard[i], p.kind[i], p.name[i], p.lane[i], p.key[i], p.data[i])
		}
		if _, err := tx.ExecContext(ctx, s.schema.postValues(n), args...); err != nil {
			return fmt.Errorf("pgstore: enqueue: %w", err)
		}
		from += n
	}
	return nil
}

// sqlRows are stored by one statement where there are as many.
const sqlRows = 32

// postValues is a statement of n rows with plain parameters: arrays are for
// drivers to agree on.
func (s schema) postValues(n int) string {
	var b strings.Builder
	b.WriteString(s.sql(`INSERT INTO @.inbox (shard, kind, name, lane, key, data) VALUES `))
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		k := 6 * i
		fmt.Fprintf(&b, "($%d,$%d,$%d,$%d,$%d,$%d)", k+1, k+2, k+3, k+4, k+5, k+6)
	}
	return b.String()
}

// Wake tells every process that something was enqueued.
func (s *Store) Wake() {
	if m, _ := s.current(); m != nil {
		poke(m.kick)
	}
	s.bell.ring(newsInbox)
}

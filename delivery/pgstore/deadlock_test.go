package pgstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/pgstore"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// TestDeadlock: a batch that the server gives up, because a change of the tables
// takes them in another order, is committed again; who waits for it is not told.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
	s.cfg.Expiry = 10 * time.Second // also how long a commit may take
	a := s.launch()
	s.shared(20*time.Second, 64, a)
	pool := s.pool(s.url)
	stored := int64(0)
	// The server looks for a deadlock a second after each began to wait, and gives
	// up who looks first: that is the batch, unless the machine is slow.
	for try := 0; ; try++ {
		tx, err := pool.Begin(t.Context())
		s.must(err)
		lock := func(table string) error {
			_, err := tx.Exec(t.Context(), pgstore.SQL(s.schema, `LOCK TABLE @.`+table+` IN SHARE MODE`))
			return err
		}
		s.must(lock("outcome"))
		ended := make(chan error, 1)
		go func() { ended <- a.store.Enqueue(t.Context(), time.Time{}, of(fmt.Sprint("d", try), "lane", "")) }()
		s.until(10*time.Second, "a batch that waits", func() bool {
			var waits bool
			s.must(pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
				WHERE c.relname = 'outcome' AND c.relnamespace = $1::regnamespace AND NOT l.granted)`, s.schema).Scan(&waits))
			return waits
		})
		theirs := lock("delivery")
		if theirs == nil {
			s.must(tx.Commit(t.Context()))
		} else {
			_ = tx.Rollback(t.Context()) // the server did
		}
		if err := <-ended; err != nil {
			t.Fatalf("Enqueue: %v", err)
		}
		stored++
		if theirs == nil {
			break
		}
		if try == 5 {
			t.Fatalf("the batch was never given up: %v", theirs)
		}
	}
	s.counted(a, delivery.Counts{Pending: stored})
	s.settle(a, s.collect(10*time.Second, int(stored), a)[a]...)
	s.counted(a, delivery.Counts{Delivered: stored})
}

//go:build unix

package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/registry"
)

// Another process holds the write lock: what must be stored waits for
// busy_timeout and is refused by a typed error; an outcome waits longer.
// Afterwards all is well, and nothing was sent twice.
func TestB30(t *testing.T) {
	t.Parallel()
	r := run(t, rig.Spec{Path: file(t)})
	other := rig.Start(t, "locker", r.path)
	other.Await(t, "ready")
	let := make(chan struct{})
	r.rc.Handle("/"+sub, rig.InTurn(rig.Answer{After: let}, rig.Answer{}))
	if err := r.publish(t, "e0"); err != nil {
		t.Fatal(err)
	}
	r.rc.Wait(t, "the first request", func(rs []rig.Request) bool { return len(rs) == 1 })
	other.Send(t, "lock")
	other.Await(t, "ok lock")
	close(let) // its outcome finds the file locked

	begin := time.Now()
	err := r.publish(t, "e1")
	if waited := time.Since(begin); err == nil || code(err) != sqlite3.SQLITE_BUSY || waited < 4*time.Second {
		t.Errorf("Publish while the file is locked: %v after %v", err, waited)
	}
	late := make(chan error, 1)
	go func() {
		_, err := r.Publish(t.Context(), r.Event(sub, "e2"))
		late <- err
	}()
	other.Send(t, "unlock")
	other.Await(t, "ok unlock")
	if err := <-late; err != nil {
		t.Errorf("Publish while the lock ends: %v", err)
	}
	r.ev.Acked = append(r.ev.Acked, "e2")
	for _, id := range []string{"e1", "e3"} {
		if err := r.publish(t, id); err != nil {
			t.Error(err)
		}
	}
	r.settled(t)
	if ev := r.judge(t, rig.Allow{}); len(ev.Ledger) != 4 || len(ev.Requests) != 4 {
		t.Errorf("%d stored, %d requests", len(ev.Ledger), len(ev.Requests))
	}
}

// Many read and then write at once, by all methods: nobody is told of a lock.
func TestB36(t *testing.T) {
	t.Parallel()
	s := open(t, sqlitestore.Config{Path: file(t), Lanes: roomy})
	reg, err := rig.OpenRegistry(t.Context(), s.Writer(), s.Reader())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Writer().ExecContext(t.Context(), `CREATE TABLE other (n INTEGER)`); err != nil {
		t.Fatal(err)
	}
	const goroutines = 8
	rounds := rig.Size(200, 25, 15)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			b := newBook()
			for i := range rounds {
				ds := deliveries(fmt.Sprintf("g%d-%d", g, i), 3, 200)
				ep := rig.Endpoint{ID: fmt.Sprintf("sub_%d", g), Tenant: "t", URL: "https://example.com/"}
				for _, err := range []error{
					b.enqueue(t.Context(), s, ds...),
					b.settle(t.Context(), s, lease(t, s, 2)...),
					set(t.Context(), reg, ep.Subscription()),
					s.SetLanes(t.Context(), time.Time{}, delivery.LaneState{Lane: ep.ID, MaxInFlight: i + 1}),
					gone(s.RetryNow(t.Context(), time.Time{}, ds[0].ID)),
					gone(s.Cancel(t.Context(), time.Time{}, ds[1].ID)),
					readThenWrite(t.Context(), s.Writer()),
				} {
					if err != nil {
						t.Errorf("goroutine %d, round %d: %v", g, i, err)
					}
				}
			}
		})
	}
	wg.Wait()
	var n int
	if err := s.Reader().QueryRowContext(t.Context(), `SELECT count(*) FROM other`).Scan(&n); err != nil || n != goroutines*rounds {
		t.Errorf("%d rows of the other table, %v", n, err)
	}
	if l, err := rig.LedgerOf(t.Context(), s); err != nil || len(l) != goroutines*rounds*3 {
		t.Errorf("%d stored, %v", len(l), err)
	}
	if err := rig.Intact(t.Context(), s); err != nil {
		t.Error(err)
	}
}

func set(ctx context.Context, reg registry.Registry, sub registry.Subscription) error {
	_, err := reg.Set(ctx, sub)
	return err
}

// gone lets go of what another goroutine may have settled.
func gone(err error) error {
	if errors.Is(err, delivery.ErrSettled) {
		return nil
	}
	return err
}

func readThenWrite(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM ringback_delivery`).Scan(&n); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO other VALUES (?)`, n); err != nil {
		return err
	}
	return tx.Commit()
}

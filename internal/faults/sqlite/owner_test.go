//go:build unix

package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

// Two engine processes on one file: the second is refused and disturbs nobody;
// once the first is dead it may have it.
func TestB37(t *testing.T) {
	t.Parallel()
	rc := rig.Listen(t)
	let := make(chan struct{})
	rc.Handle("/"+sub, rig.InTurn(rig.Answer{After: let}, rig.Answer{}))
	spec := rig.Spec{Path: file(t), Endpoints: []rig.Endpoint{rc.Endpoint(sub)}, MaxInFlight: 1}
	first := rig.Start(t, rig.EngineRole, spec)
	first.Await(t, "ready")
	first.Send(t, "publish "+sub+" e1 e2")
	first.Await(t, "acked", 2)
	rc.Wait(t, "the first request", func(rs []rig.Request) bool { return len(rs) == 1 })

	second := rig.Start(t, rig.EngineRole, spec)
	if code := second.Exit(t); code != 1 || !strings.Contains(second.Errors(t), delivery.ErrOwned.Error()) {
		t.Errorf("the second engine ended with %d: %s", code, second.Errors(t))
	}
	if s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: spec.Path}); !errors.Is(err, delivery.ErrOwned) {
		t.Errorf("Open: %v, %v", s, err)
	}
	close(let)
	first.Send(t, "publish "+sub+" e3")
	rc.WaitAccepted(t, 3)
	first.Signal(t, syscall.SIGSTOP) // it owns the file while it is stopped
	if s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: spec.Path}); !errors.Is(err, delivery.ErrOwned) {
		t.Errorf("Open while the owner is stopped: %v, %v", s, err)
	}
	first.Signal(t, syscall.SIGCONT)
	first.Kill(t)
	ev := rig.Evidence{Acked: first.Words("acked"), Requests: rc.Requests(), Ledger: rig.ReadLedger(t, spec.Path)}
	ev.Check(t, rig.Allow{Pending: true, Unlogged: 1})
}

// The file is copied, without its log, while it is written: the copy is a file
// of an earlier moment, or is refused, and never runs half.
func TestB37Copied(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := open(t, sqlitestore.Config{Path: path, Lanes: roomy})
	b := newBook()
	if err := b.enqueue(t.Context(), s, deliveries("a", 50, 500)...); err != nil {
		t.Fatal(err)
	}
	exec(t, s, "PRAGMA wal_checkpoint(TRUNCATE)")
	if err := b.enqueue(t.Context(), s, deliveries("b", 50, 500)...); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(other, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if l := rig.ReadLedger(t, other); len(l) != 50 {
		t.Errorf("the copy holds %d", len(l))
	}
	if err := b.settle(t.Context(), s, lease(t, s, 100)...); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b.wants(t, "the original", rig.ReadLedger(t, path))
}

// The lock's file is deleted: whoever opens the store then owns it, and the one
// before can store nothing more.
func TestB37LockGone(t *testing.T) {
	t.Parallel()
	path := file(t)
	first := open(t, sqlitestore.Config{Path: path, Lanes: roomy})
	b := newBook()
	if err := b.enqueue(t.Context(), first, deliveries("a", 10, 500)...); err != nil {
		t.Fatal(err)
	}
	leases := lease(t, first, 5)
	if err := os.Remove(path + ".owner"); err != nil {
		t.Fatal(err)
	}
	second := open(t, sqlitestore.Config{Path: path, Lanes: roomy})
	if err := first.Enqueue(t.Context(), time.Time{}, deliveries("b", 1, 1)...); !errors.Is(err, delivery.ErrOwned) {
		t.Errorf("Enqueue by the first: %v", err)
	}
	if err := first.Settle(t.Context(), time.Time{}, delivery.Outcome{ID: leases[0].ID, Receipt: leases[0].Receipt, Result: delivery.Done}); !errors.Is(err, delivery.ErrOwned) {
		t.Errorf("Settle by the first: %v", err)
	}
	if err := b.settle(t.Context(), second, lease(t, second, 10)...); err != nil {
		t.Error(err)
	}
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	b.wants(t, "in the end", rig.ReadLedger(t, path))
}

// The file is deleted, or another put in its place, while it is open. What would
// be acknowledged from then on is in a file that no start will find, so it is
// refused; what was put in its place stays as it is.
func TestB37Gone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		suffix []string
		other  bool // put in place
	}{
		{"deleted", []string{""}, false},
		{"deleted with its log", []string{"", "-wal", "-shm"}, false},
		{"replaced", []string{""}, true},
		{"replaced with its log", []string{"", "-wal", "-shm"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := file(t)
			s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: path, Lanes: roomy})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			b := newBook()
			if err := b.enqueue(t.Context(), s, deliveries("before", 20, 500)...); err != nil {
				t.Fatal(err)
			}
			other := newBook()
			for _, suffix := range tt.suffix {
				if err := os.Remove(path + suffix); err != nil {
					t.Fatal(err)
				}
			}
			if tt.other {
				fresh := file(t)
				o, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: fresh})
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(other.enqueue(t.Context(), o, deliveries("other", 30, 500)...), o.Close()); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(fresh, path); err != nil {
					t.Fatal(err)
				}
			}
			var refused error
			acked := 0
			for i := range 20 {
				if err := b.enqueue(t.Context(), s, deliveries(fmt.Sprint("after", i), 1, 500)...); err != nil {
					refused = err
				} else {
					acked++
				}
			}
			counts, countErr := s.Counts(t.Context())
			t.Logf("afterwards: Enqueue %v; Counts %+v, %v; Close: %v", refused, counts, countErr, s.Close())
			if acked > 0 {
				t.Errorf("%d of 20 were acknowledged into a file that is gone", acked)
			}
			l := rig.ReadLedger(t, path) // opens, and is whole
			if tt.other && len(other.lost(l)) > 0 {
				t.Errorf("%d of 30 are lost of the file in its place, which now holds %d", len(other.lost(l)), len(l))
			}
		})
	}
}

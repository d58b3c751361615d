//go:build unix

package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, map[string]rig.Role{"locker": lock}))
}

const sub = "sub_a"

var roomy = lanes.Config{MaxInFlight: 10_000}

// lock is a process with a connection of its own to the file: it holds the
// write lock from the command "lock" to the command "unlock".
func lock(ctx context.Context, c *rig.Child) error {
	var path string
	if err := c.Spec(&path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	c.Say("ready")
	c.Commands(func(words []string) bool {
		text := map[string]string{"lock": "BEGIN IMMEDIATE", "unlock": "ROLLBACK"}[words[0]]
		if _, err = conn.ExecContext(ctx, text); err != nil {
			return false
		}
		c.Say("ok", words[0])
		return true
	})
	return err
}

// a book is what a caller of a store was told.
type book struct {
	tried, acked, settling, settled map[string]bool
}

func newBook() *book {
	return &book{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
}

func deliveries(prefix string, n, size int) []delivery.Delivery {
	ds := make([]delivery.Delivery, n)
	for i := range ds {
		event := fmt.Sprintf("%s-%d", prefix, i)
		ds[i] = delivery.Delivery{
			ID: delivery.DeliveryID(event, sub), EventID: event, SubscriptionID: sub,
			Dialect: "standard", Body: make([]byte, size), PublishedAt: time.Unix(1, 0),
		}
	}
	return ds
}

func (b *book) enqueue(ctx context.Context, s delivery.Store, ds ...delivery.Delivery) error {
	for _, d := range ds {
		b.tried[d.ID] = true
	}
	err := s.Enqueue(ctx, time.Time{}, ds...)
	if err == nil {
		for _, d := range ds {
			b.acked[d.ID] = true
		}
	}
	return err
}

func (b *book) settle(ctx context.Context, s delivery.Store, leases ...delivery.Lease) error {
	outs := make([]delivery.Outcome, len(leases))
	for i, l := range leases {
		b.settling[l.ID] = true
		outs[i] = delivery.Outcome{
			ID: l.ID, Receipt: l.Receipt, Result: delivery.Done,
			Attempt: &delivery.Attempt{Number: l.Attempts + 1, Status: 200, Response: []byte("thanks")},
		}
	}
	err := s.Settle(ctx, time.Time{}, outs...)
	if err == nil {
		for _, l := range leases {
			b.settled[l.ID] = true
		}
	}
	return err
}

func lease(t *testing.T, s delivery.Store, n int) []delivery.Lease {
	t.Helper()
	leases, err := s.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: n, TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return leases
}

// lost says what was acknowledged, or settled, and is not so in the ledger.
func (b *book) lost(l rig.Ledger) (out []string) {
	for id := range b.acked {
		if _, ok := l[id]; !ok {
			out = append(out, id+" was acknowledged and is not stored")
		}
	}
	for id := range b.settled {
		if e := l[id]; e.State != delivery.Delivered {
			out = append(out, fmt.Sprintf("%s was settled and is %q", id, e.State))
		}
	}
	return out
}

// wants fails the test for what is lost, and for what nobody asked for.
func (b *book) wants(t *testing.T, what string, l rig.Ledger) {
	t.Helper()
	for _, text := range b.lost(l) {
		t.Errorf("%s: %s", what, text)
	}
	b.asked(t, what, l)
}

func (b *book) asked(t *testing.T, what string, l rig.Ledger) {
	t.Helper()
	for id, e := range l {
		if !b.tried[id] || e.State == delivery.Delivered && !b.settling[id] || e.State == delivery.Dead {
			t.Errorf("%s: %s is %s, which nobody asked for", what, id, e.State)
		}
	}
}

// code is SQLite's primary result code of an error, 0 if it has none.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

func open(t *testing.T, cfg sqlitestore.Config) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func exec(t *testing.T, s *sqlitestore.Store, text string) {
	t.Helper()
	rows, err := s.Writer().QueryContext(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		continue
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
}

func file(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "store.db")
}

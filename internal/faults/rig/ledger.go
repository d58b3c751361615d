//go:build unix

package rig

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
)

// An Entry is what a store knows of a delivery.
type Entry struct {
	delivery.Status
	Log []delivery.Attempt
}

// A Ledger is all that a store knows, by delivery ID.
type Ledger map[string]Entry

// Get returns the entry of an event for a subscription.
func (l Ledger) Get(eventID, subscriptionID string) (Entry, bool) {
	e, ok := l[delivery.DeliveryID(eventID, subscriptionID)]
	return e, ok
}

// Count says how many entries are in a state.
func (l Ledger) Count(s delivery.State) (n int) {
	for _, e := range l {
		if e.State == s {
			n++
		}
	}
	return n
}

// ReadLedger opens the file of a process that is dead and reads it all. The
// file must open, be whole by SQLite's own check, and count right.
func ReadLedger(tb testing.TB, path string) Ledger {
	tb.Helper()
	// The test's context may be over: the ledger is read in its clean-up, too.
	ctx := context.WithoutCancel(tb.Context())
	s, err := sqlitestore.Open(ctx, sqlitestore.Config{Path: path})
	if err != nil {
		tb.Fatal("the file does not open again:", err)
	}
	l, err := LedgerOf(ctx, s)
	if err = errors.Join(err, Intact(ctx, s), s.Close()); err != nil {
		tb.Fatal(err)
	}
	return l
}

// LedgerOf reads all of a store at rest.
func LedgerOf(ctx context.Context, b delivery.Browser) (Ledger, error) {
	l := Ledger{}
	for st, err := range b.Deliveries(ctx, delivery.Filter{}) {
		if err != nil {
			return nil, err
		}
		l[st.ID] = Entry{Status: st}
	}
	for id, e := range l {
		var err error
		if e.Log, err = b.Attempts(ctx, id); err != nil {
			return nil, err
		}
		l[id] = e
	}
	want := delivery.Counts{
		Pending: int64(l.Count(delivery.Pending)), Delivered: int64(l.Count(delivery.Delivered)), Dead: int64(l.Count(delivery.Dead)),
	}
	switch got, err := b.Counts(ctx); {
	case err != nil:
		return nil, err
	case got != want:
		return nil, fmt.Errorf("rig: the store counts %+v and lists %+v", got, want)
	}
	return l, nil
}

// Intact asks SQLite whether the file is whole.
func Intact(ctx context.Context, s *sqlitestore.Store) error {
	var said string
	if err := s.Reader().QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&said); err != nil {
		return err
	}
	if said != "ok" {
		return errors.New("rig: integrity_check: " + said)
	}
	return nil
}

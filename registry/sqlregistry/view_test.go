package sqlregistry_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

// querier makes a Querier of a transaction of pgx's.
type querier struct{ pgx.Tx }

func (q querier) Query(ctx context.Context, query string, args ...any) (sqlregistry.Rows, error) {
	return q.Tx.Query(ctx, query, args...)
}

// A tx is a transaction of either kind.
type tx struct {
	sqlregistry.Querier
	exec     func(t *testing.T, statement string, args ...any)
	rollback func(t *testing.T)
}

func beginSQL(t *testing.T, h *handle) tx {
	t.Helper()
	began, err := h.writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return tx{
		sqlregistry.SQLTx(began),
		func(t *testing.T, statement string, args ...any) {
			t.Helper()
			if _, err := began.ExecContext(t.Context(), h.sql(statement), args...); err != nil {
				t.Fatal(err)
			}
		},
		func(t *testing.T) {
			t.Helper()
			if err := began.Rollback(); err != nil {
				t.Error(err)
			}
		},
	}
}

func beginPGX(t *testing.T, h *handle) tx {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), h.name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	began, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tx{
		querier{began},
		func(t *testing.T, statement string, args ...any) {
			t.Helper()
			if _, err := began.Exec(t.Context(), h.sql(statement), args...); err != nil {
				t.Fatal(err)
			}
		},
		func(t *testing.T) {
			t.Helper()
			if err := began.Rollback(t.Context()); err != nil {
				t.Error(err)
			}
		},
	}
}

// A View answers as the registry does, and sees what its transaction did.
func TestView(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flavor int
		begin  func(*testing.T, *handle) tx
	}{
		"sqlite": {0, beginSQL}, "postgres": {1, beginSQL}, "postgres schema": {2, beginSQL},
		"pgx": {1, beginPGX}, "pgx schema": {2, beginPGX},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := flavors[c.flavor].make(t).registry(t)
			stored := set(t, h, odd(), subscription(nil))
			topic := registry.Topic{Dialect: stored[0].Dialect, Tenant: stored[0].Tenant, Scope: stored[0].Scope, Type: stored[0].Types[0]}
			tx := c.begin(t, h)
			view := h.In(tx)
			check := func(step, label string) {
				t.Helper()
				want := stored[0]
				want.Label = label
				if got, err := view.Get(t.Context(), want.ID); err != nil || !cmp.Equal(got, want, secrets) {
					t.Errorf("%s: Get: %v\n%s", step, err, cmp.Diff(want, got, secrets))
				}
				if got, err := view.Match(t.Context(), topic); err != nil || !cmp.Equal(got, []registry.Subscription{want}, secrets) {
					t.Errorf("%s: Match: %v\n%s", step, err, cmp.Diff([]registry.Subscription{want}, got, secrets))
				}
			}
			check("at first", stored[0].Label)
			if _, err := view.Get(t.Context(), "sub_unknown"); !errors.Is(err, registry.ErrNotFound) {
				t.Errorf("Get of unknown: %v", err)
			}
			if _, err := view.Get(t.Context(), "\xff\x00"); !errors.Is(err, registry.ErrNotFound) {
				t.Errorf("Get of no text: %v", err)
			}
			topic.Type = "unknown"
			if got, err := view.Match(t.Context(), topic); err != nil || got != nil {
				t.Errorf("Match of unknown: %v, %v", got, err)
			}
			topic.Type = stored[0].Types[0]
			tx.exec(t, "UPDATE @subscription SET label = 'inside' WHERE id = ?", stored[0].ID)
			check("changed inside", "inside")
			if got, err := h.Get(t.Context(), stored[0].ID); err != nil || got.Label != stored[0].Label {
				t.Errorf("outside: %q, %v", got.Label, err)
			}
			tx.exec(t, "UPDATE @subscription SET meta = 'no JSON'")
			if _, err := view.Get(t.Context(), stored[0].ID); err == nil || errors.Is(err, registry.ErrNotFound) {
				t.Errorf("Get of what cannot be read: %v", err)
			}
			tx.exec(t, "DELETE FROM @subscription_type") // the rows were closed
			tx.rollback(t)
			if _, err := view.Get(t.Context(), stored[0].ID); err == nil || errors.Is(err, registry.ErrNotFound) {
				t.Errorf("Get after the transaction: %v", err)
			}
			if _, err := view.Match(t.Context(), topic); err == nil {
				t.Error("Match after the transaction succeeds")
			}
		})
	}
}

func TestViewZeroValue(t *testing.T) {
	t.Parallel()
	reg, err := sqlregistry.New(newFile(t).config(t, new(sql.DB), nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, view := range map[string]*sqlregistry.View{"zero": {}, "no Querier": reg.In(nil)} {
		if _, err := view.Get(t.Context(), "sub_1"); err == nil || errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%s: Get: %v", name, err)
		}
		if _, err := view.Match(t.Context(), registry.Topic{Dialect: "edna", Type: "a"}); err == nil {
			t.Errorf("%s: Match succeeds", name)
		}
	}
}

package sqlregistry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

// Match and Get go by an index, whatever else there is.
func TestPlans(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	for _, q := range sqlregistry.Queries() {
		args := make([]any, strings.Count(q, "?"))
		for i := range args {
			args[i] = ""
		}
		rows, err := f.reader.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+q, args...)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(plan, "; "); !strings.Contains(text, "SEARCH") || strings.Contains(text, "SCAN") || strings.Contains(text, "TEMP B-TREE") {
			t.Errorf("%s\nplan: %s", q, text)
		}
	}
}

// What cannot match any more leaves nothing behind that Match would read.
func TestMatchRowsGo(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	rows := func(step string, want int) {
		t.Helper()
		var n int
		if err := f.reader.QueryRowContext(t.Context(), "SELECT count(*) FROM subscription_type").Scan(&n); err != nil || n != want {
			t.Errorf("%s: %d rows, %v, want %d", step, n, err, want)
		}
	}
	s := set(t, f, subscription(func(s *registry.Subscription) { s.Types = []string{"b", "a", "b"} }))[0]
	rows("set", 2)
	s.State, s.Revision = registry.Disabled, 0
	set(t, f, s)
	rows("disabled", 0)
	s.State = registry.Paused
	set(t, f, s)
	rows("paused", 2)
	if err := f.Delete(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	rows("deleted", 0)
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := newFile(b)
			many := make([]registry.Subscription, n)
			for i := range many {
				many[i] = subscription(func(s *registry.Subscription) { s.Tenant = fmt.Sprint("tenant", i) })
			}
			set(b, f, many...)
			b.ReportAllocs()
			for b.Loop() {
				subs, err := f.Match(b.Context(), registry.Topic{Dialect: "edna", Tenant: "tenant7", Scope: "x", Type: "status"})
				if err != nil || len(subs) != 1 {
					b.Fatal(len(subs), err)
				}
			}
		})
	}
}

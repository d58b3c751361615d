package sqlregistry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

// plan returns what the database says about how it runs a query.
func (h *handle) plan(t *testing.T, query string) string {
	t.Helper()
	// Before the schema is in it, which may have a question mark.
	args := make([]any, strings.Count(query, "?")+strings.Count(query, "$"))
	for i := range args {
		args[i] = "0"
	}
	explain := "EXPLAIN QUERY PLAN "
	if h.flavor == sqlregistry.PostgreSQL {
		explain = "EXPLAIN "
	}
	rows, err := h.reader.QueryContext(t.Context(), explain+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var detail string
		dest := []any{&detail}
		if h.flavor == sqlregistry.SQLite {
			dest = []any{new(int), new(int), new(int), &detail}
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}

// Match and Get go by an index, whatever else there is.
func TestPlans(t *testing.T) {
	t.Parallel()
	for _, fl := range flavors[:2] {
		t.Run(fl.name, func(t *testing.T) {
			t.Parallel()
			h := fl.make(t).registry(t)
			analyze := func() {}
			yes, no := []string{"SEARCH"}, []string{"SCAN", "TEMP B-TREE"}
			if h.flavor == sqlregistry.PostgreSQL { // which scans what is small
				many := make([]registry.Subscription, 5000)
				for i := range many {
					many[i] = subscription(func(s *registry.Subscription) { s.Tenant = fmt.Sprint("tenant", i) })
				}
				set(t, h, many...)
				analyze = func() { h.exec(t, "ANALYZE @subscription, @subscription_type") }
				yes, no = []string{"Index Cond"}, []string{"Seq Scan", "Sort", "Filter: (scope", "Filter: ((scope"}
			}
			for _, statistics := range []bool{false, true} {
				if statistics {
					analyze()
				}
				for _, q := range sqlregistry.Queries(h.Registry) {
					plan := h.plan(t, q)
					for _, word := range yes {
						if !strings.Contains(plan, word) {
							t.Errorf("%s\nstatistics %v: no %q in plan: %s", q, statistics, word, plan)
						}
					}
					for _, word := range no {
						if strings.Contains(plan, word) {
							t.Errorf("%s\nstatistics %v: %q in plan: %s", q, statistics, word, plan)
						}
					}
				}
			}
		})
	}
}

// What cannot match any more leaves nothing behind that Match would read.
func TestMatchRowsGo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		h := b.registry(t)
		rows := func(step string, want int) {
			t.Helper()
			if n := h.number(t, "SELECT count(*) FROM @subscription_type"); n != want {
				t.Errorf("%s: %d rows, want %d", step, n, want)
			}
		}
		s := set(t, h, subscription(func(s *registry.Subscription) { s.Types = []string{"b", "a", "b"} }))[0]
		rows("set", 2)
		s.State, s.Revision = registry.Disabled, 0
		set(t, h, s)
		rows("disabled", 0)
		s.State = registry.Paused
		set(t, h, s)
		rows("paused", 2)
		if err := h.Delete(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		rows("deleted", 0)
	})
}

func BenchmarkMatch(b *testing.B) {
	for _, fl := range flavors[:2] {
		for _, n := range []int{100, 10_000} {
			b.Run(fmt.Sprint(fl.name, "/", n), func(b *testing.B) {
				h := fl.make(b).registry(b)
				many := make([]registry.Subscription, n)
				for i := range many {
					many[i] = subscription(func(s *registry.Subscription) { s.Tenant = fmt.Sprint("tenant", i) })
				}
				set(b, h, many...)
				b.ReportAllocs()
				for b.Loop() {
					subs, err := h.Match(b.Context(), registry.Topic{Dialect: "edna", Tenant: "tenant7", Scope: "x", Type: "status"})
					if err != nil || len(subs) != 1 {
						b.Fatal(len(subs), err)
					}
				}
			})
		}
	}
}

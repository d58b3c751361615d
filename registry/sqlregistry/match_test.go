package sqlregistry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
					plan := strings.ReplaceAll(h.plan(t, q), "SCAN w VIRTUAL TABLE", "the list asked for")
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

// In a batch each topic has its own result: what cannot be opened, what no
// column can hold and what has no tenant leave the others alone.
func TestMatchBatchKeepsApart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		h := b.registry(t)
		var topics []registry.Topic
		for _, tenant := range []string{"one", "lost", "other"} {
			set(t, h, subscription(func(s *registry.Subscription) { s.Tenant = tenant }))
			topics = append(topics, registry.Topic{Dialect: "edna", Tenant: tenant, Type: "status", Scope: "x"})
		}
		h.exec(t, "UPDATE @subscription SET secrets = (SELECT secrets FROM @subscription WHERE tenant = 'one') WHERE tenant = 'lost'")
		topics = append(topics,
			registry.Topic{Dialect: "edna", Tenant: "\xff", Type: "status"},
			registry.Topic{Dialect: "edna", Tenant: "one\x00", Type: "status"},
			registry.Topic{Dialect: "edna", Tenant: "one", Type: "status", Scope: "\xff"},
			registry.Topic{Dialect: "edna", Type: "status"},
		)
		found, err := h.MatchBatch(t.Context(), topics)
		if err != nil || len(found) != len(topics) {
			t.Fatalf("%d results, %v", len(found), err)
		}
		for i, want := range []int{1, -1, 1, 0, 0, 1, -1} {
			got := found[i]
			if want < 0 && !errors.Is(got.Err, registry.ErrSealed) || want >= 0 && (got.Err != nil || len(got.Subscriptions) != want) {
				t.Errorf("topic %d: %d subscriptions, %v, want %d", i, len(got.Subscriptions), got.Err, want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.MatchBatch(ctx, topics); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
	})
}

// BenchmarkMatch asks for one topic, and for 50 in a batch.
func BenchmarkMatch(b *testing.B) {
	for _, fl := range flavors[:2] {
		for _, n := range []int{100, 10_000} {
			h := fl.make(b).registry(b)
			many := make([]registry.Subscription, n)
			topics := make([]registry.Topic, n)
			for i := range many {
				many[i] = subscription(func(s *registry.Subscription) { s.Tenant = fmt.Sprint("tenant", i) })
				topics[i] = registry.Topic{Dialect: "edna", Tenant: many[i].Tenant, Type: "status"}
			}
			set(b, h, many...)
			i := 0
			next := func(k int) []registry.Topic {
				i = (i + 7*k) % (n - k)
				return topics[i : i+k]
			}
			b.Run(fmt.Sprint(fl.name, "/", n, "/one"), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if subs, err := h.Match(b.Context(), next(1)[0]); err != nil || len(subs) != 1 {
						b.Fatal(len(subs), err)
					}
				}
			})
			b.Run(fmt.Sprint(fl.name, "/", n, "/batch"), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					found, err := h.MatchBatch(b.Context(), next(50))
					if err != nil || slices.ContainsFunc(found, func(m registry.Matched) bool { return m.Err != nil || len(m.Subscriptions) != 1 }) {
						b.Fatal(found, err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/50, "ns/topic")
			})
		}
	}
}

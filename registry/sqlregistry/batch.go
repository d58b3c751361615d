package sqlregistry

import (
	"context"
	"encoding/json"

	"github.com/ringback-go/ringback/registry"
)

// wanted is an entry of the list that asks for many topics: the rows of one
// range of the index.
type wanted struct {
	N       int    `json:"n"` // whose topic
	Dialect string `json:"dialect"`
	Type    string `json:"type"`
	Scope   string `json:"scope"`
	Tenant  string `json:"tenant"`
}

// MatchBatch implements [registry.BatchMatcher] with one query for all topics
// that have a tenant.
func (r *Registry) MatchBatch(ctx context.Context, topics []registry.Topic) ([]registry.Matched, error) {
	found := make([]registry.Matched, len(topics))
	var list []wanted
	for i, t := range topics {
		if t.Tenant == "" || !storable(t.Tenant) || !storable(t.Dialect) || !storable(t.Type) || !storable(t.Scope) {
			found[i].Subscriptions, found[i].Err = r.Match(ctx, t)
			continue
		}
		list = append(list, wanted{i, t.Dialect, t.Type, "", t.Tenant})
		if t.Scope != "" {
			list = append(list, wanted{i, t.Dialect, t.Type, t.Scope, t.Tenant})
		}
	}
	if err := ctx.Err(); err != nil || len(list) == 0 {
		return found, err
	}
	if err := r.candidates(ctx, list, found); err != nil {
		return nil, wrap("match", err)
	}
	now := r.now()
	for _, w := range list {
		if m := &found[w.N]; w.Scope == "" && m.Err == nil { // each topic once
			m.Subscriptions = registry.Matching(topics[w.N], now, m.Subscriptions)
		}
	}
	return found, nil
}

// candidates reads the rows of list into what belongs to their topics. What
// cannot be opened spoils its own topic alone.
func (r *Registry) candidates(ctx context.Context, list []wanted, found []registry.Matched) error {
	asked, err := json.Marshal(list)
	if err != nil {
		return err
	}
	rows, err := r.often.Query(ctx, r.bind(r.flavor.matchMany), string(asked))
	if err != nil {
		return err
	}
	defer rows.Close()
	row := numbered{Rows: rows}
	for rows.Next() {
		s, sealed, err := decode(&row)
		if row.err != nil {
			return row.err
		}
		if err == nil {
			err = sealed.open(r.sealer, &s)
		}
		switch m := &found[row.n]; {
		case err != nil:
			m.Subscriptions, m.Err = nil, wrap("match", err)
		case m.Err == nil:
			m.Subscriptions = append(m.Subscriptions, s)
		}
	}
	return rows.Err()
}

// numbered scans one column more, the first.
type numbered struct {
	Rows
	n   int
	err error
}

func (r *numbered) Scan(dest ...any) error {
	r.err = r.Rows.Scan(append([]any{&r.n}, dest...)...)
	return r.err
}

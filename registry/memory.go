package registry

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"
)

// Memory is a [Registry] that is not durable: it lives and dies with the
// process. The zero value is ready to use and empty; it must not be copied
// after first use. Get costs one map look-up; Match looks only at the
// subscriptions of its dialect, type and scope, and of its tenant if it has
// one. It is for tests, examples and programs that register at each start, before
// deliveries run: under a durable store those of a subscription that is not there
// any more after a restart are given up.
type Memory struct {
	// Now replaces the clock; nil is time.Now. It is called by Set and Match,
	// also concurrently, and must not call the registry.
	Now func() time.Time

	// Stored subscriptions are never changed, only replaced: they may be
	// cloned after the lock is gone.
	mu     sync.RWMutex
	ids    map[string]*Subscription
	slots  map[slotKey]*Subscription                        // not removed ones
	topics map[topicKey]map[string]map[string]*Subscription // then by tenant and ID; those that can match
}

type slotKey struct{ dialect, tenant, scope, slot string }

type topicKey struct{ dialect, typ, scope string }

var (
	_ Registry = (*Memory)(nil)
	_ Counter  = (*Memory)(nil)
)

func (m *Memory) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

// Count implements [Counter].
func (m *Memory) Count(ctx context.Context) (map[State]int, error) {
	counts := map[State]int{}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, s := range m.ids {
		counts[s.State]++
	}
	return counts, ctx.Err()
}

// Set implements [Registry].
func (m *Memory) Set(ctx context.Context, subs ...Subscription) ([]Subscription, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, s := range subs {
		if err := Validate(s); err != nil {
			return nil, err
		}
	}
	now := m.now()
	stored := make([]Subscription, 0, len(subs))
	undo := make([]func(), 0, len(subs))

	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range subs {
		var bySlot *Subscription
		if s.Slot != "" {
			bySlot = m.slots[slotOf(&s)]
		}
		next, err := Next(s, m.ids[s.ID], bySlot, now)
		if err != nil {
			for _, f := range slices.Backward(undo) {
				f()
			}
			return nil, err
		}
		old := m.ids[next.ID]
		m.put(next.ID, &next)
		undo = append(undo, func() { m.put(next.ID, old) })
		stored = append(stored, next.Clone())
	}
	return stored, nil
}

// put makes s what has the ID, nil nothing, in all indexes.
func (m *Memory) put(id string, s *Subscription) {
	if m.ids == nil {
		m.ids = make(map[string]*Subscription)
		m.slots = make(map[slotKey]*Subscription)
		m.topics = make(map[topicKey]map[string]map[string]*Subscription)
	}
	if old := m.ids[id]; old != nil {
		m.unlink(old)
	}
	if s == nil {
		delete(m.ids, id)
		return
	}
	m.ids[id] = s
	if s.Slot != "" && s.State != Removed {
		m.slots[slotOf(s)] = s
	}
	if s.State != Active && s.State != Paused {
		return
	}
	for _, typ := range s.Types {
		k := topicKey{s.Dialect, typ, s.Scope}
		if m.topics[k] == nil {
			m.topics[k] = make(map[string]map[string]*Subscription)
		}
		if m.topics[k][s.Tenant] == nil {
			m.topics[k][s.Tenant] = make(map[string]*Subscription)
		}
		m.topics[k][s.Tenant][s.ID] = s
	}
}

// unlink takes s out of the indexes other than ids, and leaves no empty maps.
func (m *Memory) unlink(s *Subscription) {
	if k := slotOf(s); m.slots[k] == s {
		delete(m.slots, k)
	}
	for _, typ := range s.Types {
		k := topicKey{s.Dialect, typ, s.Scope}
		delete(m.topics[k][s.Tenant], s.ID)
		if len(m.topics[k][s.Tenant]) == 0 {
			delete(m.topics[k], s.Tenant)
		}
		if len(m.topics[k]) == 0 {
			delete(m.topics, k)
		}
	}
}

func slotOf(s *Subscription) slotKey { return slotKey{s.Dialect, s.Tenant, s.Scope, s.Slot} }

// Get implements [Registry].
func (m *Memory) Get(ctx context.Context, id string) (Subscription, error) {
	if err := ctx.Err(); err != nil {
		return Subscription{}, err
	}
	m.mu.RLock()
	s := m.ids[id]
	m.mu.RUnlock()
	if s == nil {
		return Subscription{}, ErrNotFound
	}
	return s.Clone(), nil
}

// Delete implements [Registry].
func (m *Memory) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(id, nil)
	return nil
}

// List implements [Registry]. It yields what was there when the loop began and
// holds no lock meanwhile.
func (m *Memory) List(ctx context.Context, f Filter) iter.Seq2[Subscription, error] {
	return func(yield func(Subscription, error) bool) {
		m.mu.RLock()
		var chosen []Subscription
		for _, s := range m.ids {
			if f.Chooses(*s) {
				chosen = append(chosen, *s)
			}
		}
		m.mu.RUnlock()
		slices.SortFunc(chosen, Newest)
		if f.Limit > 0 && len(chosen) > f.Limit {
			chosen = chosen[:f.Limit]
		}
		if err := ctx.Err(); err != nil { // also when nothing was chosen
			yield(Subscription{}, err)
			return
		}
		for _, s := range chosen {
			if err := ctx.Err(); err != nil {
				yield(Subscription{}, err)
				return
			}
			if !yield(s.Clone(), nil) {
				return
			}
		}
	}
}

// Match implements [Registry].
func (m *Memory) Match(ctx context.Context, t Topic) ([]Subscription, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var found []Subscription
	m.mu.RLock()
	found = m.appendTopic(found, t, t.Scope)
	if t.Scope != "" {
		found = m.appendTopic(found, t, "")
	}
	m.mu.RUnlock()
	found = Matching(t, m.now(), found)
	for i := range found {
		found[i] = found[i].Clone()
	}
	return found, nil
}

func (m *Memory) appendTopic(found []Subscription, t Topic, scope string) []Subscription {
	tenants := m.topics[topicKey{t.Dialect, t.Type, scope}]
	if t.Tenant != "" {
		for _, s := range tenants[t.Tenant] {
			found = append(found, *s)
		}
		return found
	}
	for _, subs := range tenants {
		for _, s := range subs {
			found = append(found, *s)
		}
	}
	return found
}

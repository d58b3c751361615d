package http1

import (
	"cmp"
	"time"
)

// get takes the connection of a host that was used last.
func (t *Transport) get(h host) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.hosts[h]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	list[len(list)-1] = nil
	t.hosts[h] = list[:len(list)-1]
	t.idle--
	return c
}

// put keeps an idle connection, unless there are enough.
func (t *Transport) put(c *conn) {
	if !t.keep(c) {
		_ = c.Close()
	}
}

func (t *Transport) keep(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.hosts[c.to]
	if t.idle >= t.MaxIdle || len(list) >= t.MaxIdlePerHost {
		return false
	}
	if t.hosts == nil {
		t.hosts = map[host][]*conn{}
	}
	c.since = time.Now()
	t.hosts[c.to] = append(list, c)
	t.idle++
	if !t.armed {
		t.arm(t.idleFor())
	}
	return true
}

func (t *Transport) idleFor() time.Duration { return cmp.Or(t.Idle, 90*time.Second) }

func (t *Transport) arm(in time.Duration) {
	t.armed = true
	if t.timer == nil {
		t.timer = time.AfterFunc(in, t.sweep)
	} else {
		t.timer.Reset(in)
	}
}

// sweep closes what was idle for too long.
func (t *Transport) sweep() {
	now := time.Now()
	var late []*conn
	t.mu.Lock()
	oldest := time.Duration(0)
	for h, list := range t.hosts {
		n := 0
		for n < len(list) && now.Sub(list[n].since) >= t.idleFor() {
			n++
		}
		late = append(late, list[:n]...)
		t.idle -= n
		if n == len(list) {
			delete(t.hosts, h)
			continue
		}
		if n > 0 {
			list = append(list[:0:0], list[n:]...)
			t.hosts[h] = list
		}
		oldest = max(oldest, now.Sub(list[0].since))
	}
	if t.armed = t.idle > 0; t.armed {
		t.arm(t.idleFor() - oldest)
	}
	t.mu.Unlock()
	for _, c := range late {
		_ = c.Close()
	}
}

// CloseIdleConnections closes the connections that no request uses.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	hosts := t.hosts
	t.hosts, t.idle = nil, 0
	t.mu.Unlock()
	for _, list := range hosts {
		for _, c := range list {
			_ = c.Close()
		}
	}
}

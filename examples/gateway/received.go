package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/ringback-go/ringback/dialect/tencentchat"
)

// keepReceived is how many accepted callbacks are remembered.
const keepReceived = 1000

// received is what the Tencent receiver accepted, newest last.
type received struct {
	mu   sync.Mutex
	list []receivedOut
}

type receivedOut struct {
	SDKAppID    string          `json:"sdk_app_id"`
	Command     string          `json:"command"`
	OptPlatform string          `json:"opt_platform"`
	ClientIP    string          `json:"client_ip"`
	EventTimeMS *int64          `json:"event_time_ms"`
	Body        json.RawMessage `json:"body"`
}

// take is the tencentchat.Handler: it remembers the packet and allows all.
func (rc *received) take(ctx context.Context, ev tencentchat.Event) (tencentchat.Reply, error) {
	reply, err := tencentchat.AllowAll(ctx, ev)
	if err != nil {
		return reply, err
	}
	out := receivedOut{
		SDKAppID: ev.SDKAppID, Command: ev.Command, OptPlatform: string(ev.Platform), ClientIP: ev.ClientIP,
		Body: append(json.RawMessage(nil), ev.Body...),
	}
	if !ev.EventTime.IsZero() {
		out.EventTimeMS = new(ev.EventTime.UnixMilli())
	}
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if len(rc.list) >= keepReceived {
		rc.list = append(rc.list[:0:0], rc.list[len(rc.list)-keepReceived+1:]...)
	}
	rc.list = append(rc.list, out)
	return reply, nil
}

// latest returns up to n packets, newest first.
func (rc *received) latest(n int) []receivedOut {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	out := []receivedOut{}
	for i := len(rc.list) - 1; i >= 0 && len(out) < n; i-- {
		out = append(out, rc.list[i])
	}
	return out
}

func (g *gateway) listReceived(w http.ResponseWriter, r *http.Request) {
	limit, ok := limitOf(w, r)
	if !ok {
		return
	}
	answer(w, http.StatusOK, g.received.latest(limit))
}

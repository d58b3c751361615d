package inbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

// handling is a client that calls a handler instead of a server.
type handling struct {
	handler http.Handler
	log     *slog.Logger
}

// Do implements [delivery.Client].
func (w handling) Do(r *http.Request) (*http.Response, error) {
	a := &answer{header: http.Header{}}
	if w.call(a, r) {
		a.status, a.header = http.StatusInternalServerError, http.Header{}
	}
	if err := r.Context().Err(); err != nil && a.status == 0 { // it gave up, which is no success
		return nil, err
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(&a.body), Request: r}, nil
}

// What the log takes of a panic.
const maxPanic, maxStack = 512, 8 << 10

func (w handling) call(a *answer, r *http.Request) (panicked bool) {
	defer func() {
		if v := recover(); v != nil {
			panicked = true
			text, stack := fmt.Sprint(v), debug.Stack()
			w.log.LogAttrs(r.Context(), slog.LevelError, "inbox: the handler panicked",
				slog.String("panic", text[:min(len(text), maxPanic)]), slog.String("stack", string(stack[:min(len(stack), maxStack)])))
		}
	}()
	w.handler.ServeHTTP(a, r)
	return false
}

// answer is what a handler writes; as much of it is kept as the attempt log
// takes.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if status < 100 || status > 999 { // net/http does so too, and it must not pass for none
		panic(fmt.Sprintf("inbox: invalid status %d", status))
	}
	if a.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) { // others are on the way to one
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if room := delivery.MaxResponse - a.body.Len(); room > 0 {
		a.body.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

// only is a registry of one subscription that does not change.
type only struct{ sub registry.Subscription }

// Set implements [registry.Registry].
func (only) Set(context.Context, ...registry.Subscription) ([]registry.Subscription, error) {
	return nil, registry.ErrConflict
}

// Get implements [registry.Registry].
func (o only) Get(_ context.Context, id string) (registry.Subscription, error) {
	if id != o.sub.ID {
		return registry.Subscription{}, registry.ErrNotFound
	}
	return o.sub.Clone(), nil
}

// Delete implements [registry.Registry].
func (only) Delete(context.Context, string) error { return nil }

// List implements [registry.Registry].
func (o only) List(context.Context, registry.Filter) iter.Seq2[registry.Subscription, error] {
	return func(yield func(registry.Subscription, error) bool) { yield(o.sub.Clone(), nil) }
}

// Match implements [registry.Registry].
func (o only) Match(context.Context, registry.Topic) ([]registry.Subscription, error) {
	return []registry.Subscription{o.sub.Clone()}, nil
}

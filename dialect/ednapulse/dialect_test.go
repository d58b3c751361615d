package ednapulse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/dialect/ednapulse"
	"github.com/ringback-go/ringback/registry"
)

// sent is one request as the client saw it; stores round due times up by
// microseconds.
type sent struct {
	After  time.Duration
	URL    string
	Header http.Header
	Body   string
}

// backend answers every request with the status of its turn, the last one for
// ever, and keeps what came.
type backend struct {
	begin    time.Time
	statuses []int

	mu  sync.Mutex
	got []sent
}

func (b *backend) requests() []sent {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

func (b *backend) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	status := b.statuses[min(len(b.got), len(b.statuses)-1)]
	b.got = append(b.got, sent{time.Since(b.begin).Round(time.Millisecond), r.Method + " " + r.URL.String(), r.Header.Clone(), string(body)})
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}, nil
}

// running starts an engine in a bubble.
func running(t *testing.T, d ednapulse.Dialect, reg registry.Registry, b *backend) (*delivery.Engine, *memstore.Store) {
	t.Helper()
	store, err := memstore.Open(t.Context(), memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b.begin = time.Now()
	e, err := delivery.New(delivery.Config{
		Store: store, Registry: reg, Client: b, Logger: quiet,
		Dialects: map[string]delivery.Dialect{ednapulse.Name: d},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return e, store
}

func publish(t *testing.T, e *delivery.Engine, scope, typ, data string) {
	t.Helper()
	_, err := e.Publish(t.Context(), delivery.Event{
		ID: "evt", Dialect: ednapulse.Name, Tenant: "acme", Scope: scope, Type: typ, Data: []byte(data),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func subscribe(t *testing.T, e *delivery.Engine, scope, typ, url string) {
	t.Helper()
	if _, err := e.Subscribe(t.Context(), ednapulse.NewSubscription("acme", scope, typ, url)); err != nil {
		t.Fatal(err)
	}
}

// settle lets so much of the bubble's time pass; the seconds are not real.
func settle(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		backoff delivery.Backoff
		want    []int
	}{
		{"default", nil, []int{4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048}},
		{"documented", ednapulse.Documented(), []int{4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048}},
		{"since 2026", ednapulse.Since2026(), []int{4, 128, 2048}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := ednapulse.Dialect{Backoff: tt.backoff}.Schedule(registry.Subscription{})
			for range 2 { // asking changes nothing
				var got []int
				for attempt := 1; ; attempt++ {
					pause, again := b.Delay(attempt)
					if !again {
						break
					}
					if pause%time.Second != 0 {
						t.Errorf("pause %v", pause)
					}
					got = append(got, int(pause/time.Second))
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("pauses %v, want %v", got, tt.want)
				}
			}
		})
	}
}

// TestResends sends through the engine until the schedule is used up.
func TestResends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &backend{statuses: []int{404, 410, 201, 301, 500}}
		e, store := running(t, ednapulse.Dialect{Keys: acme(t).WebhookKey}, &registry.Memory{}, b)
		subscribe(t, e, "", ednapulse.TypeStatus, "https://hooks.example.com/s?x=1")
		data := "{ \"status\" : \"READ\",\n\"b\":\"<&>\" }"
		publish(t, e, "234", ednapulse.TypeStatus, data)
		settle(2 * time.Hour)

		got := b.requests()
		if len(got) != 11 {
			t.Fatalf("%d requests, want 11", len(got))
		}
		at, next := time.Duration(0), 4*time.Second
		for i, s := range got {
			if s.After != at {
				t.Errorf("request %d after %v, want %v", i, s.After, at)
			}
			at, next = at+next, 2*next
			h := http.Header{
				"Authorization": {"Token K-0123456789abcdef"}, "Content-Type": {"application/json"},
				"User-Agent": s.Header["User-Agent"], delivery.HeaderID: {"evt"},
			}
			if diff := cmp.Diff(h, s.Header); diff != "" {
				t.Errorf("request %d: -want +got:\n%s", i, diff)
			}
			if s.URL != "POST https://hooks.example.com/s?x=1" || s.Body != data {
				t.Errorf("request %d: %s %q", i, s.URL, s.Body)
			}
		}
		if last := got[10].After; last != 4092*time.Second {
			t.Errorf("the last one after %v, want 4092s", last)
		}
		for st, err := range store.Deliveries(t.Context(), delivery.Filter{}) {
			if err != nil || st.State != delivery.Dead {
				t.Errorf("%s %v", st.State, err)
			}
		}
		for _, s := range list(t, e.Registry()) {
			if s.State != registry.Active {
				t.Errorf("the subscription is %s", s.State)
			}
		}
	})
}

// TestAddressing: a channel's row, else the tenant's, never both; without a
// webhook key there is no header.
func TestAddressing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, scope, typ string
		want             []string
	}{
		{"channel with a row", "234", ednapulse.TypeStatus, []string{"POST https://hooks.example.com/channel"}},
		{"channel without a row", "235", ednapulse.TypeStatus, []string{"POST https://hooks.example.com/tenant"}},
		{"no channel", "", ednapulse.TypeStatus, []string{"POST https://hooks.example.com/tenant"}},
		{"another slot", "234", ednapulse.TypeInMessage, []string{"POST https://hooks.example.com/in"}},
		{"nobody", "234", ednapulse.TypeMessageMatcher, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &backend{statuses: []int{200}}
				e, _ := running(t, ednapulse.Dialect{}, &registry.Memory{}, b)
				subscribe(t, e, "", ednapulse.TypeStatus, "https://hooks.example.com/tenant")
				subscribe(t, e, "234", ednapulse.TypeStatus, "https://hooks.example.com/channel")
				subscribe(t, e, "", ednapulse.TypeInMessage, "https://hooks.example.com/in")
				publish(t, e, tt.scope, tt.typ, `{}`)
				settle(time.Minute)
				var got []string
				for _, s := range b.requests() {
					got = append(got, s.URL)
					if s.Header.Get("Authorization") != "" {
						t.Errorf("Authorization %q", s.Header.Get("Authorization"))
					}
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("sent %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestWaitingFollows: what waits goes to the URL of the last call, with the key
// of the moment.
func TestWaitingFollows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &backend{statuses: []int{500, 200}}
		var key atomic.Value
		key.Store("first")
		keys := func(tenant string) (registry.Secret, bool) {
			return registry.NewSecret(key.Load().(string)), tenant == "acme"
		}
		e, _ := running(t, ednapulse.Dialect{Keys: keys}, &registry.Memory{}, b)
		api := newAPI(t, ednapulse.APIConfig{Subscriber: e})
		if _, code := call(t, api, `{"statusCallbackUrl":"https://hooks.example.com/old","subjectId":234}`); code != "ok" {
			t.Fatal(code)
		}
		publish(t, e, "234", ednapulse.TypeStatus, `{}`)
		settle(time.Second)
		if _, code := call(t, api, `{"statusCallbackUrl":"https://hooks.example.com/new"}`); code != "ok" {
			t.Fatal(code)
		}
		key.Store("second")
		settle(time.Minute)
		var got []string
		for _, s := range b.requests() {
			got = append(got, fmt.Sprint(s.After, " ", s.URL, " ", s.Header.Get("Authorization")))
		}
		want := []string{"0s POST https://hooks.example.com/old Token first", "4s POST https://hooks.example.com/new Token second"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	good := delivery.Event{Dialect: ednapulse.Name, Tenant: "acme", Scope: "234", Type: ednapulse.TypeStatus, Data: []byte(`[]`)}
	if err := (ednapulse.Dialect{}).Check(good); err != nil {
		t.Error(err)
	}
	for name, edit := range map[string]func(*delivery.Event){
		"dialect":      func(e *delivery.Event) { e.Dialect = "standard" },
		"type":         func(e *delivery.Event) { e.Type = "Status" },
		"tenant":       func(e *delivery.Event) { e.Tenant = "" },
		"scope":        func(e *delivery.Event) { e.Scope = "abc" },
		"scope spelt":  func(e *delivery.Event) { e.Scope = "0234" },
		"data":         func(e *delivery.Event) { e.Data = []byte(`{`) },
		"data missing": func(e *delivery.Event) { e.Data = nil },
	} {
		ev := good
		edit(&ev)
		sub := ednapulse.NewSubscription(ev.Tenant, "", ev.Type, "https://hooks.example.com/")
		if _, err := (ednapulse.Dialect{}).Encode(ev, sub); !errors.Is(err, delivery.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	foreign := ednapulse.NewSubscription("other", "", good.Type, "https://hooks.example.com/")
	if _, err := (ednapulse.Dialect{}).Encode(good, foreign); !errors.Is(err, delivery.ErrInvalid) {
		t.Errorf("another tenant's subscription: %v", err)
	}
}

func TestBadWebhookKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "sec ret", "sec\r\nret", strings.Repeat("s", 257)} {
		d := ednapulse.Dialect{Keys: func(string) (registry.Secret, bool) { return registry.NewSecret(key), true }}
		sub := ednapulse.NewSubscription("acme", "", ednapulse.TypeStatus, "https://hooks.example.com/")
		_, err := d.Request(t.Context(), delivery.Delivery{EventID: "evt", Body: []byte("{}")}, sub, time.Time{})
		if err == nil || strings.Contains(err.Error(), "ret") {
			t.Errorf("key %q: %v", key, err)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for status := range 1000 {
		want := delivery.VerdictRetry
		if status == 200 {
			want = delivery.VerdictAccepted
		}
		if got := (ednapulse.Dialect{}).Judge(status, nil, nil); got != want {
			t.Errorf("%d: %v, want %v", status, got, want)
		}
	}
}

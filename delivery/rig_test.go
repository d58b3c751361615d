package delivery_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/registry"
)

// plain is a dialect whose body is the event's data. Its functions, where not
// nil, come before what it does by itself.
type plain struct {
	schedule delivery.Backoff // nil: a minute, for ever
	encode   func(delivery.Event) error
	request  func(delivery.Delivery) error
	judge    func(status int)
}

func (p *plain) Encode(ev delivery.Event, _ registry.Subscription) (delivery.Payload, error) {
	if p.encode != nil {
		if err := p.encode(ev); err != nil {
			return delivery.Payload{}, err
		}
	}
	return delivery.Payload{ContentType: "text/plain", Body: ev.Data, Meta: ev.Meta}, nil
}

func (p *plain) Request(ctx context.Context, d delivery.Delivery, sub registry.Subscription, _ time.Time) (*http.Request, error) {
	if p.request != nil {
		if err := p.request(d); err != nil {
			return nil, err
		}
	}
	req, err := delivery.NewRequest(ctx, d, sub.URL)
	if err == nil && len(sub.Secrets) > 0 {
		req.Header.Set("Secret", sub.Secrets[0].Reveal())
	}
	return req, err
}

func (p *plain) Judge(status int, _ http.Header, _ []byte) delivery.Verdict {
	if p.judge != nil {
		p.judge(status)
	}
	return delivery.Judge(status)
}

func (p *plain) Schedule(registry.Subscription) delivery.Backoff {
	if p.schedule != nil {
		return p.schedule
	}
	return every(time.Minute)
}

// every is a Backoff that never ends.
type every time.Duration

func (e every) Delay(int) (time.Duration, bool) { return time.Duration(e), true }

// polite is a dialect that says farewell.
type polite struct{ plain }

func (*polite) Farewell(sub registry.Subscription) (delivery.Event, bool) {
	return delivery.Event{Type: "farewell", Data: []byte("bye: " + sub.Reason)}, sub.Label != "rude"
}

// spy is a memory store whose calls can be watched, failed and held up.
type spy struct {
	*memstore.Store
	lease, enqueue, setLanes, extend func() error
	settle                           func([]delivery.Outcome) error
}

func (s *spy) Lease(ctx context.Context, now time.Time, req delivery.LeaseRequest) ([]delivery.Lease, error) {
	if s.lease != nil {
		if err := s.lease(); err != nil {
			return nil, err
		}
	}
	return s.Store.Lease(ctx, now, req)
}

func (s *spy) Enqueue(ctx context.Context, now time.Time, ds ...delivery.Delivery) error {
	if s.enqueue != nil {
		if err := s.enqueue(); err != nil {
			return err
		}
	}
	return s.Store.Enqueue(ctx, now, ds...)
}

func (s *spy) SetLanes(ctx context.Context, now time.Time, lanes ...delivery.LaneState) error {
	if s.setLanes != nil {
		if err := s.setLanes(); err != nil {
			return err
		}
	}
	return s.Store.SetLanes(ctx, now, lanes...)
}

func (s *spy) Extend(ctx context.Context, now time.Time, ttl time.Duration, leases ...delivery.Lease) error {
	if s.extend != nil {
		return s.extend()
	}
	return s.Store.Extend(ctx, now, ttl, leases...)
}

func (s *spy) Settle(ctx context.Context, now time.Time, outcomes ...delivery.Outcome) error {
	if s.settle != nil {
		if err := s.settle(outcomes); err != nil {
			return err
		}
	}
	return s.Store.Settle(ctx, now, outcomes...)
}

// sent is a request as the endpoint saw it.
type sent struct {
	at, end           time.Duration // since the rig was made
	url, secret, body string
	eventID           string
}

// rig is an engine in a bubble, with a client that records.
type rig struct {
	*testing.T
	engine *delivery.Engine
	cfg    delivery.Config
	store  *spy
	reg    *registry.Memory
	plain  *polite
	logs   *lines
	start  time.Time
	// answer is called for each request, n counting from 0; nil answers 200.
	answer func(n int, r *http.Request, body string) (*http.Response, error)

	mu   sync.Mutex
	sent []*sent
}

// newRig makes an engine of one dialect, "plain". The edits come before it is made.
func newRig(t *testing.T, edits ...func(*rig)) *rig {
	t.Helper()
	mem, err := memstore.Open(t.Context(), memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mem.Close)
	r := &rig{T: t, store: &spy{Store: mem}, reg: &registry.Memory{}, plain: &polite{}, logs: &lines{}, start: time.Now()}
	r.cfg = delivery.Config{
		Store: r.store, Registry: r.reg, Client: r,
		Dialects: map[string]delivery.Dialect{"plain": &r.plain.plain},
		Logger:   slog.New(slog.NewTextHandler(r.logs, nil)),
	}
	for _, edit := range edits {
		edit(r)
	}
	r.engine = r.remake()
	return r
}

// remake makes another engine of the same parts, as a start of the process would.
func (r *rig) remake() *delivery.Engine {
	r.Helper()
	e, err := delivery.New(r.cfg)
	if err != nil {
		r.Fatal(err)
	}
	return e
}

// Do is the client.
func (r *rig) Do(req *http.Request) (*http.Response, error) {
	body := ""
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = string(b)
	}
	s := &sent{at: time.Since(r.start), url: req.URL.String(), secret: req.Header.Get("Secret"), body: body}
	s.eventID = strings.Join(req.Header[delivery.HeaderID], ",")
	r.mu.Lock()
	n := len(r.sent)
	r.sent = append(r.sent, s)
	r.mu.Unlock()
	resp, err := answer(200), error(nil)
	if r.answer != nil {
		resp, err = r.answer(n, req, body)
	}
	r.mu.Lock()
	s.end = time.Since(r.start)
	r.mu.Unlock()
	return resp, err
}

// answer makes a response; fields are names and values of the header.
func answer(status int, fields ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("said " + strconv.Itoa(status)))}
}

// hang holds a request up for so long, or until it is canceled.
func hang(req *http.Request, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-req.Context().Done():
		return req.Context().Err()
	}
}

// requests returns what was sent so far.
func (r *rig) requests() []sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]sent, len(r.sent))
	for i, s := range r.sent {
		out[i] = *s
	}
	return out
}

// bodies returns the bodies sent so far, in order.
func (r *rig) bodies() string {
	var out []string
	for _, s := range r.requests() {
		out = append(out, s.body)
	}
	return strings.Join(out, " ")
}

// run runs the engine until stop is called or the test ends.
func (r *rig) run() (stop func() error) {
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan error, 1)
	go func() { done <- r.engine.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	r.Cleanup(func() {
		if err := stop(); err != nil {
			r.Errorf("Run: %v", err)
		}
	})
	return stop
}

// pass lets the bubble's time pass.
func (r *rig) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// subscribe stores a subscription for every type that these tests use.
func (r *rig) subscribe(edits ...func(*registry.Subscription)) registry.Subscription {
	r.Helper()
	sub := registry.Subscription{Dialect: "plain", Tenant: "acme", URL: "https://one.example/", Types: []string{"t"}}
	for _, edit := range edits {
		edit(&sub)
	}
	subs, err := r.engine.Subscribe(r.Context(), sub)
	if err != nil {
		r.Fatal(err)
	}
	return subs[0]
}

// publish publishes events with these data.
func (r *rig) publish(data ...string) []delivery.Published {
	r.Helper()
	events := make([]delivery.Event, len(data))
	for i, d := range data {
		events[i] = delivery.Event{Dialect: "plain", Type: "t", Tenant: "acme", Data: []byte(d)}
	}
	out, err := r.engine.Publish(r.Context(), events...)
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// all returns what the store shows, oldest first.
func (r *rig) all() []delivery.Status {
	r.Helper()
	var out []delivery.Status
	for st, err := range r.store.Deliveries(r.Context(), delivery.Filter{}) {
		if err != nil {
			r.Fatal(err)
		}
		out = append(out, st)
	}
	slices.Reverse(out)
	return out
}

// states describes what the store shows, oldest first.
func (r *rig) states() string {
	var out []string
	for _, st := range r.all() {
		text := string(st.Body) + "=" + string(st.State)
		if st.Reason != "" {
			text += "(" + st.Reason + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

// attempts returns the attempt log of one delivery.
func (r *rig) attempts(id string) []delivery.Attempt {
	r.Helper()
	as, err := r.store.Attempts(r.Context(), id)
	if err != nil {
		r.Fatal(err)
	}
	return as
}

// want compares what the rig shows with what it should.
func want[T comparable](t testing.TB, what string, got, wanted T) {
	t.Helper()
	if got != wanted {
		t.Errorf("%s: got %v, want %v", what, got, wanted)
	}
}

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.all.String(), text)
}

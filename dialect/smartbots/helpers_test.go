package smartbots_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/verify"
)

const (
	demoCode  = "DEMO-CODE"
	demoSHA1  = "3af691611d1fd4ccf7947b077f2e660513e2aebb"
	demoUUID  = "3c525949-fdb7-4ab6-b5c2-bf3b4c5145be"
	groupUUID = "11111111-2222-3333-4444-555555555555"
	okReply   = `{"result":"OK","group_uuid":"` + groupUUID + `","group_id":"my-group"}`
)

var serverKey = []byte("0123456789abcdef")

func failReply(text string) string { return `{"result":"FAIL","resulttext":"` + text + `"}` }

// must is for constructors in tests that are about something else.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// groupTable is the application's side: groups by ID, whose codes change.
type groupTable struct {
	mu     sync.Mutex
	groups map[string]smartbots.Group
	err    error
	names  int    // look-ups by name
	byID   func() // called before a look-up by ID
}

func newGroups() *groupTable {
	return &groupTable{groups: map[string]smartbots.Group{
		"my-group": {Name: "My Group Name", UUID: groupUUID, ID: "my-group", Code: verify.CodeDigest(serverKey, demoCode)},
		"tea-club": {Name: "Tea Club", UUID: "99999999-2222-3333-4444-555555555555", ID: "tea-club", Code: verify.CodeDigest(serverKey, "TEA")},
	}}
}

func (t *groupTable) GroupByName(_ context.Context, name string) (smartbots.Group, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.names++
	for _, g := range t.groups {
		if g.Name == name {
			return g, true, t.err
		}
	}
	return smartbots.Group{}, false, t.err
}

func (t *groupTable) GroupByID(_ context.Context, id string) (smartbots.Group, bool, error) {
	if t.byID != nil {
		t.byID()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	g, known := t.groups[id]
	return g, known, t.err
}

func (t *groupTable) setCode(id, code string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.groups[id]
	g.Code = verify.CodeDigest(serverKey, code)
	t.groups[id] = g
}

// brokenRegistry fails while err is set.
type brokenRegistry struct {
	registry.Registry
	err error
}

func (b *brokenRegistry) Set(ctx context.Context, subs ...registry.Subscription) ([]registry.Subscription, error) {
	if b.err != nil {
		return nil, b.err
	}
	return b.Registry.Set(ctx, subs...)
}

type names map[string]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addr, ok := n[strings.TrimSuffix(host, ".")]; ok {
		return []netip.Addr{netip.MustParseAddr(addr)}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// post is one request that an endpoint got.
type post struct {
	at          time.Time
	url, id     string
	contentType string
	body        string
}

func (p post) form() url.Values { return must(url.ParseQuery(p.body)) }

// world is an application: groups, API, engine and the endpoints of developers.
type world struct {
	groups   *groupTable
	registry *brokenRegistry
	store    *memstore.Store
	engine   *delivery.Engine
	api      *smartbots.API
	log      *strings.Builder

	mu     sync.Mutex
	posts  []post
	status int // of all endpoints; 0 is 200
}

func newWorld(t *testing.T, limiter middleware.Limiter) *world {
	t.Helper()
	w := &world{groups: newGroups(), registry: &brokenRegistry{Registry: &registry.Memory{}}, log: &strings.Builder{}}
	w.store = must(memstore.Open(t.Context(), memstore.Config{}))
	t.Cleanup(w.store.Close)
	w.engine = must(delivery.New(delivery.Config{
		Store: w.store, Registry: w.registry, Client: w,
		Dialects: map[string]delivery.Dialect{smartbots.Name: &smartbots.Dialect{Groups: w.groups}},
		Logger:   slog.New(slog.DiscardHandler),
	}))
	w.api = must(smartbots.NewAPI(smartbots.APIConfig{
		Engine: w.engine,
		Groups: w.groups,
		Developers: must(smartbots.NewDeveloperKeys(
			smartbots.Developer{ID: "dev1", APIKey: registry.NewSecret("DEMO-APIKEY")},
			smartbots.Developer{ID: "dev2", APIKey: registry.NewSecret("OTHER-APIKEY")},
		)),
		Codes: must(verify.NewSecretChecker(serverKey)),
		URLs: must(egress.New(egress.Config{Resolver: names{
			"hooks.example.com": "8.8.8.8", "other.example.com": "8.8.4.4", "inside.example.com": "10.0.0.1",
		}})),
		Limiter: limiter,
		Logger:  slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}))
	return w
}

// Do is the endpoints: it implements delivery.Client.
func (w *world) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.posts = append(w.posts, post{time.Now(), r.URL.String(), r.Header[delivery.HeaderID][0], r.Header.Get("Content-Type"), string(body)})
	status := http.StatusOK
	if w.status != 0 {
		status = w.status
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}, nil
}

// answers has all endpoints answer with a status; 0 is 200.
func (w *world) answers(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = status
}

// sent returns "action URL" of each post so far and forgets them.
func (w *world) sent() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for _, p := range w.posts {
		list = append(list, p.form().Get("action")+" "+p.url)
	}
	w.posts = nil
	return list
}

// answer is an answer of the API: status and body.
type answer struct {
	status int
	body   string
	header http.Header
}

func (w *world) serve(r *http.Request) answer {
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Body.String(), rec.Header()}
}

// register makes a call by POST: the usual one with some parameters changed,
// given as pairs.
func (w *world) register(t *testing.T, changes ...string) answer {
	t.Helper()
	form := demoCall()
	for i := 0; i < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
	}
	return w.serve(postForm(t, form.Encode()))
}

func (w *world) mustRegister(t *testing.T, changes ...string) {
	t.Helper()
	if a := w.register(t, changes...); a.status != http.StatusOK || !strings.HasPrefix(a.body, `{"result":"OK"`) {
		t.Fatalf("register %v: %d %s\n%s", changes, a.status, a.body, w.log)
	}
}

func demoCall() url.Values {
	return url.Values{
		"action": {"set_http_callback"}, "apikey": {"DEMO-APIKEY"}, "secret": {demoCode}, "group": {"My Group Name"},
		"app_name": {"Demo App"}, "app_uuid": {demoUUID}, "url": {"https://hooks.example.com/cb"},
	}
}

func postForm(t *testing.T, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/simple.html", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// subscriptions returns all of them, newest first.
func (w *world) subscriptions(t *testing.T) []registry.Subscription {
	t.Helper()
	var list []registry.Subscription
	for sub, err := range w.registry.List(t.Context(), registry.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, sub)
	}
	return list
}

// deliveries returns "type state reason" of all deliveries, oldest first.
func (w *world) deliveries(t *testing.T) []string {
	t.Helper()
	var list []string
	for st, err := range w.store.Deliveries(t.Context(), delivery.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append([]string{strings.TrimSpace(fmt.Sprintf("%s %s %s", st.Type, st.State, st.Reason))}, list...)
	}
	return list
}

func (w *world) chat(t *testing.T, message string) {
	t.Helper()
	ev, err := smartbots.NewGroupChat("my-group", smartbots.GroupChat{SpeakerName: "Ann", SpeakerUUID: "u", Message: message})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.engine.Publish(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
}

// run runs the engine until the returned function is called.
func (w *world) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.engine.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

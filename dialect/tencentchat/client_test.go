package tencentchat_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/dialect/tencentchat/event"
)

var allBefore = []string{
	event.CommandC2CBeforeSendMsg, event.CommandGroupBeforeSendMsg, event.CommandBeforeCreateGroup, event.CommandBeforeCreateTopic,
	event.CommandBeforeApplyJoinGroup, event.CommandBeforeInviteJoinGroup, event.CommandPrevFriendAdd, event.CommandPrevFriendResponse,
}

// pipes connects a client with a server without a network, so that both fit in
// a bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// serve returns a client all of whose requests go to the handler, and a count
// of the requests.
func serve(t *testing.T, h http.HandlerFunc) (*http.Client, func() int) {
	t.Helper()
	p := pipes{make(chan net.Conn), make(chan struct{})}
	var mu sync.Mutex
	n := 0
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		mu.Unlock()
		io.Copy(io.Discard, r.Body) // only then the server notices that the client has gone
		h(w, r)
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(p) }()
	transport := &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		select {
		case p.conns <- far:
			return near, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
		<-done
	})
	return &http.Client{Transport: transport}, func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

func asking(t testing.TB, cfg tencentchat.ClientConfig) *tencentchat.Client {
	t.Helper()
	if cfg.Apps == nil {
		a := app(token)
		a.URL, a.Before = "http://im.example.com/cb?k=v", allBefore
		cfg.Apps = []tencentchat.App{a}
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return documented }
	}
	c, err := tencentchat.NewClient(cfg)
	return must(t, c, err)
}

func answer(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// trickle sends a byte each half second, so that no single read takes long.
func trickle(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for {
		io.WriteString(w, " ")
		w.(http.Flusher).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// TestFaults: each of them is one request, over after 2 s at most, and decided
// by the policy.
func TestFaults(t *testing.T) {
	t.Parallel()
	const ok = `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":`
	create, friends := event.BeforeCreateGroup{}, &event.PrevFriendAdd{FriendItems: []event.FriendItem{{To: "a"}, {To: "b"}}}
	item := func(account, code string) string { return `{"To_Account":"` + account + `","ResultCode":` + code + `}` }
	tests := []struct {
		name   string
		h      http.HandlerFunc
		packet event.Before
		want   error
		took   time.Duration
	}{
		{"no answer", hang, create, tencentchat.ErrTimeout, 2 * time.Second},
		{"slow trickle", trickle, create, tencentchat.ErrTimeout, 2 * time.Second},
		{"slow trickle of a failure", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			trickle(w, r)
		}, create, tencentchat.ErrAnswer, 2 * time.Second},
		{"status 500", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			io.WriteString(w, ok+`0}`)
		}, create, tencentchat.ErrAnswer, 0},
		{"status 201", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, ok+`0}`)
		}, create, tencentchat.ErrAnswer, 0},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, create, tencentchat.ErrAnswer, 0},
		{"redirect that keeps the method", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, create, tencentchat.ErrAnswer, 0},
		{"broken off before the answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, create, tencentchat.ErrUnreachable, 0},
		{"broken off in the answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, ok)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, create, tencentchat.ErrAnswer, 0},
		{"too long", answer(ok + `0,"x":"` + strings.Repeat("a", 64<<10) + `"}`), create, tencentchat.ErrAnswer, 0},
		{"too long by blanks", answer(ok + `0}` + strings.Repeat(" ", 64<<10)), create, tencentchat.ErrAnswer, 0},
		{"nothing", answer(``), create, tencentchat.ErrAnswer, 0},
		{"no JSON", answer(`OK`), create, tencentchat.ErrAnswer, 0},
		{"trailing data", answer(ok + `0}{}`), create, tencentchat.ErrAnswer, 0},
		{"code twice", answer(ok + `1,"ErrorCode":0}`), create, tencentchat.ErrAnswer, 0},
		{"array", answer(`[]`), create, tencentchat.ErrAnswer, 0},
		{"null", answer(`null`), create, tencentchat.ErrAnswer, 0},
		{"FAIL", answer(`{"ActionStatus":"FAIL","ErrorInfo":"","ErrorCode":0}`), create, tencentchat.ErrAnswer, 0},
		{"no status", answer(`{"ErrorCode":0}`), create, tencentchat.ErrAnswer, 0},
		{"no code", answer(`{"ActionStatus":"OK"}`), create, tencentchat.ErrAnswer, 0},
		{"null code", answer(ok + `null}`), create, tencentchat.ErrAnswer, 0},
		{"quoted code", answer(ok + `"0"}`), create, tencentchat.ErrAnswer, 0},
		{"code in other letters", answer(`{"ActionStatus":"OK","errorcode":0}`), create, tencentchat.ErrAnswer, 0},
		{"negative code", answer(ok + `-1}`), create, tencentchat.ErrAnswer, 0},
		{"dropped group", answer(ok + `2}`), create, tencentchat.ErrAnswer, 0},
		{"code below", answer(ok + `10099}`), create, tencentchat.ErrAnswer, 0},
		{"code above", answer(ok + `10201}`), create, tencentchat.ErrAnswer, 0},
		{"a message's code for a group", answer(ok + `120001}`), create, tencentchat.ErrAnswer, 0},
		{"a group's code for a message", answer(ok + `10100}`), event.C2CBeforeSendMsg{}, tencentchat.ErrAnswer, 0},
		{"body that is no message", answer(ok + `0,"MsgBody":[5]}`), event.C2CBeforeSendMsg{}, tencentchat.ErrAnswer, 0},
		{"friends refused as a whole", answer(ok + `1,"ResultItem":[` + item("a", "0") + `,` + item("b", "0") + `]}`), friends, tencentchat.ErrAnswer, 0},
		{"friends without results", answer(ok + `0}`), friends, tencentchat.ErrAnswer, 0},
		{"a friend without result", answer(ok + `0,"ResultItem":[` + item("a", "0") + `]}`), friends, tencentchat.ErrAnswer, 0},
		{"a friend with two", answer(ok + `0,"ResultItem":[` + item("a", "0") + `,` + item("b", "0") + `,` + item("a", "38000") + `]}`), friends, tencentchat.ErrAnswer, 0},
		{"result out of range", answer(ok + `0,"ResultItem":[` + item("a", "0") + `,` + item("b", "39001") + `]}`), friends, tencentchat.ErrAnswer, 0},
		{"result without code", answer(ok + `0,"ResultItem":[` + item("a", "0") + `,{"To_Account":"b"}]}`), friends, tencentchat.ErrAnswer, 0},
	}
	for _, tt := range tests {
		for policy, name := range []string{"allow", "refuse", "error"} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					doer, requests := serve(t, tt.h)
					c := asking(t, tencentchat.ClientConfig{HTTP: doer, OnFault: tencentchat.Policy(policy)})
					begin := time.Now()
					d, err := c.Ask(t.Context(), tencentchat.Question{SDKAppID: appID, Packet: tt.packet})
					if took := time.Since(begin); took != tt.took {
						t.Errorf("took %v, want %v", took, tt.took)
					}
					if n := requests(); n != 1 {
						t.Errorf("%d requests", n)
					}
					checkFault(t, tencentchat.Policy(policy), tt.packet, d, err, tt.want)
				})
			})
		}
	}
}

func checkFault(t *testing.T, policy tencentchat.Policy, p event.Before, d tencentchat.Decision, err, want error) {
	t.Helper()
	fault := d.Fault
	switch policy {
	case tencentchat.AllowOnFault:
		if err != nil || d.Source != tencentchat.AllowedOnFault || !d.Allowed() || !d.AllowedFor("a") {
			t.Errorf("%+v %v", d, err)
		}
	case tencentchat.RefuseOnFault:
		if err != nil || d.Source != tencentchat.RefusedOnFault || d.Allowed() || d.AllowedFor("a") {
			t.Errorf("%+v %v", d, err)
		}
	default:
		if d.Source != tencentchat.Undecided || d.Allowed() || d.AllowedFor("a") || d.Fault != nil {
			t.Errorf("%+v", d)
		}
		fault = err
	}
	if !errors.Is(fault, want) {
		t.Errorf("fault %v, want %v", fault, want)
	}
	if _, friends := p.(*event.PrevFriendAdd); friends && policy != tencentchat.ErrorOnFault && (len(d.Results) != 2 || d.Code != 0) {
		t.Errorf("%+v", d)
	}
	for _, secret := range []string{"Sign", "SdkAppid", token, "im.example.com"} {
		if fault != nil && strings.Contains(fault.Error(), secret) {
			t.Errorf("the fault says %s: %v", secret, fault)
		}
	}
}

// TestNotAgainOnAReusedConnection: a connection that breaks off under the
// second question does not bring a third request.
func TestNotAgainOnAReusedConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n int // handlers follow each other
		doer, requests := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if n++; n > 1 {
				panic(http.ErrAbortHandler)
			}
			answer(okPacket)(w, r)
		})
		c := asking(t, tencentchat.ClientConfig{HTTP: doer, OnFault: tencentchat.ErrorOnFault})
		q := tencentchat.Question{SDKAppID: appID, Packet: event.BeforeCreateTopic{}}
		if d, err := c.Ask(t.Context(), q); err != nil || !d.Allowed() {
			t.Fatalf("%+v %v", d, err)
		}
		if _, err := c.Ask(t.Context(), q); !errors.Is(err, tencentchat.ErrUnreachable) {
			t.Errorf("%v", err)
		}
		if requests() != 2 {
			t.Errorf("%d requests", requests())
		}
	})
}

// TestGivenUp: a caller that no longer waits gets no decision, whatever the
// policy.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		doer, _ := serve(t, hang)
		c := asking(t, tencentchat.ClientConfig{HTTP: doer})
		cause := errors.New("the user has left")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		begin := time.Now()
		d, err := c.Ask(ctx, tencentchat.Question{SDKAppID: appID, Packet: event.BeforeCreateTopic{}})
		if !errors.Is(err, cause) || d.Allowed() || d.Source != tencentchat.Undecided || time.Since(begin) != time.Second {
			t.Errorf("%+v %v after %v", d, err, time.Since(begin))
		}
	})
}

type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestTransportErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ err, want error }{
		"refused":              {&net.OpError{Op: "dial", Err: errors.New("connection refused")}, tencentchat.ErrUnreachable},
		"the client's timeout": {&net.DNSError{IsTimeout: true}, tencentchat.ErrTimeout},
		"deadline":             {fmt.Errorf("x: %w", context.DeadlineExceeded), tencentchat.ErrTimeout},
	} {
		c := asking(t, tencentchat.ClientConfig{
			OnFault: tencentchat.ErrorOnFault,
			HTTP:    doFunc(func(*http.Request) (*http.Response, error) { return nil, tt.err }),
		})
		_, err := c.Ask(t.Context(), tencentchat.Question{SDKAppID: appID, Packet: event.BeforeCreateTopic{}})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNotAsked: what cannot or must not be sent is an error, and nothing is
// sent.
func TestNotAsked(t *testing.T) {
	t.Parallel()
	quietApp, sender := app(), app(token)
	quietApp.SDKAppID = "2"
	sender.URL, sender.Before = "https://im.example.com/", []string{event.CommandBeforeCreateTopic}
	c := asking(t, tencentchat.ClientConfig{
		Apps: []tencentchat.App{quietApp, sender},
		HTTP: doFunc(func(r *http.Request) (*http.Response, error) {
			t.Errorf("sent %s", r.URL)
			return nil, errors.New("sent")
		}),
	})
	broken := event.BeforeCreateTopic{EventTime: event.At(time.Unix(-5, 0))}
	nul := event.BeforeCreateTopic{Name: "\x00"}
	for name, tt := range map[string]struct {
		q    tencentchat.Question
		want error
	}{
		"unknown app":      {tencentchat.Question{SDKAppID: "3", Packet: event.BeforeCreateTopic{}}, tencentchat.ErrConfig},
		"no app":           {tencentchat.Question{Packet: event.BeforeCreateTopic{}}, tencentchat.ErrConfig},
		"app without any":  {tencentchat.Question{SDKAppID: "2", Packet: event.BeforeCreateTopic{}}, tencentchat.ErrSwitchedOff},
		"another command":  {tencentchat.Question{SDKAppID: appID, Packet: event.BeforeCreateGroup{}}, tencentchat.ErrSwitchedOff},
		"no packet":        {tencentchat.Question{SDKAppID: appID}, delivery.ErrInvalid},
		"nil packet":       {tencentchat.Question{SDKAppID: appID, Packet: (*event.BeforeCreateTopic)(nil)}, delivery.ErrInvalid},
		"time before 1970": {tencentchat.Question{SDKAppID: appID, Packet: broken}, delivery.ErrInvalid},
		"NUL":              {tencentchat.Question{SDKAppID: appID, Packet: nul}, delivery.ErrInvalid},
		"long ClientIP":    {tencentchat.Question{SDKAppID: appID, Packet: event.BeforeCreateTopic{}, ClientIP: strings.Repeat("1", 257)}, delivery.ErrInvalid},
	} {
		d, err := c.Ask(t.Context(), tt.q)
		if !errors.Is(err, tt.want) || d.Allowed() {
			t.Errorf("%s: %+v %v, want %v", name, d, err, tt.want)
		}
	}
	if d, err := (&tencentchat.Client{}).Ask(t.Context(), tencentchat.Question{SDKAppID: appID, Packet: nul}); err == nil || d.Allowed() {
		t.Errorf("zero value: %+v %v", d, err)
	}
}

func TestClientConfig(t *testing.T) {
	t.Parallel()
	with := func(edit func(*tencentchat.App)) []tencentchat.App {
		a := app(token)
		a.URL, a.Before = "https://im.example.com/", allBefore
		edit(&a)
		return []tencentchat.App{a}
	}
	good := with(func(*tencentchat.App) {})
	doer := &http.Client{}
	if _, err := tencentchat.NewClient(tencentchat.ClientConfig{Apps: good, HTTP: doer}); err != nil || doer.CheckRedirect != nil {
		t.Errorf("%v, or the caller's client was changed", err)
	}
	for name, cfg := range map[string]tencentchat.ClientConfig{
		"no HTTP client":  {Apps: good},
		"nil HTTP client": {Apps: good, HTTP: (*http.Client)(nil)},
		"unknown policy":  {Apps: good, HTTP: doer, OnFault: 3},
		"after-command":   {Apps: with(func(a *tencentchat.App) { a.Before = []string{event.CommandGroupFull} }), HTTP: doer},
		"no URL":          {Apps: with(func(a *tencentchat.App) { a.URL = "" }), HTTP: doer},
		"another scheme":  {Apps: with(func(a *tencentchat.App) { a.URL = "ftp://im.example.com/" }), HTTP: doer},
		"no host":         {Apps: with(func(a *tencentchat.App) { a.URL = "https:///x" }), HTTP: doer},
		"broken URL":      {Apps: with(func(a *tencentchat.App) { a.URL = "https://%zz" }), HTTP: doer},
		"app twice":       {Apps: append(good, good...), HTTP: doer},
	} {
		if _, err := tencentchat.NewClient(cfg); !errors.Is(err, tencentchat.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

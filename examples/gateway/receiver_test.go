package main_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// post is a request that a receiver got.
type post struct {
	method, uri string
	header      http.Header
	length      int64
	body        string
	at          time.Time
}

func (p post) id() string { return p.header.Get("Webhook-Id") }

// form decodes the body of a SmartBots event.
func (p post) form(t *testing.T) url.Values {
	t.Helper()
	v, err := url.ParseQuery(p.body)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// receiver is a customer's HTTPS server on loopback.
type receiver struct {
	connections atomic.Int64

	url string

	mu     sync.Mutex
	posts  []post
	answer func(n int, p post, w http.ResponseWriter) // n counts from 1
}

// receive starts a receiver. answer may be nil: 200 without a body.
func receive(t *testing.T, answer func(n int, p post, w http.ResponseWriter)) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	s := httptest.NewUnstartedServer(r)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{receiverCert}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // killed gateways leave broken handshakes
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			r.connections.Add(1)
		case http.StateClosed, http.StateHijacked:
			r.connections.Add(-1)
		case http.StateActive, http.StateIdle:
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	r.url = s.URL
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	b, err := io.ReadAll(req.Body)
	if err != nil {
		return // the gateway was killed while it sent
	}
	p := post{req.Method, req.RequestURI, req.Header, req.ContentLength, string(b), time.Now()}
	r.mu.Lock()
	r.posts = append(r.posts, p)
	n := len(r.posts)
	answer := r.answer
	r.mu.Unlock()
	if answer != nil {
		answer(n, p, w)
	}
}

// quiet waits until nothing more can come of a process that is dead.
func (r *receiver) quiet(t *testing.T) {
	t.Helper()
	eventually(t, "the end of the dead process's connections", func() bool { return r.connections.Load() == 0 })
}

// all returns what came so far.
func (r *receiver) all() []post {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]post(nil), r.posts...)
}

// set changes how the receiver answers.
func (r *receiver) set(answer func(n int, p post, w http.ResponseWriter)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// wait waits until n requests came and returns all.
func (r *receiver) wait(t *testing.T, n int) []post {
	t.Helper()
	eventually(t, "requests at the receiver", func() bool { return len(r.all()) >= n })
	return r.all()
}

// only waits for n requests and fails when there are more.
func (r *receiver) only(t *testing.T, n int) []post {
	t.Helper()
	got := r.wait(t, n)
	if len(got) != n {
		t.Fatalf("%d requests came, want %d: %+v", len(got), n, got)
	}
	return got
}

// with answers every request with a status.
func with(status int) func(int, post, http.ResponseWriter) {
	return func(_ int, _ post, w http.ResponseWriter) { w.WriteHeader(status) }
}

// firstly answers the first requests with these statuses and later ones with 200.
func firstly(statuses ...int) func(int, post, http.ResponseWriter) {
	return func(n int, _ post, w http.ResponseWriter) {
		if n <= len(statuses) {
			w.WriteHeader(statuses[n-1])
		}
	}
}

// gate holds requests until it is opened, or the test ends.
type gate struct {
	once sync.Once
	open chan struct{}
	end  <-chan struct{}
}

func hold(t *testing.T) *gate {
	t.Helper()
	return &gate{open: make(chan struct{}), end: t.Context().Done()}
}

func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

func (g *gate) pass() {
	select {
	case <-g.open:
	case <-g.end: // before the receivers close, which waits for their handlers
	}
}

// plainReceiver is a receiver without TLS.
func plainReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.url = s.URL
	return r
}

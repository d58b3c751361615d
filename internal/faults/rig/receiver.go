//go:build unix

package rig

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

// A Request is what a receiver saw.
type Request struct {
	// Path is its path without the query, by convention "/" and the
	// subscription's ID.
	Path string
	// ID is the webhook-id.
	ID     string
	Header http.Header
	// Body and Sum are of the whole body; empty if Cut.
	Body []byte
	Sum  [sha256.Size]byte
	// At is when its head was read, End when the answer was written or the
	// connection given up; zero before that.
	At, End time.Time
	// Conn counts the receiver's connections from 1.
	Conn int
	// Cut says that it came incomplete, or was left unread.
	Cut bool
	// Status is the answer's, 0 if none was meant to go out whole. Answered
	// says that it was written.
	Status   int
	Answered bool
}

// Accepted reports whether the receiver took it: whole, and answered by 2xx.
func (r *Request) Accepted() bool { return !r.Cut && r.Status >= 200 && r.Status <= 299 }

// A Receiver is a raw HTTP/1.1 server on loopback that answers by script and
// remembers every request.
type Receiver struct {
	ln   net.Listener
	base string
	pem  string
	ends chan struct{}
	wg   sync.WaitGroup
	news news

	mu       sync.Mutex
	scripts  map[string]Script
	seen     map[string]int
	requests []*Request
	live     map[net.Conn]struct{}
	conns    int
	shakes   int
}

// Listen starts a receiver, which the test's end closes.
func Listen(tb testing.TB) *Receiver {
	tb.Helper()
	return listen(tb, nil, "")
}

// ListenTLS is Listen with TLS. Its certificate is signed by [Receiver.PEM].
func ListenTLS(tb testing.TB) *Receiver {
	tb.Helper()
	cert, pem, err := certificate()
	if err != nil {
		tb.Fatal(err)
	}
	return listen(tb, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, pem)
}

func listen(tb testing.TB, secure *tls.Config, pem string) *Receiver {
	tb.Helper()
	ln, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	rc := &Receiver{
		ln: ln, base: "http://" + ln.Addr().String(), pem: pem, ends: make(chan struct{}),
		scripts: map[string]Script{}, seen: map[string]int{}, live: map[net.Conn]struct{}{},
	}
	if secure != nil {
		rc.base = "https://" + ln.Addr().String()
	}
	rc.wg.Go(func() { rc.accept(secure) })
	tb.Cleanup(rc.close)
	return rc
}

func (rc *Receiver) close() {
	close(rc.ends)
	_ = rc.ln.Close() // the test is over
	rc.CutAll()
	rc.wg.Wait()
}

// CutAll closes every connection.
func (rc *Receiver) CutAll() {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	for c := range rc.live {
		_ = c.Close() // whoever is at its other end sees it
	}
}

// URL is the receiver's URL with a path, which begins with a slash.
func (rc *Receiver) URL(path string) string { return rc.base + path }

// PEM is the root certificate of a receiver with TLS, for [Spec.Roots].
func (rc *Receiver) PEM() string { return rc.pem }

// Endpoint is a subscription to this receiver: Tenant is the ID, the path "/"
// and the ID.
func (rc *Receiver) Endpoint(id string) Endpoint {
	return Endpoint{ID: id, Tenant: id, URL: rc.URL("/" + id)}
}

// Handle scripts a path. Without a script it accepts everything.
func (rc *Receiver) Handle(path string, s Script) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.scripts[path] = s
}

// Requests returns what came so far, in order of arrival; cut ones as well.
func (rc *Receiver) Requests() []Request {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	out := make([]Request, len(rc.requests))
	for i, r := range rc.requests {
		out[i] = *r
	}
	return out
}

// Connections counts what was accepted, what shook hands (TLS only) and what
// is open.
func (rc *Receiver) Connections() (accepted, shaken, open int) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return rc.conns, rc.shakes, len(rc.live)
}

// Wait waits until cond holds of the requests.
func (rc *Receiver) Wait(tb testing.TB, what string, cond func([]Request) bool) []Request {
	tb.Helper()
	var got []Request
	if !rc.news.until(func() bool { got = rc.Requests(); return cond(got) }) {
		tb.Fatalf("never came: %s; %d requests did", what, len(got))
	}
	return got
}

// WaitAccepted waits until n different events were accepted.
func (rc *Receiver) WaitAccepted(tb testing.TB, n int) []Request {
	tb.Helper()
	return rc.Wait(tb, "accepted events", func(rs []Request) bool {
		ids := map[string]bool{}
		for i := range rs {
			if rs[i].Accepted() {
				ids[rs[i].Path+" "+rs[i].ID] = true
			}
		}
		return len(ids) >= n
	})
}

func (rc *Receiver) accept(secure *tls.Config) {
	for {
		c, err := rc.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // no descriptors, say: the scenario shows it
		}
		if secure != nil {
			c = tls.Server(c, secure)
		}
		rc.mu.Lock()
		rc.conns++
		n := rc.conns
		rc.live[c] = struct{}{}
		rc.mu.Unlock()
		rc.news.tell()
		rc.wg.Go(func() {
			rc.serve(c, n)
			_ = c.Close() // it may be closed
			rc.mu.Lock()
			delete(rc.live, c)
			rc.mu.Unlock()
			rc.news.tell()
		})
	}
}

func (rc *Receiver) serve(c net.Conn, n int) {
	if t, ok := c.(*tls.Conn); ok {
		if err := t.Handshake(); err != nil { //nolint:noctx // the connection's close ends it
			return
		}
		rc.mu.Lock()
		rc.shakes++
		rc.mu.Unlock()
		rc.news.tell()
	}
	br := bufio.NewReader(c)
	for {
		head, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if !rc.one(c, n, head) {
			return
		}
	}
}

// one takes and answers a request and reports whether another may follow.
func (rc *Receiver) one(c net.Conn, n int, head *http.Request) bool {
	r := &Request{
		Path: head.URL.Path, Header: head.Header, At: time.Now(), Conn: n,
		ID: head.Header.Get(delivery.HeaderID),
	}
	rc.mu.Lock()
	script := rc.scripts[r.Path]
	count := rc.seen[r.Path]
	rc.seen[r.Path]++
	rc.mu.Unlock()
	var a Answer
	if script != nil {
		a = script(count, *r)
	}
	if !a.silent() {
		r.Status = a.status()
	}
	r.Cut = a.Unread
	if !a.Unread {
		body, err := io.ReadAll(head.Body)
		if r.Cut = err != nil; !r.Cut {
			r.Body, r.Sum = body, sha256.Sum256(body)
		}
	}
	rc.mu.Lock()
	rc.requests = append(rc.requests, r)
	rc.mu.Unlock()
	rc.news.tell()
	if r.Cut && !a.Unread {
		return false
	}
	sent, again := a.give(c, rc.ends)
	rc.mu.Lock()
	r.Answered, r.End = sent, time.Now()
	rc.mu.Unlock()
	if sent {
		rc.news.tell()
	}
	return again && !a.Unread
}

// OfPath returns the requests of one path.
func OfPath(rs []Request, path string) []Request {
	return slices.DeleteFunc(slices.Clone(rs), func(r Request) bool { return r.Path != path })
}

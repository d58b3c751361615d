package receivers_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/registry"
)

// patienceOfHostile bounds the attempts of behaviors that only time ends; the others
// have long enough not to meet it.
const patienceOfHostile = 500 * time.Millisecond

// A behavior is what an endpoint does with each request, and what the attempt
// log is to say about it.
type behavior struct {
	row    string
	answer func(h *hostile, c net.Conn) // after the request was read whole
	class  string
	status int
	dead   bool // delivered otherwise
	final  bool // at once; others have a second attempt
	slow   bool // only time ends the attempt
	reason string
	check  func(t *testing.T, h *hostile, path string, e rig.Entry)
}

const (
	ok      = "HTTP/1.1 200 OK\r\n"
	chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
)

// say answers with a text and closes.
func say(text string) func(*hostile, net.Conn) {
	return func(_ *hostile, c net.Conn) { io.WriteString(c, text) }
}

// sayOn answers and leaves the connection open until the peer closes it.
func sayOn(text string) func(*hostile, net.Conn) {
	return func(_ *hostile, c net.Conn) {
		io.WriteString(c, text)
		io.Copy(io.Discard, c)
	}
}

// endless answers without an end.
func endless(first, piece string) func(*hostile, net.Conn) {
	return func(_ *hostile, c net.Conn) {
		piece := []byte(strings.Repeat(piece, max(1, 4096/len(piece))))
		if _, err := io.WriteString(c, first); err != nil {
			return
		}
		for {
			if _, err := c.Write(piece); err != nil {
				return
			}
		}
	}
}

func redirect(status int, location string) behavior {
	return behavior{
		row: fmt.Sprintf("A-RESP-01, A-RESP-02 %d to %.20q", status, location), class: "status", status: status, dead: true,
		answer: say(fmt.Sprintf("HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", status, location)),
	}
}

func answered(row string, status int, b behavior) behavior {
	b.row, b.status = row, status
	if b.answer == nil {
		b.answer = say(fmt.Sprintf("HTTP/1.1 %03d X\r\nContent-Length: 0\r\n\r\n", status))
	}
	if b.dead {
		b.class = "status"
	}
	return b
}

func broken(row, text string) behavior {
	return behavior{row: row, answer: say(text), class: "bad_response", dead: true}
}

// stands is a behavior whose status counts, whatever comes after it.
func stands(row string, answer func(*hostile, net.Conn)) behavior {
	return behavior{row: row, answer: answer, status: 200}
}

func bomb() string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(make([]byte, 32<<20))
	w.Close()
	return fmt.Sprintf(ok+"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", b.Len(), b.String())
}

// behaviors in clear text; those of TLS and HTTP/2 are in files of their own.
func behaviors(elsewhere string) []behavior {
	all := []behavior{
		answered("A-RESP-04 405 to POST", 405, behavior{dead: true, final: true}),
		endlessOf("A-RESP-07 header lines", ok, "X-Long: "+strings.Repeat("x", 1000)+"\r\n"),
		endlessOf("A-RESP-08 status line", "HTTP/1.1 200 ", "O"),
		endlessOf("A-RESP-09 informational answers", "", "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"),
		{row: "A-RESP-10 switching protocols", status: 101, class: "status", dead: true, answer: sayOn("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nsecret"), check: nothingKept},
		{row: "A-RESP-11 a header without an end", class: "timeout", dead: true, slow: true, answer: sayOn(ok + "X: y\r\nX")},
		{row: "A-RESP-12 a body without an end", status: 200, slow: true, answer: sayOn(ok + "Content-Length: 100\r\n\r\nx")},
		stands("A-RESP-13 endless body", endless(chunked, "10\r\n"+strings.Repeat("y", 16)+"\r\n")),
		{row: "A-RESP-14 gzip bomb", status: 200, answer: say(bomb()), check: func(t *testing.T, _ *hostile, _ string, e rig.Entry) {
			if r := e.Log[0].Response; len(r) != delivery.MaxResponse || !bytes.HasPrefix(r, []byte{0x1f, 0x8b}) {
				t.Errorf("%d bytes are kept, beginning with %x", len(r), r[:min(len(r), 2)])
			}
		}},
		stands("A-RESP-15 chunk extension", endless(chunked+"1", ";x")),
		stands("A-RESP-15 trailers", endless(chunked+"0\r\n", "X-Trailer: y\r\n")),
		stands("A-RESP-16 bad chunk size", say(chunked+"zz\r\nx\r\n0\r\n\r\n")),
		stands("A-RESP-16 chunk size over 64 bits", say(chunked+"10000000000000000\r\nx")),
		stands("A-RESP-17 length too long", say(ok+"Content-Length: 1000\r\n\r\nshort")),
		{row: "A-RESP-18 a forged second answer", status: 500, class: "status", dead: true, answer: say("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n")},
		{row: "A-RESP-20 closed without an answer", class: "conn", dead: true, answer: func(*hostile, net.Conn) {}},
		broken("A-RESP-21 two lengths", ok+"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
		broken("A-RESP-21 length with a sign", ok+"Content-Length: +2\r\n\r\nab"),
		broken("A-RESP-21 negative length", ok+"Content-Length: -1\r\n\r\n"),
		broken("A-RESP-21 length of 2^63", ok+"Content-Length: 9223372036854775808\r\n\r\n"),
		broken("A-RESP-21 transfer encoding gzip", ok+"Transfer-Encoding: gzip\r\n\r\n"),
		stands("A-RESP-22 length and chunks", say(ok+"Content-Length: 1000\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")),
		{row: "A-RESP-23 blank before the colon", status: 200, slow: true, answer: sayOn(ok + "Content-Length : 2\r\n\r\nab")},
		{row: "A-RESP-24 status +20", status: 20, class: "status", dead: true, answer: say("HTTP/1.1 +20 X\r\nContent-Length: 0\r\n\r\n")},
		broken("A-RESP-25 status of two digits", "HTTP/1.1 20 OK\r\n\r\n"),
		broken("A-RESP-25 negative status", "HTTP/1.1 -200 OK\r\n\r\n"),
		broken("A-RESP-25 HTTP/0.9", "<html>accepted</html>\r\n\r\n"),
		broken("A-RESP-25 SSH", "SSH-2.0-OpenSSH_9.9\r\n\r\n"),
		stands("A-RESP-26 HTTP/3.0", say("HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n")),
		stands("A-RESP-26 HTTP/1.0 without a length", say("HTTP/1.0 200 OK\r\n\r\nthanks")),
		stands("A-RESP-27 folded header", say(ok+"X: a\r\n b\r\nContent-Length: 0\r\n\r\n")),
		broken("A-RESP-27 NUL in a header", ok+"X: a\x00b\r\nContent-Length: 0\r\n\r\n"),
		{row: "A-HDR-18 a reason phrase for terminals", status: 500, class: "status", dead: true, answer: say("HTTP/1.1 500 \x1b[31msecret\r\nContent-Length: 0\r\n\r\n"), check: func(t *testing.T, _ *hostile, _ string, e rig.Entry) {
			if text := e.Log[0].Error + e.Reason; strings.ContainsFunc(text, unicode.IsControl) {
				t.Errorf("%q", text)
			}
		}},
		answered("A-RESP-30 410", 410, behavior{dead: true, final: true, reason: delivery.ReasonGone, check: func(t *testing.T, h *hostile, path string, _ rig.Entry) {
			if sub, err := h.engine.Registry.Get(t.Context(), path); err != nil || sub.State != registry.Disabled || sub.Reason != delivery.ReasonGone {
				t.Errorf("the subscription is %s (%s), %v", sub.State, sub.Reason, err)
			}
		}}),
		stands("A-RESP-35 Retry-After on 200", say(ok+"Retry-After: 3600\r\nContent-Length: 0\r\n\r\n")),
		{row: "A-RESP-41 cookies, HSTS, other services", status: 500, class: "status", dead: true, check: nothingCarried, answer: say("HTTP/1.1 500 X\r\nSet-Cookie: a=b\r\n" +
			"Strict-Transport-Security: max-age=31536000\r\nAlt-Svc: h3=\"" + elsewhere + "\"; ma=3600\r\nClear-Site-Data: \"*\"\r\nLink: <http://" + elsewhere + "/>; rel=preload\r\nContent-Length: 0\r\n\r\n")},
		{row: "A-RESP-42 asked for credentials", status: 401, class: "status", dead: true, final: true, check: nothingCarried, answer: say("HTTP/1.1 401 X\r\nWWW-Authenticate: Basic realm=\"x\", Negotiate\r\nContent-Length: 0\r\n\r\n")},
		{row: "A-RESP-42 asked for a proxy's credentials", status: 407, class: "status", dead: true, final: true, check: nothingCarried, answer: say("HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n")},
		{row: "A-RESP-43 an echo of the request", status: 200, check: kept(func(r []byte) bool { return bytes.Contains(r, []byte("POST /")) && len(r) <= delivery.MaxResponse }), answer: func(h *hostile, c net.Conn) {
			seen := h.last(c)
			fmt.Fprintf(c, ok+"Content-Length: %d\r\n\r\n%s", len(seen), seen)
		}},
		{row: "A-RESP-44 NUL and broken UTF-8", status: 200, check: kept(func(r []byte) bool { return string(r) == "a\x00b\xff\xfe\x1b[31m" }), answer: say(ok + "Content-Length: 10\r\n\r\na\x00b\xff\xfe\x1b[31m")},
		{row: "A-RESP-47 at the last moment", status: 200, answer: func(h *hostile, c net.Conn) {
			h.pause(patienceOfHostile)
			io.WriteString(c, ok+"Content-Length: 0\r\n\r\n")
		}},
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		all = append(all, redirect(status, "http://"+elsewhere+"/"))
	}
	for _, location := range []string{"//" + elsewhere + "/", "http://169.254.169.254/latest/", "file:///etc/passwd", "", strings.Repeat("x", 10_000)} {
		all = append(all, redirect(307, location))
	}
	for _, status := range []int{201, 202, 204} {
		all = append(all, answered(fmt.Sprintf("A-RESP-28 %d", status), status, behavior{}))
	}
	for _, status := range []int{300, 304} {
		all = append(all, answered(fmt.Sprintf("A-RESP-29 %d", status), status, behavior{dead: true}))
	}
	for _, status := range []int{400, 401, 403, 404} {
		all = append(all, answered(fmt.Sprintf("A-RESP-31 %d", status), status, behavior{dead: true, final: true}))
	}
	for _, status := range []int{0, 99, 999} {
		all = append(all, answered(fmt.Sprintf("A-RESP-24 %03d", status), status, behavior{dead: true}))
	}
	return all
}

func endlessOf(row, first, piece string) behavior {
	return behavior{row: row, class: "bad_response", dead: true, answer: endless(first, piece)}
}

func kept(good func([]byte) bool) func(*testing.T, *hostile, string, rig.Entry) {
	return func(t *testing.T, _ *hostile, _ string, e rig.Entry) {
		if !good(e.Log[0].Response) {
			t.Errorf("kept %q", e.Log[0].Response)
		}
	}
}

func nothingKept(t *testing.T, _ *hostile, _ string, e rig.Entry) {
	for _, a := range e.Log {
		if len(a.Response) != 0 {
			t.Errorf("kept %q", a.Response)
		}
	}
}

// nothingCarried wants every request to be as the first one was.
func nothingCarried(t *testing.T, h *hostile, path string, _ rig.Entry) {
	for _, header := range h.headers(path) {
		for name := range header {
			switch name {
			case "Content-Length", "Content-Type", "User-Agent", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature":
			default:
				t.Errorf("sent %s: %q", name, header[name])
			}
		}
	}
}

// hostile is the one server that all the behaviors share: the path of a request
// says which it meets.
type hostile struct {
	engine *rig.Engine
	over   chan struct{}
	byPath map[string]behavior
	open   atomic.Int32
	most   atomic.Int32
	strays atomic.Int32 // requests to the other server

	mu   sync.Mutex
	seen map[string][]http.Header
	raw  map[net.Conn][]byte
}

// serve takes one request of a connection; hostile endpoints take no second.
func (h *hostile) serve(c net.Conn) {
	now := h.open.Add(1)
	defer h.open.Add(-1)
	for most := h.most.Load(); now > most && !h.most.CompareAndSwap(most, now); most = h.most.Load() {
	}
	var text bytes.Buffer
	r, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, &text)))
	if err != nil {
		return
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	h.mu.Lock()
	h.seen[path] = append(h.seen[path], r.Header)
	h.raw[c] = text.Bytes()
	h.mu.Unlock()
	h.byPath[path].answer(h, c)
}

func (h *hostile) headers(path string) []http.Header {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.seen[path])
}

func (h *hostile) last(c net.Conn) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.raw[c]
}

// pause lets some time pass, unless the test is over.
func (h *hostile) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.over:
	}
}

package middleware_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

// pipes is a listener of connections in memory, whose time is the bubble's.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// remote gives a pipe the address of a peer.
type remote struct{ net.Conn }

func (remote) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1234} }

// bubble runs f in a bubble with a server as the documentation wants it, in
// front of h. dial opens a connection.
func bubble(t *testing.T, h http.Handler, f func(t *testing.T, dial func() net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		srv := &http.Server{
			Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second,
			IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0),
		}
		ended := make(chan error, 1)
		go func() { ended <- srv.Serve(l) }()
		f(t, func() net.Conn {
			ours, theirs := net.Pipe()
			l.conns <- remote{theirs}
			return ours
		})
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)                          // of the bubble: for those that still send
		if err := <-ended; err != http.ErrServerClosed { //nolint:errorlint // it is that very value
			t.Error(err)
		}
	})
}

// send writes to c for as long as the other side takes it.
func send(c net.Conn, text string) { go func() { _, _ = io.WriteString(c, text) }() }

// untilClosed returns what the server says before it closes the connection.
func untilClosed(t *testing.T, c net.Conn) string {
	t.Helper()
	all, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("read: %v", err)
	}
	return string(all)
}

func statusLine(answer string) string {
	line, _, _ := strings.Cut(answer, "\r\n")
	return line
}

const head = "POST " + tencentURL + " HTTP/1.1\r\nHost: hooks.example.com\r\nContent-Type: application/json\r\n"

// TestServerTimes: nobody holds a connection for longer than the server's
// time-outs say, through all gates.
func TestServerTimes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		send   func(c net.Conn)
		after  time.Duration
		status string
	}{
		{"A-FLOOD-11 slow headers", func(c net.Conn) { drip(c, head) }, 5 * time.Second, "HTTP/1.1 400 Bad Request"},
		{"A-BODY-18 A-FLOOD-12 slow body", func(c net.Conn) { drip(c, head+"Content-Length: 300\r\n\r\n", strings.Repeat("x", 300)) }, 10 * time.Second, "HTTP/1.1 400 Bad Request"},
		{"A-BODY-18 A-FLOOD-12 slow chunks", func(c net.Conn) {
			drip(c, head+"Transfer-Encoding: chunked\r\n\r\n", strings.Repeat("1\r\nx\r\n", 100))
		}, 10 * time.Second, "HTTP/1.1 400 Bad Request"},
		{"A-FLOOD-14 idle connection", func(c net.Conn) { send(c, head+"Content-Length: 12\r\n\r\n"+`{"type":"a"}`) }, time.Minute, "HTTP/1.1 200 OK"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			handled := 0
			h := tencentStack(quiet)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { handled++ }))
			bubble(t, h, func(t *testing.T, dial func() net.Conn) {
				c, start := dial(), time.Now()
				tt.send(c)
				answer := untilClosed(t, c)
				if statusLine(answer) != tt.status || (handled == 1) != (tt.status == "HTTP/1.1 200 OK") {
					t.Errorf("%q, handled %d times", answer, handled)
				}
				if took := time.Since(start); took < tt.after || took > tt.after+time.Second {
					t.Errorf("ended after %v, want %v", took, tt.after)
				}
			})
		})
	}
}

// drip writes the last of parts a byte in 100 ms, and those before at once.
func drip(c net.Conn, parts ...string) {
	go func() {
		last := len(parts) - 1
		for _, p := range parts[:last] {
			_, _ = io.WriteString(c, p)
		}
		for i := range len(parts[last]) {
			if _, err := io.WriteString(c, parts[last][i:i+1]); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond) // of the bubble
		}
	}()
}

// TestServerUnreadAnswer: A-FLOOD-13, a client that never reads.
func TestServerUnreadAnswer(t *testing.T) {
	t.Parallel()
	var failed error
	h := tencentStack(quiet)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, failed = w.Write(make([]byte, 1<<20))
	}))
	bubble(t, h, func(t *testing.T, dial func() net.Conn) {
		c, start := dial(), time.Now()
		if _, err := io.WriteString(c, head+"Content-Length: 12\r\n\r\n"+`{"type":"a"}`); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second) // of the bubble
		synctest.Wait()
		if failed == nil {
			t.Errorf("the handler still writes after %v", time.Since(start))
		}
		_ = c.Close()
	})
}

// TestServerHeads: what is refused by the head alone, or by the server.
func TestServerHeads(t *testing.T) {
	t.Parallel()
	const body = `{"type":"a"}`
	tests := []struct{ name, text, status string }{
		{"A-HDR-07 foreign host", strings.Replace(head, "hooks.example.com", "evil.example", 1) + "Content-Length: 12\r\n\r\n" + body, "HTTP/1.1 200 OK"},
		{"A-HDR-07 host with a line end", strings.Replace(head, "hooks.example.com", "a\r\rb", 1) + "Content-Length: 12\r\n\r\n" + body, "HTTP/1.1 400 Bad Request"},
		{"A-HDR-08 a head over 16 KiB", head + "X: " + strings.Repeat("x", 24<<10) + "\r\nContent-Length: 12\r\n\r\n" + body, "HTTP/1.1 431 Request Header Fields Too Large"},
		{"A-HDR-09 10,000 fields", head + strings.Repeat("X: y\r\n", 10_000) + "Content-Length: 12\r\n\r\n" + body, "HTTP/1.1 431 Request Header Fields Too Large"},
		{"A-HDR-10 both lengths", head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n" + body + "\r\n0\r\n\r\n", "HTTP/1.1 200 OK"},
		{"A-HDR-10 two lengths", head + "Content-Length: 12\r\nContent-Length: 13\r\n\r\n" + body, "HTTP/1.1 400 Bad Request"},
		{"A-BODY-12 longer than announced", head + "Content-Length: 11\r\n\r\n" + body, "HTTP/1.1 400 Bad Request"},
		{"A-BODY-12 chunked over the limit", head + "Transfer-Encoding: chunked\r\n\r\n11000\r\n" + strings.Repeat("x", 0x11000), "HTTP/1.1 413 Request Entity Too Large"},
		{
			"A-BODY-20 trailers are not looked at", strings.Replace(head, tencentSign, "", 1) +
				"Trailer: Sign\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n" + body + "\r\n0\r\nSign: " + tencentSign + "\r\n\r\n", "HTTP/1.1 401 Unauthorized",
		},
		// A signature can be checked when the body is there, and not before: its
		// gate stands behind Body's. What can be refused by the head is.
		{"A-BODY-17 method", strings.Replace(head, "POST", "PUT", 1) + "Expect: 100-continue\r\nContent-Length: 12\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"},
		{"A-BODY-17 query", strings.Replace(head, "?", "?;", 1) + "Expect: 100-continue\r\nContent-Length: 12\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		{"A-BODY-17 size", head + "Expect: 100-continue\r\nContent-Length: 65537\r\n\r\n", "HTTP/1.1 413 Request Entity Too Large"},
		{"A-BODY-17 coding", head + "Content-Encoding: br\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n", "HTTP/1.1 415 Unsupported Media Type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			handled := 0
			h := tencentStack(quiet)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { handled++ }))
			bubble(t, h, func(t *testing.T, dial func() net.Conn) {
				c := dial()
				send(c, tt.text)
				line, err := bufio.NewReader(c).ReadString('\n')
				if strings.TrimSpace(line) != tt.status || err != nil || (handled == 1) != strings.HasSuffix(tt.status, " OK") {
					t.Errorf("%q, %v, handled %d times", line, err, handled)
				}
				_ = c.Close()
			})
		})
	}
}

// TestServerRelease: A-FLOOD-15, HTTP/2's floods were repaired in Go 1.21.9
// and 1.22.2; the module asks for a later release.
func TestServerRelease(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.GoVersion}}", "github.com/ringback-go/ringback").Output()
	var minor int
	if _, scanErr := fmt.Sscanf(string(out), "1.%d", &minor); err != nil || scanErr != nil || minor < 23 {
		t.Errorf("go.mod says %q, %v, %v", out, err, scanErr)
	}
}

// TestFloodOfWrongSignatures: A-FLOOD-05 and 06. Behind a spent limit nothing
// is read and nothing hashed, and before it each body is read once.
func TestFloodOfWrongSignatures(t *testing.T) {
	t.Parallel()
	asked := 0
	h := middleware.Chain(
		middleware.RateLimit{Key: middleware.ByPeer, Requests: 5, Per: time.Hour, Logger: quiet}.Handler,
		middleware.Body{Logger: quiet}.Handler,
		middleware.Signature{Verifier: counting{tencent(), &asked}, Now: then, Logger: quiet}.Handler,
	)(ok)
	seen, bad := map[int]int{}, strings.Replace(tencentURL, "1777", "1778", 1)
	read := 0
	for range 100 {
		body := strings.Repeat("x", 64<<10)
		r := post(bad, "", "")
		r.Body, r.ContentLength = io.NopCloser(&countedText{strings.NewReader(body), &read}), int64(len(body))
		seen[serve(t, h, r).Code]++
	}
	if seen[401] != 5 || seen[429] != 95 || asked != 5 || read != 5*(64<<10) {
		t.Errorf("statuses %v, %d verified, %d bytes read", seen, asked, read)
	}
}

type counting struct {
	verify.TencentSign

	n *int
}

func (c counting) Verify(ctx context.Context, m verify.Message) (verify.Identity, error) {
	*c.n++
	return c.TencentSign.Verify(ctx, m)
}

type countedText struct {
	io.Reader

	n *int
}

func (c *countedText) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += n
	return n, err
}

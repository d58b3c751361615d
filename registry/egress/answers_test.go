package egress_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/ringback-go/ringback/registry/egress"
)

var quiet = log.New(io.Discard, "", 0)

func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, answer string
		status       int
		class        string
	}{
		{"A-RESP-07 endless header", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 40), 0, "bad_response"},
		{"A-RESP-08 endless status line", "HTTP/1.1 200 " + strings.Repeat("y", 40_000), 0, "bad_response"},
		{"A-RESP-09 endless 1xx", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 1000), 0, "bad_response"},
		{"A-RESP-25 another protocol", "SSH-2.0-secret\r\n\r\n", 0, "bad_response"},
		{"A-RESP-25 negative status", "HTTP/1.1 -200 OK\r\n\r\n", 0, "bad_response"},
		{"A-RESP-21 two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nsecret", 0, "bad_response"},
		{"A-RESP-21 length with a sign", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", 0, "bad_response"},
		{"A-RESP-21 transfer encoding gzip", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", 0, "bad_response"},
		{"A-RESP-27 header line without colon", "HTTP/1.1 200 OK\r\nsecret\r\n\r\n", 0, "bad_response"},
		{"A-RESP-20 closed without an answer", "", 0, "conn"},
		{"A-RESP-20 closed in the header", "HTTP/1.1 200 OK\r\nX: y", 0, "conn"},
		{"A-RESP-24 odd status", "HTTP/1.1 999 \r\nContent-Length: 0\r\n\r\n", 999, ""},
		{"A-RESP-21 negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok", 0, "bad_response"},
		{"A-RESP-21 length of 2^63", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nok", 0, "bad_response"},
		{"A-RESP-24 status 000", "HTTP/1.1 000 \r\nContent-Length: 0\r\n\r\n", 0, ""},
		{"A-RESP-24 status 099", "HTTP/1.1 099 \r\nContent-Length: 0\r\n\r\n", 99, ""},
		{"A-RESP-24 status with a sign", "HTTP/1.1 +20 \r\nContent-Length: 0\r\n\r\n", 20, ""},
		{"A-RESP-25 status of two digits", "HTTP/1.1 20 OK\r\n\r\n", 0, "bad_response"},
		{"A-RESP-25 no head at all", "<html>secret</html>\r\n\r\n", 0, "bad_response"},
		{"A-RESP-27 NUL in a value", "HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", 0, "bad_response"},
		{"A-RESP-10 switching protocols", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nsecret", 101, ""},
		{"A-RESP-18 bytes after the body", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 \r\n\r\n", 200, ""},
	}
	for _, test := range tests {
		inBothWays(t, test.name, func(t *testing.T, way int) {
			synctest.Test(t, func(t *testing.T) {
				closed := make(chan struct{})
				client := pipeClient(t, way, func(conn net.Conn) {
					defer close(closed)
					http.ReadRequest(bufio.NewReader(conn))
					io.WriteString(conn, test.answer)
					if test.status == 101 {
						io.Copy(io.Discard, conn) // ends when the client closes the connection
					}
					conn.Close()
				})
				got, err := post(t, client, "http://8.8.8.8/?secret=1")
				if class := egress.Classify(err); class != test.class {
					t.Errorf("Do = %v (%s), want class %q", err, class, test.class)
				}
				if err != nil {
					if strings.Contains(err.Error(), "secret") || len(err.Error()) > 200 {
						t.Errorf("%q says too much", err)
					}
					return
				}
				if got.status != test.status || strings.Contains(string(got.kept), "secret") {
					t.Errorf("status %d, body %q", got.status, got.kept)
				}
				<-closed
			})
		})
	}
}

func TestDoRefusesBeforeSending(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		edit func(*http.Request)
		want error
	}{
		{"scheme", func(r *http.Request) { r.URL.Scheme = "http" }, egress.ErrURL},
		{"no URL", func(r *http.Request) { r.URL = nil }, egress.ErrURL},
		{"opaque", func(r *http.Request) { r.URL.Opaque = "//10.0.0.1/" }, egress.ErrURL},
		{"userinfo", func(r *http.Request) { r.URL.User = url.User("u") }, egress.ErrURL},
		{"host", func(r *http.Request) { r.URL.Host, r.Host = "localhost", "" }, egress.ErrURL},
		{"literal", func(r *http.Request) { r.URL.Host, r.Host = "169.254.169.254", "" }, egress.ErrLiteral},
		{"port", func(r *http.Request) { r.URL.Host, r.Host = "hooks.example.com:22", "" }, egress.ErrURL},
		{"Host header", func(r *http.Request) { r.Host = "metadata.google.internal" }, egress.ErrURL},
		{"query", func(r *http.Request) { r.URL.RawQuery = "a b" }, egress.ErrURL},
		{"query with fragment", func(r *http.Request) { r.URL.RawQuery = "a#b" }, egress.ErrURL},
		{"path", func(r *http.Request) { r.URL.Path = "x" }, egress.ErrURL},
		{"path with newline", func(r *http.Request) { r.URL.Path = "/\n" }, egress.ErrURL},
		{"fragment", func(r *http.Request) { r.URL.Fragment = "x" }, egress.ErrURL},
		{"length", func(r *http.Request) { r.URL.RawQuery = strings.Repeat("a", 9000) }, egress.ErrURL},
		{"Idempotency-Key", func(r *http.Request) { r.Header.Set("Idempotency-Key", "1") }, egress.ErrIdempotencyKey},
		{"X-Idempotency-Key, empty", func(r *http.Request) { r.Header["X-Idempotency-Key"] = nil }, egress.ErrIdempotencyKey},
		{"idempotency-key in lower case", func(r *http.Request) { r.Header["idempotency-key"] = []string{"1"} }, egress.ErrIdempotencyKey},
		{"transfer-encoding in lower case", func(r *http.Request) { r.Header["transfer-encoding"] = []string{"chunked"} }, egress.ErrFraming},
		{"content-length, oddly spelled", func(r *http.Request) { r.Header["Content-length"] = []string{"0"} }, egress.ErrFraming},
		{"host in lower case", func(r *http.Request) { r.Header["host"] = []string{"other.example"} }, egress.ErrFraming},
		{"trailer in lower case", func(r *http.Request) { r.Header["trailer"] = []string{"X"} }, egress.ErrFraming},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := &script{answers: []answer{{}}}
			client := newClient(t, egress.Config{Resolver: s, DialContext: s.dial})
			body := &closeRecorder{Reader: strings.NewReader("{}")}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://hooks.example.com/cb", body)
			if err != nil {
				t.Fatal(err)
			}
			test.edit(request)
			response, err := client.Do(request)
			if err == nil {
				response.Body.Close()
			}
			if !errors.Is(err, test.want) || len(s.names)+len(s.dialed) != 0 || !body.closed {
				t.Errorf("Do = %v, want %v; look-ups %q, dials %q, body closed %v", err, test.want, s.names, s.dialed, body.closed)
			}
		})
	}
}

type closeRecorder struct {
	io.Reader
	closed bool
	read   int
}

func (c *closeRecorder) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

func (c *closeRecorder) Close() error { c.closed = true; return nil }

func TestReadBounded(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("0123456789"), 10_000)
	tests := []struct {
		name        string
		body        io.Reader
		keep, drain int
		kept        []byte
		truncated   bool
		read        int
	}{
		{"empty", strings.NewReader(""), 10, 20, nil, false, 0},
		{"short", strings.NewReader("abc"), 10, 20, []byte("abc"), false, 3},
		{"as long as kept", strings.NewReader("abc"), 3, 20, []byte("abc"), false, 3},
		{"byte by byte", iotest.OneByteReader(strings.NewReader("abcdef")), 4, 20, []byte("abcd"), true, 6},
		{"data with the end", iotest.DataErrReader(strings.NewReader("abc")), 10, 20, []byte("abc"), false, 3},
		{"endless", bytes.NewReader(long), 4 << 10, 64 << 10, long[:4<<10], true, 64 << 10},
		{"kept over the buffer", bytes.NewReader(long), 10_000, 20_000, long[:10_000], true, 20_000},
		{"drain under keep", bytes.NewReader(long), 100, 0, long[:100], true, 100},
		{"nothing kept", strings.NewReader("abc"), 0, 20, nil, true, 3},
		{"broken", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(io.ErrUnexpectedEOF)), 10, 20, []byte("abc"), true, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := &closeRecorder{Reader: test.body}
			kept, truncated := egress.ReadBounded(body, test.keep, test.drain)
			if !bytes.Equal(kept, test.kept) || truncated != test.truncated || body.read != test.read || !body.closed {
				t.Errorf("kept %d, truncated %v, read %d, closed %v", len(kept), truncated, body.read, body.closed)
			}
		})
	}
	if kept, truncated := egress.ReadBounded(nil, 1, 1); kept != nil || truncated {
		t.Error("no body at all")
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	_, port := egress.Policy{}.Check("https://8.8.8.8:22/")
	_, literal := egress.Policy{}.Check("https://10.0.0.1/")
	_, scheme := egress.Policy{}.Check("http://hooks.example.com/")
	tests := []struct {
		err  error
		want string
	}{
		{nil, ""},
		{scheme, "bad_url"},
		{port, "addr_denied"},
		{literal, "addr_denied"},
		{fmt.Errorf("wrapped: %w", literal), "addr_denied"},
		{egress.ErrIdempotencyKey, "bad_url"},
		{egress.ErrFraming, "bad_url"},
		{&net.DNSError{IsTimeout: true}, "dns"},
		{context.DeadlineExceeded, "timeout"},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "timeout"},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, "tls"},
		{errors.New("tls: server selected unsupported protocol version 301"), "tls"},
		{tls.RecordHeaderError{}, "tls"},
		{errors.New(`malformed HTTP response "tls: "`), "bad_response"},
		{egress.ErrProbe, "bad_response"},
		{io.ErrUnexpectedEOF, "conn"},
		{errors.New("anything"), "conn"},
	}
	for _, test := range tests {
		if got := egress.Classify(test.err); got != test.want {
			t.Errorf("Classify(%v) = %q, want %q", test.err, got, test.want)
		}
	}
}

// A-RESP-37 and A-RESP-39, and a server nobody vouches for.
func TestTLSFailures(t *testing.T) {
	t.Parallel()
	server, config := tlsServer(t, func(http.ResponseWriter, *http.Request) { t.Error("reached") })
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	go func() {
		for {
			conn, err := plain.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: secret\r\n\r\n")
			conn.Close()
		}
	}()
	old, oldConfig := tlsServer(t, func(http.ResponseWriter, *http.Request) { t.Error("reached") })
	old.TLS.MaxVersion = tls.VersionTLS11
	untrusted := config
	untrusted.RootCAs = nil
	for name, test := range map[string]struct {
		config egress.Config
		url    string
	}{
		"unknown authority": {untrusted, server.URL},
		"plain HTTP":        {config, "https://" + plain.Addr().String()},
		"TLS 1.1":           {oldConfig, old.URL},
	} {
		for word, way := range ways {
			test.config.MaxConnsPerHost = way
			_, err := post(t, newClient(t, test.config), test.url+"/?secret=1")
			if egress.Classify(err) != "tls" || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s, %s: %v (%s)", name, word, err, egress.Classify(err))
			}
		}
	}
}

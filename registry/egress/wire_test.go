package egress_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/registry/egress"
)

// Answers that are odd and still give a status: it stands, and what is kept of
// the body is what came.
func TestOddAnswersWithAStatus(t *testing.T) {
	t.Parallel()
	const ok, chunked = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, test := range []struct {
		name, answer, kept string
		truncated          bool
	}{
		{"A-RESP-13 more than is kept", ok + "Content-Length: 5000\r\n\r\n" + strings.Repeat("k", 5000), strings.Repeat("k", 4096), true},
		{"A-RESP-15 chunk extension without end", chunked + "2;" + strings.Repeat("x", 100_000), "", true},
		{"A-RESP-15 many chunk extensions", chunked + strings.Repeat("1;"+strings.Repeat("x", 2_000)+"\r\ny\r\n", 100), "y", true},
		{"A-RESP-15 trailer without end", chunked + "2\r\nok\r\n0\r\n" + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 100), "ok", true},
		{"A-RESP-16 bad chunk size", chunked + "2\r\nok\r\nzz\r\nmore\r\n0\r\n\r\n", "ok", true},
		{"A-RESP-16 chunk size of 2^64", chunked + "10000000000000000\r\nok\r\n0\r\n\r\n", "", true},
		{"A-RESP-17 length too long", ok + "Content-Length: 10\r\n\r\nok", "ok", true},
		{"A-RESP-22 length and chunks", ok + "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok", false},
		{"A-RESP-23 blank before the colon", ok + "Content-Length : 2\r\n\r\nok, and more", "ok, and more", false},
		{"A-RESP-26 HTTP/3.0", "HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", false},
		{"A-RESP-26 HTTP/1.0 without a length", "HTTP/1.0 200 OK\r\n\r\nok", "ok", false},
		{"A-RESP-27 folded line", ok + "X: a\r\n b\r\nContent-Length: 2\r\n\r\nok", "ok", false},
		{"A-RESP-27 blank in a name", ok + "X Y: a\r\nContent-Length: 2\r\n\r\nok", "ok", false},
		{"A-RESP-44 NUL and no UTF-8", ok + "Content-Length: 4\r\n\r\n\x00\xff\xc3(", "\x00\xff\xc3(", false},
	} {
		inBothWays(t, test.name, func(t *testing.T, way int) {
			synctest.Test(t, func(t *testing.T) {
				client := pipeClient(t, way, func(conn net.Conn) {
					if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
						io.WriteString(conn, test.answer)
					}
					conn.Close()
				})
				got, err := post(t, client, "http://8.8.8.8/")
				if err != nil || got.status != http.StatusOK || !strings.HasPrefix(test.kept+strings.Repeat("y", 100), string(got.kept)) ||
					!strings.HasPrefix(string(got.kept), test.kept) || got.truncated != test.truncated {
					t.Errorf("%v: status %d, kept %.40q, truncated %v", err, got.status, got.kept, got.truncated)
				}
			})
		})
	}
}

// listen answers connections on loopback; conn is the number of the connection,
// from 1.
func listen(t *testing.T, way int, serve func(number int, conn net.Conn)) (url string, client *egress.Client) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for number := 1; ; number++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				serve(number, conn)
			})
		}
	})
	client = newClient(t, loopback(egress.Config{Policy: egress.Policy{AllowHTTP: true}, MaxConnsPerHost: way}))
	return "http://" + listener.Addr().String(), client
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// A connection on which more than the answer came serves nothing else: what was
// forged behind it is no answer to the next request.
func TestARESP18ForgedSecondAnswer(t *testing.T) {
	t.Parallel()
	inBothWays(t, "A-RESP-18", func(t *testing.T, way int) {
		url, client := listen(t, way, func(number int, conn net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nN: %d\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 forged\r\nContent-Length: 0\r\n\r\n", number)
			}
			io.Copy(io.Discard, conn)
		})
		for n := 1; n <= 3; n++ {
			got, err := post(t, client, url)
			if err != nil || got.status != http.StatusOK || got.header.Get("N") != fmt.Sprint(n) || string(got.kept) != "ok" {
				t.Fatalf("request %d: %v, %d by connection %s", n, err, got.status, got.header.Get("N"))
			}
		}
	})
}

// An answer to a request that is still being sent counts.
func TestARESP19AnswerBeforeTheBody(t *testing.T) {
	t.Parallel()
	url, client := listen(t, 0, func(_ int, conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			io.WriteString(conn, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
		}
		one := make([]byte, 1)
		for { // slower than it is sent: the client gives up sending
			if _, err := conn.Read(one); err != nil {
				return
			}
		}
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(strings.Repeat("x", 32<<20)))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		t.Errorf("status %d", response.StatusCode)
	}
}

// One attempt is one request, however its connection ends, a reused one too.
func TestARESP20OneAttemptIsOneRequest(t *testing.T) {
	t.Parallel()
	inBothWays(t, "A-RESP-20", func(t *testing.T, way int) {
		var requests atomic.Int32
		url, client := listen(t, way, func(_ int, conn net.Conn) {
			in := bufio.NewReader(conn)
			for n := 1; ; n++ {
				request, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				io.Copy(io.Discard, request.Body)
				requests.Add(1)
				if n == 2 {
					return // without an answer
				}
				io.WriteString(conn, okAnswer)
			}
		})
		const attempts = 10
		for n := range attempts {
			_, err := post(t, client, url)
			if wanted := []string{"", "conn"}[n%2]; egress.Classify(err) != wanted {
				t.Errorf("attempt %d: %v (%s), want class %q", n, err, egress.Classify(err), wanted)
			}
		}
		if n := requests.Load(); n != attempts {
			t.Errorf("%d requests of %d attempts", n, attempts)
		}
	})
}

// A server that closes what is idle costs a connection, never a second request.
func TestARESP48IdleConnectionsClosedAtOnce(t *testing.T) {
	t.Parallel()
	inBothWays(t, "A-RESP-48", func(t *testing.T, way int) {
		var requests, connections atomic.Int32
		url, client := listen(t, way, func(_ int, conn net.Conn) {
			connections.Add(1)
			request, err := http.ReadRequest(bufio.NewReader(conn))
			if err != nil {
				return
			}
			io.Copy(io.Discard, request.Body)
			requests.Add(1)
			io.WriteString(conn, okAnswer)
		})
		const attempts = 50
		failed := int32(0)
		for range attempts {
			if got, err := post(t, client, url); err != nil {
				if failed++; egress.Classify(err) != "conn" {
					t.Errorf("%v (%s)", err, egress.Classify(err))
				}
			} else if string(got.kept) != "ok" {
				t.Errorf("kept %q", got.kept)
			}
		}
		if r, c := requests.Load(), connections.Load(); r < attempts-failed || r > attempts || c > 2*attempts {
			t.Errorf("%d attempts, %d failed: %d requests on %d connections", attempts, failed, r, c)
		}
	})
}

// What an answer asks a browser to remember or to do is not done: no cookie
// comes back, no credentials follow a 401 or 407, and nothing else is dialed.
func TestAnswersChangeNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, head string
		status     int
	}{
		{"A-RESP-41 cookies and directives", "200 OK\r\nSet-Cookie: a=b\r\nStrict-Transport-Security: max-age=9\r\nAlt-Svc: h3=\":9\"\r\nClear-Site-Data: \"*\"\r\nLink: </x>; rel=preload", 200},
		{"A-RESP-42 401", "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"", 401},
		{"A-RESP-42 407", "407 Proxy\r\nProxy-Authenticate: Basic", 407},
	} {
		inBothWays(t, test.name, func(t *testing.T, way int) {
			var mu sync.Mutex
			var seen []http.Header
			url, client := listen(t, way, func(_ int, conn net.Conn) {
				in := bufio.NewReader(conn)
				for {
					request, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					io.Copy(io.Discard, request.Body)
					mu.Lock()
					seen = append(seen, request.Header)
					mu.Unlock()
					io.WriteString(conn, "HTTP/1.1 "+test.head+"\r\nContent-Length: 0\r\n\r\n")
				}
			})
			for range 3 {
				if got, err := post(t, client, url); err != nil || got.status != test.status {
					t.Fatalf("%d, %v", got.status, err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if len(seen) != 3 {
				t.Errorf("%d requests", len(seen))
			}
			for _, header := range seen {
				for name := range header {
					if name != "Content-Length" && name != "User-Agent" {
						t.Errorf("sent %s", name)
					}
				}
			}
		})
	}
}

// However many attempts there are, connections are as many as may be at once.
func TestARESP45ConnectionsStayFlat(t *testing.T) {
	t.Parallel()
	var open, most atomic.Int32
	url, _ := listen(t, 0, func(_ int, conn net.Conn) {
		for n := open.Add(1); ; {
			if old := most.Load(); n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		defer open.Add(-1)
		in := bufio.NewReader(conn)
		for {
			request, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			io.Copy(io.Discard, request.Body)
			io.WriteString(conn, okAnswer)
		}
	})
	client := newClient(t, loopback(egress.Config{Policy: egress.Policy{AllowHTTP: true}, MaxConnsPerHost: 4}))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 20 {
				if _, err := post(t, client, url); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := most.Load(); n > 4 {
		t.Errorf("%d connections at once, want 4", n)
	}
}

// Two tenants on one host: nothing of one goes with the other's request.
func TestARESP46TenantsOnOneHost(t *testing.T) {
	t.Parallel()
	server, config := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
		tenant := strings.TrimPrefix(r.URL.Path, "/")
		if len(r.Header["Secret"]) != 1 || r.Header.Get("Secret") != "of "+tenant || r.Header.Get("Only-"+tenant) != "x" || len(r.Header) != 4 {
			t.Errorf("%s got %v", tenant, r.Header)
		}
		body, _ := io.ReadAll(r.Body)
		w.Write(append([]byte(tenant+" "), body...))
	})
	for _, way := range []struct {
		http1 bool
		conns int
	}{{false, 0}, {true, 0}, {true, 1000}} {
		config.HTTP1Only, config.MaxConnsPerHost = way.http1, way.conns
		client := newClient(t, config)
		var wg sync.WaitGroup
		for i := range 16 {
			tenant := []string{"ann", "bob"}[i%2]
			wg.Go(func() {
				for n := range 25 {
					body := fmt.Sprint(tenant, n)
					request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/"+tenant, strings.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					request.Header = http.Header{"Secret": {"of " + tenant}, "Only-" + tenant: {"x"}, "User-Agent": {"test"}}
					response, err := client.Do(request) //nolint:bodyclose // ReadBounded closes it
					if err != nil {
						t.Error(err)
						return
					}
					if kept, _ := egress.ReadBounded(response.Body, egress.KeepBytes, egress.DrainBytes); string(kept) != tenant+" "+body {
						t.Errorf("%s is answered %q", body, kept)
					}
				}
			})
		}
		wg.Wait()
	}
}

// An answer that comes late, but in time, is one.
func TestARESP47LateAnswer(t *testing.T) {
	t.Parallel()
	inBothWays(t, "A-RESP-47", func(t *testing.T, way int) {
		synctest.Test(t, func(t *testing.T) {
			client := pipeClient(t, way, func(conn net.Conn) {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					<-time.After(14_900 * time.Millisecond)
					io.WriteString(conn, okAnswer)
				}
			})
			begin := time.Now()
			if got, err := post(t, client, "http://8.8.8.8/"); err != nil || string(got.kept) != "ok" || time.Since(begin) != 14_900*time.Millisecond {
				t.Errorf("%v: %q after %s", err, got.kept, time.Since(begin))
			}
		})
	})
}

// A TLS handshake that the server never ends is given up.
func TestARESP37EndlessHandshake(t *testing.T) {
	t.Parallel()
	inBothWays(t, "A-RESP-37", func(t *testing.T, way int) {
		synctest.Test(t, func(t *testing.T) {
			client := newClient(t, egress.Config{MaxConnsPerHost: way, DialContext: func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				go io.Copy(io.Discard, far)
				return near, nil
			}})
			begin := time.Now()
			_, err := post(t, client, "https://8.8.8.8/")
			if egress.Classify(err) != "tls" || errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 5*time.Second {
				t.Errorf("%v (%s) after %s", err, egress.Classify(err), time.Since(begin))
			}
		})
	})
}

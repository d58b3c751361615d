package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/registry/egress/internal/http1"
)

const headerBytes = 16 << 10

// pipes dials servers that live in this process.
func pipes(serve func(net.Conn)) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go serve(server)
		return client, nil
	}
}

func request(tb testing.TB, body string) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, "http://example.com/hook?x=1", strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r
}

// seen is what became of a request.
type seen struct {
	Failed, BodyFailed bool
	Status, Proto      string
	Header             http.Header
	Body               string
}

func look(response *http.Response, err error) seen {
	if err != nil {
		return seen{Failed: true}
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		return seen{Status: response.Status}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return seen{BodyFailed: err != nil, Status: response.Status, Proto: response.Proto, Header: maps.Clone(response.Header), Body: string(body)}
}

// answers are what servers of all kinds say.
var answers = map[string]string{
	"good":                  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"no length":             "HTTP/1.1 200 OK\r\n\r\nuntil the end",
	"old":                   "HTTP/1.0 200 OK\r\nX: y\r\n\r\nok",
	"chunked":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"chunked with trailers": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n2\r\nok\r\n0\r\nT: v\r\n\r\n",
	"endless trailers":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("A: "+strings.Repeat("b", 4000)+"\r\n", 40),
	"bad chunk":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n",
	"huge chunk":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nok\r\n",
	"long extensions":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("e", 3000)+"\r\nx\r\n", 40),
	"cut body":              "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok",
	"two lengths":           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
	"equal lengths":         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
	"signed length":         "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
	"length and chunks":     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"unknown coding":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
	"blank before colon":    "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
	"folded":                "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
	"nul in a value":        "HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nok",
	"early hints":           "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"endless hints":         strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", 3000),
	"many hints, an answer": strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", 600) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"continue":              "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
	"switching":             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nbytes",
	"not modified":          "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
	"redirect":              "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
	"status 000":            "HTTP/1.1 000 \r\nContent-Length: 0\r\n\r\n",
	"status 999":            "HTTP/1.1 999 \r\nContent-Length: 0\r\n\r\n",
	"status +20":            "HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n",
	"status 20":             "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
	"status -200":           "HTTP/1.1 -200 OK\r\n\r\n",
	"version 3":             "HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"version 0.9":           "ok",
	"another protocol":      "SSH-2.0-x\r\n",
	"nothing":               "",
	"cut head":              "HTTP/1.1 200 OK\r\nX: y",
	"endless head":          "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 40),
	"endless status":        "HTTP/1.1 200 " + strings.Repeat("y", 40_000),
	"long head":             "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("y", 995)+"\r\n", 15) + "Content-Length: 2\r\n\r\nok",
	"more than the answer":  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 x\r\n\r\n",
}

// say answers each request in the same way, once.
func say(answer string) func(net.Conn) {
	return func(c net.Conn) {
		defer c.Close()
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(c, answer) // fails where the client has enough
	}
}

// both sends a request by net/http and by this package.
func both(t *testing.T, answer string) (theirs, ours seen) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		dial := pipes(say(answer))
		transport := &http.Transport{DialContext: dial, MaxResponseHeaderBytes: headerBytes, DisableCompression: true}
		theirs = look(transport.RoundTrip(request(t, "{}")))
		transport.CloseIdleConnections()
		x := &http1.Transport{Dial: dial, MaxHeaderBytes: headerBytes, MaxIdle: 1, MaxIdlePerHost: 1}
		ours = look(x.RoundTrip(request(t, "{}"), time.Now().Add(time.Minute)))
		x.CloseIdleConnections()
	})
	return theirs, ours
}

// TestAnswersAsNetHTTP: of whatever a server says, the same is seen as by
// net/http's own transport.
func TestAnswersAsNetHTTP(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs, ours := both(t, answers[name])
			if d := cmp.Diff(theirs, ours); d != "" {
				t.Errorf("net/http against this package:\n%s", d)
			}
		})
	}
}

func FuzzAnswers(f *testing.F) {
	for _, answer := range answers {
		f.Add(answer)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		if len(answer) > headerBytes/2 {
			return // the bounds count differently, by what is read ahead
		}
		theirs, ours := both(t, answer)
		if d := cmp.Diff(theirs, ours); d != "" {
			t.Errorf("net/http against this package:\n%s", d)
		}
	})
}

// TestRequestsAsNetHTTP: the server reads the same from both.
func TestRequestsAsNetHTTP(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request){
		"plain":                      func(*http.Request) {},
		"user agent":                 func(r *http.Request) { r.Header.Set("User-Agent", "ringback/1") },
		"no user agent":              func(r *http.Request) { r.Header["User-Agent"] = []string{""} },
		"several values":             func(r *http.Request) { r.Header["X-A"] = []string{"1", "2"} },
		"a host":                     func(r *http.Request) { r.Host = "EXAMPLE.com" },
		"root":                       func(r *http.Request) { r.URL.Path = "" },
		"escapes":                    func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a b/c", "/a%20b%2Fc" },
		"port":                       func(r *http.Request) { r.URL.Host = "example.com:8443" },
		"address":                    func(r *http.Request) { r.URL.Host = "[2001:db8::1]:80" },
		"line in a value":            func(r *http.Request) { r.Header.Set("X", "a\r\nY: b") },
		"nul in a value":             func(r *http.Request) { r.Header.Set("X", "a\x00") },
		"delete in a value":          func(r *http.Request) { r.Header.Set("X", "a\x7f") },
		"tab in a value":             func(r *http.Request) { r.Header.Set("X", "a\tb") },
		"bytes":                      func(r *http.Request) { r.Header.Set("X", "\xff") },
		"blank name":                 func(r *http.Request) { r.Header["X Y"] = []string{"v"} },
		"no name":                    func(r *http.Request) { r.Header[""] = []string{"v"} },
		"colon in a name":            func(r *http.Request) { r.Header["X:Y"] = []string{"v"} },
		"newline in the query":       func(r *http.Request) { r.URL.RawQuery = "a\r\nX: y" },
		"control in the query":       func(r *http.Request) { r.URL.RawQuery = "a\x7f" },
		"two slashes":                func(r *http.Request) { r.URL.Path = "//other.example/x" },
		"a mere question mark":       func(r *http.Request) { r.URL.RawQuery, r.URL.ForceQuery = "", true },
		"bad name without a value":   func(r *http.Request) { r.Header["X Y"] = nil },
		"two user agents":            func(r *http.Request) { r.Header["User-Agent"] = []string{"a", "b"} },
		"user agent without a value": func(r *http.Request) { r.Header["User-Agent"] = nil },
		"length too long":            func(r *http.Request) { r.ContentLength++ },
		"length short":               func(r *http.Request) { r.ContentLength-- },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got []string
				dial := pipes(func(c net.Conn) {
					defer c.Close()
					r, err := http.ReadRequest(bufio.NewReader(c))
					if err != nil {
						return
					}
					body, err := io.ReadAll(r.Body)
					r.Body, r.GetBody = nil, nil
					got = append(got, fmt.Sprintf("%s %s %q %v %d %q %v", r.Method, r.RequestURI, r.Host, r.Header, r.ContentLength, body, err))
					_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
				})
				one, two := request(t, `{"a":1}`), request(t, `{"a":1}`)
				change(one)
				change(two)
				transport := &http.Transport{DialContext: dial, DisableCompression: true}
				theirs := look(transport.RoundTrip(one))
				transport.CloseIdleConnections()
				sent := len(got)
				x := &http1.Transport{Dial: dial, MaxHeaderBytes: headerBytes}
				if !x.Takes(two) {
					t.Fatal("not taken")
				}
				ours := look(x.RoundTrip(two, time.Now().Add(time.Minute)))
				if d := cmp.Diff(theirs, ours); d != "" {
					t.Errorf("net/http against this package:\n%s", d)
				}
				if theirs.Failed {
					if len(got) > sent {
						t.Errorf("sent %q", got[sent:])
					}
				} else if d := cmp.Diff(got[:sent], got[sent:]); d != "" {
					t.Errorf("net/http against this package:\n%s", d)
				}
			})
		})
	}
}

// TestNotTaken: what is out of the ordinary is left to net/http.
func TestNotTaken(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request){
		"another method":      func(r *http.Request) { r.Method = http.MethodPut },
		"no body":             func(r *http.Request) { r.Body, r.ContentLength = nil, 0 },
		"unknown length":      func(r *http.Request) { r.ContentLength = -1 },
		"long":                func(r *http.Request) { r.ContentLength = http1.MaxBody + 1 },
		"to be closed":        func(r *http.Request) { r.Close = true },
		"expect":              func(r *http.Request) { r.Header.Set("Expect", "100-continue") },
		"upgrade":             func(r *http.Request) { r.Header.Set("Upgrade", "x") },
		"connection":          func(r *http.Request) { r.Header.Set("Connection", "close") },
		"trailer":             func(r *http.Request) { r.Trailer = http.Header{} },
		"transfer":            func(r *http.Request) { r.TransferEncoding = []string{"chunked"} },
		"another protocol":    func(r *http.Request) { r.URL.Scheme = "ftp" },
		"body that may wait":  func(r *http.Request) { r.GetBody = nil },
		"opaque":              func(r *http.Request) { r.URL.Opaque = "//other.example/" },
		"no host":             func(r *http.Request) { r.URL.Host = "" },
		"port alone":          func(r *http.Request) { r.URL.Host = ":80" },
		"zone":                func(r *http.Request) { r.URL.Host = "[fe80::1%25eth0]" },
		"no ASCII":            func(r *http.Request) { r.URL.Host = "\u212aube.example" },
		"line in the host":    func(r *http.Request) { r.URL.Host = "a\r\nX: y" },
		"line in Host":        func(r *http.Request) { r.Host = "a\r\nX: y" },
		"cancel":              func(r *http.Request) { r.Cancel = make(chan struct{}) }, //nolint:staticcheck // as in Takes
		"long header":         func(r *http.Request) { r.Header.Set("X", strings.Repeat("x", http1.MaxBody)) },
		"many headers":        func(r *http.Request) { r.Header["X-Long-Name"] = make([]string, http1.MaxBody/4) },
		"content-length":      func(r *http.Request) { r.Header["content-length"] = []string{"0"} },
		"transfer-ENCODING":   func(r *http.Request) { r.Header["transfer-ENCODING"] = []string{"chunked"} },
		"host":                func(r *http.Request) { r.Header["host"] = []string{"other.example"} },
		"connection, spelled": func(r *http.Request) { r.Header["connection"] = []string{"close"} },
		"keep-alive":          func(r *http.Request) { r.Header["keep-alive"] = nil },
		"proxy-connection":    func(r *http.Request) { r.Header["proxy-connection"] = nil },
		"te":                  func(r *http.Request) { r.Header["te"] = []string{"trailers"} },
		"trailer, spelled":    func(r *http.Request) { r.Header["trailer"] = []string{"X"} },
		"upgrade, spelled":    func(r *http.Request) { r.Header["upgrade"] = []string{"h2c"} },
		"expect, spelled":     func(r *http.Request) { r.Header["expect"] = []string{"100-continue"} },
		"trace": func(r *http.Request) {
			*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{}))
		},
	} {
		r := request(t, "{}")
		if !(&http1.Transport{}).Takes(r) {
			t.Fatal("not taken as it is")
		}
		change(r)
		if (&http1.Transport{}).Takes(r) {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestEnds: a time-out or the end of the request's context ends an exchange
// wherever it is, and its connection.
func TestEnds(t *testing.T) {
	t.Parallel()
	errGone := errors.New("gone")
	for name, c := range map[string]struct {
		says   string
		cancel bool
		want   error
	}{
		"no head, time is over":   {"", false, context.DeadlineExceeded},
		"cut head, time is over":  {"HTTP/1.1 200 OK\r\n", false, context.DeadlineExceeded},
		"cut line, time is over":  {"HTTP/1.1 200 OK\r\nX: y\r\nX", false, context.DeadlineExceeded},
		"cut line, given up":      {"HTTP/1.1 200 OK\r\nX: y\r\nX", true, errGone},
		"cut body, time is over":  {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", false, context.DeadlineExceeded},
		"no head, given up":       {"", true, errGone},
		"cut head, given up":      {"HTTP/1.1 200 OK\r\n", true, errGone},
		"cut body, given up":      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", true, errGone},
		"endless body, time over": {"HTTP/1.1 200 OK\r\n\r\nok", false, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				closed := make(chan struct{})
				x := &http1.Transport{MaxHeaderBytes: headerBytes, MaxIdle: 1, MaxIdlePerHost: 1, Dial: pipes(func(conn net.Conn) {
					defer close(closed)
					defer conn.Close()
					r, _ := http.ReadRequest(bufio.NewReader(conn))
					_, _ = io.Copy(io.Discard, r.Body)
					_, _ = io.WriteString(conn, c.says)
					_, _ = io.Copy(io.Discard, conn) // until the client closes it
				})}
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if c.cancel {
					time.AfterFunc(time.Second, func() { cancel(errGone) })
				}
				begin := time.Now()
				response, err := x.RoundTrip(request(t, "{}").WithContext(ctx), begin.Add(5*time.Second))
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
				if !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
				if took, want := time.Since(begin), map[bool]time.Duration{true: time.Second, false: 5 * time.Second}[c.cancel]; took != want {
					t.Errorf("took %v, want %v", took, want)
				}
				<-closed
			})
		})
	}
}

// TestOddBodies: bodies that do not keep to io.Reader's ways fail.
func TestOddBodies(t *testing.T) {
	t.Parallel()
	errBody := errors.New("body")
	r := request(t, "{}")
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader([]byte("{")), failing{errBody}))
	done := make(chan int64)
	x := &http1.Transport{Dial: pipes(func(c net.Conn) {
		n, _ := io.Copy(io.Discard, c)
		done <- n
	})}
	if _, err := x.RoundTrip(r, time.Now().Add(time.Minute)); !errors.Is(err, errBody) { //nolint:bodyclose // there is none
		t.Error(err)
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

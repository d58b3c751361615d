package delivery_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/version"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) Do(req *http.Request) (*http.Response, error) { return f(req) }

func sender(client delivery.Client, p delivery.Dialect) *delivery.Sender {
	return &delivery.Sender{Client: client, Dialects: map[string]delivery.Dialect{"plain": p}}
}

func parcel() delivery.Delivery {
	return delivery.Delivery{
		ID: "e1.x", EventID: "e1", SubscriptionID: "sub_x", Dialect: "plain",
		ContentType: "text/plain", Body: []byte("hello"), Attempts: 3,
	}
}

func guarded(t *testing.T, cfg egress.Config) *egress.Client {
	t.Helper()
	c, err := egress.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestAttemptsRequest(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var got *http.Request
	s := sender(clientFunc(func(req *http.Request) (*http.Response, error) {
		got = req
		return answer(204), nil
	}), &plain{})
	s.Now = func() time.Time { return at }
	a := s.Attempt(t.Context(), parcel(), registry.Subscription{URL: "https://one.example/cb?a=1"})
	want(t, "number", a.Number, 4)
	want(t, "at", a.At, at)
	want(t, "status", a.Status, 204)
	want(t, "class", a.Class, "")
	want(t, "error", a.Error, "")
	want(t, "verdict", a.Verdict, delivery.VerdictAccepted)
	want(t, "method", got.Method, http.MethodPost)
	want(t, "url", got.URL.String(), "https://one.example/cb?a=1")
	want(t, "length", got.ContentLength, 5)
	wanted := http.Header{"User-Agent": {version.UserAgent}, "Content-Type": {"text/plain"}, "webhook-id": {"e1"}}
	if diff := cmp.Diff(wanted, got.Header); diff != "" {
		t.Errorf("header: %s", diff)
	}
	for range 2 {
		body, err := got.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		want(t, "body", string(text), "hello")
	}

	d := parcel()
	d.Body, d.ContentType = nil, ""
	s.Attempt(t.Context(), d, registry.Subscription{URL: "https://one.example/"})
	want(t, "no length", got.ContentLength, 0)
	if _, sent := got.Header["Content-Type"]; sent || got.Body != http.NoBody {
		t.Errorf("of nothing: %v, %v", got.Header, got.Body)
	}
	// Appending a value to a field must not reach another one.
	got.Header["User-Agent"] = append(got.Header["User-Agent"], "more")
	want(t, "webhook-id", strings.Join(got.Header["webhook-id"], ","), "e1")
}

// What stands on the wire, byte for byte.
func TestAttemptOnTheWire(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	heard := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			heard <- err.Error()
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		text := ""
		for !strings.HasSuffix(text, "\r\n\r\n") {
			line, err := in.ReadString('\n')
			if text += line; err != nil {
				heard <- text + err.Error()
				return
			}
		}
		body := make([]byte, 5)
		_, err = io.ReadFull(in, body)
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		heard <- text + string(body) + fmt.Sprint(err)
	}()
	client := guarded(t, egress.Config{Policy: egress.Policy{
		AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}})
	host := listener.Addr().String()
	a := sender(client, &plain{}).Attempt(t.Context(), parcel(), registry.Subscription{URL: "http://" + host + "/cb?a=1"})
	want(t, "error", a.Error, "")
	want(t, "wire", <-heard, "POST /cb?a=1 HTTP/1.1\r\nHost: "+host+"\r\nUser-Agent: "+version.UserAgent+
		"\r\nContent-Length: 5\r\nContent-Type: text/plain\r\nwebhook-id: e1\r\n\r\nhello<nil>")
}

func TestAttemptKeepsLittleOfTheAnswer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 10<<10)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, long)
	}))
	defer server.Close()
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	client := guarded(t, egress.Config{RootCAs: roots, Policy: egress.Policy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	a := sender(client, &plain{}).Attempt(t.Context(), parcel(), registry.Subscription{URL: server.URL + "/"})
	want(t, "kept", string(a.Response), long[:delivery.MaxResponse])
	want(t, "status", a.Status, http.StatusTeapot)
	want(t, "verdict", a.Verdict, delivery.VerdictDead)
	want(t, "error", a.Error, "answered 418")
}

func TestAttemptTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := sender(clientFunc(func(req *http.Request) (*http.Response, error) {
			return answer(200), hang(req, time.Hour)
		}), &plain{})
		sub := registry.Subscription{URL: "https://one.example/", Limits: registry.Limits{Timeout: 7 * time.Second}}
		a := s.Attempt(t.Context(), parcel(), sub)
		want(t, "class", a.Class, "timeout")
		want(t, "duration", a.Duration, 7*time.Second)
		want(t, "verdict", a.Verdict, delivery.VerdictRetry)
		want(t, "status", a.Status, 0)
	})
}

// names is a resolver of fixed answers.
type names map[string]netip.Addr

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addr, ok := n[host]; ok {
		return []netip.Addr{addr}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func TestAttemptErrorClasses(t *testing.T) {
	t.Parallel()
	public := netip.MustParseAddr("93.184.216.34")
	client := guarded(t, egress.Config{
		Resolver: names{
			"inside.example.com.": netip.MustParseAddr("10.0.0.1"), "refused.example.com.": public,
			"tls.example.com.": public, "garbage.example.com.": public,
		},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return nil, fmt.Errorf("connect: %w", errors.New("connection refused"))
		},
	})
	failing := func(err error) clientFunc {
		return func(*http.Request) (*http.Response, error) { return nil, err }
	}
	tests := map[string]struct {
		client  delivery.Client
		url     string
		verdict delivery.Verdict
		class   string
	}{
		"literal address":  {client, "https://10.0.0.1/", delivery.VerdictDead, "addr_denied"},
		"metadata address": {client, "https://169.254.169.254/", delivery.VerdictDead, "addr_denied"},
		"bad port":         {client, "https://refused.example.com:22/", delivery.VerdictDead, "bad_url"},
		"scheme":           {client, "ftp://refused.example.com/", delivery.VerdictDead, "bad_url"},
		"resolved address": {client, "https://inside.example.com/", delivery.VerdictRetry, "addr_denied"},
		"no such name":     {client, "https://nowhere.example.com/", delivery.VerdictRetry, "dns"},
		"refused":          {client, "https://refused.example.com/", delivery.VerdictRetry, "conn"},
		"tls":              {failing(&tls.CertificateVerificationError{Err: errors.New("no")}), "https://tls.example.com/", delivery.VerdictRetry, "tls"},
		"garbage":          {failing(egress.ErrResponse), "https://garbage.example.com/", delivery.VerdictRetry, "bad_response"},
		"net/http's own":   {failing(&url.Error{Op: "Post", URL: "https://one.example/?token=s", Err: io.ErrUnexpectedEOF}), "https://one.example/?token=s", delivery.VerdictRetry, "conn"},
		"not a URL":        {client, "https://one.example/\x7f", delivery.VerdictDead, "bad_url"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := sender(tt.client, &plain{}).Attempt(t.Context(), parcel(), registry.Subscription{URL: tt.url})
			want(t, "verdict", a.Verdict, tt.verdict)
			want(t, "class", a.Class, tt.class)
			if a.Error == "" || strings.Contains(a.Error, tt.url) {
				t.Errorf("error text %q", a.Error)
			}
		})
	}
}

func TestAttemptFailsWithinTheProcess(t *testing.T) {
	t.Parallel()
	secret := errors.New("no key yet")
	tests := map[string]struct {
		dialect string
		request error
		verdict delivery.Verdict
		text    string
	}{
		"unknown dialect": {"latin", nil, delivery.VerdictDead, delivery.ErrDialect.Error()},
		"passing":         {"plain", secret, delivery.VerdictRetry, "no key yet"},
		"permanent":       {"plain", delivery.Permanent(secret), delivery.VerdictDead, "no key yet"},
		"permanent deep":  {"plain", fmt.Errorf("sign: %w", delivery.Permanent(secret)), delivery.VerdictDead, "sign: no key yet"},
		"long":            {"plain", errors.New(strings.Repeat("é", 1000)), delivery.VerdictRetry, strings.Repeat("é", 256)},
		"long and odd":    {"plain", errors.New("x" + strings.Repeat("é", 1000)), delivery.VerdictRetry, "x" + strings.Repeat("é", 255)},
		"no text":         {"plain", errors.New("\xff!"), delivery.VerdictRetry, "!"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := parcel()
			d.Dialect = tt.dialect
			s := sender(clientFunc(func(*http.Request) (*http.Response, error) {
				return nil, errors.New("sent it all the same")
			}), &plain{request: func(delivery.Delivery) error { return tt.request }})
			a := s.Attempt(t.Context(), d, registry.Subscription{URL: "https://one.example/"})
			want(t, "verdict", a.Verdict, tt.verdict)
			want(t, "class", a.Class, "internal")
			want(t, "error", a.Error, tt.text)
			want(t, "status", a.Status, 0)
		})
	}
	if !errors.Is(delivery.Permanent(secret), secret) {
		t.Error("Permanent hides its cause")
	}
}

func TestAttemptReadsRetryAfterOfRetriesAlone(t *testing.T) {
	t.Parallel()
	for status, wanted := range map[int]time.Duration{200: 0, 400: 0, 410: 0, 429: 9 * time.Second, 500: 9 * time.Second, 301: 9 * time.Second} {
		s := sender(clientFunc(func(*http.Request) (*http.Response, error) { return answer(status, "Retry-After", "9"), nil }), &plain{})
		a := s.Attempt(t.Context(), parcel(), registry.Subscription{URL: "https://one.example/"})
		want(t, fmt.Sprint(status), a.RetryAfter, wanted)
	}
}

func TestAttemptSurvivesPanics(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*plain{
		"Request": {request: func(delivery.Delivery) error { panic("a defect") }},
		"Judge":   {judge: func(int) { panic("a defect") }},
		"runtime": {judge: func(n int) { _ = []string{"a defect"}[n] }},
	} {
		s := sender(clientFunc(func(*http.Request) (*http.Response, error) { return answer(200), nil }), p)
		a := s.Attempt(t.Context(), parcel(), registry.Subscription{URL: "https://one.example/"})
		if a.Verdict != delivery.VerdictRetry || a.Class != "internal" || !panicked.MatchString(a.Error) {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// panicked names the panic and where it was.
var panicked = regexp.MustCompile(`^panic in delivery_test\.TestAttemptSurvivesPanics\.func\d \(sender_test\.go:\d+\): (a defect|runtime error: index out of range .*)$`)

func TestErrorsAreReadable(t *testing.T) {
	t.Parallel()
	lost := &delivery.LostLeasesError{IDs: slices.Repeat([]string{"id"}, 9)}
	want(t, "lost", lost.Error(), "delivery: lease lost: 9 of them: id, id, id, id, id")
	want(t, "lost wraps", errors.Is(lost, delivery.ErrLeaseLost), true)
	want(t, "the first", (&delivery.Error{Field: "ID", Err: delivery.ErrInvalid}).Error(), "delivery: invalid: ID")
	want(t, "without a field", (&delivery.Error{Index: 2, Err: delivery.ErrInvalid}).Error(), "delivery: invalid (at 2)")
	want(t, "with one", (&delivery.Error{Index: 2, Field: "ID", Err: delivery.ErrInvalid}).Error(), "delivery: invalid: ID (at 2)")
}

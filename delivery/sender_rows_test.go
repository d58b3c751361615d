package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

// What an attempt makes of an answer that came, as raw bytes through the guarded
// client.
func TestVerdictsOfAnswers(t *testing.T) {
	t.Parallel()
	const (
		accepted, retry, dead, disable = delivery.VerdictAccepted, delivery.VerdictRetry, delivery.VerdictDead, delivery.VerdictDisable
		day                            = 24 * time.Hour
	)
	after := func(status string, values ...string) string {
		var b strings.Builder
		b.WriteString(status)
		for _, v := range values {
			b.WriteString("\r\nRetry-After: " + v)
		}
		return b.String()
	}
	for _, tt := range []struct {
		row, head string
		status    int
		verdict   delivery.Verdict
		after     time.Duration
	}{
		{"A-RESP-01 301", "301 Moved\r\nLocation: https://other.example.com/", 301, retry, 0},
		{"A-RESP-01 302", "302 Found\r\nLocation: https://other.example.com/", 302, retry, 0},
		{"A-RESP-01 303", "303 See\r\nLocation: https://other.example.com/", 303, retry, 0},
		{"A-RESP-01 307", "307 Temporary\r\nLocation: https://other.example.com/", 307, retry, 0},
		{"A-RESP-01 308", "308 Permanent\r\nLocation: https://other.example.com/", 308, retry, 0},
		{"A-RESP-02 to metadata", "302 Found\r\nLocation: http://169.254.169.254/", 302, retry, 0},
		{"A-RESP-02 without a host", "302 Found\r\nLocation: //other.example.com", 302, retry, 0},
		{"A-RESP-02 empty", "302 Found\r\nLocation: ", 302, retry, 0},
		{"A-RESP-04 405", "405 Method Not Allowed", 405, dead, 0},
		{"A-RESP-10 101", "101 Switching\r\nConnection: Upgrade\r\nUpgrade: x", 101, retry, 0},
		{"A-RESP-24 000", "000 x", 0, retry, 0},
		{"A-RESP-24 099", "099 x", 99, retry, 0},
		{"A-RESP-24 999", "999 x", 999, retry, 0},
		{"A-RESP-24 sign", "+20 x", 20, retry, 0},
		{"A-RESP-28 201", "201 Created", 201, accepted, 0}, // by Judge; edna's own takes 200 alone
		{"A-RESP-28 202", "202 Accepted", 202, accepted, 0},
		{"A-RESP-28 204", "204 No Content", 204, accepted, 0},
		{"A-RESP-29 300", "300 Choices", 300, retry, 0},
		{"A-RESP-29 304", "304 Not Modified", 304, retry, 0},
		{"A-RESP-30 410", "410 Gone", 410, disable, 0},
		{"A-RESP-31 400", "400 Bad", 400, dead, 0}, // dead, not tried again: see Judge
		{"A-RESP-31 401", "401 No", 401, dead, 0},
		{"A-RESP-31 403", "403 No", 403, dead, 0},
		{"A-RESP-31 404", "404 No", 404, dead, 0},
		{"A-RESP-32 429", after("429 Slow", "120"), 429, retry, 2 * time.Minute},
		{"A-RESP-32 503", after("503 Slow", "120"), 503, retry, 2 * time.Minute},
		{"A-RESP-33 zero", after("429 Slow", "0"), 429, retry, 0},
		{"A-RESP-33 negative", after("429 Slow", "-1"), 429, retry, 0},
		{"A-RESP-33 1e9", after("429 Slow", "1e9"), 429, retry, 0},
		{"A-RESP-33 1,000,000,000", after("429 Slow", "1000000000"), 429, retry, day},
		{"A-RESP-33 NaN", after("429 Slow", "NaN"), 429, retry, 0},
		{"A-RESP-33 overflow of nanoseconds", after("429 Slow", "9223372037"), 429, retry, day},
		{"A-RESP-33 overflow to small", after("429 Slow", "18446744074"), 429, retry, day},
		{"A-RESP-33 empty", after("429 Slow", ""), 429, retry, 0},
		{"A-RESP-33 twice", after("429 Slow", "5", "5"), 429, retry, 0},
		{"A-RESP-34 past", after("429 Slow", "Sun, 06 Nov 1994 08:49:37 GMT"), 429, retry, 0},
		{"A-RESP-34 year 9999", after("429 Slow", "Fri, 31 Dec 9999 23:59:59 GMT"), 429, retry, day},
		{"A-RESP-34 two-digit year", after("429 Slow", "Sunday, 06-Nov-94 08:49:37 GMT"), 429, retry, 0},
		{"A-RESP-34 wrong zone", after("429 Slow", "Fri, 31 Dec 9999 23:59:59 CET"), 429, retry, 0},
		{"A-RESP-35 on 200", after("200 OK", "120"), 200, accepted, 0},
		{"A-RESP-41 directives", "200 OK\r\nSet-Cookie: a=b\r\nAlt-Svc: h3=\":443\"\r\nClear-Site-Data: *", 200, accepted, 0},
		{"A-RESP-42 401", "401 No\r\nWWW-Authenticate: Basic", 401, dead, 0},
		{"A-RESP-42 407", "407 No\r\nProxy-Authenticate: Basic", 407, dead, 0},
	} {
		t.Run(tt.row, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				dialed := 0
				client := guarded(t, egress.Config{
					Policy: egress.Policy{AllowHTTP: true},
					DialContext: func(context.Context, string, string) (net.Conn, error) {
						near, far := net.Pipe()
						dialed++
						go func() {
							far.Read(make([]byte, 4<<10))
							io.WriteString(far, "HTTP/1.1 "+tt.head+"\r\nConnection: close\r\n\r\n")
							far.Close()
						}()
						return near, nil
					},
				})
				a := sender(client, &plain{}).Attempt(t.Context(), parcel(), registry.Subscription{URL: "http://8.8.8.8/"})
				want(t, "verdict", a.Verdict, tt.verdict)
				want(t, "status", a.Status, tt.status)
				want(t, "pause", a.RetryAfter, tt.after)
				want(t, "class", a.Class, map[bool]string{false: "status"}[tt.verdict == accepted])
				want(t, "connections", dialed, 1)
			})
		})
	}
}

// What an endpoint says is kept as bytes and stands in no error text: A-HDR-18,
// A-RESP-43, A-RESP-44.
func TestAnswersStayBytes(t *testing.T) {
	t.Parallel()
	body := "\x00\xff\x1b[31m webhook-signature: v1,secret\r\n"
	client := guarded(t, egress.Config{
		Policy: egress.Policy{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				far.Read(make([]byte, 4<<10))
				fmt.Fprintf(far, "HTTP/1.1 500 \x1b[31mOK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
				far.Close()
			}()
			return near, nil
		},
	})
	a := sender(client, &plain{}).Attempt(t.Context(), parcel(), registry.Subscription{URL: "http://127.0.0.1/"})
	want(t, "response", string(a.Response), body)
	want(t, "error", a.Error, "answered 500")
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "response", string(a.Response), "error", a.Error)
	if strings.ContainsAny(strings.TrimSuffix(log.String(), "\n"), "\x00\x1b\n") {
		t.Errorf("a log line of it holds control characters: %q", log.String())
	}
}

// An event whose ID cannot stand in a header is refused before it is stored:
// A-HDR-16, A-HDR-17. Its type stands in no header.
func TestEventIDsForHeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.subscribe()
		for name, id := range map[string]string{
			"A-HDR-16 CR LF": "a\r\nX: y", "A-HDR-16 LF": "a\n", "A-HDR-16 NUL": "a\x00", "A-HDR-16 DEL": "a\x7f", "A-HDR-17 dot": "a.b",
			"A-HDR-17 257 bytes": strings.Repeat("a", 257), "A-HDR-17 non-ASCII": "é", "A-HDR-17 blank": "a b",
		} {
			_, err := r.engine.Publish(t.Context(), delivery.Event{ID: id, Dialect: "plain", Tenant: "t", Type: "message", Data: []byte("x")})
			e, ok := errors.AsType[*delivery.Error](err)
			if !ok || !errors.Is(err, delivery.ErrInvalid) || e.Field != "ID" {
				t.Errorf("%s: %v", name, err)
			}
		}
		want(t, "stored", r.states(), "")
	})
	for _, typ := range []string{"a\r\nX: y", "{{.}}"} { // A-HDR-20: nothing is filled in
		var got *http.Request
		s := sender(clientFunc(func(req *http.Request) (*http.Response, error) { got = req; return answer(200), nil }), &plain{})
		d := parcel()
		d.Type, d.Body = typ, []byte("{{.Secret}}")
		s.Attempt(t.Context(), d, registry.Subscription{URL: "https://one.example/"})
		body, err := io.ReadAll(got.Body)
		if err != nil || string(body) != "{{.Secret}}" {
			t.Errorf("body %q, %v", body, err)
		}
		for name, values := range got.Header {
			if strings.Contains(name+strings.Join(values, ""), typ) {
				t.Errorf("%s holds the type", name)
			}
		}
	}
}

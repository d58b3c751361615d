package registry_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/registry"
)

func headerOf(name, value string) registry.Header {
	return registry.Header{Name: name, Value: registry.NewSecret(value)}
}

func TestHeaderCheck(t *testing.T) {
	t.Parallel()
	pad := func(n int) string { return strings.Repeat("x", n) }
	type refusal struct{ row, name, value, want string }
	const (
		token, hold, ends = "not a token", "visible ASCII", "begins or ends"
		size, long        = "value is empty or too long", "name is empty or too long"
	)
	cases := []refusal{
		{"A-HDR-11 CR", "X", "a\rb", hold},
		{"A-HDR-11 LF", "X", "a\nX-B: c", hold},
		{"A-HDR-11 CR LF at the end", "X", "a\r\n", hold},
		{"A-HDR-11 NUL", "X", "a\x00", hold},
		{"A-HDR-11 DEL", "X", "\x7f", hold},
		{"A-HDR-11 ESC", "X", "\x1b[31m", hold},
		{"A-HDR-11 tab", "X", "a\tb", hold},
		{"A-HDR-11 non-ASCII", "X", "é", hold},
		{"A-HDR-11 high byte", "X", "\xff", hold},
		{"A-HDR-11 blank before", "X", " a", ends},
		{"A-HDR-11 blank behind", "X", "a ", ends},
		{"A-HDR-11 only a blank", "X", " ", ends},
		{"A-HDR-11 empty value", "X", "", size},
		{"A-HDR-12 empty", "", "a", long},
		{"A-HDR-12 blank", "X A", "a", token},
		{"A-HDR-12 blank behind", "X ", "a", token},
		{"A-HDR-12 colon", "X:", "a", token},
		{"A-HDR-12 pseudo-header", ":authority", "a", token},
		{"A-HDR-12 non-ASCII", "Xé", "a", token},
		{"A-HDR-12 newline", "X\r\nHost", "a", token},
		{"A-HDR-12 NUL", "X\x00", "a", token},
		{"A-HDR-12 quote", `"X"`, "a", token},
		{"A-HDR-12 long", pad(registry.MaxHeaderName + 1), "a", long},
		{"A-HDR-15 value", "X", pad(registry.MaxHeaderValue + 1), size},
	}
	for _, name := range []string{
		"Host", "Content-Length", "Transfer-Encoding", "Connection", "Authorization", "webhook-id", "webhook-timestamp", "webhook-signature",
		"webhook-", "Webhook-Request-Origin", "Proxy-Authorization", "Proxy-Connection", "proxy-", "Expect", "Trailer", "TE", "Upgrade",
		"User-Agent", "Content-Type", "Content-Encoding", "Accept-Encoding", "Keep-Alive", "HTTP2-Settings", "Cookie",
	} {
		cases = append(cases, refusal{"A-HDR-13 " + name, name, "a", "reserved"}, refusal{"A-HDR-13 upper case", strings.ToUpper(name), "a", "reserved"})
	}
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key", "x-idempotency-key", "IDEMPOTENCY-KEY"} {
		cases = append(cases, refusal{"A-HDR-14 " + name, name, "a", "reserved"})
	}
	for _, c := range cases {
		t.Run(c.row, func(t *testing.T) {
			t.Parallel()
			if got := headerOf(c.name, c.value).Check(); !strings.Contains(got, c.want) || got == "" {
				t.Errorf("Check is %q, want %q", got, c.want)
			}
			s := valid()
			s.ID, s.Headers = "sub_1", []registry.Header{headerOf("X-Good", "a"), headerOf(c.name, c.value)}
			err := registry.Validate(s)
			e, ok := errors.AsType[*registry.Error](err)
			if !ok || !errors.Is(err, registry.ErrInvalid) || e.Field != "Headers" || e.ID != "sub_1" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Validate is %v", err)
			}
		})
	}
	for _, h := range []registry.Header{
		headerOf("X", "a"), headerOf("webhook", "a"), headerOf("X-Host", "a"), headerOf("proxy", "a"), headerOf("x_key", "a  b"),
		headerOf("!#$%&'*+-.^_`|~09azAZ", "!\"#~ {{.}}"), headerOf(pad(registry.MaxHeaderName), pad(registry.MaxHeaderValue)),
	} {
		if detail := h.Check(); detail != "" {
			t.Errorf("%q is refused: %s", h.Name, detail)
		}
	}
}

func TestHeadersTogether(t *testing.T) {
	t.Parallel()
	many := func(n int) (all []registry.Header) {
		for i := range n {
			all = append(all, headerOf("X-"+strings.Repeat("x", i), "a"))
		}
		return all
	}
	for name, c := range map[string]struct {
		headers []registry.Header
		want    string
	}{
		"A-HDR-15 20":          {many(20), ""},
		"A-HDR-15 21":          {many(21), "more than 20"},
		"twice":                {[]registry.Header{headerOf("X-A", "1"), headerOf("X-A", "2")}, "twice"},
		"twice, other letters": {[]registry.Header{headerOf("X-A", "1"), headerOf("X-B", "1"), headerOf("x-a", "1")}, "twice"},
	} {
		s := valid()
		s.Headers = c.headers
		err := registry.Validate(s)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

var errReached = errors.New("reached the network")

// FuzzHeader: what is accepted, net/http sends as it is and as one line; what it
// would refuse is refused.
func FuzzHeader(f *testing.F) {
	for _, seed := range [][2]string{
		{"X-Key", "secret"},
		{"X-Key", "a\r\nHost: b"},
		{"Host", "a"},
		{"x y", "a"},
		{"X", " a"},
		{"X", "a\t"},
		{"X", "\x80"},
		{":path", "/"},
		{"Trailer", "X"},
		{"content-length", "0"},
		{"Transfer-Encoding", "chunked"},
		{"connection", "close"},
		{"A", ""},
		{"\u212aey", "a"},
		{"Content-\u017fength", "0"},
		{"user-agent", "x"},
		{"X", "a  b"},
		{"X", "(a, \"b\")"},
		{"Range", "bytes=0-1"},
		{"cookie", "a=b; c=d"},
	} {
		f.Add(seed[0], seed[1])
	}
	transport := &http.Transport{
		DisableCompression: true,
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return nil, errReached },
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		request := func() *http.Request {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://192.0.2.1/", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		accepted := headerOf(name, value).Check() == ""
		r := request()
		r.Header[name] = []string{value}
		resp, err := transport.RoundTrip(r)
		if err == nil {
			resp.Body.Close()
		}
		if !errors.Is(err, errReached) {
			if accepted {
				t.Fatalf("%q: %q is accepted, net/http says %v", name, value, err)
			}
			return
		}
		if !accepted {
			return
		}
		with, without := wire(t, r), wire(t, request())
		line := name + ": " + value + "\r\n"
		if strings.Replace(with, line, "", 1) != without || !strings.Contains(with, "\r\n"+line) {
			t.Fatalf("%q: %q is sent as\n%q\nwithout it\n%q", name, value, with, without)
		}
		got, err := http.ReadRequest(bufio.NewReader(strings.NewReader(with)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		if err != nil || string(body) != "{}" || got.Host != "192.0.2.1" || got.Close || got.ContentLength != 2 || got.Header.Get(name) != value {
			t.Fatalf("%q: %q makes another request: %+v, %q, %v", name, value, got, body, err)
		}
	})
}

// wire returns the bytes of a request with a fresh body.
func wire(t *testing.T, r *http.Request) string {
	t.Helper()
	r.Body = io.NopCloser(strings.NewReader("{}"))
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

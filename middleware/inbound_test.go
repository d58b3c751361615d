package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

// corpus is where the rows are: the verifiers' own.
const corpus = "../verify/testdata/inbound.tsv"

// packet is as much of Tencent's packets as the rows ask about.
type packet struct {
	CallbackCommand string `json:"CallbackCommand"`
	GroupID         string `json:"GroupId"`
	MsgSeq          uint32 `json:"MsgSeq"`
}

// elsewhere are the rows whose outcome the dialects decide, by what is in the
// packet, and run themselves: the command (T064, J007), EventTime (T069,
// T070) and a NUL in a text (J017).
var elsewhere = map[string]bool{"T064": true, "T069": true, "T070": true, "J007": true, "J017": true}

// TestInbound runs the rows of Tencent (T, J), Standard Webhooks (S) and edna
// (E), and the media types and sizes of SmartBots (B), through whole stacks of
// gates. R rows, and the answers to B rows that are 200, are the dialects'.
func TestInbound(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(corpus)
	if err != nil {
		t.Fatal(err)
	}
	ran := map[byte]int{}
	for line := range strings.Lines(string(raw)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if line[0] == '#' || len(f) != 9 || f[0] == "id" || elsewhere[f[0]] || f[0][0] == 'R' || f[0][0] == 'B' && f[7] != "413" {
			continue
		}
		ran[f[0][0]]++
		t.Run(f[0]+" "+f[8], func(t *testing.T) {
			t.Parallel()
			gates, err := corpusGates(f[1], corpusTime(t, f[2]))
			if refused := err != nil; refused || f[7] == "config_error" {
				if !refused || f[7] != "config_error" && f[0] != "S056" { // S056 may be refused here
					t.Fatalf("configuration: %v, want %s", err, f[7])
				}
				return
			}
			handled := 0
			h := gates(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { handled++ }))
			if f[0] == "S058" { // the id was used before, with the body of S001
				serve(t, h, corpusFirst())
			}
			before := handled
			w := serve(t, h, corpusRequest(t, f))
			if got := strconv.Itoa(w.Code); got != f[7] {
				t.Errorf("status %s, want %s", got, f[7])
			}
			if (handled == before+1) != (f[7] == "200") {
				t.Errorf("handled %d times", handled-before)
			}
			if f[0] == "S002" { // S057: the same once more
				again := serve(t, h, corpusRequest(t, f))
				if again.Code != 200 || handled != 1 || again.Header().Get(middleware.ReplayedHeader) != "true" {
					t.Errorf("repeat: %d, handled %d times, %v", again.Code, handled, again.Header())
				}
			}
		})
	}
	for prefix, least := range map[byte]int{'T': 45, 'J': 30, 'S': 35, 'E': 12, 'B': 1} {
		if ran[prefix] < least {
			t.Errorf("%d rows of %c, want at least %d", ran[prefix], prefix, least)
		}
	}
}

// corpusFirst is the vector of the Standard Webhooks rows.
func corpusFirst() *http.Request {
	r := post("/sw", "application/json", `{"test": 2432232314}`)
	r.Header.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	r.Header.Set("webhook-timestamp", "1614265330")
	r.Header.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	return r
}

// corpusGates is the documented order for a configuration of the corpus.
func corpusGates(cfg string, now func() time.Time) (middleware.Middleware, error) {
	ms := []middleware.Middleware{
		middleware.Recover{Logger: quiet}.Handler,
		middleware.RateLimit{Key: middleware.ByPeer, Requests: 10, Per: time.Minute, Logger: quiet}.Handler,
		middleware.Method{Logger: quiet}.Handler,
		middleware.Query{Logger: quiet}.Handler,
		middleware.Body{Logger: quiet}.Handler,
	}
	sign := func(v verify.Verifier) {
		ms = append(ms, middleware.Signature{Verifier: v, Now: now, Logger: quiet}.Handler,
			middleware.RateLimit{Key: func(r *http.Request) string { return "all " + middleware.ByIdentity(r) }, Requests: 10, Per: time.Minute, Logger: quiet}.Handler)
	}
	key := func(s string) verify.Key { return verify.Key{Secret: []byte(s)} }
	name, option, _ := strings.Cut(cfg, ":")
	switch name {
	case "tencent":
		token := "xxxxyyyy"
		if option != "" {
			token = strings.TrimPrefix(option, "token=")
		}
		v, err := verify.NewTencentSign(0, key(token))
		if err != nil {
			return nil, err
		}
		ms = append(ms, middleware.AppID{Apps: must(verify.NewAppID("1400000001")), Logger: quiet}.Handler)
		sign(v)
		ms = append(ms, middleware.Payload[packet]{AllowNoContentType: true, Logger: quiet}.Handler)
	case "sw":
		keys := []verify.Key{key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}
		if secret, ok := strings.CutPrefix(option, "secret="); ok {
			keys = []verify.Key{key(secret)}
		} else if option == "rot" {
			keys = append(keys, verify.Key{Secret: []byte("whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"), NotAfter: time.Unix(1614265400, 0)})
		}
		v, err := verify.NewStandard(0, keys...)
		if err != nil {
			return nil, err
		}
		sign(v)
		ms = append(ms, middleware.Dedup{Store: &middleware.MemoryDedup{}, ID: middleware.ByMessage, Logger: quiet}.Handler,
			middleware.Payload[any]{Logger: quiet}.Handler)
	case "edna":
		v, err := verify.NewToken("Authorization", "Token", true, key("K-0123456789abcdef"))
		if err != nil {
			return nil, err
		}
		ms = append([]middleware.Middleware{middleware.Probe{Logger: quiet}.Handler}, ms...)
		sign(v)
		ms = append(ms, middleware.Payload[any]{AllowNoContentType: true, Logger: quiet}.Handler)
	}
	return middleware.Chain(ms...), nil
}

func corpusTime(t *testing.T, s string) func() time.Time {
	t.Helper()
	if s == "" {
		return nil
	}
	sec, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return func() time.Time { return time.Unix(sec, 0) }
}

func corpusRequest(t *testing.T, f []string) *http.Request {
	t.Helper()
	path, query, _ := strings.Cut(corpusText(t, f[4]), "?")
	body := corpusBody(corpusText(t, f[6]))
	r := httptest.NewRequest(f[3], path, strings.NewReader(body))
	r.URL.RawQuery = query
	for line := range strings.SplitSeq(corpusText(t, f[5]), " || ") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			r.Header.Add(name, value)
		}
	}
	return r
}

// corpusText decodes the body of a Go string literal in which quotes stand as
// they are.
func corpusText(t *testing.T, s string) string {
	t.Helper()
	out, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	if err != nil {
		t.Fatalf("field %q: %v", s, err)
	}
	return out
}

// corpusBody expands a body that starts with @.
func corpusBody(s string) string {
	parts, ok := strings.CutPrefix(s, "@")
	if !ok {
		return s
	}
	var b strings.Builder
	for part := range strings.SplitSeq(parts, "<+>") {
		n, text, ok := strings.Cut(strings.TrimPrefix(part, "rep("), ",")
		if count, err := strconv.Atoi(n); ok && err == nil && strings.HasPrefix(part, "rep(") {
			b.WriteString(strings.Repeat(strings.TrimSuffix(text, ")"), count))
			continue
		}
		b.WriteString(part)
	}
	return b.String()
}

package standardwebhooks_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/internal/race"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
)

const (
	secretA = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	secretB = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))

func subscription(secrets ...string) registry.Subscription {
	sub := registry.Subscription{ID: "sub_1", Dialect: standardwebhooks.Name, URL: "https://hooks.example.com/in", Types: []string{"a"}}
	for _, s := range secrets {
		sub.Secrets = append(sub.Secrets, registry.NewSecret(s))
	}
	return sub
}

func TestEncode(t *testing.T) {
	t.Parallel()
	const time0 = `,"timestamp":"2026-01-02T02:04:05Z","data":`
	tests := []struct {
		name, typ, data string
		at              time.Time
		want            string // "" is delivery.ErrInvalid
	}{
		{"object", "a.b", `{"b":1,"a":[true,null]}`, at, `{"type":"a.b"` + time0 + `{"b":1,"a":[true,null]}}`},
		{"white space goes", "a", " {\n\t\"b c\" :\r[ 1 , \" \\\" [ \" ] } ", at, `{"type":"a"` + time0 + `{"b c":[1," \" [ "]}}`},
		{"an escaped backslash ends a string", "a", `["\\" , "\\\"" ]`, at, `{"type":"a"` + time0 + `["\\","\\\""]}`},
		{"nothing is escaped for HTML", "a", `"<b>&\u003c ` + "\u2028é" + `"`, at, `{"type":"a"` + time0 + `"<b>&\u003c ` + "\u2028é" + `"}`},
		{"numbers stay", "a", `[1.0,1e400,12345678901234567890]`, at, `{"type":"a"` + time0 + `[1.0,1e400,12345678901234567890]}`},
		{"null", "a", `null`, at, `{"type":"a"` + time0 + `null}`},
		{"type with all escapes", "a\"\\/<>\x00\n\x1f\x7fé", `1`, at, `{"type":"a\"\\/<>\u0000\u000a\u001f` + "\x7fé" + `"` + time0 + `1}`},
		{"nanoseconds", "a", `1`, at.Add(120_000_001), `{"type":"a","timestamp":"2026-01-02T02:04:05.120000001Z","data":1}`},
		{"trailing zeros go", "a", `1`, at.Add(120_000_000), `{"type":"a","timestamp":"2026-01-02T02:04:05.12Z","data":1}`},
		{"no data", "a", ``, at, ""},
		{"white space alone", "a", ` `, at, ""},
		{"not JSON", "a", `{a:1}`, at, ""},
		{"a key twice", "a", `{"a":1,"a":1}`, at, ""},
		{"data behind", "a", `1 2`, at, ""},
		{"not UTF-8", "a", "\"\xff\"", at, ""},
		{"65 levels", "a", strings.Repeat("[", 65) + strings.Repeat("]", 65), at, ""},
		{"no type", "", `1`, at, ""},
		{"type not UTF-8", "\xff", `1`, at, ""},
		{"year 10000", "a", `1`, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var d standardwebhooks.Dialect
			ev := delivery.Event{Type: tt.typ, Data: []byte(tt.data), At: tt.at}
			p, err := d.Encode(ev, registry.Subscription{})
			if (tt.want == "") != errors.Is(err, delivery.ErrInvalid) || string(p.Body) != tt.want {
				t.Errorf("%s, %v\nwant %s", p.Body, err, tt.want)
			}
			if (d.Check(ev) == nil) != (tt.want != "") {
				t.Errorf("Check: %v", d.Check(ev))
			}
			if tt.want == "" {
				return
			}
			var m standardwebhooks.Message
			if err := json.Unmarshal(p.Body, &m); err != nil || m.Type != tt.typ || !m.Timestamp.Equal(tt.at) || p.ContentType != "application/json" {
				t.Errorf("reads as %+v, %v; %s", m, err, p.ContentType)
			}
		})
	}
}

// TestOfficialLibrary: the library of the specification's authors accepts our
// requests, each secret of a rotation by itself.
func TestOfficialLibrary(t *testing.T) {
	t.Parallel()
	var d standardwebhooks.Dialect
	now := time.Now() // the library has no other clock
	p, err := d.Encode(delivery.Event{Type: "a", Data: []byte(`{"x":1}`), At: now}, registry.Subscription{})
	if err != nil {
		t.Fatal(err)
	}
	req, err := d.Request(t.Context(), delivery.Delivery{EventID: "msg_1", Body: p.Body, ContentType: p.ContentType}, subscription(secretA, secretB), now)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{secretA, secretB} {
		hook, err := standard.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		for name, values := range req.Header {
			h.Set(name, values[0])
		}
		if err := hook.Verify(p.Body, h); err != nil {
			t.Errorf("%v", err)
		}
		if err := hook.Verify(append(p.Body, ' '), h); err == nil {
			t.Error("another body is accepted")
		}
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	var d standardwebhooks.Dialect
	dl := delivery.Delivery{EventID: "msg_p5jXN8AQM9LWM0D4loKWxJek", Body: []byte(`{"test": 2432232314}`), ContentType: "application/json", Attempts: 3}
	sent := time.Unix(1614265330, 999)
	// The specification's own example.
	const signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	req, err := d.Request(t.Context(), dl, subscription(secretA), sent)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil || !bytes.Equal(body, dl.Body) || req.Method != http.MethodPost || req.URL.String() != "https://hooks.example.com/in" || req.ContentLength != int64(len(body)) {
		t.Errorf("%s %s %s, %v", req.Method, req.URL, body, err)
	}
	for name, want := range map[string]string{
		"webhook-id": dl.EventID, "webhook-timestamp": "1614265330", "webhook-signature": signature, "Content-Type": "application/json",
	} {
		if got := req.Header[name]; len(got) != 1 || got[0] != want { // spelled exactly so
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if len(req.Header) != 5 || req.Header.Get("User-Agent") == "" {
		t.Errorf("header %v", req.Header)
	}
	again, err := d.Request(t.Context(), dl, subscription(secretA, secretB, secretA), sent)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Split(again.Header["webhook-signature"][0], " ")
	if len(list) != 3 || list[0] != signature || list[2] != signature || list[1] == signature {
		t.Errorf("of three secrets: %q", list)
	}
	later, err := d.Request(t.Context(), dl, subscription(secretA), sent.Add(time.Second))
	if err != nil || later.Header["webhook-timestamp"][0] != "1614265331" || later.Header["webhook-signature"][0] == signature {
		t.Errorf("a second later: %v, %v", later.Header, err)
	}
}

func TestNeverUnsigned(t *testing.T) {
	t.Parallel()
	d := &standardwebhooks.Dialect{}
	tests := []struct {
		name    string
		secrets []string
		url     string
		want    delivery.Verdict
	}{
		{"no secret", nil, "https://a.example/", delivery.VerdictDead},
		{"not of the form", []string{"hunter2"}, "https://a.example/", delivery.VerdictRetry},
		{"one of two not of the form", []string{secretA, "hunter2"}, "https://a.example/", delivery.VerdictRetry},
		{"empty", []string{""}, "https://a.example/", delivery.VerdictRetry},
		{"short", []string{"whsec_aHVudGVyMg=="}, "https://a.example/", delivery.VerdictRetry},
		{"bad URL", []string{secretA}, "https://a.example/%zz", delivery.VerdictDead},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := delivery.Sender{Client: forbidden{t}, Dialects: map[string]delivery.Dialect{standardwebhooks.Name: d}}
			sub := subscription(tt.secrets...)
			sub.URL = tt.url
			a := s.Attempt(t.Context(), delivery.Delivery{EventID: "msg_1", Dialect: standardwebhooks.Name}, sub)
			if a.Verdict != tt.want || a.Error == "" || strings.Contains(a.Error, "hunter2") || strings.Contains(a.Error, "aHVud") {
				t.Errorf("%v %q", a.Verdict, a.Error)
			}
		})
	}
}

type forbidden struct{ t *testing.T }

func (f forbidden) Do(*http.Request) (*http.Response, error) {
	f.t.Error("a request was sent")
	return nil, io.EOF
}

// TestManySecrets signs with more secrets than are kept prepared.
func TestManySecrets(t *testing.T) {
	t.Parallel()
	d := &standardwebhooks.Dialect{}
	dl := delivery.Delivery{EventID: "msg_1", Body: []byte("{}")}
	for range 17_000 {
		secret := verify.GenerateSecret()
		if _, err := d.Request(t.Context(), dl, subscription(secret), at); err != nil {
			t.Fatal(err)
		}
	}
	if n := d.Prepared(); n != 16_384 {
		t.Errorf("%d signers are kept", n)
	}
	first, err := d.Request(t.Context(), dl, subscription(secretA), at)
	if err != nil {
		t.Fatal(err)
	}
	want, err := new(standardwebhooks.Dialect).Request(t.Context(), dl, subscription(secretA), at)
	if err != nil || first.Header["webhook-signature"][0] != want.Header["webhook-signature"][0] {
		t.Errorf("signatures differ, %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", d, d, d); strings.Contains(text, "whsec_") || len(text) > 2000 {
		t.Errorf("prints its secrets: %.200s", text)
	}
}

func TestJudgeAndSchedule(t *testing.T) {
	t.Parallel()
	var d standardwebhooks.Dialect
	for status, want := range map[int]delivery.Verdict{204: delivery.VerdictAccepted, 301: delivery.VerdictRetry, 404: delivery.VerdictDead, 410: delivery.VerdictDisable} {
		if got := d.Judge(status, nil, nil); got != want {
			t.Errorf("%d: %v, want %v", status, got, want)
		}
	}
	pause, again := d.Schedule(registry.Subscription{}).Delay(4)
	if !again || pause < 270*time.Second || pause > 330*time.Second {
		t.Errorf("after the fourth attempt: %v, %v", pause, again)
	}
}

// TestCheckSubscription: what nothing can be signed with is refused, and stays
// unseen.
func TestCheckSubscription(t *testing.T) {
	t.Parallel()
	good := verify.GenerateSecret()
	const typo = "whsec_not base64 at all"
	for name, tt := range map[string]struct {
		secrets []string
		refused bool
	}{
		"one":                 {[]string{good}, false},
		"two, as they rotate": {[]string{verify.GenerateSecret(), good}, false},
		"none":                {nil, true},
		"a typo":              {[]string{typo}, true},
		"a typo in front":     {[]string{typo, good}, true},
		"a short one":         {[]string{"x"}, true},
	} {
		sub, _ := standardwebhooks.NewSubscription("acme", "https://hooks.example.com/in", "a")
		sub.Secrets = nil
		for _, s := range tt.secrets {
			sub.Secrets = append(sub.Secrets, registry.NewSecret(s))
		}
		err := (&standardwebhooks.Dialect{}).CheckSubscription(sub)
		e, ok := errors.AsType[*delivery.Error](err)
		if (err != nil) != tt.refused || ok && e.Field != "Secrets" || ok != tt.refused {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "base64 at all") {
			t.Errorf("%s: %v shows the secret", name, err)
		}
	}
}

// TestRequestAllocs guards the hot path: the request itself, its header, URL,
// body, two value lists and the signature.
func TestRequestAllocs(t *testing.T) {
	d := &standardwebhooks.Dialect{}
	dl := delivery.Delivery{EventID: "msg_1", Body: bytes.Repeat([]byte("x"), 512), ContentType: "application/json"}
	sub := subscription(secretA)
	ctx := t.Context()
	got := testing.AllocsPerRun(1000, func() {
		if _, err := d.Request(ctx, dl, sub, at); err != nil {
			t.Fatal(err)
		}
	})
	plain := testing.AllocsPerRun(1000, func() {
		if _, err := delivery.NewRequest(ctx, dl, sub.URL); err != nil {
			t.Fatal(err)
		}
	})
	if got-plain > 5 && !race.Enabled {
		t.Errorf("%v allocations beside the %v of a request", got-plain, plain)
	}
	t.Logf("%v allocations, %v of them for the plain request", got, plain)
	ev := delivery.Event{Type: "invoice.paid", Data: []byte(`{"id": 7, "text": "x"}`), At: at}
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := d.Encode(ev, sub); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("Encode: %v allocations", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	d := &standardwebhooks.Dialect{}
	dl := delivery.Delivery{EventID: "msg_1", Body: bytes.Repeat([]byte("x"), 512), ContentType: "application/json"}
	sub := subscription(secretA)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Request(b.Context(), dl, sub, at); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("invoice.paid", []byte(`{"a": [1, "b\\\" c"]}`), int64(1614265330))
	f.Fuzz(func(t *testing.T, typ string, data []byte, sec int64) {
		var d standardwebhooks.Dialect
		ev := delivery.Event{Type: typ, Data: data, At: time.Unix(sec, 5)}
		p, err := d.Encode(ev, registry.Subscription{})
		if err != nil {
			if !errors.Is(err, delivery.ErrInvalid) {
				t.Error(err)
			}
			return
		}
		var m standardwebhooks.Message
		if err := json.Unmarshal(p.Body, &m); err != nil || m.Type != typ || !m.Timestamp.Equal(ev.At) {
			t.Fatalf("%s reads as %+v, %v", p.Body, m, err)
		}
		var want bytes.Buffer
		if err := json.Compact(&want, data); err != nil || !bytes.Equal(m.Data, want.Bytes()) {
			t.Errorf("data %s, want %s, %v", m.Data, want.Bytes(), err)
		}
	})
}

package verify_test

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/verify"
)

// published are the examples of the platforms' own documentation (GitHub,
// Slack), and for those that give none the output of openssl dgst -hmac.
type published struct {
	format        verify.HMACFormat
	secret        string
	body          string
	at            int64
	header        http.Header
	id, bare      string // bare is the signature alone
	signatureName string
}

const slackBody = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar" +
	"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands" +
	"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"

func platforms() map[string]published {
	rows := map[string]published{
		"github": {
			verify.GitHub(), "It's a Secret to Everybody", "Hello, World!", 1700000000,
			http.Header{"X-Github-Delivery": {"72d3162e-cc78-11e3-81ab-4c9367dc0958"}},
			"72d3162e-cc78-11e3-81ab-4c9367dc0958", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", "X-Hub-Signature-256",
		},
		"stripe": {
			verify.Stripe(), "whsec_test_secret", `{"id":"evt_test_webhook","object":"event"}`, 1492774577,
			http.Header{},
			"", "88a022085c6bdb887b02cb26ff76dd681234d9675c0f22844059f55552a8883a", "Stripe-Signature",
		},
		"slack": {
			verify.Slack(), "8f742231b10e8888abcd99yyyzzz85a5", slackBody, 1531420618,
			http.Header{"X-Slack-Request-Timestamp": {"1531420618"}},
			"", "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503", "X-Slack-Signature",
		},
		"shopify": {
			verify.Shopify(), "shop-secret", `{"id":1}`, 1700000000,
			http.Header{"X-Shopify-Webhook-Id": {"b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"}},
			"b54557e4-bdd9-4b37-8a5f-bf7d70bcd043", "plW8VGqq0nDMIEhDqaNNW99asdUCy7EIqLZVcQwtAZ0=", "X-Shopify-Hmac-Sha256",
		},
	}
	for name, p := range rows {
		value := p.format.Prefix + p.bare
		if p.format.TimestampPrefix != "" {
			value = p.format.TimestampPrefix + strconv.FormatInt(p.at, 10) + "," + value
		}
		p.header.Set(p.signatureName, value)
		rows[name] = p
	}
	return rows
}

func (p published) message() verify.Message {
	return verify.Message{Method: "POST", Host: "hooks.example.com", Path: "/in", Header: p.header.Clone(), Body: []byte(p.body), At: unix(p.at)}
}

func TestPlatforms(t *testing.T) {
	t.Parallel()
	for name, p := range platforms() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := must(verify.NewHMAC(p.format, key("other", "not this one"), key("k", p.secret)))
			id, err := v.Verify(t.Context(), p.message())
			if want := (verify.Identity{Scheme: name, Key: "k", MessageID: p.id}); err != nil || id != want {
				t.Errorf("Verify = %+v, %v, want %+v", id, err, want)
			}
			got, err := must(verify.NewHMAC(p.format, key("k", p.secret))).Sign(p.id, p.message())
			if diff := cmp.Diff(p.header, got); err != nil || diff != "" {
				t.Errorf("Sign: %v, -published +ours:\n%s", err, diff)
			}
		})
	}
}

// TestPlatformAttacks runs each attack against each platform to which it
// applies.
func TestPlatformAttacks(t *testing.T) {
	t.Parallel()
	set := func(change func(p published, value string) string) func(*verify.Message, published) {
		return func(m *verify.Message, p published) {
			m.Header.Set(p.signatureName, change(p, m.Header.Get(p.signatureName)))
		}
	}
	swap := func(change func(p published, signature string) string) func(*verify.Message, published) {
		return set(func(p published, value string) string { return strings.Replace(value, p.bare, change(p, p.bare), 1) })
	}
	tests := map[string]func(*verify.Message, published){
		"A-SIG-24 tampered body":   func(m *verify.Message, _ published) { m.Body = append(m.Body, ' ') },
		"A-SIG-24 empty body":      func(m *verify.Message, _ published) { m.Body = nil },
		"A-SIG-24 BOM":             func(m *verify.Message, _ published) { m.Body = append([]byte("\ufeff"), m.Body...) },
		"A-SIG-20 no signature":    func(m *verify.Message, p published) { m.Header.Del(p.signatureName) },
		"A-SIG-20 signature twice": func(m *verify.Message, p published) { m.Header.Add(p.signatureName, m.Header.Get(p.signatureName)) },
		"A-SIG-20 good one behind": func(m *verify.Message, p published) {
			m.Header[p.signatureName] = []string{"x", m.Header.Get(p.signatureName)}
		},
		"A-SIG-22 empty header":        set(func(published, string) string { return "" }),
		"A-SIG-22 empty signature":     swap(func(published, string) string { return "" }),
		"A-SIG-22 cut signature":       swap(func(_ published, s string) string { return s[:len(s)-2] }),
		"A-SIG-22 longer signature":    swap(func(_ published, s string) string { return s + s[:2] }),
		"A-SIG-22 all zero":            swap(func(p published, s string) string { return zeroLike(s) }),
		"A-SIG-22 other encoding":      swap(func(p published, s string) string { return recoded(p.format.Encoding, s) }),
		"A-SIG-22 blank before":        set(func(_ published, v string) string { return " " + v }),
		"A-SIG-22 blank behind":        set(func(_ published, v string) string { return v + " " }),
		"A-SIG-22 blank in the middle": swap(func(_ published, s string) string { return " " + s }),
		"A-SIG-22 unknown version":     set(func(p published, v string) string { return strings.Replace(v, orBare(p), "v9="+p.bare, 1) }),
		"A-SIG-22 newline inside":      swap(func(_ published, s string) string { return s[:10] + "\n" + s[10:] }),
		"A-FLOOD-06 64 KiB header":     set(func(p published, v string) string { return strings.Repeat(orBare(p)+",", 64<<10/60) + v }),
		"A-FLOOD-06 64 KiB of commas":  set(func(_ published, v string) string { return v + strings.Repeat(",", 64<<10) }),
		"signature cut off by a NUL":   set(func(_ published, v string) string { return v + "\x00" }),
	}
	timed := map[string]func(*verify.Message, published){
		"A-SIG-19 replay outside the window, past":   func(m *verify.Message, _ published) { m.At = m.At.Add(301 * time.Second) },
		"A-SIG-19 replay outside the window, future": func(m *verify.Message, _ published) { m.At = m.At.Add(-301 * time.Second) },
		"tampered timestamp":                         stamped(func(s string) string { return s[:9] + "9" }),
		"A-SIG-25 plus":                              stamped(func(s string) string { return "+" + s }),
		"A-SIG-25 leading zero":                      stamped(func(s string) string { return "0" + s }),
		"A-SIG-25 fraction":                          stamped(func(s string) string { return s + ".0" }),
		"A-SIG-25 milliseconds":                      stamped(func(s string) string { return s + "000" }),
		"A-SIG-25 empty":                             stamped(func(string) string { return "" }),
		"A-SIG-25 MinInt64":                          stamped(func(string) string { return "-9223372036854775808" }),
	}
	for name, p := range platforms() {
		v := must(verify.NewHMAC(p.format, key("k", p.secret)))
		attacks := tests
		if p.format.Signed != "" && strings.Contains(p.format.Signed, "{timestamp}") {
			attacks = map[string]func(*verify.Message, published){}
			for _, m := range []map[string]func(*verify.Message, published){tests, timed} {
				maps.Copy(attacks, m)
			}
		}
		for attack, change := range attacks {
			t.Run(name+" "+attack, func(t *testing.T) {
				t.Parallel()
				m := p.message()
				change(&m, p)
				if cmp.Equal(m, p.message()) {
					t.Fatal("the attack changes nothing")
				}
				id, err := v.Verify(t.Context(), m)
				if err == nil || id != (verify.Identity{}) {
					t.Fatalf("accepted: %+v", id)
				}
				if strings.Contains(err.Error(), p.bare) || strings.Contains(err.Error(), p.secret) {
					t.Errorf("the error shows too much: %v", err)
				}
			})
		}
	}
}

// orBare is the signature with its prefix.
func orBare(p published) string { return p.format.Prefix + p.bare }

func zeroLike(s string) string {
	if len(s) == 44 {
		return strings.Repeat("A", 43) + "="
	}
	return strings.Repeat("0", len(s))
}

func recoded(e verify.Encoding, s string) string {
	if e == verify.Hex {
		return "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc="
	}
	return "a655bc546aaad270cc204843a9a34d5bdf5ab1d502cbb108a8b655710c2d019d"
}

// stamped changes the time of sending, wherever it stands.
func stamped(change func(string) string) func(*verify.Message, published) {
	return func(m *verify.Message, p published) {
		at := strconv.FormatInt(p.at, 10)
		if p.format.TimestampHeader != "" {
			m.Header[p.format.TimestampHeader] = []string{change(at)}
			return
		}
		m.Header.Set(p.signatureName, strings.Replace(m.Header.Get(p.signatureName), at, change(at), 1))
	}
}

func TestStripeList(t *testing.T) {
	t.Parallel()
	p := platforms()["stripe"]
	old := "aed64a3c4c277a17c2a83b486f08da11442d772bc6e44361371cabce6d56f8af" // under whsec_old_secret
	both := must(verify.NewHMAC(p.format, key("new", p.secret), verify.Key{ID: "old", Secret: []byte("whsec_old_secret"), NotAfter: unix(p.at)}))
	for _, tt := range []struct {
		name, value string
		after       int64
		key         string
		want        error
	}{
		{"new", "t=1492774577,v1=" + p.bare, 0, "new", nil},
		{"upper case digits", "t=1492774577,v1=" + strings.ToUpper(p.bare), 0, "new", nil},
		{"old inside its grace A-SIG-31", "t=1492774577,v1=" + old, 0, "old", nil},
		{"old after its grace A-SIG-31", "t=1492774577,v1=" + old, 1, "", verify.ErrMismatch},
		{"both", "t=1492774577,v1=" + old + ",v1=" + p.bare, 1, "new", nil},
		{"v0 skipped", "t=1492774577,v0=" + old + ",v1=" + p.bare, 0, "new", nil},
		{"time behind", "v1=" + p.bare + ",t=1492774577", 0, "new", nil},
		{"late edge A-SIG-18", "t=1492774577,v1=" + p.bare, 300, "new", nil},
		{"early edge A-SIG-18", "t=1492774577,v1=" + p.bare, -300, "new", nil},
		{"63 signatures", "t=1492774577" + strings.Repeat(",v1="+zeroLike(p.bare), 62) + ",v1=" + p.bare, 0, "new", nil},
		{"64 signatures A-SIG-23", "t=1492774577,v1=" + p.bare + strings.Repeat(",v1="+zeroLike(p.bare), 63), 0, "", verify.ErrMalformed},
		{"A-FLOOD-06 60 KiB in one item", "t=1492774577,x=" + strings.Repeat("x", 60<<10) + ",v1=" + p.bare, 0, "", verify.ErrMalformed},
		{"only v0 A-SIG-22", "t=1492774577,v0=" + p.bare, 0, "", verify.ErrMismatch},
		{"capital version A-SIG-22", "t=1492774577,V1=" + p.bare, 0, "", verify.ErrMismatch},
		{"blank behind the comma", "t=1492774577, v1=" + p.bare, 0, "", verify.ErrMismatch},
		{"no time A-SIG-20", "v1=" + p.bare, 0, "", verify.ErrMissing},
		{"time twice A-SIG-20", "t=1492774577,t=1492774578,v1=" + p.bare, 0, "", verify.ErrRepeated},
		{"same time twice A-SIG-20", "t=1492774577,t=1492774577,v1=" + p.bare, 0, "", verify.ErrRepeated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := p.message()
			m.Header.Set("Stripe-Signature", tt.value)
			m.At = unix(p.at + tt.after)
			id, err := both.Verify(t.Context(), m)
			wantError(t, err, tt.want)
			if id.Key != tt.key {
				t.Errorf("key %q, want %q", id.Key, tt.key)
			}
		})
	}
	m := p.message()
	got, err := both.Sign("", m)
	many := []verify.Key{key("", "first")}
	for range 70 {
		many = append(many, key("", "s"))
	}
	crowd := must(verify.NewHMAC(p.format, many...))
	m.Header = must(crowd.Sign("", m))
	if id, err := crowd.Verify(t.Context(), m); err != nil || id.Key != "0" {
		t.Errorf("own list of many secrets: %+v, %v", id, err)
	}
	if want := "t=1492774577,v1=" + p.bare + ",v1=" + old; err != nil || got.Get("Stripe-Signature") != want {
		t.Errorf("Sign with two secrets = %v, %v", got, err)
	}
}

func TestHMACSign(t *testing.T) {
	t.Parallel()
	gh := must(verify.NewHMAC(verify.GitHub(), verify.Key{ID: "next", Secret: []byte("b"), NotBefore: unix(100)}, verify.Key{ID: "now", Secret: []byte("a"), NotAfter: unix(200)}))
	for at, want := range map[int64]string{99: "now", 100: "next"} {
		m := verify.Message{Body: []byte("x"), At: unix(at)}
		h, err := gh.Sign("d-1", m)
		if err != nil {
			t.Fatal(err)
		}
		m.Header = h
		if id, err := gh.Verify(t.Context(), m); err != nil || id.Key != want || id.MessageID != "d-1" {
			t.Errorf("at %d: %+v, %v", at, id, err)
		}
	}
	for name, id := range map[string]string{"empty": "", "blank": "a b", "line break": "a\nb", "long": strings.Repeat("a", 257)} {
		_, err := gh.Sign(id, verify.Message{At: unix(1)})
		if wantError(t, err, verify.ErrMalformed); err == nil {
			t.Errorf("A-HDR-17 %s id signed", name)
		}
	}
	stripe := must(verify.NewHMAC(verify.Stripe(), verify.Key{Secret: []byte("a"), NotAfter: unix(9)}))
	_, err := stripe.Sign("id", verify.Message{At: unix(1)})
	wantError(t, err, verify.ErrMalformed)
	_, err = stripe.Sign("", verify.Message{At: unix(10)})
	wantError(t, err, verify.ErrEmptyKey)
	for _, at := range []time.Time{{}, unix(-1), unix(100_000_000_000)} {
		_, err = must(verify.NewHMAC(verify.Stripe(), key("", "a"))).Sign("", verify.Message{At: at})
		wantError(t, err, verify.ErrMalformed)
	}
	_, err = verify.HMAC{}.Sign("", verify.Message{})
	wantError(t, err, verify.ErrConfig)
	_, err = verify.HMAC{}.Verify(t.Context(), verify.Message{})
	wantError(t, err, verify.ErrConfig)
	if h, _ := gh.Sign("d", verify.Message{At: unix(1)}); !slices.Equal(h["X-Github-Delivery"], []string{"d"}) {
		t.Errorf("the id is not among the headers: %v", h)
	}
}

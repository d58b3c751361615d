package verify_test

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/ringback-go/ringback/verify"
)

// The pair and the signature of the asymmetric test of the Svix server, the
// reference for v1a.
const (
	swPrivate = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	swSeed    = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="
	swPublic  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
	swGoodV1a = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)

func TestStandardV1a(t *testing.T) {
	t.Parallel()
	public := must(verify.NewStandard(0, key("pk", swPublic)))
	both := must(verify.NewStandard(0, key("sec", swSecret), key("pk", swPublic)))
	zero := "v1a," + base64.StdEncoding.EncodeToString(make([]byte, 64))
	private, _ := verify.GenerateKeyPair()
	other := must(must(verify.NewStandard(0, key("", private))).Sign(swID, unix(swNow), []byte(swBody)))
	tests := []struct {
		name  string
		v     verify.Standard
		list  string
		body  string
		after int64
		want  error
		key   string
	}{
		{"the published vector", public, swGoodV1a, swBody, 0, nil, "pk"},
		{"A-SIG-18 late edge", public, swGoodV1a, swBody, 300, nil, "pk"},
		{"A-SIG-18 early edge", public, swGoodV1a, swBody, -300, nil, "pk"},
		{"A-SIG-19 replay outside the window, past", public, swGoodV1a, swBody, 301, verify.ErrExpired, ""},
		{"A-SIG-19 replay outside the window, future", public, swGoodV1a, swBody, -301, verify.ErrNotYet, ""},
		{"A-SIG-21 second entry good", public, zero + " " + swGoodV1a, swBody, 0, nil, "pk"},
		{"A-SIG-21 unknown versions before it", public, "v9,AAAA v2a,BBBB " + swGoodV1a, swBody, 0, nil, "pk"},
		{"mixed list, symmetric key matches", both, swGood + " " + swGoodV1a, swBody, 0, nil, "sec"},
		{"mixed list, only v1a matches", both, "v1," + base64.StdEncoding.EncodeToString(make([]byte, 32)) + " " + swGoodV1a, swBody, 0, nil, "pk"},
		{"mixed keys, only v1a sent", both, swGoodV1a, swBody, 0, nil, "pk"},
		{"another pair's signature", public, other, swBody, 0, verify.ErrMismatch, ""},
		{"A-SIG-22 only v1 for a public key", public, swGood, swBody, 0, verify.ErrMismatch, ""},
		{"A-SIG-22 only an unknown version", public, "v2a," + swGoodV1a[4:], swBody, 0, verify.ErrMismatch, ""},
		{"A-SIG-22 capital version", public, "V1a," + swGoodV1a[4:], swBody, 0, verify.ErrMismatch, ""},
		{"A-SIG-22 capital letter behind the digit", public, "v1A," + swGoodV1a[4:], swBody, 0, verify.ErrMismatch, ""},
		{"A-SIG-22 equals sign", public, "v1a=" + swGoodV1a[4:], swBody, 0, verify.ErrMismatch, ""},
		{"A-SIG-22 tagged v1", both, "v1," + swGoodV1a[4:], swBody, 0, verify.ErrMismatch, ""},
		{"A-SIG-22 unpadded", public, strings.TrimRight(swGoodV1a, "="), swBody, 0, verify.ErrMismatch, ""},
		{"A-SIG-22 URL alphabet", public, strings.NewReplacer("+", "-", "/", "_").Replace(swGoodV1a), swBody, 0, verify.ErrMismatch, ""},
		{"A-SIG-22 cut by one character", public, swGoodV1a[:len(swGoodV1a)-1], swBody, 0, verify.ErrMismatch, ""},
		{"A-SIG-22 cut by a block", public, swGoodV1a[:len(swGoodV1a)-4], swBody, 0, verify.ErrMismatch, ""},
		{"A-SIG-22 empty signature", public, "v1a,", swBody, 0, verify.ErrMismatch, ""},
		{"A-SIG-22 junk behind", public, swGoodV1a + ",junk", swBody, 0, verify.ErrMismatch, ""},
		{"A-SIG-22 tab for a space", public, zero + "\t" + swGoodV1a, swBody, 0, verify.ErrMismatch, ""},
		{"all zero", public, zero, swBody, 0, verify.ErrMismatch, ""},
		{"stray last bits", public, strings.Replace(swGoodV1a, "TBAg==", "TBAh==", 1), swBody, 0, verify.ErrMismatch, ""},
		{"8 entries", public, strings.Repeat(zero+" ", 7) + swGoodV1a, swBody, 0, nil, "pk"},
		{"A-SIG-23 9 entries", public, strings.Repeat(zero+" ", 8) + swGoodV1a, swBody, 0, verify.ErrMalformed, ""},
		{"A-SIG-23 9 entries, good one first", public, swGoodV1a + strings.Repeat(" "+zero, 8), swBody, 0, verify.ErrMalformed, ""},
		{"A-FLOOD-06 64 KiB of signatures", public, strings.Repeat("v1a,A ", 64<<10/6) + swGoodV1a, swBody, 0, verify.ErrMalformed, ""},
		{"A-SIG-24 tampered body", public, swGoodV1a, swBody + " ", 0, verify.ErrMismatch, ""},
		{"A-SIG-24 empty body", public, swGoodV1a, "", 0, verify.ErrMismatch, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := swMessage(swID, "1614265330", tt.list, tt.body)
			m.At = unix(swNow + tt.after)
			id, err := tt.v.Verify(t.Context(), m)
			wantError(t, err, tt.want)
			want := verify.Identity{}
			if tt.want == nil {
				want = verify.Identity{Scheme: "standard", Key: tt.key, MessageID: swID}
			}
			if id != want {
				t.Errorf("identity %+v, want %+v", id, want)
			}
		})
	}
	for name, stamp := range map[string]string{"A-SIG-25 other second": "1614265331", "A-SIG-25 plus": "+1614265330"} {
		_, err := public.Verify(t.Context(), swMessage(swID, stamp, swGoodV1a, swBody))
		if err == nil {
			t.Errorf("%s: tampered timestamp accepted", name)
		}
	}
	m := swMessage(swID, "1614265330", swGoodV1a, swBody)
	m.Header.Add("webhook-signature", swGoodV1a)
	_, err := public.Verify(t.Context(), m)
	wantError(t, err, verify.ErrRepeated) // A-SIG-20
}

func TestStandardV1aSign(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"64 bytes": swPrivate, "seed": swSeed} {
		got, err := must(verify.NewStandard(0, key("", text))).Sign(swID, unix(swNow), []byte(swBody))
		if err != nil || got != swGoodV1a {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	mixed := must(verify.NewStandard(0, key("a", swSecret), key("b", swPrivate), key("c", swPublic)))
	if got, err := mixed.Sign(swID, unix(swNow), []byte(swBody)); err != nil || got != swGood+" "+swGoodV1a {
		t.Errorf("mixed: %q, %v", got, err)
	}
	_, err := must(verify.NewStandard(0, key("", swPublic))).Sign(swID, unix(swNow), nil)
	wantError(t, err, verify.ErrConfig)
	var many []verify.Key
	for i := range 9 {
		private, _ := verify.GenerateKeyPair()
		many = append(many, key(strconv.Itoa(i), private))
	}
	_, err = must(verify.NewStandard(0, many...)).Sign(swID, unix(swNow), nil)
	wantError(t, err, verify.ErrConfig)
	ended := must(verify.NewStandard(0, verify.Key{Secret: []byte(swPrivate), NotAfter: unix(swNow - 1)}))
	_, err = ended.Sign(swID, unix(swNow), nil)
	wantError(t, err, verify.ErrEmptyKey)
}

func TestNewStandardAsymmetricRefuses(t *testing.T) {
	t.Parallel()
	b64 := func(n int, fill byte) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = fill
		}
		return base64.StdEncoding.EncodeToString(b)
	}
	swapped := strings.Replace(swPrivate, "Kvg==", "Kvw==", 1)
	for _, tt := range []struct {
		name string
		keys []verify.Key
		want error
	}{
		{"public prefix alone", []verify.Key{key("", "whpk_")}, verify.ErrEmptyKey},
		{"private prefix alone", []verify.Key{key("", "whsk_")}, verify.ErrEmptyKey},
		{"public, 31 bytes", []verify.Key{key("", "whpk_"+b64(31, 7))}, verify.ErrConfig},
		{"private as public", []verify.Key{key("", "whpk_"+swPrivate[5:])}, verify.ErrConfig},
		{"private, 33 bytes", []verify.Key{key("", "whsk_"+b64(33, 7))}, verify.ErrConfig},
		{"halves of two pairs", []verify.Key{key("", swapped)}, verify.ErrConfig},
		{"point of small order", []verify.Key{key("", "whpk_"+b64(32, 0))}, verify.ErrConfig},
		{"newline", []verify.Key{key("", swPublic+"\n")}, verify.ErrConfig},
		{"capital prefix", []verify.Key{key("", "WHPK_"+swPublic[5:])}, verify.ErrConfig},
		{"A-SIG-30 the public key as a secret beside it", []verify.Key{key("a", "whsec_"+swPublic[5:]), key("b", swPublic)}, verify.ErrConfig},
		{"A-SIG-30 the same with the private key", []verify.Key{key("a", "whsec_"+swPublic[5:]), key("b", swPrivate)}, verify.ErrConfig},
		{"ends before it begins", []verify.Key{{Secret: []byte(swPublic), NotBefore: unix(2), NotAfter: unix(1)}}, verify.ErrConfig},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := verify.NewStandard(0, tt.keys...)
			wantError(t, err, tt.want)
			if err != nil && (strings.Contains(err.Error(), "6Xb/") || strings.Contains(err.Error(), "1SiA")) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

// TestStandardPublicKeyAsSecret: A-SIG-30. An attacker knows the public key
// and makes a v1 entry with it; the receiver has nothing but that key.
func TestStandardPublicKeyAsSecret(t *testing.T) {
	t.Parallel()
	forger := must(verify.NewStandard(0, key("", "whsec_"+swPublic[5:])))
	list, err := forger.Sign(swID, unix(swNow), []byte(swBody))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"public": swPublic, "private": swPrivate} {
		v := must(verify.NewStandard(0, key("", text)))
		for _, entry := range []string{list, "v1a," + list[3:]} {
			if _, err := v.Verify(t.Context(), swMessage(swID, "1614265330", entry, swBody)); err == nil {
				t.Errorf("%s key: forged entry accepted", name)
			}
		}
	}
}

// TestKeySpan: both ends of a key's life, of every kind that has one.
func TestKeySpan(t *testing.T) {
	t.Parallel()
	for _, text := range []string{swSecret, swPrivate} {
		v := must(verify.NewStandard(0, verify.Key{Secret: []byte(text), NotBefore: unix(swNow), NotAfter: unix(swNow + 10)}))
		list, err := v.Sign(swID, unix(swNow), []byte(swBody))
		if err != nil {
			t.Fatal(err)
		}
		for after, ok := range map[int64]bool{-1: false, 0: true, 10: true, 11: false} { // A-SIG-31
			m := swMessage(swID, "1614265330", list, swBody)
			m.At = unix(swNow + after)
			if _, err := v.Verify(t.Context(), m); (err == nil) != ok {
				t.Errorf("%s… after %d s: %v", text[:5], after, err)
			}
			if _, err := v.Sign(swID, m.At, nil); (err == nil) != ok {
				t.Errorf("%s… signing after %d s: %v", text[:5], after, err)
			}
		}
	}
	later := must(verify.NewTencentSign(0, verify.Key{ID: "next", Secret: []byte("other"), NotBefore: unix(tencentNow + 1)}, key("now", "xxxxyyyy")))
	if sign, _ := later.Sign(unix(tencentNow)); sign != tencentGood {
		t.Error("a token was used before its time")
	}
	old, _ := must(verify.NewTencentSign(0, key("", "xxxxyyyy"))).Sign(unix(tencentNow + 1))
	if sign, _ := later.Sign(unix(tencentNow + 1)); sign == "" || sign == old {
		t.Error("the next token was not used at its time")
	}
}

// TestMixedAgainstReference: the official library, which knows v1 alone,
// skips our v1a entries; a verifier of both kinds takes its v1.
func TestMixedAgainstReference(t *testing.T) {
	t.Parallel()
	secret := verify.GenerateSecret()
	private, _ := verify.GenerateKeyPair()
	ours := must(verify.NewStandard(0, key("a", private), key("s", secret)))
	theirs, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	list, err := ours.Sign(swID, unix(swNow), []byte(swBody))
	if err != nil || !strings.HasPrefix(list, "v1a,") {
		t.Fatalf("Sign = %q, %v", list, err)
	}
	if err := theirs.VerifyIgnoringTimestamp([]byte(swBody), swHeader(swID, "1614265330", list)); err != nil {
		t.Errorf("the reference refuses our list: %v", err)
	}
	list, err = theirs.Sign(swID, unix(swNow), []byte(swBody))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := ours.Verify(t.Context(), swMessage(swID, "1614265330", list, swBody)); err != nil || id.Key != "s" {
		t.Errorf("we refuse the reference's signature: %+v, %v", id, err)
	}
}

// FuzzStandardV1a: nothing is accepted but the one signed message.
func FuzzStandardV1a(f *testing.F) {
	v := must(verify.NewStandard(0, key("", swPublic)))
	f.Add(swID, swGoodV1a, []byte(swBody))
	f.Add("a.b", "v1a, v1a,\n v1,AA", []byte{})
	f.Fuzz(func(t *testing.T, id, list string, body []byte) {
		m := verify.Message{Header: http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {"1614265330"}, "Webhook-Signature": {list}}, Body: body, At: unix(swNow)}
		if _, err := v.Verify(t.Context(), m); err == nil && (id != swID || string(body) != swBody) {
			t.Fatalf("forged: id %q, body %q", id, body)
		}
	})
}

// FuzzStandardKey: no text panics, and no error shows it.
func FuzzStandardKey(f *testing.F) {
	for _, s := range []string{swSecret, swPrivate, swPublic, swSeed, "whsk_", "_", "whpk_AA=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := verify.NewStandard(0, key("", text))
		if err != nil {
			if len(text) > 12 && strings.Contains(err.Error(), text[5:]) {
				t.Fatalf("%v shows the key", err)
			}
			return
		}
		list, err := v.Sign(swID, unix(swNow), nil)
		if err != nil {
			return // a public key
		}
		if _, err := v.Verify(t.Context(), swMessage(swID, "1614265330", list, "")); err != nil {
			t.Fatalf("own signature: %v", err)
		}
	})
}

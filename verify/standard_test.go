package verify_test

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/ringback-go/ringback/verify"
)

const (
	swSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	swOld    = "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"
	swID     = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	swBody   = `{"test": 2432232314}`
	swGood   = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	swNow    = 1614265330
)

func swHeader(id, stamp, signature string) http.Header {
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", stamp)
	h.Set("webhook-signature", signature)
	return h
}

func swMessage(id, stamp, signature, body string) verify.Message {
	return verify.Message{Header: swHeader(id, stamp, signature), Body: []byte(body), At: unix(swNow)}
}

func TestStandard(t *testing.T) {
	t.Parallel()
	v := must(verify.NewStandard(0, key("now", swSecret)))
	zero := "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	raw, err := base64.StdEncoding.DecodeString(swGood[3:])
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, id, stamp, list string
		want                  error
	}{
		{"one entry", swID, "1614265330", swGood, nil},
		{"second entry", swID, "1614265330", zero + " " + swGood, nil},
		{"other versions", swID, "1614265330", "v9,AAAA v1a,BBBB " + swGood, nil},
		{"spaces around", swID, "1614265330", " " + zero + "  " + swGood + " ", nil},
		{"64 entries", swID, "1614265330", strings.Repeat(zero+" ", 63) + swGood, nil},
		{"65 entries", swID, "1614265330", strings.Repeat(zero+" ", 64) + swGood, verify.ErrMalformed},
		{"65 entries, good one first", swID, "1614265330", swGood + strings.Repeat(" "+zero, 64), verify.ErrMalformed},
		{"65 spaces", swID, "1614265330", swGood + strings.Repeat(" ", 64), verify.ErrMalformed},
		{"zero", swID, "1614265330", zero, verify.ErrMismatch},
		{"asymmetric version", swID, "1614265330", "v1a," + swGood[3:], verify.ErrMismatch},
		{"capital version", swID, "1614265330", "V1," + swGood[3:], verify.ErrMismatch},
		{"equals sign", swID, "1614265330", "v1=" + swGood[3:], verify.ErrMismatch},
		{"junk behind", swID, "1614265330", swGood + ",junk", verify.ErrMismatch},
		{"bare", swID, "1614265330", swGood[3:], verify.ErrMismatch},
		{"unpadded", swID, "1614265330", strings.TrimRight(swGood, "="), verify.ErrMismatch},
		{"URL alphabet", swID, "1614265330", strings.NewReplacer("+", "-", "/", "_").Replace(swGood), verify.ErrMismatch},
		{"stray last bits", swID, "1614265330", strings.Replace(swGood, "OE=", "OF=", 1), verify.ErrMismatch},
		{"newline inside", swID, "1614265330", swGood[:10] + "\n" + swGood[11:], verify.ErrMismatch},
		{"hex", swID, "1614265330", "v1," + hexOf(raw), verify.ErrMismatch},
		{"empty entry", swID, "1614265330", "v1,", verify.ErrMismatch},
		{"empty list", swID, "1614265330", "", verify.ErrMissing},
		{"tab instead of space", swID, "1614265330", zero + "\t" + swGood, verify.ErrMismatch},
		{"comma list", swID, "1614265330", zero + "," + swGood, verify.ErrMismatch},
		{"empty id", "", "1614265330", swGood, verify.ErrMissing},
		{"id with a dot", "a.b", "1614265330", swGood, verify.ErrMalformed},
		{"id with a space", "a b", "1614265330", swGood, verify.ErrMalformed},
		{"id beyond ASCII", "ü", "1614265330", swGood, verify.ErrMalformed},
		{"long id", strings.Repeat("a", 257), "1614265330", swGood, verify.ErrMalformed},
		{"other id", "msg", "1614265330", swGood, verify.ErrMismatch},
		{"empty timestamp", swID, "", swGood, verify.ErrMissing},
		{"other timestamp", swID, "1614265331", swGood, verify.ErrMismatch},
		{"plus", swID, "+1614265330", swGood, verify.ErrMalformed},
		{"minus", swID, "-1614265330", swGood, verify.ErrMalformed},
		{"leading zero", swID, "01614265330", swGood, verify.ErrMalformed},
		{"twelve digits", swID, "161426533000", swGood, verify.ErrMalformed},
		{"eleven digits", swID, "99999999999", swGood, verify.ErrNotYet},
		{"zero timestamp", swID, "0", swGood, verify.ErrExpired},
		{"space", swID, "1614265330 ", swGood, verify.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			id, err := v.Verify(t.Context(), swMessage(tt.id, tt.stamp, tt.list, swBody))
			wantError(t, err, tt.want)
			if want := (verify.Identity{Scheme: "standard", Key: "now", MessageID: swID}); err == nil && id != want {
				t.Errorf("identity %+v, want %+v", id, want)
			}
			if err != nil && id != (verify.Identity{}) {
				t.Errorf("identity %+v with an error", id)
			}
		})
	}
	for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
		m := swMessage(swID, "1614265330", swGood, swBody)
		m.Header[name] = append(m.Header[name], m.Header[name][0])
		_, err := v.Verify(t.Context(), m)
		wantError(t, err, verify.ErrRepeated)
		delete(m.Header, name)
		_, err = v.Verify(t.Context(), m)
		wantError(t, err, verify.ErrMissing)
	}
	for _, body := range []string{"", swBody + " ", "\ufeff" + swBody, `{"test":2432232314}`} {
		_, err := v.Verify(t.Context(), swMessage(swID, "1614265330", swGood, body))
		wantError(t, err, verify.ErrMismatch)
	}
}

func hexOf(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteString(strconv.FormatInt(int64(c)+256, 16)[1:])
	}
	return s.String()
}

func TestStandardTolerance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		tolerance time.Duration
		after     time.Duration
		want      error
	}{
		{"late edge", 0, 300 * time.Second, nil},
		{"too late", 0, 300*time.Second + 1, verify.ErrExpired},
		{"early edge", 0, -300 * time.Second, nil},
		{"too early", 0, -300*time.Second - 1, verify.ErrNotYet},
		{"own tolerance", time.Second, 2 * time.Second, verify.ErrExpired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := must(verify.NewStandard(tt.tolerance, key("", swSecret)))
			m := swMessage(swID, "1614265330", swGood, swBody)
			m.At = m.At.Add(tt.after)
			_, err := v.Verify(t.Context(), m)
			wantError(t, err, tt.want)
		})
	}
}

func TestNewStandardRefuses(t *testing.T) {
	t.Parallel()
	of := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, tt := range []struct {
		name, secret string
		want         error
	}{
		{"empty", "", verify.ErrEmptyKey},
		{"prefix alone", "whsec_", verify.ErrEmptyKey},
		{"3 bytes", "whsec_AAAA", verify.ErrConfig},
		{"23 bytes", of(23), verify.ErrConfig},
		{"24 bytes", of(24), nil},
		{"64 bytes", of(64), nil},
		{"65 bytes", of(65), verify.ErrConfig},
		{"not base64", "whsec_!!!", verify.ErrConfig},
		{"unpadded", strings.TrimRight(of(25), "="), verify.ErrConfig},
		{"newline", of(24) + "\n", verify.ErrConfig},
		{"no prefix", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", verify.ErrConfig},
		{"public key", "whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", verify.ErrConfig},
		{"private key", "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", verify.ErrConfig},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := verify.NewStandard(0, key("", tt.secret))
			wantError(t, err, tt.want)
			if err != nil && len(tt.secret) > 6 && strings.Contains(err.Error(), tt.secret[6:]) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
	_, err := verify.NewStandard(-1, key("", swSecret))
	wantError(t, err, verify.ErrConfig)
	_, err = verify.NewStandard(0)
	wantError(t, err, verify.ErrEmptyKey)
}

func TestStandardRotation(t *testing.T) {
	t.Parallel()
	both := must(verify.NewStandard(0, key("new", swSecret), verify.Key{ID: "old", Secret: []byte(swOld), NotAfter: unix(swNow)}))
	one := must(verify.NewStandard(0, key("new", swSecret)))
	during, err := both.Sign(swID, unix(swNow), []byte(swBody))
	if err != nil || strings.Count(during, "v1,") != 2 || !strings.HasPrefix(during, swGood+" v1,") {
		t.Fatalf("Sign = %q, %v, want two entries", during, err)
	}
	if after, err := both.Sign(swID, unix(swNow+1), []byte(swBody)); err != nil || strings.Contains(after, " ") {
		t.Errorf("Sign after the end = %q, %v, want one entry", after, err)
	}
	for name, v := range map[string]verify.Standard{"both": both, "new alone": one, "old alone": must(verify.NewStandard(0, key("old", swOld)))} {
		if _, err := v.Verify(t.Context(), swMessage(swID, "1614265330", during, swBody)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended := must(verify.NewStandard(0, verify.Key{Secret: []byte(swOld), NotAfter: unix(swNow - 1)}))
	_, err = ended.Sign(swID, unix(swNow), nil)
	wantError(t, err, verify.ErrEmptyKey)
}

func TestStandardSignRefuses(t *testing.T) {
	t.Parallel()
	v := must(verify.NewStandard(0, key("", swSecret)))
	for _, id := range []string{"", "a.b", "a b", "ü", "a\n", strings.Repeat("a", 257)} {
		_, err := v.Sign(id, unix(swNow), nil)
		wantError(t, err, verify.ErrMalformed)
	}
	for _, at := range []time.Time{unix(-1), {}, unix(100_000_000_000)} {
		_, err := v.Sign("a", at, nil)
		wantError(t, err, verify.ErrMalformed)
	}
}

// TestStandardAgainstReference runs the official library in both directions.
// Its verifier reads the clock, so that its tolerance check is left out.
func TestStandardAgainstReference(t *testing.T) {
	t.Parallel()
	for range 20 {
		secret := verify.GenerateSecret()
		ours := must(verify.NewStandard(0, key("", secret)))
		theirs, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{"", swBody, "\x00\xff", strings.Repeat("x", 100_000)} {
			sign, err := ours.Sign(swID, unix(swNow), []byte(body))
			if err != nil {
				t.Fatal(err)
			}
			if err := theirs.VerifyIgnoringTimestamp([]byte(body), swHeader(swID, "1614265330", sign)); err != nil {
				t.Errorf("the reference refuses our signature: %v", err)
			}
			sign, err = theirs.Sign(swID, unix(swNow), []byte(body))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ours.Verify(t.Context(), swMessage(swID, "1614265330", sign, body)); err != nil {
				t.Errorf("we refuse the reference's signature: %v", err)
			}
		}
	}
}

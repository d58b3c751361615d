package verify_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/verify"
)

const (
	tencentNow  = 1669872112
	tencentGood = "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061"
	tencentTail = "&Sign=" + tencentGood + "&RequestTime=1669872112"
)

func signFor(token, requestTime string) string {
	sum := sha256.Sum256([]byte(token + requestTime))
	return hex.EncodeToString(sum[:])
}

func TestAppID(t *testing.T) {
	t.Parallel()
	v := must(verify.NewAppID("1400000001", "1400000002"))
	tests := []struct {
		name, query, subject string
		want                 error
	}{
		{"first", "SdkAppid=1400000001", "1400000001", nil},
		{"second, escaped", "x=1&SdkAppid=%31400000002", "1400000002", nil},
		{"foreign", "SdkAppid=1400000003", "", verify.ErrUnknown},
		{"missing", "x=1", "", verify.ErrMissing},
		{"empty", "SdkAppid=", "", verify.ErrMissing},
		{"twice, equal", "SdkAppid=1400000001&SdkAppid=1400000001", "", verify.ErrRepeated},
		{"twice, one hidden", "SdkAppid=1400000001&SdkAp%70id=1400000001", "", verify.ErrRepeated},
		{"name in other case", "sdkappid=1400000001", "", verify.ErrMissing},
		{"plus sign", "SdkAppid=%2B1400000001", "", verify.ErrUnknown},
		{"plus as space", "SdkAppid=+1400000001", "", verify.ErrUnknown},
		{"leading zero", "SdkAppid=01400000001", "", verify.ErrUnknown},
		{"trailing NUL", "SdkAppid=1400000001%00", "", verify.ErrUnknown},
		{"full-width digit", "SdkAppid=%EF%BC%91400000001", "", verify.ErrUnknown},
		{"equal modulo 2^32", "SdkAppid=5694967297", "", verify.ErrUnknown},
		{"semicolon", "SdkAppid=1400000001;x=1", "", verify.ErrMalformed},
		{"broken escape", "SdkAppid=1400000001&x=%zz", "", verify.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			id, err := v.Verify(t.Context(), verify.Message{RawQuery: tt.query})
			wantError(t, err, tt.want)
			if id.Subject != tt.subject {
				t.Errorf("subject %q, want %q", id.Subject, tt.subject)
			}
		})
	}
	for _, ids := range [][]string{nil, {""}, {"0"}, {"01"}, {"+1"}, {"-1"}, {"1 "}, {"1", "x"}, {"99999999999999999999"}} {
		_, err := verify.NewAppID(ids...)
		wantError(t, err, verify.ErrConfig)
	}
}

func TestTencentSign(t *testing.T) {
	t.Parallel()
	v := must(verify.NewTencentSign(0, key("new", "xxxxyyyy"),
		verify.Key{ID: "old", Secret: []byte("before"), NotAfter: unix(tencentNow + 10)}))
	signed := func(requestTime string) string {
		return "Sign=" + signFor("xxxxyyyy", strings.ReplaceAll(requestTime, "%00", "\x00")) + "&RequestTime=" + requestTime
	}
	old := "Sign=" + signFor("before", "1669872112") + "&RequestTime=1669872112"
	tests := []struct {
		name, query string
		at          time.Time
		want        error
	}{
		{"documented vector", tencentTail, unix(tencentNow), nil},
		{"upper-case hex", "Sign=" + strings.ToUpper(tencentGood) + "&RequestTime=1669872112", unix(tencentNow), nil},
		{"late edge", tencentTail, unix(tencentNow + 60), nil},
		{"over the late edge", tencentTail, unix(tencentNow + 60).Add(1), verify.ErrExpired},
		{"early edge", tencentTail, unix(tencentNow - 60), nil},
		{"over the early edge", tencentTail, unix(tencentNow - 60).Add(-1), verify.ErrNotYet},
		{"zero clock", tencentTail, time.Time{}, verify.ErrNotYet},
		{"old token", old, unix(tencentNow + 10), nil},
		{"old token after its end", old, unix(tencentNow + 11), verify.ErrMismatch},
		{"no Sign", "RequestTime=1669872112", unix(tencentNow), verify.ErrMissing},
		{"no RequestTime", "Sign=" + tencentGood, unix(tencentNow), verify.ErrMissing},
		{"Sign twice, equal", tencentTail + "&Sign=" + tencentGood, unix(tencentNow), verify.ErrRepeated},
		{"Sign twice, bad one last", tencentTail + "&Sign=00", unix(tencentNow), verify.ErrRepeated},
		{"RequestTime twice", tencentTail + "&Request%54ime=1", unix(tencentNow), verify.ErrRepeated},
		{"other digits", strings.Replace(tencentTail, "1777", "1778", 1), unix(tencentNow), verify.ErrMismatch},
		{"63 digits", strings.Replace(tencentTail, "1777", "177", 1), unix(tencentNow), verify.ErrMalformed},
		{"65 digits", strings.Replace(tencentTail, "1777", "17770", 1), unix(tencentNow), verify.ErrMalformed},
		{"not hex", strings.Replace(tencentTail, "1777", "g777", 1), unix(tencentNow), verify.ErrMalformed},
		{"empty token", "Sign=" + signFor("", "1669872112") + "&RequestTime=1669872112", unix(tencentNow), verify.ErrMismatch},
		{"nine digits, signed", signed("166987211"), unix(tencentNow), verify.ErrMalformed},
		{"eleven digits, signed", signed("16698721120"), unix(tencentNow), verify.ErrMalformed},
		{"plus, signed", signed("%2B166987211"), unix(tencentNow), verify.ErrMalformed},
		{"NUL, signed", signed("166987211%00"), unix(tencentNow), verify.ErrMalformed},
		{"semicolon", tencentTail + ";", unix(tencentNow), verify.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Verify(t.Context(), verify.Message{RawQuery: tt.query, At: tt.at})
			wantError(t, err, tt.want)
		})
	}
}

func TestTencentSignKeyName(t *testing.T) {
	t.Parallel()
	v := must(verify.NewTencentSign(0, key("", "a"), key("", "xxxxyyyy")))
	id, err := v.Verify(t.Context(), verify.Message{RawQuery: tencentTail, At: unix(tencentNow)})
	if err != nil || id != (verify.Identity{Scheme: "tencent-sign", Key: "1"}) {
		t.Errorf("Verify = %+v, %v", id, err)
	}
}

func TestNewTencentSignRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		window time.Duration
		keys   []verify.Key
		want   error
	}{
		{"no token", 0, nil, verify.ErrEmptyKey},
		{"empty token", 0, []verify.Key{{ID: "a"}}, verify.ErrEmptyKey},
		{"one of two empty", 0, []verify.Key{key("a", "x"), key("b", "")}, verify.ErrEmptyKey},
		{"one name twice", 0, []verify.Key{key("a", "x"), key("a", "y")}, verify.ErrConfig},
		{"long token", 0, []verify.Key{key("a", strings.Repeat("x", 129))}, verify.ErrConfig},
		{"negative window", -1, []verify.Key{key("a", "x")}, verify.ErrConfig},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := verify.NewTencentSign(tt.window, tt.keys...)
			wantError(t, err, tt.want)
		})
	}
}

func TestTencentSignSign(t *testing.T) {
	t.Parallel()
	v := must(verify.NewTencentSign(0, key("a", "xxxxyyyy"), key("b", "other")))
	if sign, at := v.Sign(unix(tencentNow)); sign != tencentGood || at != "1669872112" {
		t.Errorf("Sign = %q, %q", sign, at)
	}
	ended := must(verify.NewTencentSign(0, verify.Key{Secret: []byte("x"), NotAfter: unix(tencentNow - 1)}))
	for name, got := range map[string]func() (string, string){
		"zero value":  func() (string, string) { return verify.TencentSign{}.Sign(unix(tencentNow)) },
		"ended token": func() (string, string) { return ended.Sign(unix(tencentNow)) },
		"nine digits": func() (string, string) { return v.Sign(unix(999_999_999)) },
		"before 1970": func() (string, string) { return v.Sign(unix(-999_999_999)) },
	} {
		if sign, at := got(); sign != "" || at != "" {
			t.Errorf("%s: Sign = %q, %q, want nothing", name, sign, at)
		}
	}
}

func TestTencentVectors(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(vectors(t, "tencent/sign.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Token       string `json:"token"`
			RequestTime string `json:"request_time"`
			Sign        string `json:"sign"`
		} `json:"vectors"`
		Wrong  string `json:"wrong_order_for_xxxxyyyy"`
		Suffix string `json:"url_suffix"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) < 2 {
		t.Fatalf("%d vectors", len(file.Vectors))
	}
	for _, vec := range file.Vectors {
		v := must(verify.NewTencentSign(0, key("", vec.Token)))
		if sign, at := v.Sign(unix(tencentNow)); sign != vec.Sign || at != vec.RequestTime {
			t.Errorf("token %s: Sign = %s, %s", vec.Token, sign, at)
		}
		for _, other := range []string{file.Wrong, tencentGood, vec.Sign} {
			_, err := v.Verify(t.Context(), verify.Message{RawQuery: "RequestTime=" + vec.RequestTime + "&Sign=" + other, At: unix(tencentNow)})
			if (err == nil) != (other == vec.Sign) {
				t.Errorf("token %s, sign %s: %v", vec.Token, other, err)
			}
		}
	}
	v := must(verify.NewTencentSign(0, key("", "xxxxyyyy")))
	if _, err := v.Verify(t.Context(), verify.Message{RawQuery: file.Suffix[1:], At: unix(tencentNow)}); err != nil {
		t.Errorf("url_suffix: %v", err)
	}
}

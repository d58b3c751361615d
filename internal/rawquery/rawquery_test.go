package rawquery_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/internal/rawquery"
)

func TestValues(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, raw, key string
		value          string
		n              int
		err            error
	}{
		{"empty query", "", "a", "", 0, nil},
		{"one", "a=1", "a", "1", 1, nil},
		{"absent", "b=1", "a", "", 0, nil},
		{"first of two", "a=1&a=2", "a", "1", 2, nil},
		{"first is empty", "a=&a=2", "a", "", 2, nil},
		{"no equals sign", "a&b=1", "a", "", 1, nil},
		{"equals sign in the value", "a=b=c", "a", "b=c", 1, nil},
		{"empty pairs", "&&a=1&&", "a", "1", 1, nil},
		{"empty key", "=x", "", "x", 1, nil},
		{"empty pair is no empty key", "&", "", "", 0, nil},
		{"key hidden by an escape", "%53ign=1&Sign=2", "Sign", "1", 2, nil},
		{"case matters", "sign=1", "Sign", "", 0, nil},
		{"prefix of the key", "Sig=1", "Sign", "", 0, nil},
		{"longer than the key", "Signs=1", "Sign", "", 0, nil},
		{"plus before the key", "+a=1&%20a=2", " a", "1", 2, nil},
		{"plus in the key", "a+b=1", "a b", "1", 1, nil},
		{"plus and escape in the value", "a=x+y%2B%00", "a", "x y+\x00", 1, nil},
		{"not UTF-8", "a=%FF", "a", "\xff", 1, nil},
		{"semicolon", "a=1;b=2", "a", "", 0, rawquery.ErrSemicolon},
		{"semicolon behind the hit", "a=1&b=;", "a", "", 0, rawquery.ErrSemicolon},
		{"escaped semicolon", "a=%3B", "a", ";", 1, nil},
		{"broken escape elsewhere", "a=1&b=%zz", "a", "", 0, rawquery.ErrEscape},
		{"broken escape in a key", "%4=1", "a", "", 0, rawquery.ErrEscape},
		{"cut escape", "a=%4", "a", "", 0, rawquery.ErrEscape},
		{"escape over a separator", "a=%4&1=2", "a", "", 0, rawquery.ErrEscape},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			value, n, err := rawquery.Values(tt.raw, tt.key)
			if value != tt.value || n != tt.n || !errors.Is(err, tt.err) {
				t.Errorf("Values(%q, %q) = %q, %d, %v; want %q, %d, %v", tt.raw, tt.key, value, n, err, tt.value, tt.n, tt.err)
			}
		})
	}
}

func TestValuesAllocations(t *testing.T) {
	raw := "SdkAppid=1400000001&CallbackCommand=C2C.CallbackAfterSendMsg&OptPlatform=%52ESTAPI&Sign=00"
	if n := testing.AllocsPerRun(100, func() {
		if v, _, _ := rawquery.Values(raw, "Sign"); v != "00" {
			t.Fatal(v)
		}
	}); n != 0 {
		t.Errorf("Values allocates %v times, want 0", n)
	}
}

func TestFindAfterAnError(t *testing.T) {
	t.Parallel()
	left := []rawquery.Param{{Key: "a", Value: "left over", N: 1}}
	if err := rawquery.Find("a=1;b=2", left); !errors.Is(err, rawquery.ErrSemicolon) || left[0] != (rawquery.Param{Key: "a"}) {
		t.Errorf("Find = %+v, %v", left, err)
	}
}

func FuzzValues(f *testing.F) {
	for _, raw := range []string{"", "a=1&a=2", "%61=1&b=+", "a;b", "a=%zz", "a=%", "&=&&a", "a=b=c&%00=1"} {
		f.Add(raw, "a")
	}
	f.Fuzz(func(t *testing.T, raw, key string) {
		if strings.Count(raw, "&") > 1000 {
			return // ParseQuery counts parameters, Values does not
		}
		want, wantErr := url.ParseQuery(raw)
		value, n, err := rawquery.Values(raw, key)
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("Values(%q): %v, ParseQuery: %v", raw, err, wantErr)
		}
		if err != nil {
			return
		}
		if n != len(want[key]) || value != want.Get(key) {
			t.Fatalf("Values(%q, %q) = %q, %d; want %q", raw, key, value, n, want[key])
		}
		for k, vs := range want {
			if value, n, _ := rawquery.Values(raw, k); n != len(vs) || value != vs[0] {
				t.Fatalf("Values(%q, %q) = %q, %d; want %q", raw, k, value, n, vs)
			}
			two := []rawquery.Param{{Key: key, Value: "left over", N: 7}, {Key: k}}
			if err := rawquery.Find(raw, two); err != nil || two[0].N != len(want[key]) || two[0].Value != want.Get(key) || two[1].N != len(vs) || two[1].Value != vs[0] {
				t.Fatalf("Find(%q, %q, %q) = %+v, %v", raw, key, k, two, err)
			}
		}
	})
}

func BenchmarkValues(b *testing.B) {
	raw := "SdkAppid=1400000001&CallbackCommand=C2C.CallbackAfterSendMsg&OptPlatform=RESTAPI&Sign=" + strings.Repeat("0", 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, n, _ := rawquery.Values(raw, "Sign"); n != 1 {
			b.Fatal(n)
		}
	}
}

package consent_test

import (
	"strings"
	"testing"

	"github.com/ringback-go/ringback/internal/consent"
)

func TestOrigin(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"events.example.com": true, "*": true, strings.Repeat("a", consent.MaxOrigin): true,
		"": false, "a b": false, "a,b": false, "a\x00": false, "ä.example": false, strings.Repeat("a", consent.MaxOrigin+1): false,
	} {
		if consent.Origin(s) != want {
			t.Errorf("%q: want %v", s, want)
		}
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{
		"1": 1, "120": 120, "9999999": consent.MaxRate, "10000000": consent.MaxRate, "99999999999999999999": consent.MaxRate,
		"": 0, "0": 0, "01": 0, "+1": 0, "-1": 0, "1.5": 0, " 1": 0, "x": 0, "1e3": 0, "999999999999999999999": 0,
	} {
		if n, ok := consent.Rate(s); n != want || ok != (want > 0) {
			t.Errorf("%q: %d, %v, want %d", s, n, ok, want)
		}
	}
}

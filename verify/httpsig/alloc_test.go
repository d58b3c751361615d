//go:build !race

// The race detector makes sync.Pool drop values at random.

package httpsig_test

import (
	"maps"
	"testing"

	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/httpsig"
)

// budgets are the allocations of an accepted message.
var budgets = map[string]float64{"hmac-sha256": 2, "ed25519": 2, "ecdsa-p256-sha256": 24}

func accepted(tb testing.TB, k httpsig.Key) (httpsig.Verifier, verify.Message) {
	tb.Helper()
	h, err := must(httpsig.NewSigner(httpsig.SignerConfig{}, k)).Sign(request(), "nonce")
	if err != nil {
		tb.Fatal(err)
	}
	m := request()
	maps.Copy(m.Header, h)
	return must(httpsig.NewVerifier(httpsig.Policy{}, k)), m
}

func TestAllocations(t *testing.T) {
	ctx := t.Context()
	for alg, k := range trio(t) {
		v, m := accepted(t, k)
		if n := testing.AllocsPerRun(200, func() {
			if _, err := v.Verify(ctx, m); err != nil {
				t.Fatal(err)
			}
		}); n > budgets[alg] {
			t.Errorf("%s allocates %v times, want at most %v", alg, n, budgets[alg])
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"hmac-sha256", "ed25519", "ecdsa-p256-sha256"} {
		b.Run(alg, func(b *testing.B) {
			v, m := accepted(b, trio(b)[alg])
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

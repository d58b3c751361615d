package egress_test

import (
	"testing"

	"github.com/ringback-go/ringback/registry/egress"
)

// The samples are those of RFC 3492, section 7.1, in lower case.
func TestPunycodeOfRFC3492(t *testing.T) {
	t.Parallel()
	for encoded, want := range map[string]string{
		"egbpdaj6bu4bxfgehfvwxn":                 "ليهمابتكلموشعربي؟",
		"ihqwcrb4cv8a8dqg056pqjye":               "他们为什么不说中文",
		"ihqwctvzc91f659drss3x8bo0yb":            "他們爲什麽不說中文",
		"proprostnemluvesky-uyb24dma41a":         "pročprostěnemluvíčesky",
		"n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa": "なぜみんな日本語を話してくれないのか",
		"b1abfaaepdrnnbgefbadotcwatmq2g4l":       "почемужеонинеговорятпорусски",
		"bcher-kva":                              "bücher",
		"d9juau41awczczp":                        "そのスピードで",
	} {
		decoded, again, ok := egress.ALabel(encoded)
		if !ok || decoded != want || again != encoded {
			t.Errorf("%s: %q, %q, %v; want %q", encoded, decoded, again, ok, want)
		}
	}
	for _, encoded := range []string{"99999999999", "-", "bcher-kv", "bcher-kv!"} {
		if decoded, _, ok := egress.ALabel(encoded); ok {
			t.Errorf("%q decodes to %q", encoded, decoded)
		}
	}
}

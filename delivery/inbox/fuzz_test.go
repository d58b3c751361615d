package inbox_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/delivery/inbox"
)

// FuzzDecode reads any bytes without harm, and what was stored as it was.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{}, "a", "b")
	f.Add([]byte{1, 4, 'P', 'O', 'S', 'T', 0xff, 0xff}, "\xff", "")
	f.Fuzz(func(t *testing.T, data []byte, name, value string) {
		if _, header, body, err := inbox.Decode(data); err == nil && len(header)+len(body) > len(data) {
			t.Errorf("%d bytes became a head of %d and a body of %d", len(data), len(header), len(body))
		}
		r := httptest.NewRequest(http.MethodPost, "/a?b", nil)
		r.Header[name] = []string{value, ""}
		stored, err := inbox.Encode(r, data)
		if err != nil {
			if len(name)+len(value) < 30_000 {
				t.Fatal(err)
			}
			return
		}
		target, header, body, err := inbox.Decode(stored)
		if err != nil || target != "/a?b" || !cmp.Equal(header, r.Header) || !bytes.Equal(body, data) {
			t.Errorf("%q %v %q %v", target, header, body, err)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	good, err := inbox.Encode(httptest.NewRequest(http.MethodPost, "/", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, _, _, err := inbox.Decode(good[:n]); err == nil {
			t.Errorf("%d of %d bytes are taken for a request", n, len(good))
		}
	}
	if _, _, _, err := inbox.Decode([]byte{2}); err == nil {
		t.Error("another version is taken for this one")
	}
}

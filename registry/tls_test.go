package registry_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/internal/keypairtest"
)

func tlsOf(pair, root keypairtest.Pair) registry.TLS {
	return registry.TLS{Certificate: pair.Certificate, Key: registry.NewSecret(pair.Key), Roots: root.Certificate}
}

func TestValidateTLS(t *testing.T) {
	t.Parallel()
	root := keypairtest.Authority(t)
	pair, other := root.Issue(t, nil), root.Issue(t, nil)
	late := root.Issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	encrypted := string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))
	for name, c := range map[string]struct {
		tls           registry.TLS
		field, detail string
	}{
		"none":                   {},
		"all":                    {tls: tlsOf(pair, root)},
		"roots alone":            {tls: registry.TLS{Roots: root.Certificate}},
		"expired":                {tls: tlsOf(late, root)}, // else nobody could disable it
		"another's key":          {registry.TLS{Certificate: pair.Certificate, Key: registry.NewSecret(other.Key)}, "TLS.Key", "not that of the certificate"},
		"encrypted key":          {registry.TLS{Certificate: pair.Certificate, Key: registry.NewSecret(encrypted)}, "TLS.Key", "is encrypted"},
		"no key":                 {registry.TLS{Certificate: pair.Certificate}, "TLS.Key", "none"},
		"no certificate":         {registry.TLS{Key: registry.NewSecret(pair.Key)}, "TLS.Certificate", "none"},
		"certificate is no PEM":  {registry.TLS{Certificate: "x", Key: registry.NewSecret(pair.Key)}, "TLS.Certificate", "PEM"},
		"roots are no PEM":       {registry.TLS{Roots: "x"}, "TLS.Roots", "PEM"},
		"over 64 KiB":            {registry.TLS{Roots: root.Certificate + strings.Repeat("\n", registry.MaxTLS)}, "TLS.Roots", "64 KiB"},
		"NUL in the certificate": {registry.TLS{Certificate: pair.Certificate + "\x00", Key: registry.NewSecret(pair.Key)}, "TLS.Certificate", "text"},
		"bytes in the key":       {registry.TLS{Certificate: pair.Certificate, Key: registry.NewSecret(pair.Key + "\xff")}, "TLS.Key", "text"},
		"bytes in the roots":     {registry.TLS{Roots: root.Certificate + "\xff"}, "TLS.Roots", "text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := valid()
			s.ID, s.TLS = "sub_1", c.tls
			err := registry.Validate(s)
			if c.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e, ok := errors.AsType[*registry.Error](err)
			if !ok || !errors.Is(err, registry.ErrInvalid) || e.Field != c.field || e.ID != "sub_1" || !strings.Contains(e.Detail, c.detail) ||
				!strings.Contains(err.Error(), e.Detail) {
				t.Errorf("error is %v, want %s: %s", err, c.field, c.detail)
			}
		})
	}
}

func TestNotAfter(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	root := keypairtest.Authority(t)
	between := root.Issue(t, func(c *x509.Certificate) { c.NotAfter = soon })
	pair := root.Issue(t, nil)
	for name, c := range map[string]struct {
		tls  registry.TLS
		want time.Time
	}{
		"none":       {},
		"roots":      {tls: registry.TLS{Roots: root.Certificate}},
		"unreadable": {tls: registry.TLS{Certificate: pair.Certificate, Key: registry.NewSecret("x")}},
		"leaf":       {registry.TLS{Certificate: between.Certificate, Key: registry.NewSecret(between.Key)}, soon},
		"chain":      {registry.TLS{Certificate: pair.Certificate + between.Certificate, Key: registry.NewSecret(pair.Key)}, soon},
	} {
		if got := c.tls.NotAfter(); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// What is sealed at rest shows in nothing that is printed, logged or marshaled.
func TestConnectionDoesNotShow(t *testing.T) {
	t.Parallel()
	root := keypairtest.Authority(t)
	s := valid()
	s.TLS = tlsOf(root.Issue(t, nil), root)
	s.Headers = []registry.Header{headerOf("X-Key", "hunter2")}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("x", "subscription", s, "tls", s.TLS, "headers", s.Headers, "header", s.Headers[0])
	}
	marshaled, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	type plain registry.Subscription // without LogValue
	for _, text := range []string{
		log.String(), string(marshaled), fmt.Sprint(s, s.TLS, s.Headers), fmt.Sprintf("%+v %#v %s %q", plain(s), plain(s), s.TLS, s.TLS),
		fmt.Sprintf("%+v %#v %x", s.Headers, s.TLS, s.TLS),
	} {
		for _, hidden := range []string{"hunter2", "BEGIN", "2d2d2d2d"} {
			if strings.Contains(text, hidden) {
				t.Errorf("%q is shown: %s", hidden, text)
			}
		}
	}
	if got := fmt.Sprint(registry.TLS{}); got != "" {
		t.Errorf("nothing is shown as %q", got)
	}
}

func TestSealConnection(t *testing.T) {
	t.Parallel()
	sealer, root := newSealer(t, key(1)), keypairtest.Authority(t)
	s := valid()
	s.ID, s.TLS = "sub_1", tlsOf(root.Issue(t, nil), root)
	s.Headers = []registry.Header{headerOf("X-B", "<\\u2028>"), headerOf("X-A", "hunter2")}
	sealed, err := registry.SealConnection(sealer, s)
	if err != nil || bytes.Contains(sealed, []byte("hunter2")) {
		t.Fatalf("%v, or in the clear", err)
	}
	got := valid()
	got.ID = "sub_1"
	if err := registry.OpenConnection(newSealer(t, key(2), key(1)), &got, sealed); err != nil || got.TLS != s.TLS || !cmp.Equal(got.Headers, s.Headers, cmp.AllowUnexported(registry.Secret{})) {
		t.Errorf("opened: %v", err)
	}
	none := valid()
	if sealed, err := registry.SealConnection(sealer, none); sealed != nil || err != nil {
		t.Errorf("of nothing: %d bytes, %v", len(sealed), err)
	}
	if err := registry.OpenConnection(sealer, &got, nil); err != nil || !got.TLS.IsZero() || got.Headers != nil {
		t.Errorf("opened nothing: %v", err)
	}
	if _, err := registry.SealConnection(new(registry.AESGCM), s); err == nil {
		t.Error("sealed without a key")
	}
	aad := []byte("ringback/registry/subscription/connection/v1\x00sub_1")
	foreign := func(plain string) []byte {
		out, err := sealer.Seal([]byte(plain), aad)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if err := registry.OpenConnection(sealer, &got, foreign(`{"headers":[["X","y"]]}`)); err != nil || len(got.Headers) != 1 { // else the cases below prove nothing
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		id     string
		sealed []byte
	}{
		"another subscription":    {"sub_2", sealed},
		"longer id":               {"sub_11", sealed},
		"cut":                     {"sub_1", sealed[:len(sealed)-1]},
		"a secret":                {"sub_1", sealed[1:]},
		"too much":                {"sub_1", make([]byte, 1<<20+1)},
		"of a newer version":      {"sub_1", foreign(`{"certificate":"x","pin":"y"}`)},
		"no JSON":                 {"sub_1", foreign(`certificate`)},
		"more behind it":          {"sub_1", foreign(`{} {}`)},
		"a header of three parts": {"sub_1", foreign(`{"headers":{"X":"y"}}`)},
	} {
		keeps := valid()
		keeps.ID, keeps.Headers = c.id, []registry.Header{headerOf("X", "y")}
		if err := registry.OpenConnection(sealer, &keeps, c.sealed); !errors.Is(err, registry.ErrSealed) || len(keeps.Headers) != 1 {
			t.Errorf("%s: %v, want ErrSealed", name, err)
		}
	}
}

package registry_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/registry"
)

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func newSealer(t testing.TB, keys ...[]byte) *registry.AESGCM {
	t.Helper()
	s, err := registry.NewAESGCM(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAESGCM(t *testing.T) {
	t.Parallel()
	plain, aad := []byte("secret \x00\xff"), []byte("sub_1")
	old := newSealer(t, key(1))
	sealed, err := old.Seal(plain, aad)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := old.Seal(plain, aad); bytes.Equal(again, sealed) {
		t.Error("the nonce is not random")
	}
	if bytes.Contains(sealed, plain) {
		t.Error("the secret shows")
	}
	rotated := newSealer(t, key(2), key(1))
	for name, s := range map[string]*registry.AESGCM{"same": old, "rotated": rotated} {
		if got, err := s.Open(sealed, aad); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	fresh, err := rotated.Seal(plain, aad)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newSealer(t, key(2)).Open(fresh, aad); err != nil {
		t.Errorf("the first key does not seal: %v", err)
	}
	for name, c := range map[string]struct {
		sealer      registry.Sealer
		sealed, aad []byte
	}{
		"wrong key":    {newSealer(t, key(3)), sealed, aad},
		"retired key":  {newSealer(t, key(2)), sealed, aad},
		"foreign aad":  {old, sealed, []byte("sub_2")},
		"no aad":       {old, sealed, nil},
		"empty":        {old, nil, aad},
		"cut":          {old, sealed[:len(sealed)-1], aad},
		"longer":       {old, slices.Concat(sealed, []byte{0}), aad},
		"zero value":   {new(registry.AESGCM), sealed, aad},
		"only headers": {old, sealed[:5], aad},
	} {
		if got, err := c.sealer.Open(c.sealed, c.aad); !errors.Is(err, registry.ErrSealed) || got != nil {
			t.Errorf("%s: %q, %v, want ErrSealed", name, got, err)
		}
	}
	for i := range sealed {
		for bit := range 8 {
			bad := slices.Clone(sealed)
			bad[i] ^= 1 << bit
			if _, err := old.Open(bad, aad); !errors.Is(err, registry.ErrSealed) {
				t.Errorf("byte %d bit %d changed: %v, want ErrSealed", i, bit, err)
			}
		}
	}
}

func TestAESGCMRefusesKeys(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][][]byte{
		"none": nil, "nil": {nil}, "16 bytes": {make([]byte, 16)}, "31 bytes": {make([]byte, 31)},
		"33 bytes": {make([]byte, 33)}, "second is short": {key(1), key(2)[:24]},
	} {
		if s, err := registry.NewAESGCM(keys...); err == nil || s != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := new(registry.AESGCM).Seal([]byte("x"), nil); err == nil {
		t.Error("the zero value seals")
	}
}

func TestSealSecrets(t *testing.T) {
	t.Parallel()
	s := newSealer(t, key(1))
	secrets := []registry.Secret{registry.NewSecret("one"), registry.NewSecret("two"), registry.NewSecret(strings.Repeat("x", 4096))}
	sealed, err := registry.SealSecrets(s, "sub_1", secrets)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := registry.OpenSecrets(s, "sub_1", sealed); err != nil || !slices.Equal(got, secrets) {
		t.Errorf("opened %d secrets, %v", len(got), err)
	}
	if got, err := registry.OpenSecrets(s, "sub_1", nil); err != nil || got != nil {
		t.Errorf("of nothing: %v, %v", got, err)
	}
	one := 1 + 33 + len("one") // length, header, nonce and tag, text
	for name, c := range map[string]struct {
		id     string
		sealed []byte
	}{
		"another subscription": {"sub_2", sealed},
		"longer id":            {"sub_11", sealed},
		"swapped":              {"sub_1", slices.Concat(sealed[one:2*one], sealed[:one], sealed[2*one:])},
		"first left out":       {"sub_1", sealed[one:]},
		"cut":                  {"sub_1", sealed[:len(sealed)-1]},
		"length over the end":  {"sub_1", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}},
		"length too long":      {"sub_1", bytes.Repeat([]byte{0xff}, 11)},
		"too much":             {"sub_1", make([]byte, 1<<20+1)},
	} {
		if got, err := registry.OpenSecrets(s, c.id, c.sealed); !errors.Is(err, registry.ErrSealed) || got != nil {
			t.Errorf("%s: %d secrets, %v, want ErrSealed", name, len(got), err)
		}
	}
}

// opensAll stands for a Sealer that checks nothing.
type opensAll struct{ registry.Sealer }

func (opensAll) Open(sealed, _ []byte) ([]byte, error) { return sealed, nil }

func TestOpenSecretsBoundsTheList(t *testing.T) {
	t.Parallel()
	one := []byte{1, 'x'}
	if got, err := registry.OpenSecrets(opensAll{}, "sub_1", bytes.Repeat(one, registry.MaxSecrets)); err != nil || len(got) != registry.MaxSecrets {
		t.Errorf("at the bound: %d secrets, %v", len(got), err)
	}
	if _, err := registry.OpenSecrets(opensAll{}, "sub_1", bytes.Repeat(one, registry.MaxSecrets+1)); !errors.Is(err, registry.ErrSealed) {
		t.Errorf("over the bound: %v, want ErrSealed", err)
	}
}

// FuzzOpenSecrets feeds foreign bytes: none of them opens, unless they are
// what was sealed.
func FuzzOpenSecrets(f *testing.F) {
	s := newSealer(f, key(1))
	sealed, err := registry.SealSecrets(s, "sub_1", []registry.Secret{registry.NewSecret("one"), registry.NewSecret("two")})
	if err != nil {
		f.Fatal(err)
	}
	first := sealed[:len(sealed)/2]
	f.Add(sealed)
	f.Add(first)
	f.Add([]byte{0})
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := registry.OpenSecrets(s, "sub_1", data)
		switch {
		case err != nil && (!errors.Is(err, registry.ErrSealed) || got != nil):
			t.Errorf("error is %v, with %d secrets", err, len(got))
		case err == nil && len(data) > 0 && !bytes.Equal(data, sealed) && !bytes.Equal(data, first):
			// Another spelling of the length is the same list.
			if len(got) > 2 || got[0] != registry.NewSecret("one") {
				t.Errorf("opened %d foreign secrets", len(got))
			}
		}
	})
}

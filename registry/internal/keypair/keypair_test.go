package keypair_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/registry/internal/keypair"
	"github.com/ringback-go/ringback/registry/internal/keypairtest"
)

func block(kind string, bytes []byte, headers map[string]string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: bytes}))
}

func TestParse(t *testing.T) {
	t.Parallel()
	root := keypairtest.Authority(t)
	pair, other := root.Issue(t, nil), root.Issue(t, nil)
	keyBlock, _ := pem.Decode([]byte(pair.Key))
	parsed, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(parsed.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	pad := func(n int) string { return strings.Repeat("#", n) }
	for name, c := range map[string]struct {
		certificate, key, roots string
		part, detail            string
	}{
		"nothing":                  {},
		"pair":                     {certificate: pair.Certificate, key: pair.Key},
		"chain":                    {certificate: pair.Certificate + root.Certificate, key: pair.Key},
		"roots":                    {roots: root.Certificate + other.Certificate},
		"all":                      {certificate: pair.Certificate, key: pair.Key, roots: root.Certificate},
		"text around":              {certificate: "Bag Attributes\n" + pair.Certificate + "\nend", key: "x\n" + pair.Key},
		"EC key with parameters":   {certificate: pair.Certificate, key: block("EC PARAMETERS", []byte{6, 0}, nil) + block("EC PRIVATE KEY", sec1, nil)},
		"at the bound":             {certificate: pair.Certificate, key: pair.Key, roots: root.Certificate + pad(64<<10-len(pair.Certificate)-len(pair.Key)-len(root.Certificate))},
		"over the bound":           {certificate: pair.Certificate, key: pair.Key, roots: root.Certificate + pad(64<<10-len(pair.Certificate)-len(pair.Key)-len(root.Certificate)+1), part: "Roots", detail: "64 KiB"},
		"certificate over":         {certificate: pad(64<<10 + 1), key: pair.Key, part: "Certificate", detail: "64 KiB"},
		"key over":                 {certificate: pair.Certificate, key: pad(64 << 10), part: "Key", detail: "64 KiB"},
		"no key":                   {certificate: pair.Certificate, part: "Key", detail: "none"},
		"no certificate":           {key: pair.Key, part: "Certificate", detail: "none"},
		"another's key":            {certificate: pair.Certificate, key: other.Key, part: "Key", detail: "not that of the certificate"},
		"chain in the wrong order": {certificate: root.Certificate + pair.Certificate, key: pair.Key, part: "Key", detail: "not that"},
		"certificate is no PEM":    {certificate: "a certificate", key: pair.Key, part: "Certificate", detail: "PEM"},
		"certificate cut off":      {certificate: pair.Certificate + pair.Certificate[:100], key: pair.Key, part: "Certificate", detail: "PEM"},
		"certificate is garbage":   {certificate: block("CERTIFICATE", []byte("garbage"), nil), key: pair.Key, part: "Certificate", detail: "unreadable"},
		"second is garbage":        {certificate: pair.Certificate + block("CERTIFICATE", []byte("garbage"), nil), key: pair.Key, part: "Certificate", detail: "unreadable"},
		"key as certificate":       {certificate: pair.Key, key: pair.Key, part: "Certificate", detail: "something else"},
		"key among certificates":   {certificate: pair.Certificate + pair.Key, key: pair.Key, part: "Certificate", detail: "something else"},
		"key is no PEM":            {certificate: pair.Certificate, key: "secret", part: "Key", detail: "PEM"},
		"key is a certificate":     {certificate: pair.Certificate, key: pair.Certificate, part: "Key", detail: "something else"},
		"key is garbage":           {certificate: pair.Certificate, key: block("PRIVATE KEY", []byte("secret"), nil), part: "Key", detail: "unreadable"},
		"two keys":                 {certificate: pair.Certificate, key: pair.Key + other.Key, part: "Key", detail: "more than one"},
		"encrypted key, PKCS 8":    {certificate: pair.Certificate, key: block("ENCRYPTED PRIVATE KEY", []byte("x"), nil), part: "Key", detail: "encrypted"},
		"encrypted key, by header": {certificate: pair.Certificate, key: block("EC PRIVATE KEY", []byte("x"), map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}), part: "Key", detail: "encrypted"},
		"roots are no PEM":         {roots: "roots", part: "Roots", detail: "PEM"},
		"roots are garbage":        {roots: root.Certificate + block("CERTIFICATE", []byte("garbage"), nil), part: "Roots", detail: "unreadable"},
		"roots are a key":          {roots: pair.Key, part: "Roots", detail: "something else"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := keypair.Parse(c.certificate, c.key, c.roots)
			if c.part != "" {
				e, ok := errors.AsType[*keypair.Error](err)
				if !ok || e.Part != c.part || !strings.Contains(e.Detail, c.detail) || m.Certificate != nil || m.Roots != nil {
					t.Fatalf("error is %v, want one of %s: %s", err, c.part, c.detail)
				}
				if len(err.Error()) > 100 || strings.Contains(err.Error(), "secret") {
					t.Errorf("%q says too much", err)
				}
				return
			}
			if err != nil || (m.Certificate != nil) != (c.certificate != "") || (m.Roots != nil) != (c.roots != "") {
				t.Fatalf("%+v, %v", m, err)
			}
			if m.Certificate != nil && !m.Certificate.Leaf.Equal(pair.Leaf()) {
				t.Error("the leaf is not the pair's")
			}
			if m.Roots != nil && c.roots == root.Certificate && !m.Roots.Equal(root.Pool()) {
				t.Error("the roots are others")
			}
		})
	}
}

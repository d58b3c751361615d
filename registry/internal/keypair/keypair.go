// Package keypair reads the TLS material of an endpoint from PEM, by one set of
// rules for who stores it and for who uses it.
package keypair

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"strings"
)

// MaxBytes bounds certificate, key and roots together.
const MaxBytes = 64 << 10

// The parts that an [Error] can be about.
const (
	PartCertificate = "Certificate"
	PartKey         = "Key"
	PartRoots       = "Roots"
)

// An Error says which part is unusable. Detail is a fixed phrase: nothing of
// the material is in it.
type Error struct{ Part, Detail string }

func (e *Error) Error() string { return e.Part + ": " + e.Detail }

// Material is what was read. Each may be nil.
type Material struct {
	Certificate *tls.Certificate // its Leaf is set
	Roots       *x509.CertPool
}

// Parse reads a chain with the leaf first, its private key, and roots. Empty
// parts are left out; chain and key go together. Errors are of type *Error.
func Parse(certificate, key, roots string) (m Material, err error) {
	switch {
	case len(certificate) > MaxBytes:
		return Material{}, &Error{PartCertificate, tooLong}
	case len(key) > MaxBytes-len(certificate):
		return Material{}, &Error{PartKey, tooLong}
	case len(roots) > MaxBytes-len(certificate)-len(key):
		return Material{}, &Error{PartRoots, tooLong}
	case key == "" && certificate != "":
		return Material{}, &Error{PartKey, "none for the certificate"}
	case certificate == "" && key != "":
		return Material{}, &Error{PartCertificate, "none for the key"}
	}
	if certificate != "" {
		if m.Certificate, err = pair(certificate, key); err != nil {
			return Material{}, err
		}
	}
	if roots != "" {
		certificates, err := chain(PartRoots, roots)
		if err != nil {
			return Material{}, err
		}
		m.Roots = x509.NewCertPool()
		for _, c := range certificates {
			m.Roots.AddCert(c)
		}
	}
	return m, nil
}

const (
	tooLong    = "over 64 KiB with the rest"
	unreadable = "is not PEM throughout"
)

func pair(certificate, key string) (*tls.Certificate, error) {
	certificates, err := chain(PartCertificate, certificate)
	if err != nil {
		return nil, err
	}
	if err := private(key); err != nil {
		return nil, err
	}
	c, parseErr := tls.X509KeyPair([]byte(certificate), []byte(key))
	if parseErr != nil { // its text may quote what was read
		return nil, &Error{PartKey, "is unreadable or not that of the certificate"}
	}
	c.Leaf = certificates[0]
	return &c, nil
}

// chain reads certificates and nothing else.
func chain(part, text string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	err := blocks(part, text, func(b *pem.Block) error {
		if b.Type != "CERTIFICATE" || len(b.Headers) > 0 {
			return &Error{part, "holds something else than certificates"}
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return &Error{part, "holds an unreadable certificate"}
		}
		all = append(all, c)
		return nil
	})
	if err == nil && len(all) == 0 {
		err = &Error{part, unreadable}
	}
	return all, err
}

// private checks that there is one key, in the clear.
func private(text string) error {
	keys := 0
	err := blocks(PartKey, text, func(b *pem.Block) error {
		switch {
		case b.Type == "ENCRYPTED PRIVATE KEY" || b.Headers["DEK-Info"] != "" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED"):
			return &Error{PartKey, "is encrypted"}
		case b.Type == "EC PARAMETERS": // stands before the key in files of openssl
			return nil
		case b.Type != "PRIVATE KEY" && !strings.HasSuffix(b.Type, " PRIVATE KEY"):
			return &Error{PartKey, "holds something else than a private key"}
		}
		keys++
		return nil
	})
	switch {
	case err != nil:
		return err
	case keys == 0:
		return &Error{PartKey, unreadable}
	case keys > 1:
		return &Error{PartKey, "is more than one"}
	}
	return nil
}

// blocks calls f with every block. Text between blocks is allowed, as tools
// write it there, but not a block that cannot be read.
func blocks(part, text string, f func(*pem.Block) error) error {
	left := []byte(text)
	begun := bytes.Count(left, []byte("-----BEGIN "))
	read := 0
	for {
		b, rest := pem.Decode(left)
		if b == nil {
			break
		}
		if err := f(b); err != nil {
			return err
		}
		read++
		left = rest
	}
	if read != begun {
		return &Error{part, unreadable}
	}
	return nil
}

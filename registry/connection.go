package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

const connectionLabel = "ringback/registry/subscription/connection/v1\x00"

// connection is the plaintext of what SealConnection returns.
type connection struct {
	Certificate string      `json:"certificate,omitempty"`
	Key         string      `json:"key,omitempty"`
	Roots       string      `json:"roots,omitempty"`
	Headers     [][2]string `json:"headers,omitempty"`
}

// SealConnection seals the TLS material and the headers of a subscription for
// storage, bound to its ID. One that has neither is no bytes. It is for those
// who write a Registry, as [SealSecrets].
func SealConnection(s Sealer, sub Subscription) ([]byte, error) {
	if sub.TLS.IsZero() && len(sub.Headers) == 0 {
		return nil, nil
	}
	c := connection{Certificate: sub.TLS.Certificate, Key: sub.TLS.Key.Reveal(), Roots: sub.TLS.Roots}
	for _, h := range sub.Headers {
		c.Headers = append(c.Headers, [2]string{h.Name, h.Value.Reveal()})
	}
	plain, err := json.Marshal(c)
	if err != nil {
		return nil, errors.New("registry: seal: not text") // an error of json's may quote it
	}
	sealed, err := s.Seal(plain, connectionAAD(sub.ID))
	if err != nil {
		return nil, fmt.Errorf("registry: seal: %w", err)
	}
	if len(sealed) > maxSealed {
		return nil, errors.New("registry: sealed connection is too long")
	}
	return sealed, nil
}

// OpenConnection fills TLS and Headers of sub in from what [SealConnection]
// returned for the same ID. Its error wraps ErrSealed when the bytes are not
// that; sub is then unchanged.
func OpenConnection(s Sealer, sub *Subscription, sealed []byte) error {
	if len(sealed) == 0 {
		sub.TLS, sub.Headers = TLS{}, nil
		return nil
	}
	if len(sealed) > maxSealed {
		return ErrSealed
	}
	plain, err := s.Open(sealed, connectionAAD(sub.ID))
	if err != nil {
		return fmt.Errorf("registry: open: %w", err)
	}
	var c connection
	d := json.NewDecoder(bytes.NewReader(plain))
	d.DisallowUnknownFields() // of a newer version: sending without it would not be what was asked
	if err := d.Decode(&c); err != nil || d.InputOffset() != int64(len(plain)) {
		return ErrSealed
	}
	var headers []Header
	for _, h := range c.Headers {
		headers = append(headers, Header{Name: h[0], Value: NewSecret(h[1])})
	}
	sub.TLS, sub.Headers = TLS{Certificate: c.Certificate, Key: NewSecret(c.Key), Roots: c.Roots}, headers
	return nil
}

func connectionAAD(id string) []byte { return append([]byte(connectionLabel), id...) }

package httpsig

import (
	"fmt"

	"github.com/ringback-go/ringback/verify"
)

// covered judges what a signature covers, before anything is computed.
func (v *Verifier) covered(in *input, m *verify.Message) error {
	for _, c := range v.required {
		if !in.covers(c) {
			return uncovered(c.String())
		}
	}
	if len(v.required) == 0 {
		if !in.covers(method) {
			return uncovered(method.String())
		}
		if !in.covers(targetURI) && (!in.covers(authority) || !in.covers(path) || !in.covers(query)) {
			return uncovered(targetURI.String())
		}
	}
	if len(m.Body) > 0 && !v.policy.UnsignedBody && !coversDigest(in) {
		return uncovered(`"content-digest"`)
	}
	if v.policy.IDField != "" && !in.covers(v.idField) {
		return uncovered(v.idField.String())
	}
	return nil
}

var (
	method    = component{name: "@method"}
	targetURI = component{name: "@target-uri"}
	authority = component{name: "@authority"}
	path      = component{name: "@path"}
	query     = component{name: "@query"}
)

func uncovered(id string) error {
	return refuse(headerInput, fmt.Errorf("%w: %s is not covered", verify.ErrMissing, id))
}

// coversDigest reports whether the whole field is covered: one member of it
// would let others be added.
func coversDigest(in *input) bool {
	for _, c := range in.list[:in.n] {
		if c.name == fieldDigest && c.form != formMember {
			return true
		}
	}
	return false
}

// digestFits compares the body with the digest wherever one is covered, in
// any form.
func digestFits(in *input, m *verify.Message) error {
	for _, c := range in.list[:in.n] {
		if c.name != fieldDigest {
			continue
		}
		value, err := single(m.Header, headerDigest)
		if err == nil {
			err = checkDigest(value, m.Body)
		}
		if err != nil {
			return refuse(headerDigest, err)
		}
		return nil
	}
	return nil
}

// messageID returns what dedup goes by.
func (v *Verifier) messageID(in *input, m *verify.Message) (string, error) {
	if v.policy.RequireNonce && !in.hasNonce {
		return "", refuse("nonce", verify.ErrMissing)
	}
	if in.hasNonce && !printable(in.nonce) {
		return "", refuse("nonce", verify.ErrMalformed)
	}
	if v.policy.IDField == "" {
		return in.nonce, nil
	}
	id, err := single(m.Header, canonical(v.idField.name))
	if err == nil && !printable(id) {
		err = verify.ErrMalformed
	}
	if err != nil {
		return "", refuse(v.idField.name, err)
	}
	return id, nil
}

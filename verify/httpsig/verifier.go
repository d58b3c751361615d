package httpsig

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/internal/keys"
)

const (
	scheme          = "httpsig"
	headerInput     = "Signature-Input"
	headerSignature = "Signature"

	maxLabels = 8 // signatures of one message
)

// Policy says which signatures a [Verifier] takes. The zero Policy is the
// strict one: method, whole URL and body must be covered.
type Policy struct {
	// Required are the components that a signature must cover, such as
	// "@method", "content-type" or `@query-param;name="id"`. Empty means
	// "@method", and either "@target-uri" or all of "@authority", "@path"
	// and "@query".
	Required []string
	// UnsignedBody lets a message with a body pass whose signature does not
	// cover content-digest. Anybody on the way can then change the body.
	UnsignedBody bool
	// Label is the label of the signature to look at; empty means any.
	Label string
	// Tag is the tag that a signature must have. Empty means none: a tag
	// says that a signature was made for another purpose.
	Tag string
	// Tolerance is how far created may be from [verify.Message.At], to both
	// sides and ends included; 0 means [verify.DefaultTolerance].
	Tolerance time.Duration
	// RequireNonce refuses signatures without a nonce. Use it where replays
	// inside the tolerance are found by [verify.Identity.MessageID].
	RequireNonce bool
	// IDField names a header, such as "webhook-id", whose one value becomes
	// the MessageID instead of the nonce. It must be covered.
	IDField string
	// Scheme is that of the URLs at which messages arrive, https or http;
	// empty means https. A message does not know it.
	Scheme string
	// Authority is the host, and the port if it is not the scheme's own, at
	// which senders see the receiver. Empty means the Host of the message,
	// which a proxy may have changed.
	Authority string
}

// Verifier checks signatures of HTTP requests by RFC 9421, with
// Content-Digest by RFC 9530. It is a [verify.Verifier]. The zero value
// refuses everything. A Verifier is safe for concurrent use.
type Verifier struct {
	keys     []ownKey
	policy   Policy
	target   target
	required []component
	idField  component
}

// NewVerifier returns a verifier. It needs keys that can check: a secret, a
// public key, or a private one, whose public half counts. What cannot be used
// is [verify.ErrConfig], a key without material [verify.ErrEmptyKey].
func NewVerifier(p Policy, list ...Key) (Verifier, error) {
	own, err := copyKeys(list)
	if err != nil {
		return Verifier{}, err
	}
	if p.Tolerance < 0 {
		return Verifier{}, configError("Tolerance", "negative")
	}
	if p.Tolerance == 0 {
		p.Tolerance = verify.DefaultTolerance
	}
	t, why := newTarget(p.Scheme, p.Authority)
	if why != "" {
		return Verifier{}, configError("Policy", why)
	}
	v := Verifier{keys: own, policy: p, target: t}
	if v.required, err = configured("Required", p.Required); err != nil {
		return Verifier{}, err
	}
	if p.IDField != "" {
		v.idField = component{name: strings.ToLower(p.IDField)}
		if !fieldName(v.idField.name) {
			return Verifier{}, configError("IDField", "needs the name of a header")
		}
	}
	v.policy.Required = nil
	return v, nil
}

// configured reads a list of components.
func configured(field string, list []string) ([]component, error) {
	if len(list) > maxItems {
		return nil, configError(field, "names more than 32 components")
	}
	var out []component
	for _, text := range list {
		c, ok := parseConfigured(text)
		if !ok {
			return nil, configError(field, fmt.Sprintf("%q is not a component that is known here, write it like @method or content-digest", text))
		}
		if slices.Contains(out, c) {
			return nil, configError(field, fmt.Sprintf("%q stands twice", text))
		}
		out = append(out, c)
	}
	return out, nil
}

// Verify checks the headers Signature-Input and Signature, each of which must
// stand there exactly once. Of up to 8 signatures the first one counts that
// satisfies the policy: made by one of our keys, with that key's algorithm,
// created inside the tolerance, not past its expires, covering what is
// required, and with a Content-Digest that fits the body wherever one is
// covered. The identity's MessageID is the value of IDField or the nonce.
func (v Verifier) Verify(_ context.Context, m verify.Message) (verify.Identity, error) {
	if len(v.keys) == 0 {
		return verify.Identity{}, configError("", "zero value used, make it with NewVerifier")
	}
	var inputs, signatures dictionary
	if err := read(&inputs, &m, headerInput); err != nil {
		return verify.Identity{}, err
	}
	if err := read(&signatures, &m, headerSignature); err != nil {
		return verify.Identity{}, err
	}
	if inputs.n > maxLabels || signatures.n > maxLabels {
		return verify.Identity{}, refuse(headerInput, verify.ErrMalformed)
	}
	var first error
	for _, one := range inputs.list[:inputs.n] {
		if v.policy.Label != "" && v.policy.Label != one.key {
			continue
		}
		id, err := v.judge(one, &signatures, &m)
		if err == nil {
			return id, nil
		}
		if first == nil || errors.Is(first, errOtherTag) {
			first = err
		}
	}
	if first == nil {
		first = refuse(headerInput, verify.ErrMissing)
	}
	return verify.Identity{}, first
}

var errOtherTag = fmt.Errorf("%w: made for another purpose, its tag says", verify.ErrMismatch)

func read(d *dictionary, m *verify.Message, header string) error {
	value, err := single(m.Header, header)
	if err != nil {
		return refuse(header, err)
	}
	if !parseDictionary(d, value) {
		return refuse(header, verify.ErrMalformed)
	}
	return nil
}

func refuse(field string, err error) error {
	return &verify.Error{Scheme: scheme, Field: field, Err: err}
}

// judge decides about one signature.
func (v *Verifier) judge(entry member, signatures *dictionary, m *verify.Message) (verify.Identity, error) {
	var in input
	if !parseInput(&in, entry) {
		return verify.Identity{}, refuse(headerInput, verify.ErrMalformed)
	}
	if in.tag != v.policy.Tag {
		return verify.Identity{}, refuse(headerInput, errOtherTag)
	}
	signature, ok := signatures.get(entry.key)
	if !ok {
		return verify.Identity{}, refuse(headerSignature, verify.ErrMissing)
	}
	if err := v.inTime(&in, m.At); err != nil {
		return verify.Identity{}, err
	}
	if err := v.covered(&in, m); err != nil {
		return verify.Identity{}, err
	}
	messageID, err := v.messageID(&in, m)
	if err != nil {
		return verify.Identity{}, err
	}
	k, err := v.match(&in, signature, m)
	if err != nil {
		return verify.Identity{}, err
	}
	if err := digestFits(&in, m); err != nil { // last, it reads the whole body
		return verify.Identity{}, err
	}
	return verify.Identity{Scheme: scheme, Key: k.id, MessageID: messageID}, nil
}

func (v *Verifier) inTime(in *input, at time.Time) error {
	if in.created.IsZero() {
		return refuse("created", verify.ErrMissing)
	}
	switch keys.Age(in.created, at, v.policy.Tolerance) {
	case 1:
		return refuse("created", verify.ErrExpired)
	case -1:
		return refuse("created", verify.ErrNotYet)
	}
	if !in.expires.IsZero() {
		if in.expires.Before(in.created) {
			return refuse("expires", verify.ErrMalformed)
		}
		if at.After(in.expires) {
			return refuse("expires", verify.ErrExpired)
		}
	}
	return nil
}

// match finds the key that made the signature. The key's algorithm is used;
// where the message names one, it has to be the same.
func (v *Verifier) match(in *input, signature member, m *verify.Message) (*ownKey, error) {
	base := newBuffer()
	defer base.free()
	var bad component
	var err error
	if base.b, bad, err = in.appendBase(base.b, v.target, m); err != nil {
		return nil, refuse(bad.String(), err)
	}
	err = verify.ErrUnknown
	for i := range v.keys {
		k := &v.keys[i]
		if in.hasKeyID && in.keyID != k.id || !k.valid(m.At) {
			continue
		}
		err = verify.ErrMismatch
		if in.hasAlg && in.alg != k.algorithm.String() {
			err = errAlgorithm
			continue
		}
		if k.check(base.b, signature) {
			return k, nil
		}
	}
	return nil, refuse(headerSignature, err)
}

var errAlgorithm = fmt.Errorf("%w: alg is not the algorithm of the key", verify.ErrMismatch)

package httpsig

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/verify"
)

// SignerConfig says what a [Signer] covers and how it names it. The zero
// SignerConfig signs what the zero [Policy] asks for.
type SignerConfig struct {
	// Components are the covered components, in this order, written as in
	// [Policy.Required]. Empty means "@method", "@target-uri", and
	// "content-type" and "content-digest" where the message has such a
	// header or a body.
	Components []string
	// Label is the signature's label; empty means "sig1".
	Label string
	// Tag says what the signature is for; empty means no tag.
	Tag string
	// Lifetime is the time from created to expires, in whole seconds; 0
	// means no expires.
	Lifetime time.Duration
	// NameAlgorithm adds the parameter alg. Receivers know it by the key.
	NameAlgorithm bool
	// Digest is the hash of Content-Digest.
	Digest Digest
	// Scheme and Authority are as in [Policy]; an empty Authority means the
	// Host of the message.
	Scheme, Authority string
}

// Signer makes signatures of HTTP requests by RFC 9421, with Content-Digest
// by RFC 9530. The zero value signs nothing. A Signer is safe for concurrent
// use.
type Signer struct {
	keys       []ownKey
	config     SignerConfig
	target     target
	components []component
}

// NewSigner returns a signer. It needs keys that can sign: a secret or a
// private key. What cannot be used is [verify.ErrConfig], a key without
// material [verify.ErrEmptyKey].
func NewSigner(c SignerConfig, list ...Key) (Signer, error) {
	own, err := copyKeys(list)
	if err != nil {
		return Signer{}, err
	}
	for i := range own {
		if !own[i].signs() {
			return Signer{}, configError(keyField(own[i].id), "only checks, signing takes a Secret or a Private key")
		}
	}
	if c.Label == "" {
		c.Label = "sig1"
	}
	scan := scanner{s: c.Label}
	if _, ok := scan.key(); !ok || !scan.done() {
		return Signer{}, configError("Label", "needs lower case letters, digits and _-.*, beginning with a letter")
	}
	if c.Tag != "" && !printable(c.Tag) {
		return Signer{}, configError("Tag", "is not 1 to 256 printable ASCII characters without spaces")
	}
	if c.Lifetime < 0 || c.Lifetime%time.Second != 0 {
		return Signer{}, configError("Lifetime", "is not a number of whole seconds")
	}
	if c.Digest > SHA512 {
		return Signer{}, configError("Digest", "is neither SHA256 nor SHA512")
	}
	t, why := newTarget(c.Scheme, c.Authority)
	if why != "" {
		return Signer{}, configError("SignerConfig", why)
	}
	s := Signer{keys: own, config: c, target: t}
	if s.components, err = configured("Components", c.Components); err != nil {
		return Signer{}, err
	}
	s.config.Components = nil
	return s, nil
}

// Sign returns the headers to set on a request that is sent at
// [verify.Message.At]: Signature-Input, Signature and, where it is covered and
// not there yet, Content-Digest. All other headers that are covered must be in
// m. The first key signs that is valid then; none is [verify.ErrEmptyKey]. nonce
// may be empty, or 1 to 256 printable ASCII characters without spaces, new for
// each message. A covered part that m lacks is [verify.ErrMissing], one that
// cannot be signed [verify.ErrMalformed], a Content-Digest that does not fit
// the body [verify.ErrMismatch].
func (s Signer) Sign(m verify.Message, nonce string) (http.Header, error) {
	if len(s.keys) == 0 {
		return nil, configError("", "zero value used, make it with NewSigner")
	}
	if nonce != "" && !printable(nonce) {
		return nil, refuse("nonce", verify.ErrMalformed)
	}
	created := m.At.Unix()
	if created <= 0 || created > 99_999_999_999 {
		return nil, refuse("At", verify.ErrMalformed)
	}
	i := slices.IndexFunc(s.keys, func(k ownKey) bool { return k.valid(m.At) })
	if i < 0 {
		return nil, refuse("keys", verify.ErrEmptyKey)
	}
	k := &s.keys[i]
	out := make(http.Header, 3)
	var in input
	s.cover(&in, &m)
	if err := s.digest(&in, &m, out); err != nil {
		return nil, err
	}
	s.describe(&in, k, created, nonce)

	base := newBuffer()
	defer base.free()
	var bad component
	var err error
	if base.b, bad, err = in.appendBase(base.b, s.target, &m); err != nil {
		return nil, refuse(bad.String(), err)
	}
	signature, err := k.sign(base.b)
	if err != nil {
		return nil, err
	}
	out[headerInput] = []string{string(in.appendParams([]byte(s.config.Label + "=")))}
	out[headerSignature] = []string{s.config.Label + "=:" + base64.StdEncoding.EncodeToString(signature) + ":"}
	return out, nil
}

// cover fills the components.
func (s *Signer) cover(in *input, m *verify.Message) {
	add := func(c component) {
		in.list[in.n] = c
		in.n++
	}
	for _, c := range s.components {
		add(c)
	}
	if len(s.components) > 0 {
		return
	}
	add(method)
	add(targetURI)
	if len(m.Header["Content-Type"]) > 0 {
		add(component{name: "content-type"})
	}
	if len(m.Body) > 0 || len(m.Header[headerDigest]) > 0 {
		add(component{name: fieldDigest})
	}
}

// digest sees to it that a covered Content-Digest is there and right.
func (s *Signer) digest(in *input, m *verify.Message, out http.Header) error {
	if !slices.ContainsFunc(in.list[:in.n], func(c component) bool { return c.name == fieldDigest }) {
		return nil
	}
	if len(m.Header[headerDigest]) == 0 {
		out[headerDigest] = []string{s.config.Digest.Of(m.Body)}
		header := maps.Clone(m.Header)
		if header == nil {
			header = http.Header{}
		}
		header[headerDigest] = out[headerDigest]
		m.Header = header
	}
	return digestFits(in, m)
}

// describe fills the parameters.
func (s *Signer) describe(in *input, k *ownKey, created int64, nonce string) {
	add := func(key, raw string) {
		in.params.list[in.params.n] = param{key: key, val: bare{raw: raw}}
		in.params.n++
	}
	quoted := func(text string) string { return string(appendString(nil, text)) }
	add("created", strconv.FormatInt(created, 10))
	if s.config.Lifetime > 0 {
		add("expires", strconv.FormatInt(created+int64(s.config.Lifetime/time.Second), 10))
	}
	add("keyid", quoted(k.id))
	if s.config.NameAlgorithm {
		add("alg", quoted(k.algorithm.String()))
	}
	if nonce != "" {
		add("nonce", quoted(nonce))
	}
	if s.config.Tag != "" {
		add("tag", quoted(s.config.Tag))
	}
}

package httpsig_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/httpsig"
)

func ExampleNewVerifier() {
	private := ed25519.NewKeyFromSeed([]byte("a seed of exactly thirty-two B. "))
	s, err := httpsig.NewSigner(httpsig.SignerConfig{}, httpsig.Key{ID: "sender-2026", Algorithm: httpsig.Ed25519, Private: private})
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := httpsig.NewVerifier(httpsig.Policy{RequireNonce: true}, httpsig.Key{ID: "sender-2026", Algorithm: httpsig.Ed25519, Public: private.Public()})
	if err != nil {
		fmt.Println(err)
		return
	}
	m := verify.Message{Method: "POST", Host: "hooks.example.com", Path: "/in", Body: []byte(`{}`), At: time.Unix(1700000000, 0)}
	if m.Header, err = s.Sign(m, "nonce-1"); err != nil {
		fmt.Println(err)
		return
	}
	id, err := v.Verify(context.Background(), m)
	fmt.Println(id.Key, id.MessageID, err)

	m.Body = []byte(`{"paid":true}`)
	_, err = v.Verify(context.Background(), m)
	fmt.Println(err, errors.Is(err, verify.ErrMismatch))
	// Output:
	// sender-2026 nonce-1 <nil>
	// verify: httpsig: Content-Digest: does not match true
}

func ExampleNewSigner() {
	s, err := httpsig.NewSigner(httpsig.SignerConfig{
		Components: []string{"@method", "@target-uri", "content-digest", "webhook-id"},
		Lifetime:   time.Minute,
	}, httpsig.Key{ID: "k", Algorithm: httpsig.HMACSHA256, Secret: []byte("at least sixteen random bytes")})
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := s.Sign(verify.Message{
		Method: "POST", Host: "hooks.example.com", Path: "/in", Body: []byte(`{}`), At: time.Unix(1700000000, 0),
		Header: http.Header{"Webhook-Id": {"msg_1"}},
	}, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(h.Get("Signature-Input"))
	fmt.Println(h.Get("Content-Digest"))
	// Output:
	// sig1=("@method" "@target-uri" "content-digest" "webhook-id");created=1700000000;expires=1700000060;keyid="k"
	// sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:
}

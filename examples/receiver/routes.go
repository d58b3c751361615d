package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/httpsig"
)

// maxBody is as much as an inbox takes.
const maxBody = 192 << 10

// routes has the paths by which senders know us.
func (s *site) routes() (http.Handler, error) {
	var errs []error
	check := func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	platform := func(f verify.HMACFormat, secrets []string) verify.Verifier {
		v, err := verify.NewHMAC(f, keys(secrets)...)
		check(f.Name, err)
		return v
	}
	github, stripe := platform(verify.GitHub(), s.cfg.GitHub), platform(verify.Stripe(), s.cfg.Stripe)
	slack, shopify := platform(verify.Slack(), s.cfg.Slack), platform(verify.Shopify(), s.cfg.Shopify)
	standard, err := verify.NewStandard(0, keys(s.cfg.Standard)...)
	check("standard", err)
	edna, err := verify.NewToken("Authorization", "Token", true, keys(s.cfg.Edna)...)
	check("edna", err)
	public, err := publicKeys(s.cfg.Signed)
	check("signed", err)
	// A repeat is known by its webhook-id, so that must be signed.
	signed, err := httpsig.NewVerifier(httpsig.Policy{IDField: "webhook-id", Authority: s.cfg.Host}, public...)
	check("signed", err)
	front, err := s.front(middleware.Problem)
	check("proxies", err)
	tencent, err := s.tencent()
	check("tencent", err)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}

	isJSON := middleware.Payload[json.RawMessage]{AllowNoContentType: true, Logger: s.log}.Handler
	later := isJSON(s.inbox)
	challenge := middleware.BodyChallenge{Logger: s.log}.Handler
	handshake := middleware.Handshake{Origins: s.cfg.Origins, Rate: 1000, Logger: s.log}.Handler
	probe := middleware.Probe{Logger: s.log}.Handler

	mux := http.NewServeMux()
	mux.Handle("/standard", front(handshake(s.gates("/standard", standard, nil, later))))
	mux.Handle("/github", front(s.gates("/github", github, nil, later)))
	mux.Handle("/stripe", front(s.gates("/stripe", stripe, nil, later)))
	mux.Handle("/slack", front(s.gates("/slack", slack, challenge, later)))
	mux.Handle("/shopify", front(s.gates("/shopify", shopify, nil, later)))
	mux.Handle("/edna", front(probe(s.gates("/edna", edna, nil, later))))
	mux.Handle("/smartbots", front(s.gates("/smartbots", ourApp(s.cfg.SmartBots), nil, s.inbox))) // a form
	mux.Handle("/signed", front(s.gates("/signed", signed, nil, middleware.HandleWith(middleware.HandleConfig{Logger: s.log}, book))))
	mux.Handle("/tencent", tencent)
	return mux, nil
}

// front stands outermost, and costs a flood the least.
func (s *site) front(deny middleware.DenyFunc) (middleware.Middleware, error) {
	byPeer := middleware.KeyFunc(middleware.ByPeer)
	if len(s.cfg.Proxies) > 0 { // else all senders would share the proxy's limit
		proxies, err := middleware.NewProxies(middleware.ProxiesConfig{Trusted: s.cfg.Proxies})
		if err != nil {
			return nil, err
		}
		byPeer = proxies.Key
	}
	return middleware.Chain(
		middleware.Recover{Deny: deny, Logger: s.log}.Handler,
		middleware.RateLimit{Key: byPeer, Limiter: s.peers, Name: "peer", Deny: deny, Logger: s.log}.Handler,
	), nil
}

// gates let those requests through to next that v has proven, once each. inside,
// if not nil, stands behind the proof. The order is that of package middleware;
// another one panics here.
func (s *site) gates(path string, v verify.Verifier, inside middleware.Middleware, next http.Handler) http.Handler {
	h := middleware.Dedup{Store: s.seen, ID: messageID, Name: path, Logger: s.log}.Handler(next)
	if inside != nil {
		h = inside(h)
	}
	return middleware.Chain(
		middleware.Method{Logger: s.log}.Handler,
		middleware.Query{Logger: s.log}.Handler,
		middleware.Body{Limit: maxBody, Logger: s.log}.Handler,
		middleware.Signature{Verifier: v, Logger: s.log}.Handler,
		middleware.RateLimit{Key: middleware.ByIdentity, Requests: 3000, Per: time.Minute, Name: "app", Logger: s.log}.Handler,
	)(h)
}

// idMember is where platforms have their id in the body.
var idMember = map[string]string{"/stripe": "id", "/slack": "event_id"}

// messageID is the same over all repeats of a callback: the platform's id, which
// the verifier found or which is in the body, else a digest of the body. It needs
// the gates Body and Signature outside.
func messageID(r *http.Request) string {
	if id := middleware.ByMessage(r); id != "" {
		return id
	}
	raw, _ := middleware.RawBody(r)
	if member := idMember[r.URL.Path]; member != "" {
		var members map[string]json.RawMessage
		var id string
		if json.Unmarshal(raw, &members) == nil && json.Unmarshal(members[member], &id) == nil && id != "" {
			return id
		}
	}
	return digest(raw)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256 " + hex.EncodeToString(sum[:])
}

// ourApp knows SmartBots' callbacks by the app_uuid in them, which is all the proof
// that they carry: keep the path secret, too.
type ourApp string

// Verify implements [verify.Verifier].
func (u ourApp) Verify(_ context.Context, m verify.Message) (verify.Identity, error) {
	cb, err := smartbots.Decode(m.Header.Get("Content-Type"), m.Body)
	if err != nil {
		return verify.Identity{}, &verify.Error{Scheme: "smartbots", Field: "body", Err: verify.ErrMalformed}
	}
	if subtle.ConstantTimeCompare([]byte(cb.AppUUID), []byte(strings.ToLower(string(u)))) != 1 {
		return verify.Identity{}, &verify.Error{Scheme: "smartbots", Field: "app_uuid", Err: verify.ErrMismatch}
	}
	return verify.Identity{Scheme: "smartbots", Subject: cb.AppUUID, MessageID: m.Header.Get(delivery.HeaderID)}, nil
}

// booking and receipt are of /signed, which is quick enough to be answered at once.
type booking struct {
	Account string `json:"account" validate:"required,max=64"`
	Cents   int64  `json:"cents" validate:"min=1"`
}

type receipt struct {
	Booked int64 `json:"booked"`
}

func book(_ context.Context, b booking) (receipt, error) { return receipt{b.Cents}, nil }

package delivery_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/version"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

func own(pairs ...string) (headers []registry.Header) {
	for i := 0; i < len(pairs); i += 2 {
		headers = append(headers, registry.Header{Name: pairs[i], Value: registry.NewSecret(pairs[i+1])})
	}
	return headers
}

// spelled is a dialect that sets headers of its own, and loses its context.
type spelled struct {
	plain
	header http.Header
	none   bool // no header map at all
}

func (s *spelled) Request(_ context.Context, d delivery.Delivery, sub registry.Subscription, _ time.Time) (*http.Request, error) {
	req, err := delivery.NewRequest(context.Background(), d, sub.URL)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, s.header)
	if s.none {
		req.Header = nil
	}
	return req, nil
}

// The subscription's headers are added, and never replace one of the dialect's,
// however either is spelled: A-HDR-13.
func TestAttemptAddsHeaders(t *testing.T) {
	t.Parallel()
	base := http.Header{"User-Agent": {version.UserAgent}, "Content-Type": {"text/plain"}, "webhook-id": {"e1"}}
	with := func(pairs ...string) http.Header {
		h := base.Clone()
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
		}
		return h
	}
	for name, tt := range map[string]struct {
		dialect spelled
		add     []registry.Header
		want    http.Header
	}{
		"none":                     {want: base},
		"added as spelled":         {add: own("X-Key", "k", "x_lower", "a  b"), want: with("X-Key", "k", "x_lower", "a  b")},
		"A-HDR-20 braces":          {add: own("X-Key", "{{.Secret}} ${x} %s"), want: with("X-Key", "{{.Secret}} ${x} %s")},
		"the dialect's stays":      {spelled{header: http.Header{"Sign": {"s"}}}, own("Sign", "forged", "X-Key", "k"), with("Sign", "s", "X-Key", "k")},
		"in other letters":         {spelled{header: http.Header{"x-SIGN": {"s"}}}, own("X-Sign", "forged"), with("x-SIGN", "s")},
		"the dialect's, two":       {spelled{header: http.Header{"Sign": {"s", "t"}}}, own("sign", "forged"), with("Sign", "s", "Sign", "t")},
		"twice by a bad registry":  {add: own("X-Key", "one", "x-key", "two"), want: with("X-Key", "one")},
		"without headers till now": {spelled{none: true}, own("X-Key", "k"), http.Header{"X-Key": {"k"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got *http.Request
			s := delivery.Sender{
				Client:   clientFunc(func(req *http.Request) (*http.Response, error) { got = req; return answer(200), nil }),
				Dialects: map[string]delivery.Dialect{"plain": &tt.dialect},
			}
			sub := registry.Subscription{URL: "https://one.example/", Headers: tt.add}
			for range 2 {
				a := s.Attempt(t.Context(), parcel(), sub)
				want(t, "error", a.Error, "")
				if diff := cmp.Diff(tt.want, got.Header); diff != "" {
					t.Errorf("header: %s", diff)
				}
			}
		})
	}
}

// What Set would refuse is not sent, whoever stored it: A-HDR-11 to A-HDR-14.
func TestAttemptRefusesHeaders(t *testing.T) {
	t.Parallel()
	for name, add := range map[string][]registry.Header{
		"line break": own("X-Key", "hunter2\r\nHost: evil.example"), "NUL": own("X-Key", "hunter2\x00"), "no token": own("X Key", "hunter2"),
		"Host": own("Host", "hunter2"), "authorization": own("authorization", "hunter2"), "webhook": own("Webhook-Signature", "hunter2"),
		"A-HDR-14": own("X-Idempotency-Key", "hunter2"), "empty": own("X-Key", ""), "behind a good one": own("X-Good", "1", "TE", "hunter2"),
	} {
		s := sender(clientFunc(func(*http.Request) (*http.Response, error) {
			t.Errorf("%s: sent", name)
			return answer(200), nil
		}), &plain{})
		a := s.Attempt(t.Context(), parcel(), registry.Subscription{URL: "https://one.example/", Headers: add})
		want(t, name+": class", a.Class, "internal")
		want(t, name+": verdict", a.Verdict, delivery.VerdictRetry)
		if a.Error == "" || strings.Contains(a.Error, "hunter2") || strings.Contains(a.Error, "evil") {
			t.Errorf("%s: error text %q", name, a.Error)
		}
	}
}

// Headers arrive as they were set, by either version of HTTP.
func TestHeadersOnTheWire(t *testing.T) {
	t.Parallel()
	sent := own("X-Key", `a  "b" (c) <d> ; e, f`, "!#$%&'*+-.^_`|~09", "~", "Accept", "x", "Range", "bytes=0-1", "Forwarded", "for=x", "Date", "x", "Origin", "null",
		"X-Long", strings.Repeat("l", registry.MaxHeaderValue))
	for _, http1 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			for _, h := range sent {
				if got := r.Header.Values(h.Name); len(got) != 1 || got[0] != h.Value.Reveal() {
					t.Errorf("%s over %s: %.60q", h.Name, r.Proto, got)
				}
			}
			if len(r.Header) != len(sent)+4 { // User-Agent, Content-Type, Content-Length, webhook-id
				t.Errorf("%d headers over %s: %v", len(r.Header), r.Proto, r.Header)
			}
		}))
		server.EnableHTTP2 = true
		server.StartTLS()
		t.Cleanup(server.Close)
		client := guarded(t, egress.Config{
			RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, HTTP1Only: http1,
			Policy: egress.Policy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		})
		a := sender(client, &plain{}).Attempt(t.Context(), parcel(), registry.Subscription{URL: server.URL + "/", Headers: sent})
		want(t, "status", a.Status, 200)
		want(t, "error", a.Error, "")
	}
}

// certified makes a client's certificate that is its own root.
func certified(t *testing.T, name string) registry.TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return registry.TLS{
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Key:         registry.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))),
	}
}

// identified is a wrapper that passes the context on, and says so.
type identified struct {
	clientFunc
	takes bool
}

func (i identified) TakesIdentity() bool { return i.takes }

// Each subscription's certificate goes to its endpoint, and only through a client
// that takes it; else nothing is sent.
func TestAttemptWithCertificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "nobody"[:6*(1-min(1, len(r.TLS.PeerCertificates)))])
		for _, c := range r.TLS.PeerCertificates {
			io.WriteString(w, c.Subject.CommonName)
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	client := guarded(t, egress.Config{Policy: egress.Policy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	roots := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	sub := func(id string) registry.Subscription {
		s := registry.Subscription{ID: id, URL: server.URL + "/", TLS: certified(t, id)}
		s.TLS.Roots = roots
		return s
	}
	ann, bob, rooted, plainSub := sub("sub_ann"), sub("sub_bob"), sub("sub_rooted"), sub("sub_none")
	rooted.TLS.Certificate, rooted.TLS.Key = "", registry.Secret{}
	plainSub.TLS = registry.TLS{}
	expectation := map[string]struct {
		sub      registry.Subscription
		response string
		class    string
	}{
		"ann":        {ann, "sub_ann", ""},
		"bob":        {bob, "sub_bob", ""},
		"roots only": {rooted, "nobody", ""},
		"nothing":    {plainSub, "", "tls"}, // the system's roots know no such server
	}
	for name, c := range map[string]delivery.Client{
		"itself": client, "wrapped": identified{client.Do, true},
	} {
		for what, e := range expectation {
			for dialectName, dialect := range map[string]delivery.Dialect{"plain": &plain{}, "one that loses the context": &spelled{}} {
				s := delivery.Sender{Client: c, Dialects: map[string]delivery.Dialect{"plain": dialect}}
				a := s.Attempt(t.Context(), parcel(), e.sub)
				want(t, name+", "+what+", "+dialectName+": response", string(a.Response), e.response)
				want(t, name+", "+what+", "+dialectName+": class", a.Class, e.class)
			}
		}
	}
	for name, c := range map[string]delivery.Client{
		"no word of it": clientFunc(func(*http.Request) (*http.Response, error) { t.Error("sent"); return answer(200), nil }),
		"says no": identified{func(*http.Request) (*http.Response, error) {
			t.Error("sent")
			return answer(200), nil
		}, false},
	} {
		for _, e := range []registry.Subscription{ann, rooted} {
			a := sender(c, &plain{}).Attempt(t.Context(), parcel(), e)
			want(t, name+": class", a.Class, "tls")
			want(t, name+": verdict", a.Verdict, delivery.VerdictRetry)
			want(t, name+": status", a.Status, 0)
		}
	}
	broken := ann
	broken.TLS.Key = bob.TLS.Key
	overHTTP := ann
	overHTTP.URL = strings.Replace(ann.URL, "https", "http", 1)
	open := guarded(t, egress.Config{Policy: egress.Policy{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	for name, e := range map[string]registry.Subscription{"unusable": broken, "plain HTTP": overHTTP} {
		a := sender(open, &plain{}).Attempt(t.Context(), parcel(), e)
		want(t, name+": class", a.Class, "tls")
		want(t, name+": verdict", a.Verdict, delivery.VerdictRetry)
		if strings.Contains(a.Error, "BEGIN") || a.Error == "" {
			t.Errorf("%s: error text %q", name, a.Error)
		}
	}
}

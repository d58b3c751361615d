package egress_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/registry/egress"
)

// provers are all of them, with a client.
func provers(c *egress.Client) map[string]egress.Prover {
	return map[string]egress.Prover{
		"resolution": egress.Resolution{Client: c},
		"existence":  egress.Existence{Client: c},
		"challenge":  egress.Challenge{Client: c},
		"handshake":  egress.Handshake{Client: c, Origin: "events.example.com"},
	}
}

func TestProversWithoutClientProveNothing(t *testing.T) {
	t.Parallel()
	for name, p := range provers(nil) {
		if proof, err := p.Prove(t.Context(), "https://hooks.example.com/"); !errors.Is(err, egress.ErrConfig) || proof != (egress.Proof{}) {
			t.Errorf("%s: %+v, %v", name, proof, err)
		}
	}
}

// What a name means now is judged before anybody is asked, and the canonical spelling is what is proven.
func TestProversGoThroughTheGuard(t *testing.T) {
	t.Parallel()
	good, bad := netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("10.0.0.1")
	for _, name := range []string{"resolution", "existence", "challenge", "handshake"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, tt := range []struct {
				url   string
				addrs []netip.Addr
				want  error
			}{
				{"http://hooks.example.com/", []netip.Addr{good}, egress.ErrURL},
				{"https://10.0.0.1/", nil, egress.ErrLiteral},
				{"https://hooks.example.com/", []netip.Addr{bad}, egress.ErrResolvedAddress},
				{"https://hooks.example.com/", []netip.Addr{good, bad}, egress.ErrResolvedAddress},
				{"https://hooks.example.com/", nil, egress.ErrResolve},
			} {
				s := &script{answers: []answer{{addrs: tt.addrs}}}
				client := newClient(t, egress.Config{Resolver: s, DialContext: s.dial})
				proof, err := provers(client)[name].Prove(t.Context(), tt.url)
				if !errors.Is(err, tt.want) || proof != (egress.Proof{}) || len(s.dialed) != 0 {
					t.Errorf("%s at %s: %+v, %v, dialed %q", tt.url, tt.addrs, proof, err, s.dialed)
				}
			}
			s := &script{answers: []answer{{addrs: []netip.Addr{good}}, {addrs: []netip.Addr{bad}}}}
			client := newClient(t, egress.Config{Resolver: s, DialContext: s.dial})
			proof, err := provers(client)[name].Prove(t.Context(), "HTTPS://Hooks.Example.com?a=1")
			if name == "resolution" {
				if err != nil || proof.URL.String() != "https://hooks.example.com/?a=1" {
					t.Errorf("%+v, %v", proof, err)
				}
			} else if !errors.Is(err, errNotDialed) || fmt.Sprint(s.dialed) != "[8.8.8.8:443]" || len(s.names) != 1 {
				t.Errorf("%v, dialed %q after look-ups %q: one look-up is for all of it", err, s.dialed, s.names)
			}
		})
	}
}

// A-FLOOD-20: a server that only answers everything with 200 proves nothing.
func TestChallenge(t *testing.T) {
	t.Parallel()
	echo := func(r *http.Request) string { return r.URL.Query().Get("challenge") }
	write := func(status int, text func(*http.Request) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, text(r))
		}
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"echo":          {write(200, echo), nil},
		"our own probe": {middleware.Probe{Challenge: "challenge"}.Handler(http.NotFoundHandler()).ServeHTTP, nil},
		"empty":         {write(200, func(*http.Request) string { return "" }), egress.ErrProbe},
		"cut":           {write(200, func(r *http.Request) string { return echo(r)[1:] }), egress.ErrProbe},
		"a line's end":  {write(200, func(r *http.Request) string { return echo(r) + "\n" }), egress.ErrProbe},
		"in a page":     {write(200, func(r *http.Request) string { return "<p>" + echo(r) }), egress.ErrProbe},
		"in lower case": {write(200, func(r *http.Request) string { return strings.ToLower(echo(r)) }), egress.ErrProbe},
		"endless":       {write(200, func(r *http.Request) string { return echo(r) + strings.Repeat("x", 1<<20) }), egress.ErrProbe},
		"201":           {write(201, echo), egress.ErrProbe},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/again?"+r.URL.RawQuery, http.StatusFound)
		}, egress.ErrProbe},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			asked := map[string]bool{}
			server, config := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if r.Method != http.MethodGet || r.URL.Path != "/cb" || r.URL.Query().Get("a") != "1" || len(echo(r)) < 26 || asked[echo(r)] || len(r.Header) > 1 {
					t.Errorf("%s %s %q", r.Method, r.URL, r.Header)
				}
				asked[echo(r)] = true
				tt.answer(w, r)
			})
			p := egress.Challenge{Client: newClient(t, config)}
			for range 2 {
				proof, err := p.Prove(t.Context(), server.URL+"/cb?a=1")
				if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) || err == nil && (proof.URL.String() != server.URL+"/cb?a=1" || proof.PerMinute != 0) {
					t.Fatalf("%+v, %v", proof, err)
				}
				for nonce := range asked {
					if err != nil && strings.Contains(err.Error(), nonce) {
						t.Errorf("%v tells the challenge", err)
					}
				}
			}
			if len(asked) != 2 {
				t.Errorf("%d questions, want a fresh one each time", len(asked))
			}
		})
	}
}

func TestChallengeParameter(t *testing.T) {
	t.Parallel()
	server, config := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.Query().Get("hub.challenge"))
	})
	client := newClient(t, config)
	if _, err := (egress.Challenge{Client: client, Parameter: "hub.challenge"}).Prove(t.Context(), server.URL); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"a=b&c", "a b", "ä", "a\r\n", "#", strings.Repeat("a", 65)} {
		if _, err := (egress.Challenge{Client: client, Parameter: bad}).Prove(t.Context(), server.URL); !errors.Is(err, egress.ErrConfig) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	const us = "events.example.com"
	origin, rate := "WebHook-Allowed-Origin", "WebHook-Allowed-Rate"
	for name, tt := range map[string]struct {
		ask    int
		status int
		answer []string
		want   int // a minute; -1: no consent
	}{
		"our origin":                {0, 200, []string{origin, us}, 0},
		"everybody":                 {0, 200, []string{origin, "*", rate, "*"}, 0},
		"no content":                {0, 204, []string{origin, us, rate, "120"}, 120},
		"rate given":                {0, 200, []string{origin, us, rate, "120"}, 120},
		"less than asked":           {600, 200, []string{origin, us, rate, "120"}, 120},
		"more than asked":           {60, 200, []string{origin, us, rate, "120"}, 60},
		"any rate, asked":           {60, 200, []string{origin, us, rate, "*"}, 60},
		"no rate, asked":            {60, 200, []string{origin, us}, 60},
		"huge":                      {0, 200, []string{origin, us, rate, "18446744073709551617"}, 9_999_999},
		"a status is none":          {0, 200, nil, -1},
		"rate alone":                {0, 200, []string{rate, "120"}, -1},
		"another's origin":          {0, 200, []string{origin, "example.com"}, -1},
		"letter case":               {0, 200, []string{origin, "Events.example.com"}, -1},
		"in a list":                 {0, 200, []string{origin, us + ", example.org"}, -1},
		"twice":                     {0, 200, []string{origin, us, origin, us}, -1},
		"pattern":                   {0, 200, []string{origin, "*.example.com"}, -1},
		"empty":                     {0, 200, []string{origin, ""}, -1},
		"rate zero":                 {0, 200, []string{origin, us, rate, "0"}, -1},
		"rate negative":             {0, 200, []string{origin, us, rate, "-1"}, -1},
		"rate no number":            {0, 200, []string{origin, us, rate, "many"}, -1},
		"rate twice":                {0, 200, []string{origin, us, rate, "1", rate, "2"}, -1},
		"405":                       {0, 405, []string{origin, us}, -1},
		"redirect":                  {0, 307, []string{origin, us, "Location", "/again"}, -1},
		"server error with consent": {0, 500, []string{origin, us}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			server, config := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				want := ""
				if tt.ask > 0 {
					want = fmt.Sprint(tt.ask)
				}
				if r.Method != http.MethodOptions || r.RequestURI != "/cb?a=1" || r.Header.Get("WebHook-Request-Origin") != us ||
					r.Header.Get("WebHook-Request-Rate") != want || r.Header.Get("WebHook-Request-Callback") != "" {
					t.Errorf("%s %s %q", r.Method, r.RequestURI, r.Header)
				}
				for i := 0; i < len(tt.answer); i += 2 {
					w.Header().Add(tt.answer[i], tt.answer[i+1])
				}
				w.WriteHeader(tt.status)
			})
			proof, err := egress.Handshake{Client: newClient(t, config), Origin: us, Rate: tt.ask}.Prove(t.Context(), server.URL+"/cb?a=1")
			switch {
			case tt.want < 0:
				if !errors.Is(err, egress.ErrProbe) || egress.Classify(err) != "bad_response" || proof != (egress.Proof{}) {
					t.Errorf("%+v, %v", proof, err)
				}
			case err != nil || proof.PerMinute != tt.want || proof.PerSecond() != float64(tt.want)/60 || proof.URL.String() != server.URL+"/cb?a=1":
				t.Errorf("%+v, %v", proof, err)
			}
			if calls.Load() != 1 {
				t.Errorf("%d requests", calls.Load())
			}
		})
	}
}

// Both ends of the library agree.
func TestHandshakeWithOurOwnGate(t *testing.T) {
	t.Parallel()
	gate := middleware.Handshake{Origins: []string{"events.example.com"}, Rate: 300}
	server, config := tlsServer(t, gate.Handler(http.NotFoundHandler()).ServeHTTP)
	client := newClient(t, config)
	proof, err := egress.Handshake{Client: client, Origin: "events.example.com", Rate: 1000}.Prove(t.Context(), server.URL)
	if err != nil || proof.PerMinute != 300 {
		t.Errorf("%+v, %v", proof, err)
	}
	if _, err := (egress.Handshake{Client: client, Origin: "evil.example.com"}).Prove(t.Context(), server.URL); !errors.Is(err, egress.ErrProbe) {
		t.Errorf("a foreign origin: %v", err)
	}
	for _, bad := range []egress.Handshake{{}, {Origin: "*"}, {Origin: "a b"}, {Origin: "a\r\nX: y"}, {Origin: "a,b"}, {Origin: "a", Rate: -1}, {Origin: strings.Repeat("a", 254)}} {
		bad.Client = client
		if _, err := bad.Prove(t.Context(), server.URL); !errors.Is(err, egress.ErrConfig) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// A probe says where it is going before it goes, and stays when it is told so.
func TestAim(t *testing.T) {
	t.Parallel()
	var a answer
	for i := range 200 {
		a.addrs = append(a.addrs, netip.AddrFrom16(netip.AddrFrom4([4]byte{8, 8, 8, byte(i / 2)}).As16()))
	}
	stop := errors.New("stop")
	for _, name := range []string{"existence", "challenge", "handshake"} {
		s := &script{answers: []answer{a}}
		client := newClient(t, egress.Config{Resolver: s, DialContext: s.dial})
		var aimed []string
		refuse := false
		ctx := egress.WithAim(t.Context(), func(addrs []netip.Addr) error {
			aimed = append(aimed, fmt.Sprint(addrs))
			if refuse {
				return stop
			}
			return nil
		})
		if _, err := provers(client)[name].Prove(ctx, "https://hooks.example.com/"); !errors.Is(err, errNotDialed) {
			t.Errorf("%s: %v", name, err)
		}
		dialed := s.take()
		refuse = true
		for _, url := range []string{"https://hooks.example.com/", "https://1.1.1.1/"} {
			if _, err := provers(client)[name].Prove(ctx, url); !errors.Is(err, stop) || len(s.take()) != 0 {
				t.Errorf("%s of %s: %v", name, url, err)
			}
		}
		four := "[8.8.8.0 8.8.8.1 8.8.8.2 8.8.8.3]"
		if got := fmt.Sprint(aimed); got != "["+four+" "+four+" [1.1.1.1]]" || fmt.Sprint(dialed) != "[8.8.8.0:443 8.8.8.1:443 8.8.8.2:443 8.8.8.3:443]" {
			t.Errorf("%s: aimed at %s, dialed %q", name, got, dialed)
		}
	}
}

type waiting struct{ error }

func (waiting) Unwrap() error       { return egress.ErrTooMany }
func (waiting) Wait() time.Duration { return time.Minute }

func TestTooMany(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		wait time.Duration
		is   bool
	}{
		{nil, 0, false},
		{egress.ErrProbe, 0, false},
		{context.Canceled, 0, false},
		{egress.ErrTooMany, time.Second, true},
		{fmt.Errorf("wrapped: %w", egress.ErrTooMany), time.Second, true},
		{fmt.Errorf("wrapped: %w", waiting{egress.ErrTooMany}), time.Minute, true},
	} {
		if wait, is := egress.TooMany(tt.err); wait != tt.wait || is != tt.is {
			t.Errorf("TooMany(%v) = %s, %v", tt.err, wait, is)
		}
	}
	if got := egress.TenantOf(egress.WithTenant(t.Context(), "acme")); got != "acme" || egress.TenantOf(t.Context()) != "" {
		t.Errorf("tenant %q", got)
	}
}

package egress_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

// deliver makes an attempt at a URL as the registry has it, however it got there: by a direct edit of the
// database, say. It is what the engine does.
func deliver(ctx context.Context, client delivery.Client, url string) delivery.Attempt {
	sender := delivery.Sender{Client: client, Dialects: map[string]delivery.Dialect{standardwebhooks.Name: &standardwebhooks.Dialect{}}}
	return sender.Attempt(ctx, delivery.Delivery{
		ID: "d1", EventID: "e1", SubscriptionID: "s1", Dialect: standardwebhooks.Name,
		ContentType: "application/json", Body: []byte("{}"),
	}, registry.Subscription{
		ID: "s1", Dialect: standardwebhooks.Name, URL: url,
		Secrets: []registry.Secret{registry.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")},
	})
}

// sentAs remembers the URL of the last request.
type sentAs struct {
	*egress.Client
	url string
}

func (s *sentAs) Do(request *http.Request) (*http.Response, error) {
	s.url = request.URL.String()
	return s.Client.Do(request)
}

// repaired are the rows that net/url turns into something else when it makes the request: an escape where
// one was missing, no empty port, no empty fragment. What leaves is judged as it leaves.
var repaired = map[string]string{
	"U063": "https://hooks.example.com/a%20b",
	"U075": "https://hooks.example.com/%3Cscript%3E",
	"U076": "https://hooks.example.com/%22",
	"U078": "https://hooks.example.com/a%7Cb",
	"U079": "https://hooks.example.com/%C3%A9",
	"U082": "https://hooks.example.com/cb",
	"U099": "https://hooks.example.com/",
}

// stages are the places at which a URL is judged.
func stages(client *egress.Client) map[string]func(ctx context.Context, url string) error {
	out := map[string]func(context.Context, string) error{"registration": client.Resolve, "probe": client.Probe}
	for name, p := range provers(client) {
		out["probe, "+name] = func(ctx context.Context, url string) error {
			_, err := p.Prove(ctx, url)
			return err
		}
	}
	return out
}

// A-URL-01..41, A-DIAL-20: what the text refuses is refused at each place, without a look-up.
func TestURLCorpusAtEveryStage(t *testing.T) {
	t.Parallel()
	denied := 0
	for _, row := range rows(t, "testdata/urls.tsv", 4) {
		id, raw, expect := row[0], unquote(t, row[1]), row[2]
		tooLong := strings.HasPrefix(row[3], "too_long;") // a limit of edna Pulse alone, which its own tests have
		if expect == "deny" && !tooLong {
			denied++
		}
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			s := &script{answers: []answer{{addrs: []netip.Addr{netip.MustParseAddr("8.8.8.8")}}}}
			client := newClient(t, egress.Config{Resolver: s, DialContext: s.dial})
			for name, ask := range stages(client) {
				err := ask(t.Context(), raw)
				dialed := s.take()
				switch {
				case tooLong && expect == "deny" && errors.Is(err, egress.ErrURL): // for its characters
				case expect == "allow" || tooLong:
					if errors.Is(err, egress.ErrURL) || !strings.HasPrefix(name, "registration") && name != "probe, resolution" && len(dialed) == 0 {
						t.Errorf("%s: %v, dialed %q", name, err, dialed)
					}
				case !errors.Is(err, egress.ErrURL) || len(dialed) != 0 || len(s.names) != 0:
					t.Errorf("%s: %v after look-ups %q, dialed %q", name, err, s.names, dialed)
				}
			}
			s.names = nil
			sent := &sentAs{Client: client}
			a := deliver(t.Context(), sent, raw)
			dialed := s.take()
			if as, found := repaired[id]; found {
				if u, err := (egress.Policy{}).Check(sent.url); sent.url != as || err != nil || u.String() != as || !slices.Equal(dialed, []string{"8.8.8.8:443"}) {
					t.Errorf("delivery: sent as %q (%v), want %q; dialed %q", sent.url, err, as, dialed)
				}
				return
			}
			if expect == "allow" || tooLong {
				if expect == "allow" && (a.Verdict != delivery.VerdictRetry || a.Class != "conn" || len(dialed) == 0) {
					t.Errorf("delivery: %s by %q, dialed %q", a.Error, a.Class, dialed)
				}
				return
			}
			if a.Verdict != delivery.VerdictDead || a.Class != "bad_url" && a.Class != "addr_denied" || len(dialed)+len(s.names) != 0 {
				t.Errorf("delivery: verdict %v by %q (%s), look-ups %q, dialed %q: want it dead at once", a.Verdict, a.Class, a.Error, s.names, dialed)
			}
		})
	}
	if denied < 140 {
		t.Errorf("only %d rows are denied", denied)
	}
}

// literalURL writes an address into a URL.
func literalURL(addr netip.Addr) string {
	if addr.Is4() {
		return "https://" + addr.String() + "/cb"
	}
	return "https://[" + addr.String() + "]/cb"
}

// A-DIAL-01, 02, 05, 08: each address, as a name's and in the URL itself, at each place; and as what a name
// that was good at registration turned into.
func TestAddressCorpusAtEveryStage(t *testing.T) {
	t.Parallel()
	for _, row := range rows(t, "testdata/addrs.tsv", 4) {
		addr, allow := netip.MustParseAddr(row[1]), row[2] == "allow"
		t.Run(row[0], func(t *testing.T) {
			t.Parallel()
			const named = "https://hooks.example.com/cb"
			good := answer{addrs: []netip.Addr{netip.MustParseAddr("9.9.9.9")}}
			this := answer{addrs: []netip.Addr{addr}}
			s := &script{answers: []answer{this}}
			client := newClient(t, egress.Config{Resolver: s, DialContext: s.dial})
			target := netip.AddrPortFrom(addr.Unmap(), 443).String()
			for name, ask := range stages(client) {
				for _, url := range []string{named, literalURL(addr)} {
					err := ask(t.Context(), url)
					dialed := s.take()
					literal := url != named
					switch {
					case allow && literal && addr.Is4In6(): // one spelling each
					case allow:
						if asked := name != "registration" && name != "probe, resolution"; asked != slices.Equal(dialed, []string{target}) || asked != errors.Is(err, errNotDialed) {
							t.Errorf("%s of %s: %v, dialed %q", name, url, err, dialed)
						}
					case len(dialed) != 0 || literal && !errors.Is(err, egress.ErrURL) || !literal && !errors.Is(err, egress.ErrResolvedAddress):
						t.Errorf("%s of %s: %v, dialed %q", name, url, err, dialed)
					}
				}
			}

			moved := &script{answers: []answer{good, this}}
			client = newClient(t, egress.Config{Resolver: moved, DialContext: moved.dial})
			if err := client.Resolve(t.Context(), named); err != nil {
				t.Fatal(err)
			}
			for name, do := range map[string]func() delivery.Attempt{
				"after it moved": func() delivery.Attempt { return deliver(t.Context(), client, named) },
				"in the URL":     func() delivery.Attempt { return deliver(t.Context(), client, literalURL(addr)) },
			} {
				a, literal := do(), name == "in the URL"
				dialed := moved.take()
				switch {
				case allow && literal && addr.Is4In6():
				case allow:
					if !slices.Equal(dialed, []string{target}) || a.Verdict != delivery.VerdictRetry || a.Class != "conn" {
						t.Errorf("delivery %s: %q (%s), dialed %q", name, a.Class, a.Error, dialed)
					}
				case literal && a.Verdict != delivery.VerdictDead, !literal && a.Verdict != delivery.VerdictRetry, len(dialed) != 0,
					!literal && a.Class != "addr_denied", literal && a.Class != "addr_denied" && a.Class != "bad_url":
					t.Errorf("delivery %s: verdict %v by %q (%s), dialed %q", name, a.Verdict, a.Class, a.Error, dialed)
				}
			}
		})
	}
}

// A-DIAL-03..12, 13, 14: the resolver scripts at each place. The probe looks up once, so the second answer
// is the first delivery's.
func TestDNSCorpusAtEveryStage(t *testing.T) {
	t.Parallel()
	for _, row := range rows(t, "testdata/dns.tsv", 5) {
		id, name, expect := row[0], row[1], row[3]
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			url := "https://" + name + "/cb"
			register, dial, _ := strings.Cut(strings.TrimPrefix(expect, "register="), "; dial=")
			public := func(dialed []string) bool {
				for _, address := range dialed {
					if address != "8.8.8.8:443" && address != "[2606:4700:4700::1111]:443" {
						return false
					}
				}
				return len(dialed) <= 4
			}
			answers := parseAnswers(t, row[2])
			for _, stage := range []string{"registration", "probe", "probe, resolution", "probe, existence", "probe, challenge", "probe, handshake"} {
				s := &script{answers: answers}
				client := newClient(t, egress.Config{Resolver: s, DialContext: s.dial})
				err := stages(client)[stage](t.Context(), url)
				dialed := s.take()
				asks := stage != "registration" && stage != "probe, resolution"
				switch {
				case register == "deny":
					if err == nil || errors.Is(err, errNotDialed) || len(dialed) != 0 {
						t.Errorf("%s: %v, dialed %q", stage, err, dialed)
					}
				case asks && (!errors.Is(err, errNotDialed) || len(dialed) == 0 || !public(dialed)), !asks && (err != nil || len(dialed) != 0):
					t.Errorf("%s: %v, dialed %q", stage, err, dialed)
				}
				if len(s.names) > 1 {
					t.Errorf("%s: look-ups %q, want one for all of it", stage, s.names)
				}
			}

			s := &script{answers: answers}
			client := newClient(t, egress.Config{Resolver: s, DialContext: s.dial})
			_ = client.Resolve(t.Context(), url) // above
			for want := range strings.SplitSeq(dial, " then ") {
				a := deliver(t.Context(), client, url)
				dialed := s.take()
				if !public(dialed) {
					t.Errorf("delivery: dialed %q", dialed)
				}
				mixed := len(dialed) > 0 && strings.Contains(row[2], "8.8.8.8")
				switch want {
				case "none":
					if a.Verdict != delivery.VerdictDead || a.Class != "bad_url" || len(s.names) != 0 {
						t.Errorf("delivery: %v by %q after look-ups %q", a.Verdict, a.Class, s.names)
					}
				case "deny": // of a mixture, the good ones may be called
					if a.Verdict != delivery.VerdictRetry || a.Class != "addr_denied" && !mixed {
						t.Errorf("delivery: %v by %q (%s), dialed %q", a.Verdict, a.Class, a.Error, dialed)
					}
				case "retry":
					if a.Verdict != delivery.VerdictRetry || a.Class != "dns" || len(dialed) != 0 || strings.Contains(a.Error, "10.9.8.7") {
						t.Errorf("delivery: %v by %q (%s), dialed %q", a.Verdict, a.Class, a.Error, dialed)
					}
				default:
					if a.Verdict != delivery.VerdictRetry || a.Class != "conn" || len(dialed) == 0 {
						t.Errorf("delivery: %v by %q (%s), dialed %q", a.Verdict, a.Class, a.Error, dialed)
					}
				}
			}
		})
	}
}

// A-DIAL-12: a resolver that is silent ends a probe and an attempt, and only the probe is final.
func TestSilentResolverAtDelivery(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	client := newClient(t, egress.Config{Resolver: silentResolver{}})
	a := deliver(ctx, client, "https://hooks.example.com/")
	if a.Verdict != delivery.VerdictRetry || a.Class != "dns" && a.Class != "timeout" || a.Status != 0 {
		t.Errorf("%v by %q: %s", a.Verdict, a.Class, a.Error)
	}
}

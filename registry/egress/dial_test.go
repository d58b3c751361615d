package egress_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/registry/egress"
)

var errNotDialed = errors.New("recorded, not dialed")

// script is a resolver that gives its answers one after another, the last one for ever, and a
// dial function that only writes down where it was sent.
type script struct {
	mu      sync.Mutex
	answers []answer
	names   []string
	dialed  []string
}

type answer struct {
	addrs []netip.Addr
	err   error
}

func (s *script) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if network != "ip" {
		return nil, fmt.Errorf("looked up %q", network)
	}
	s.names = append(s.names, host)
	next := s.answers[min(len(s.names), len(s.answers))-1]
	return next.addrs, next.err
}

func (s *script) dial(_ context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if network != "tcp" {
		return nil, fmt.Errorf("dialed %q", network)
	}
	s.dialed = append(s.dialed, address)
	return nil, errNotDialed
}

// take gives what was dialed since the last call.
func (s *script) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	dialed := s.dialed
	s.dialed = nil
	return dialed
}

func newClient(t testing.TB, config egress.Config) *egress.Client {
	t.Helper()
	client, err := egress.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// answered is what is left of an answer when its body was read and closed.
type answered struct {
	status    int
	header    http.Header
	kept      []byte
	truncated bool
}

func post(t testing.TB, client *egress.Client, url string) (answered, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return answered{}, err
	}
	defer response.Body.Close()
	a := answered{status: response.StatusCode, header: response.Header}
	a.kept, a.truncated = egress.ReadBounded(response.Body, egress.KeepBytes, egress.DrainBytes)
	return a, nil
}

// parseAnswers reads the records of a dns.tsv row. A CNAME gives the resolver's own view: its addresses.
func parseAnswers(t *testing.T, field string) []answer {
	t.Helper()
	var out []answer
	for part := range strings.SplitSeq(field, " | ") {
		var a answer
		for record := range strings.SplitSeq(part, ", ") {
			words := strings.Fields(record)
			switch words[0] {
			case "A", "AAAA":
				addr := netip.MustParseAddr(words[1])
				count := 1
				for _, word := range words[2:] {
					if n, found := strings.CutPrefix(word, "x"); found {
						count, _ = strconv.Atoi(n)
					}
				}
				for range count {
					a.addrs = append(a.addrs, addr)
				}
			case "HOSTS": // what LookupNetIP gives for a name of the hosts file
				a.addrs = append(a.addrs, netip.AddrFrom16(netip.MustParseAddr(words[1]).As16()))
			case "NXDOMAIN", "NODATA":
				a.err = &net.DNSError{Err: "no such host", Server: "10.9.8.7:53", IsNotFound: true}
			case "CNAME":
				a.err = &net.DNSError{Err: "cname loop at 10.9.8.7:53", Server: "10.9.8.7:53"}
			case "SEARCH", "GETADDRINFO", "TXT":
			default:
				t.Fatalf("unknown record %q", record)
			}
		}
		out = append(out, a)
	}
	return out
}

func TestDNSCorpus(t *testing.T) {
	t.Parallel()
	corpus := rows(t, "testdata/dns.tsv", 5)
	if len(corpus) < 20 {
		t.Fatalf("only %d rows", len(corpus))
	}
	for _, row := range corpus {
		id, name, expect := row[0], row[1], row[3]
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			s := &script{answers: parseAnswers(t, row[2])}
			client := newClient(t, egress.Config{Resolver: s, DialContext: s.dial})
			url := "https://" + name + "/cb"
			register, dial, _ := strings.Cut(strings.TrimPrefix(expect, "register="), "; dial=")
			err := client.Resolve(t.Context(), url)
			if (err == nil) != (register == "allow") {
				t.Fatalf("Resolve = %v, want %s", err, register)
			}
			for want := range strings.SplitSeq(dial, " then ") {
				_, err := post(t, client, url)
				dialed := s.take()
				switch want {
				case "none":
					if len(s.names) != 0 || !errors.Is(err, egress.ErrURL) {
						t.Errorf("%v after look-ups %q, want none", err, s.names)
					}
				case "deny":
					// A mix of records may still dial its good ones: the guard judges each address.
					if len(dialed) == 0 && !errors.Is(err, egress.ErrResolvedAddress) {
						t.Errorf("Do = %v, want a refused address", err)
					}
					if len(dialed) != 0 && !strings.Contains(row[2], "8.8.8.8,") && !strings.Contains(row[2], ", A 8.8.8.8") {
						t.Errorf("dialed %q", dialed)
					}
				case "retry":
					if len(dialed) != 0 || !errors.Is(err, egress.ErrResolve) || egress.Classify(err) != "dns" || strings.Contains(err.Error(), "10.9.8.7") {
						t.Errorf("Do = %v (%s), dialed %q", err, egress.Classify(err), dialed)
					}
				default: // an address, "either" or "deny or <address>": all of them public
					if len(dialed) == 0 || len(dialed) > 4 || !errors.Is(err, errNotDialed) {
						t.Errorf("Do = %v, dialed %q", err, dialed)
					}
				}
				for _, address := range dialed {
					if address != "8.8.8.8:443" && address != "[2606:4700:4700::1111]:443" {
						t.Errorf("dialed %q", address)
					}
				}
			}
			for _, looked := range s.names {
				if looked != name+"." {
					t.Errorf("looked up %q, want the absolute name", looked)
				}
			}
		})
	}
}

func TestDialTriesFourAtMost(t *testing.T) {
	t.Parallel()
	var a answer
	for i := range 200 {
		a.addrs = append(a.addrs, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), netip.AddrFrom4([4]byte{8, 8, 8, byte(i)}))
	}
	s := &script{answers: []answer{a}}
	client := newClient(t, egress.Config{Resolver: s, DialContext: s.dial})
	if _, err := post(t, client, "https://hooks.example.com/"); !errors.Is(err, errNotDialed) {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.take()); got != "[8.8.8.0:443 8.8.8.1:443 8.8.8.2:443 8.8.8.3:443]" {
		t.Errorf("dialed %s", got)
	}
}

func TestPortOfANameIsJudgedWithItsAddress(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		addr string
		want error
	}{
		"address in the open network": {"10.1.2.3", errNotDialed},
		"address elsewhere":           {"8.8.8.8", egress.ErrResolvedAddress},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{answers: []answer{{addrs: []netip.Addr{netip.MustParseAddr(test.addr)}}}}
			client := newClient(t, egress.Config{
				Policy:   egress.Policy{AllowNetworks: prefixes("10.0.0.0/8")},
				Resolver: s, DialContext: s.dial,
			})
			_, err := post(t, client, "https://hooks.example.com:9000/")
			if !errors.Is(err, test.want) {
				t.Errorf("Do = %v, want %v", err, test.want)
			}
			if resolved := client.Resolve(t.Context(), "https://hooks.example.com:9000/"); (resolved == nil) != errors.Is(test.want, errNotDialed) {
				t.Errorf("Resolve = %v", resolved)
			}
		})
	}
}

type silentResolver struct{}

func (silentResolver) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, &net.DNSError{Err: "read udp 10.9.8.7:53: i/o timeout", IsTimeout: true}
}

func TestSilentResolverEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, egress.Config{Resolver: silentResolver{}})
		start := time.Now()
		_, err := post(t, client, "https://hooks.example.com/")
		if egress.Classify(err) != "dns" || time.Since(start) != 5*time.Second || strings.Contains(err.Error(), "10.9.8.7") {
			t.Errorf("Do = %v (%s) after %s", err, egress.Classify(err), time.Since(start))
		}
		start = time.Now()
		if err := client.Probe(t.Context(), "https://hooks.example.com/"); !errors.Is(err, egress.ErrResolve) || time.Since(start) != 5*time.Second {
			t.Errorf("Probe = %v after %s", err, time.Since(start))
		}
	})
}

func TestSilentAddressesShareTheDialTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []answer{{addrs: []netip.Addr{netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("1.1.1.1")}}}}
		tries := 0
		client := newClient(t, egress.Config{Resolver: s, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			tries++
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		start := time.Now()
		_, err := post(t, client, "https://hooks.example.com/")
		if egress.Classify(err) != "timeout" || tries != 2 || time.Since(start) != 10*time.Second {
			t.Errorf("Do = %v (%s) after %d tries and %s", err, egress.Classify(err), tries, time.Since(start))
		}
	})
}

package egress_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/registry/internal/keypairtest"
)

// A server whose certificate is not right is not talked to, whatever is wrong.
func TestARESP36BadCertificates(t *testing.T) {
	t.Parallel()
	root := keypairtest.Authority(t)
	between := root.Issue(t, func(c *x509.Certificate) { // signed by the root, but may sign nothing itself
		c.KeyUsage = x509.KeyUsageDigitalSignature
	})
	chain := func(pairs ...keypairtest.Pair) tls.Certificate {
		c := pairs[0].TLS()
		for _, p := range pairs[1:] {
			c.Certificate = append(c.Certificate, p.Leaf().Raw)
		}
		return c
	}
	edited := func(edit func(*x509.Certificate)) tls.Certificate { return root.Issue(t, edit).TLS() }
	for name, c := range map[string]struct {
		certificate tls.Certificate
		good        bool
	}{
		"good":          {edited(nil), true},
		"expired":       {edited(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), false},
		"not yet valid": {edited(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), false},
		"another name": {edited(func(c *x509.Certificate) {
			c.IPAddresses, c.DNSNames = nil, []string{"hooks.example.com"}
		}), false},
		"another address": {edited(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} }), false},
		"address without SAN": {edited(func(c *x509.Certificate) {
			c.IPAddresses, c.Subject.CommonName = nil, "127.0.0.1"
		}), false},
		"address as a name": {edited(func(c *x509.Certificate) {
			c.IPAddresses, c.DNSNames = nil, []string{"127.0.0.1"}
		}), false},
		"for clients only":          {edited(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), false},
		"self-signed":               {keypairtest.Authority(t).TLS(), false},
		"of another authority":      {keypairtest.Authority(t).Issue(t, nil).TLS(), false},
		"signed by what may not":    {chain(between.Issue(t, nil), between), false},
		"weak signature":            {edited(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }), false},
		"A-RESP-37 too long a list": {chain(append([]keypairtest.Pair{root.Issue(t, nil)}, longChain(t, root)...)...), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				if !c.good {
					t.Error("reached")
				}
			}))
			server.Config.ErrorLog = quiet
			server.TLS = &tls.Config{Certificates: []tls.Certificate{c.certificate}, MinVersion: tls.VersionTLS12}
			server.StartTLS()
			defer server.Close()
			for _, way := range ways {
				client := newClient(t, loopback(egress.Config{RootCAs: root.Pool(), MaxConnsPerHost: way}))
				for _, identity := range []egress.Identity{{}, egress.NewIdentity("sub", "", "", root.Certificate)} {
					_, err := as(t.Context(), t, client, identity, server.URL)
					if want := map[bool]string{false: "tls"}[c.good]; egress.Classify(err) != want {
						t.Errorf("%v (%s), want class %q", err, egress.Classify(err), want)
					}
				}
			}
		})
	}
}

// longChain is more than a handshake may bring.
func longChain(t *testing.T, root keypairtest.Pair) (chain []keypairtest.Pair) {
	t.Helper()
	big := root.Issue(t, func(c *x509.Certificate) { c.DNSNames = []string{strings.Repeat("a.", 20_000) + "example"} })
	for range 8 {
		chain = append(chain, big)
	}
	return chain
}

// Types and flags of HTTP/2's frames.
const (
	frameHeaders, frameReset, frameSettings, framePing, frameGoAway = 1, 3, 4, 6, 7
	endStream, endHeaders                                           = 1, 4
	settingStreams, settingWindow                                   = 3, 4
)

func frame(kind, flags byte, stream uint32, payload ...byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

func setting(name byte, value uint32) []byte {
	return frame(frameSettings, 0, 0, binary.BigEndian.AppendUint32([]byte{0, name}, value)...)
}

// Servers that keep to HTTP/2's letter and harm all the same: the attempt ends by
// its time or as a broken connection, and another host is served meanwhile.
func TestARESP40HTTP2(t *testing.T) {
	t.Parallel()
	refused := frame(frameReset, 0, 1, 0, 0, 0, 7)
	for _, test := range []struct {
		name   string
		first  []byte // instead of plain settings
		answer []byte // to the first request
		flood  []byte // without an end, afterwards
		class  string
	}{
		// Nothing was done with these requests, so net/http sends them again: while there is time, over three connections at most.
		{name: "GOAWAY at once", first: append(frame(frameSettings, 0, 0), frame(frameGoAway, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)...), class: "conn"},
		{name: "refused", answer: refused, class: "timeout"},
		{name: "GOAWAY for the request", answer: frame(frameGoAway, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2), class: "conn"},
		{name: "reset", answer: frame(frameReset, 0, 1, 0, 0, 0, 2), class: "conn"},
		{name: "header list bomb", answer: frame(frameHeaders, endStream|endHeaders, 1, bomb()...), class: "bad_response"},
		{name: "malformed header block", answer: frame(frameHeaders, endStream|endHeaders, 1, 0xff, 0xff, 0xff, 0xff, 0xff), class: "bad_response"},
		{name: "window of nothing", first: setting(settingWindow, 0), class: "timeout"},
		{name: "no streams", first: setting(settingStreams, 0), class: "timeout"},
		{name: "ping flood", first: frame(frameSettings, 0, 0), flood: frame(framePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8), class: "timeout"},
		{name: "settings flood", first: frame(frameSettings, 0, 0), flood: setting(settingWindow, 65_535), class: "timeout"},
		{name: "never an answer", class: "timeout"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := keypairtest.Authority(t)
			config := &tls.Config{Certificates: []tls.Certificate{root.Issue(t, nil).TLS()}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12}
			listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			defer wg.Wait()
			defer listener.Close()
			over := make(chan struct{})
			defer close(over)
			wg.Go(func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					wg.Go(func() {
						wg.Go(func() {
							<-over
							conn.Close()
						})
						hostile(conn, test.first, test.answer, test.flood)
					})
				}
			})
			healthy, healthyConfig := tlsServer(t, func(http.ResponseWriter, *http.Request) {})
			healthyConfig.RootCAs.AddCert(root.Leaf())
			healthyConfig.Timeout = 5 * time.Second
			healthyConfig.Policy.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			client := newClient(t, healthyConfig)
			wg.Go(func() {
				for range 20 {
					if got, err := post(t, client, healthy.URL); err != nil || got.status != http.StatusOK {
						t.Errorf("another host: %d, %v", got.status, err)
					}
				}
			})
			begin := time.Now()
			_, err = post(t, client, "https://"+listener.Addr().String()+"/")
			if class := egress.Classify(err); class != test.class {
				t.Errorf("%v (%s), want %s", err, class, test.class)
			}
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
			client.CloseIdleConnections()
		})
	}
}

// bomb is a header block of a few bytes whose list is large: one field of 3 kB is
// put in the table, and named a hundred times.
func bomb() []byte {
	value := strings.Repeat("v", 3000)
	block := []byte{0x88, 0x40, 1, 'x'} // :status 200, a literal that is kept
	block = append(block, 0x7f, 0x80|byte((len(value)-127)&0x7f), byte((len(value)-127)>>7))
	block = append(block, value...)
	for range 100 {
		block = append(block, 0x80|62)
	}
	return block
}

// hostile reads what the client sends and never more than it is asked for.
func hostile(conn net.Conn, first, answer, flood []byte) {
	preface := make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	if _, err := io.ReadFull(conn, preface); err != nil {
		return
	}
	if first == nil {
		first = frame(frameSettings, 0, 0)
	}
	if _, err := conn.Write(first); err != nil {
		return
	}
	if flood != nil {
		go func() {
			for {
				if _, err := conn.Write(flood); err != nil {
					return
				}
			}
		}()
	}
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, conn, int64(head[0])<<16|int64(head[1])<<8|int64(head[2])); err != nil {
			return
		}
		if head[3] == frameHeaders && answer != nil {
			conn.Write(answer)
			answer = nil
		}
	}
}

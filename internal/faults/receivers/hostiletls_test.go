package receivers_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

// authority signs the certificates of the TLS endpoints.
type authority struct {
	key  *ecdsa.PrivateKey
	root *x509.Certificate
	pem  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hostile endpoints"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{key, root, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// issue makes a certificate for names, after edit; signed by itself if alone.
func (a *authority) issue(t *testing.T, alone bool, edit func(*x509.Certificate), names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "endpoint"}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if edit != nil {
		edit(template)
	}
	parent, signer := a.root, a.key
	if alone {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// tlsBehavior is what the endpoint of a name does, by its configuration and then
// by what it sends once hands are shaken.
type tlsBehavior struct {
	row, class string
	config     *tls.Config
	then       func(c *tls.Conn)
	literal    bool // called by its address
	timeout    time.Duration
	delivered  bool
}

// serveTLS answers handshakes by the name that is asked for, "b0.example.com" and
// so on. Without a name it is the last literal one.
func serveTLS(t *testing.T, all []tlsBehavior) (port string) {
	t.Helper()
	of := func(name string) (b tlsBehavior, found bool) {
		for i, b := range all {
			if name == nameOf(i) || name == "" && b.literal {
				return b, true
			}
		}
		return tlsBehavior{}, false
	}
	address := raw(t, func(c net.Conn) {
		conn := tls.Server(c, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			b, found := of(hello.ServerName)
			if !found {
				return nil, errors.New("no such endpoint")
			}
			return b.config, nil
		}})
		if conn.HandshakeContext(t.Context()) != nil {
			return
		}
		b, _ := of(conn.ConnectionState().ServerName)
		if b.then != nil {
			b.then(conn)
			return
		}
		if take(conn) {
			io.WriteString(conn, thanks)
		}
	})
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func idOf(i int) string { return fmt.Sprintf("b%02d", i) }

func nameOf(i int) string { return idOf(i) + ".example.com" }

// sendTLS has an engine send one event to each and judges the logs.
func sendTLS(t *testing.T, roots string, all []tlsBehavior) {
	t.Helper()
	port := serveTLS(t, all)
	e, stop := engineInside(t, rig.Spec{Roots: roots})
	for i, b := range all {
		url := "https://" + nameOf(i) + ":" + port + "/"
		if b.literal {
			url = "https://127.0.0.1:" + port + "/"
		}
		id := idOf(i)
		ep := rig.Endpoint{ID: id, Tenant: id, URL: url, Timeout: b.timeout}
		if _, err := e.Subscribe(t.Context(), ep.Subscription()); err != nil {
			t.Fatal(err)
		}
		publishAll(t, e, id, 1)
	}
	ledger := ledgerWhenSettled(t, e)
	stop()
	for i, b := range all {
		t.Run(b.row, func(t *testing.T) {
			entry, found := ledger.Get(idOf(i)+"-0", idOf(i))
			if b.delivered {
				if entry.State != delivery.Delivered {
					t.Errorf("%s: %+v", entry.State, entry.Log)
				}
				return
			}
			if !found || entry.State != delivery.Dead || len(entry.Log) != 2 {
				t.Fatalf("%s after %d attempts: %+v", entry.State, len(entry.Log), entry.Log)
			}
			for _, a := range entry.Log {
				if !strings.Contains(" "+b.class+" ", " "+a.Class+" ") || a.Status != 0 || len(a.Response) != 0 || len(a.Error) > 300 || strings.Contains(a.Error, "secret") {
					t.Errorf("%q, %d: %s; want %s", a.Class, a.Status, a.Error, b.class)
				}
				if b.timeout > 0 && a.Duration > 10*b.timeout {
					t.Errorf("attempt %d took %s", a.Number, a.Duration)
				}
			}
		})
	}
}

// A-RESP-36 to 39: no certificate that is not good, no old version, no silence,
// no certificate of ours; each fails as "tls" and is tried again.
func TestHostileTLS(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t), newAuthority(t)
	config := func(cert tls.Certificate, edit func(*tls.Config)) *tls.Config {
		c := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10}
		if edit != nil {
			edit(c)
		}
		return c
	}
	var all []tlsBehavior
	add := func(row string, issuer *authority, alone bool, edit func(*x509.Certificate), tune func(*tls.Config), names ...string) {
		if names == nil {
			names = []string{nameOf(len(all))}
		}
		all = append(all, tlsBehavior{row: row, class: "tls", config: config(issuer.issue(t, alone, edit, names...), tune)})
	}
	add("a good one", ca, false, nil, nil)
	all[0].delivered = true
	add("A-RESP-36 expired", ca, false, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, nil)
	add("A-RESP-36 not yet valid", ca, false, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, nil)
	add("A-RESP-36 self-signed", ca, true, nil, nil)
	add("A-RESP-36 another authority", stranger, false, nil, nil)
	add("A-RESP-36 wrong name", ca, false, nil, nil, "other.example.com")
	add("A-RESP-36 name in the subject alone", ca, false, func(c *x509.Certificate) {
		c.DNSNames, c.Subject.CommonName = nil, nameOf(len(all))
	}, nil)
	add("A-RESP-36 for clients only", ca, false, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, nil)
	add("A-RESP-36 address without a SAN", ca, false, nil, nil)
	all[len(all)-1].literal = true
	add("A-RESP-37 TLS 1.0", ca, false, nil, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS10 })
	add("A-RESP-37 TLS 1.1", ca, false, nil, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 })
	add("A-RESP-37 huge chain", ca, false, func(c *x509.Certificate) { c.Subject.Organization = []string{strings.Repeat("x", 60_000)} }, nil)
	huge := all[len(all)-1].config
	for range 8 {
		huge.Certificates[0].Certificate = append(huge.Certificates[0].Certificate, huge.Certificates[0].Certificate[0])
	}
	add("A-RESP-38 wants a certificate, TLS 1.2", ca, false, nil, func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 })
	add("A-RESP-38 wants a certificate, TLS 1.3", ca, false, nil, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })
	sendTLS(t, ca.pem, all)
}

// What answers a handshake with something else, or not at all.
func TestHostileHandshake(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		serve func(net.Conn)
		class string
	}{
		"A-RESP-39 plain HTTP":                     {inClear, "tls"},
		"A-RESP-39 plain HTTP without being asked": {func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nX: secret\r\n\r\n") }, "tls conn"},
		"A-RESP-37 garbage": {func(c net.Conn) {
			c.Write(bytes.Repeat([]byte{0x16, 3, 3, 0xff, 0xff}, 20_000))
			io.Copy(io.Discard, c)
		}, "tls"},
		"A-RESP-37 an alert":                    {func(c net.Conn) { c.Write([]byte{21, 3, 3, 0, 2, 2, 40}); io.Copy(io.Discard, c) }, "tls"},
		"A-RESP-37 closed":                      {func(c net.Conn) { c.Read(make([]byte, 1)) }, "tls conn"},
		"A-RESP-37 a handshake that never ends": {func(c net.Conn) { io.Copy(io.Discard, c) }, "tls"}, // after 5 s
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := raw(t, tt.serve)
			e, _ := engineInside(t, rig.Spec{Pauses: []time.Duration{}, Endpoints: []rig.Endpoint{{ID: "s1", Tenant: "t1", URL: "https://" + address + "/", Timeout: 12 * time.Second}}})
			publishAll(t, e, "t1", 1)
			entry, _ := ledgerWhenSettled(t, e).Get("t1-0", "s1")
			if entry.State != delivery.Dead || len(entry.Log) != 1 {
				t.Fatalf("%s: %+v", entry.State, entry.Log)
			}
			if a := entry.Log[0]; !strings.Contains(" "+tt.class+" ", " "+a.Class+" ") || strings.Contains(a.Error, "secret") || len(a.Error) > 200 || a.Duration > 10*time.Second {
				t.Errorf("%q after %s: %s", a.Class, a.Duration, a.Error)
			}
		})
	}
}

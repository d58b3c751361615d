package httpsig_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/httpsig"
)

// The keys of RFC 9421, appendix B.1.
const (
	rfcSecret    = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
	rfcP256      = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ=="
	rfcEdPublic  = "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="
	rfcEdPrivate = "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF"
	rfcCreated   = 1618884473
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func unix(sec int64) time.Time { return time.Unix(sec, 0) }

func raw(text string) []byte { return must(base64.StdEncoding.DecodeString(text)) }

func hmacKey() httpsig.Key {
	return httpsig.Key{ID: "test-shared-secret", Algorithm: httpsig.HMACSHA256, Secret: raw(rfcSecret)}
}

func edKey() httpsig.Key {
	return httpsig.Key{ID: "test-key-ed25519", Algorithm: httpsig.Ed25519, Private: must(x509.ParsePKCS8PrivateKey(raw(rfcEdPrivate)))}
}

func edPublic() httpsig.Key {
	return httpsig.Key{ID: "test-key-ed25519", Algorithm: httpsig.Ed25519, Public: must(x509.ParsePKIXPublicKey(raw(rfcEdPublic))).(ed25519.PublicKey)}
}

func ecPublic() httpsig.Key {
	return httpsig.Key{ID: "test-key-ecc-p256", Algorithm: httpsig.ECDSAP256SHA256, Public: must(x509.ParsePKIXPublicKey(raw(rfcP256))).(*ecdsa.PublicKey)}
}

// rfcRequest is the request of appendix B.2.
func rfcRequest() verify.Message {
	return verify.Message{
		Method: "POST", Host: "example.com", Path: "/foo", RawQuery: "param=Value&Pet=dog", Body: []byte(`{"hello": "world"}`), At: unix(rfcCreated),
		Header: http.Header{
			"Date":           {"Tue, 20 Apr 2021 02:07:55 GMT"},
			"Content-Type":   {"application/json"},
			"Content-Digest": {"sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"},
			"Content-Length": {"18"},
		},
	}
}

// wantError checks the class and that the error is verify's own.
func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
	if _, ok := errors.AsType[*verify.Error](err); want != nil && !ok {
		t.Errorf("error %v is not a *verify.Error", err)
	}
}

package verify

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"sync"
)

const (
	entryV1  = "v1,"
	entryV1a = "v1a,"

	maxSignatures = 64
	fewSignatures = 4  // that a message has, and for which no room is allocated
	maxAsymmetric = 8  // each costs some 50 µs for each key
	digitsV1      = 44 // of the base64 of 32 bytes
	digitsV1a     = 88 // of 64
)

var strictBase64 = base64.StdEncoding.Strict()

// parseSignatures appends the well-formed v1 entries of list to dst. It is
// false when the list has too many entries of any kind.
func parseSignatures(dst [][sha256.Size]byte, list string) (given [][sha256.Size]byte, ok bool) {
	if strings.Count(list, " ") >= maxSignatures {
		return nil, false
	}
	for list != "" {
		var entry string
		entry, list, _ = strings.Cut(list, " ")
		var sum [sha256.Size]byte
		if encoded, found := strings.CutPrefix(entry, entryV1); found && decodeBase64(sum[:], encoded) {
			dst = append(dst, sum)
		}
	}
	return dst, true
}

// parseAsymmetric is the same for v1a, after parseSignatures has counted.
func parseAsymmetric(dst [][ed25519.SignatureSize]byte, list string) (given [][ed25519.SignatureSize]byte, ok bool) {
	for list != "" {
		var entry string
		entry, list, _ = strings.Cut(list, " ")
		encoded, found := strings.CutPrefix(entry, entryV1a)
		var signature [ed25519.SignatureSize]byte
		if !found || !decodeBase64(signature[:], encoded) {
			continue
		}
		if len(dst) == maxAsymmetric {
			return nil, false
		}
		dst = append(dst, signature)
	}
	return dst, true
}

// decodeBase64 fills dst from exactly the padded standard base64 of its
// length, at most 64 bytes.
func decodeBase64(dst []byte, s string) bool {
	if len(s) != base64.StdEncoding.EncodedLen(len(dst)) {
		return false
	}
	if len(s) > digitsV1 {
		var text, raw [digitsV1a]byte
		return decodeInto(dst, text[:], raw[:], s)
	}
	var text, raw [digitsV1]byte // zeroing a half of the room is worth it
	return decodeInto(dst, text[:], raw[:], s)
}

func decodeInto(dst, text, raw []byte, s string) bool {
	// Decode may write more than it counts, so raw is longer than dst.
	n, err := strictBase64.Decode(raw, text[:copy(text, s)])
	if err != nil || n != len(dst) { // line ends would be skipped: then n is less
		return false
	}
	copy(dst, raw[:n])
	return true
}

// sum returns the HMAC of id.stamp.body; the body is not copied.
func (k *standardKey) sum(id, stamp string, body []byte) [sha256.Size]byte {
	st := k.macs.Start()
	st.Text(id)
	st.Text(".")
	st.Text(stamp)
	st.Text(".")
	st.Bytes(body)
	return k.macs.Finish(st)
}

// pooledText is a signed text in one piece, as ed25519 wants it.
type pooledText struct{ b []byte }

const keepSignedText = 256 << 10

var signedTexts = sync.Pool{New: func() any { return new(pooledText) }}

func signedText(id, stamp string, body []byte) *pooledText {
	t, ok := signedTexts.Get().(*pooledText)
	if !ok { // the pool holds nothing else
		t = new(pooledText)
	}
	t.b = append(t.b[:0], id...)
	t.b = append(t.b, '.')
	t.b = append(t.b, stamp...)
	t.b = append(t.b, '.')
	t.b = append(t.b, body...)
	return t
}

func (t *pooledText) free() {
	if cap(t.b) <= keepSignedText {
		signedTexts.Put(t)
	}
}

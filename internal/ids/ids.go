// Package ids makes the identifiers that the registry and the engine hand out:
// a prefix and 26 lower-case letters and digits that sort by time of creation.
package ids

import (
	"bufio"
	"crypto/rand"
	"encoding/base32"
	"sync"

	"github.com/google/uuid"
)

// randomness is read 512 bytes at a time: a call for each ID costs more than
// all the rest of it.
var randomness = sync.Pool{New: func() any { return bufio.NewReaderSize(rand.Reader, 512) }}

var encoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// New returns prefix, an underscore and a new UUIDv7 in Crockford's base 32.
func New(prefix string) string {
	r := randomness.Get().(*bufio.Reader)    //nolint:forcetypeassert // the pool holds nothing else
	id := uuid.Must(uuid.NewV7FromReader(r)) // fails only if the system has no randomness
	randomness.Put(r)
	return Format(prefix, id)
}

// Format returns prefix, an underscore and the 16 bytes in Crockford's base 32.
func Format(prefix string, id [16]byte) string {
	buf := make([]byte, 0, len(prefix)+1+26)
	buf = append(buf, prefix...)
	buf = append(buf, '_')
	return string(encoding.AppendEncode(buf, id[:]))
}

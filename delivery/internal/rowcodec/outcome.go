package rowcodec

import (
	"encoding/binary"

	"github.com/ringback-go/ringback/delivery"
)

// AppendOutcome appends the reason and, if there was one, the last attempt.
func AppendOutcome(b []byte, reason string, a *delivery.Attempt) []byte {
	b = binary.AppendUvarint(b, uint64(len(reason)))
	b = append(b, reason...)
	if a != nil {
		b = AppendAttempt(b, a)
	}
	return b
}

// Outcome reads what AppendOutcome wrote; a is nil without an attempt.
func Outcome(b []byte) (reason string, a *delivery.Attempt, err error) {
	n, k := binary.Uvarint(b)
	if len(b) == 0 {
		return "", nil, nil
	}
	if k <= 0 || n > uint64(len(b)-k) {
		return "", nil, ErrCorrupt
	}
	reason, b = string(b[k:k+int(n)]), b[k+int(n):]
	if len(b) == 0 {
		return reason, nil, nil
	}
	attempt, err := Attempt(b)
	return reason, &attempt, err
}

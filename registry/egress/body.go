package egress

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// What [ReadBounded] is given by the delivery engine.
const (
	KeepBytes  = 4 << 10  // kept for the attempt log
	DrainBytes = 64 << 10 // read in all, so that the connection can be used again
)

var scratch = sync.Pool{New: func() any { return new([KeepBytes]byte) }}

// ReadBounded reads an answer's body, keeps its first keep bytes, throws away what follows until drain
// bytes were read in all, and closes it; a body that goes on then takes its connection with it.
// truncated says that kept is not known to be the whole body: there was more, reading failed, or the
// bound came before the end. The status stands all the same, so a read error is not an error here.
// kept is nil for an empty body.
func ReadBounded(body io.ReadCloser, keep, drain int) (kept []byte, truncated bool) {
	if body == nil || body == http.NoBody {
		return nil, false
	}
	defer body.Close()
	buffer, ok := scratch.Get().(*[KeepBytes]byte)
	if !ok {
		buffer = new([KeepBytes]byte)
	}
	defer scratch.Put(buffer)

	limit := max(keep, drain)
	for total := 0; total < limit; {
		n, err := body.Read(buffer[:min(len(buffer), limit-total)])
		total += n
		if wanted := min(n, keep-len(kept)); wanted > 0 {
			kept = append(kept, buffer[:wanted]...)
		}
		if err != nil {
			return kept, total > len(kept) || !errors.Is(err, io.EOF)
		}
	}
	return kept, true
}

// Package rowcodec writes deliveries and attempts as compact bytes, for stores
// that keep them in one column. The first byte is the version of the layout.
package rowcodec

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

const version = 1

// ErrCorrupt says that bytes are not what this package wrote.
var ErrCorrupt = errors.New("rowcodec: corrupt row")

// Times are what a row needs beside the delivery, in microseconds.
type Times struct{ Due, Expires int64 }

// AppendDelivery appends d, but for its ID and Attempts, and t.
func AppendDelivery(b []byte, d *delivery.Delivery, t Times) []byte {
	b = slices.Grow(b, len(d.Body)+len(d.EventID)+len(d.SubscriptionID)+len(d.Lane)+len(d.Key)+len(d.Type)+len(d.Tenant)+len(d.ContentType)+len(d.TraceParent)+64)
	b = append(b, version)
	for _, s := range [...]string{d.EventID, d.SubscriptionID, d.Lane, d.Key, d.Dialect, d.Type, d.Tenant, d.ContentType, d.TraceParent} {
		b = appendString(b, s)
	}
	b = binary.AppendVarint(b, d.PublishedAt.UnixMicro())
	b = binary.AppendVarint(b, t.Due)
	b = binary.AppendVarint(b, t.Expires)
	ahead := byte(0)
	if d.Ahead {
		ahead = 1
	}
	b = append(b, ahead)
	b = binary.AppendUvarint(b, uint64(len(d.Meta)))
	if len(d.Meta) > 0 {
		for _, k := range slices.Sorted(maps.Keys(d.Meta)) {
			b = appendString(appendString(b, k), d.Meta[k])
		}
	}
	return append(b, d.Body...)
}

// Delivery reads what AppendDelivery wrote. The body shares b's memory.
func Delivery(id string, b []byte) (*delivery.Delivery, Times, error) {
	r := reader{b: b}
	if r.byte() != version {
		return nil, Times{}, ErrCorrupt
	}
	d := &delivery.Delivery{ID: id}
	for _, s := range [...]*string{&d.EventID, &d.SubscriptionID, &d.Lane, &d.Key, &d.Dialect, &d.Type, &d.Tenant, &d.ContentType, &d.TraceParent} {
		*s = r.string()
	}
	d.PublishedAt = time.UnixMicro(r.varint()).UTC()
	t := Times{Due: r.varint(), Expires: r.varint()}
	d.Ahead = r.byte() == 1
	if n := r.uvarint(); n > 0 && !r.bad {
		d.Meta = make(map[string]string, min(n, 64))
		for range n {
			k := r.string()
			if d.Meta[k] = r.string(); r.bad {
				break
			}
		}
	}
	if r.bad {
		return nil, Times{}, ErrCorrupt
	}
	if len(r.b) > 0 {
		d.Body = r.b
	}
	return d, t, nil
}

// AppendAttempt appends a, but for its verdict.
func AppendAttempt(b []byte, a *delivery.Attempt) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(a.Number))
	b = binary.AppendVarint(b, a.At.UnixMicro())
	b = binary.AppendVarint(b, int64(a.Duration))
	b = binary.AppendVarint(b, int64(a.Status))
	b = appendString(appendString(b, a.Class), a.Error)
	return append(b, a.Response[:min(len(a.Response), delivery.MaxResponse)]...)
}

// Attempt reads what AppendAttempt wrote.
func Attempt(b []byte) (delivery.Attempt, error) {
	r := reader{b: b}
	if r.byte() != version {
		return delivery.Attempt{}, ErrCorrupt
	}
	a := delivery.Attempt{
		Number:   int(r.uvarint()),
		At:       time.UnixMicro(r.varint()).UTC(),
		Duration: time.Duration(r.varint()),
		Status:   int(r.varint()),
		Class:    r.string(),
		Error:    r.string(),
	}
	if r.bad {
		return delivery.Attempt{}, ErrCorrupt
	}
	if len(r.b) > 0 {
		a.Response = slices.Clone(r.b)
	}
	return a, nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

package inbox

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

const (
	mostBody = 192 << 10
	mostHead = 32 << 10
)

var (
	errLarge   = &refusal{http.StatusRequestHeaderFieldsTooLarge, "the headers are too large"}
	errTarget  = &refusal{http.StatusBadRequest, "the target is no path"}
	errCorrupt = errors.New("inbox: the stored callback cannot be read")
)

// head is what is stored of a request beside its body.
type head struct {
	method, host, target, peer string
	header                     http.Header
}

// encodeHead returns the head as bytes, which its body follows.
func encodeHead(r *http.Request, drop map[string]bool) ([]byte, error) {
	target := r.URL.RequestURI()
	if _, err := url.ParseRequestURI(target); err != nil {
		return nil, errTarget // it could not be handled afterwards
	}
	b := []byte{version}
	for _, text := range []string{r.Method, r.Host, target, r.RemoteAddr} {
		b = appendText(b, text)
	}
	n := 0
	for name, values := range r.Header {
		if !drop[name] {
			n += len(values)
		}
	}
	b = binary.AppendUvarint(b, uint64(n))
	for name, values := range r.Header {
		if drop[name] {
			continue
		}
		for _, value := range values {
			b = appendText(appendText(b, name), value)
		}
	}
	if len(b) > mostHead {
		return nil, errLarge
	}
	return b, nil
}

// version is the first byte of what is stored.
const version = 1

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// decode reads what encodeHead and the body made.
func decode(data []byte) (h head, body []byte, err error) {
	d := decoder{data}
	if len(data) == 0 || data[0] != version {
		return h, nil, errCorrupt
	}
	d.rest = data[1:]
	for _, text := range []*string{&h.method, &h.host, &h.target, &h.peer} {
		if *text, err = d.text(); err != nil {
			return h, nil, err
		}
	}
	n, err := d.number()
	if err != nil {
		return h, nil, err
	}
	h.header = http.Header{}
	for range n {
		name, err := d.text()
		if err != nil {
			return h, nil, err
		}
		value, err := d.text()
		if err != nil {
			return h, nil, err
		}
		h.header[name] = append(h.header[name], value)
	}
	return h, d.rest, nil
}

type decoder struct{ rest []byte }

func (d *decoder) number() (uint64, error) {
	n, k := binary.Uvarint(d.rest)
	if k <= 0 || n > uint64(len(d.rest)-k) { // each counts at least a byte
		return 0, errCorrupt
	}
	d.rest = d.rest[k:]
	return n, nil
}

func (d *decoder) text() (string, error) {
	n, err := d.number()
	if err != nil {
		return "", err
	}
	text := string(d.rest[:n])
	d.rest = d.rest[n:]
	return text, nil
}

// A Callback is what a handler in the inbox may know beside the request.
type Callback struct {
	// ID is the same for every attempt: a function of [Config].ID's.
	ID string
	// Attempt counts from 1.
	Attempt int
	// ReceivedAt is when the callback was stored.
	ReceivedAt time.Time
}

type callbackKey struct{}

// CallbackFrom returns what the inbox knows of the callback that a handler is
// given; false outside of one.
func CallbackFrom(ctx context.Context) (Callback, bool) {
	c, ok := ctx.Value(callbackKey{}).(Callback)
	return c, ok
}

// local is the dialect of an application with itself.
type local struct{ schedule delivery.Backoff }

// Encode implements [delivery.Dialect].
func (local) Encode(ev delivery.Event, _ registry.Subscription) (delivery.Payload, error) {
	return delivery.Payload{Body: ev.Data}, nil
}

// Request implements [delivery.Dialect]: it makes the request that came.
func (local) Request(ctx context.Context, d delivery.Delivery, _ registry.Subscription, _ time.Time) (*http.Request, error) {
	h, body, err := decode(d.Body)
	if err != nil {
		return nil, delivery.Permanent(err)
	}
	target, err := url.ParseRequestURI(h.target)
	if err != nil {
		return nil, delivery.Permanent(errCorrupt)
	}
	ctx = context.WithValue(ctx, callbackKey{}, Callback{ID: d.EventID, Attempt: d.Attempts + 1, ReceivedAt: d.PublishedAt})
	d.Body, d.ContentType = body, ""
	r, err := delivery.NewRequest(ctx, d, "https://inbox.invalid/")
	if err != nil {
		return nil, err
	}
	r.Method, r.Host, r.URL, r.RequestURI, r.RemoteAddr, r.Header = h.method, h.host, target, h.target, h.peer, h.header
	return r, nil
}

// Judge implements [delivery.Dialect].
func (local) Judge(status int, _ http.Header, _ []byte) delivery.Verdict {
	switch {
	case status >= 200 && status <= 299:
		return delivery.VerdictAccepted
	case status >= 500, status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return delivery.VerdictRetry
	}
	return delivery.VerdictDead
}

// Schedule implements [delivery.Dialect].
func (l local) Schedule(registry.Subscription) delivery.Backoff {
	if l.schedule != nil {
		return l.schedule
	}
	return delivery.Standard()
}

// Endures implements [delivery.Enduring]: there is nobody else to send to.
func (local) Endures(registry.Subscription) bool { return true }

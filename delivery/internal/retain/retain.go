// Package retain is what stores know of their settled rows, so that the old ones
// are forgotten in steps and young history is not read again and again.
package retain

import (
	"math"
	"slices"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

// Forever is later than any time, and a Seq after all others.
const Forever = math.MaxInt64

// unread is the due of a span that was never read, and the cutoff of what is
// kept whatever its age.
const unread = math.MinInt64

// A Row is a settled row.
type Row struct {
	Seq, At, Bytes int64 // At: when it was settled, in microseconds since the Unix epoch
	Dead           bool  // not delivered
	Marker         bool  // of an event that nobody had subscribed to: no delivery
}

// History is the settled rows of a store, as far as it was read, in spans. What
// it knows can be lost: then the whole history is read once, step by step. The
// zero value has nothing read.
type History struct {
	keep  delivery.Retention // what due in spans goes by
	spans []span             // in order, without gaps
	seen  int64              // ones ever settled when the last span was read
}

// span is the settled rows from the span before up to a Seq. The time when the
// first of them may have to go is known: no row is settled before it is read as
// pending.
type span struct {
	to, due                 int64
	rows, deliveries, bytes int64
}

// Begin begins a look at the history, of which so many deliveries are there and
// so many ever were. more says that the look before was not the end of a round.
func (h *History) Begin(keep delivery.Retention, settled, ever int64, more bool) {
	if len(h.spans) == 0 || keep != h.keep {
		*h = History{keep: keep, spans: []span{{to: Forever, due: unread}}, seen: ever}
	}
	if !more && ever-h.seen > settled/64 { // grown: measure it
		h.spans[len(h.spans)-1].due, h.seen = unread, ever
	}
}

// Due returns the first span that has to be read, or -1.
func (h *History) Due(now time.Time) int {
	at := now.UnixMicro()
	return slices.IndexFunc(h.spans, func(s span) bool { return s.due <= at })
}

// Excess estimates how many bytes the rows take beyond their room, of which
// others may have been stored or forgotten since they were read.
func (h *History) Excess(settled int64) int64 {
	var all span
	for i := range h.spans {
		all.join(h.spans[i])
	}
	size := int64(0)
	if all.rows > 0 {
		size = max(all.bytes+(settled-all.deliveries)*(all.bytes/all.rows), 0)
	}
	return size - h.keep.Room()
}

// Trim empties the spans before the first row there is: another process has
// forgotten theirs.
func (h *History) Trim(first int64) {
	for i := range h.spans {
		if h.spans[i].to >= first {
			return
		}
		h.spans[i].rows, h.spans[i].deliveries, h.spans[i].bytes = 0, 0, 0
	}
}

// Drop takes rows, which are in order, out of the count.
func (h *History) Drop(gone []Row) {
	i := 0
	for _, r := range gone {
		for h.spans[i].to < r.Seq {
			i++
		}
		s := &h.spans[i]
		if !r.Marker {
			s.deliveries = max(s.deliveries-1, 0)
		}
		s.rows, s.bytes = max(s.rows-1, 0), max(s.bytes-r.Bytes, 0) // it may be newer than they are
	}
}

// A Reading is a span's rows as they are read anew.
type Reading struct {
	After, To int64 // the Seqs: of rows after the one, up to the other
	// Done and Dead are when rows were settled that are just young enough.
	Done, Dead int64
	Rows       int64   // so far
	Old        []int64 // of them, those that have had their time

	history *History
	place   int
	now     int64
	next    span
	last    int64
}

// Read begins to read a span.
func (h *History) Read(i int, now time.Time) *Reading {
	r := &Reading{To: h.spans[i].to, history: h, place: i, now: now.UnixMicro()}
	if i > 0 {
		r.After = h.spans[i-1].to
	}
	done, dead := h.keep.Before(now)
	r.Done, r.Dead = cutoff(done), cutoff(dead)
	r.next = span{to: r.To, due: min(r.later(r.now, r.Done), r.later(r.now, r.Dead))} // what is pending may be settled from now on
	return r
}

func cutoff(t time.Time) int64 {
	if t.IsZero() {
		return unread
	}
	return t.UnixMicro()
}

// later is when a row that was settled at some time has had its own, seen now
// with the cutoff of its kind.
func (r *Reading) later(settled, cutoff int64) int64 {
	if cutoff == unread {
		return Forever
	}
	return settled + r.now - cutoff + 1
}

// Add takes in the next row.
func (r *Reading) Add(row Row) {
	r.Rows++
	r.last = row.Seq
	cutoff := r.Done
	if row.Dead {
		cutoff = r.Dead
	}
	if row.At < cutoff {
		r.Old = append(r.Old, row.Seq)
		return
	}
	r.next.due = min(r.next.due, r.later(row.At, cutoff))
	r.next.rows++
	r.next.bytes += row.Bytes
	if !row.Marker {
		r.next.deliveries++
	}
}

// Again has the span read again soon: some of the old rows are there still.
func (r *Reading) Again() { r.next.due = min(r.next.due, r.now+1) }

// End puts what was read in place of the span. cut says that it was not the
// whole span. Neighbors become one as long as they have step rows at most.
func (r *Reading) End(cut bool, step int64) {
	parts := []span{r.next}
	if cut {
		parts = append(parts, span{to: r.next.to, due: unread})
		parts[0].to = r.last
	}
	i := r.place
	list := slices.Replace(r.history.spans, i, i+1, parts...)
	if i > 0 && list[i-1].due != unread && list[i-1].rows+list[i].rows <= step {
		list[i].join(list[i-1])
		list = slices.Delete(list, i-1, i)
	}
	r.history.spans = list
}

// join takes in the span before.
func (s *span) join(b span) {
	s.due = min(s.due, b.due)
	s.rows += b.rows
	s.deliveries += b.deliveries
	s.bytes += b.bytes
}

// Victims are rows of tenants that are being purged, found and not yet deleted.
// The zero value has none. It is not safe for concurrent use.
type Victims map[string][]int64

// Next returns the next ones of a tenant, so many at most, none where find has
// none either.
func (v *Victims) Next(tenant string, most int, find func() ([]int64, error)) ([]int64, error) {
	all := (*v)[tenant]
	if len(all) == 0 {
		var err error
		if all, err = find(); err != nil || len(all) == 0 {
			return nil, err
		}
		if *v == nil {
			*v = Victims{}
		}
		(*v)[tenant] = all
	}
	return all[:min(len(all), most)], nil
}

// Deleted takes out the first n of a tenant. Whether there are more than those
// that were found, only the next look tells.
func (v Victims) Deleted(tenant string, n int) {
	if v[tenant] = v[tenant][n:]; len(v[tenant]) == 0 {
		delete(v, tenant)
	}
}

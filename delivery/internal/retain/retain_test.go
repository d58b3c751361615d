package retain_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/retain"
)

// store has settled rows and forgets them as the real ones do.
type store struct {
	rows    []retain.Row // by Seq
	ever    int64
	history retain.History
	more    bool
	reads   int // rows that were read
}

const step, most = 8, 3 // rows read and deleted at a time

// round prunes until there is no more to do now.
func (s *store) round(t interface{ Fatalf(string, ...any) }, keep delivery.Retention, now time.Time) {
	for n := 0; ; n++ {
		if n > 10_000 {
			t.Fatalf("a round has no end")
		}
		s.more = s.step(keep, now)
		if !s.more {
			return
		}
	}
}

func (s *store) step(keep delivery.Retention, now time.Time) (more bool) {
	s.history.Begin(keep, s.deliveries(), s.ever, s.more)
	if i := s.history.Due(now); i >= 0 {
		r := s.history.Read(i, now)
		for _, row := range s.rows {
			if row.Seq > r.After && row.Seq <= r.To && r.Rows < step && len(r.Old) < most {
				s.reads++
				r.Add(row)
			}
		}
		s.forget(r.Old)
		r.End(r.Rows == step || len(r.Old) == most, step)
		return s.history.Due(now) >= 0 || s.history.Excess(s.deliveries()) > 0
	}
	over := s.history.Excess(s.deliveries())
	if over <= 0 || len(s.rows) == 0 {
		return false
	}
	first := s.rows[0]
	s.forget([]int64{first.Seq})
	s.history.Drop([]retain.Row{first})
	return over > first.Bytes
}

func (s *store) deliveries() (n int64) {
	for _, r := range s.rows {
		if !r.Marker {
			n++
		}
	}
	return n
}

func (s *store) forget(seqs []int64) {
	s.rows = slices.DeleteFunc(s.rows, func(r retain.Row) bool { return slices.Contains(seqs, r.Seq) })
}

func (s *store) bytes() (n int64) {
	for _, r := range s.rows {
		n += r.Bytes
	}
	return n
}

// TestHistory: whatever is settled when and in which order, a round leaves nothing
// that is too old and takes nothing that is young, and young history is not read
// again.
func TestHistory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		keep := delivery.Retention{Delivered: 10 * time.Hour, Dead: 30 * time.Hour, Bytes: -1}
		now := time.Unix(1e9, 0)
		var s store
		open := []int64{} // seqs that are still pending
		next := int64(1)
		for range rapid.IntRange(1, 25).Draw(t, "rounds") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "minutes")) * time.Minute)
			for range rapid.IntRange(0, 20).Draw(t, "published") {
				open = append(open, next)
				next++
			}
			before := slices.Clone(s.rows)
			for range rapid.IntRange(0, len(open)).Draw(t, "settled") {
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				row := retain.Row{Seq: open[i], At: now.UnixMicro(), Bytes: 100}
				switch rapid.IntRange(0, 5).Draw(t, "kind") {
				case 0:
					row.Dead = true
				case 1:
					row.Marker = true
				}
				if !row.Marker {
					s.ever++
				}
				open = slices.Delete(open, i, i+1)
				at, _ := slices.BinarySearchFunc(s.rows, row.Seq, func(r retain.Row, seq int64) int { return int(r.Seq - seq) })
				s.rows = slices.Insert(s.rows, at, row)
				before = append(before, row)
			}
			s.round(t, keep, now)
			for _, r := range before {
				limit := keep.Delivered
				if r.Dead {
					limit = keep.Dead
				}
				old := now.UnixMicro()-r.At > limit.Microseconds()
				if kept := slices.Contains(s.rows, r); kept == old {
					t.Fatalf("%+v is kept: %v, at %d", r, kept, now.UnixMicro())
				}
			}
			s.round(t, keep, now) // what was deleted may make the growth one that is to be measured
			s.reads = 0
			if s.round(t, keep, now); s.reads > 0 {
				t.Fatalf("%d rows were read again at once", s.reads)
			}
		}
	})
}

// TestHistorySize: what is too much goes, the oldest first, and no more than that.
func TestHistorySize(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		keep := delivery.Retention{Delivered: -1, Dead: -1, Bytes: 5000}
		now := time.Unix(1e9, 0)
		var s store
		next := int64(1)
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			for range rapid.IntRange(0, 60).Draw(t, "settled") {
				s.rows = append(s.rows, retain.Row{Seq: next, At: now.UnixMicro(), Bytes: 100})
				s.ever++
				next++
			}
			s.round(t, keep, now)
			if got := s.bytes(); got > keep.Bytes || next > 60 && got < keep.Bytes-1000 {
				t.Fatalf("%d bytes are kept of %d that may be, of %d rows", got, keep.Bytes, next-1)
			}
			if n := len(s.rows); n > 0 && s.rows[n-1].Seq != next-1 {
				t.Fatalf("the youngest, %d, went before others", next-1)
			}
			now = now.Add(time.Minute)
		}
	})
}

func TestVictims(t *testing.T) {
	t.Parallel()
	var v retain.Victims
	left := []int64{1, 2, 3, 4, 5}
	down := errors.New("down")
	if _, err := v.Next("acme", 2, func() ([]int64, error) { return nil, down }); !errors.Is(err, down) {
		t.Errorf("find failed and Next says %v", err)
	}
	finds := 0
	find := func() ([]int64, error) {
		finds++
		return slices.Clone(left[:min(len(left), 3)]), nil
	}
	var steps [][]int64
	for {
		got, err := v.Next("acme", 2, find)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			break
		}
		if again, _ := v.Next("acme", 2, find); !slices.Equal(again, got) {
			t.Errorf("what was not deleted is %v, and then %v", got, again)
		}
		steps = append(steps, slices.Clone(got))
		left = slices.DeleteFunc(left, func(seq int64) bool { return slices.Contains(got, seq) })
		v.Deleted("acme", len(got))
	}
	if want := [][]int64{{1, 2}, {3}, {4, 5}}; !slices.EqualFunc(steps, want, slices.Equal) || finds != 3 || len(v) != 0 {
		t.Errorf("%d looks, steps %v, want %v; %v is left", finds, steps, want, v)
	}
}

package lanes

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ringback-go/ringback/delivery"
)

// Any sequence of operations does what it does to a sorted slice.
func TestRowQueue(t *testing.T) {
	t.Parallel()
	for name, disorder := range map[string]int{"in order": 0, "mostly in order": 10, "in any order": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(3, uint64(disorder)))
			var q rowQueue
			var model []*row
			order := func(a, b *row) int { return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Seq, b.Seq)) }
			left := func(r *row) { model = slices.DeleteFunc(model, func(x *row) bool { return x == r }) }
			seq, longest := int64(0), 0
			for step := range 20_000 {
				grows := step/500%2 == 0 // by turns, so that the line fills and runs dry
				switch p := rnd.IntN(10); {
				case grows && p < 7, !grows && p < 2:
					seq++
					r := &row{Row: Row{Seq: seq, Due: seq / 3, Delivery: &delivery.Delivery{}}}
					if rnd.IntN(100) < disorder {
						r.Due = rnd.Int64N(seq)
					}
					q.push(r)
					i, _ := slices.BinarySearchFunc(model, r, order)
					model = slices.Insert(model, i, r)
				case len(model) == 0:
				case p < 8:
					if r := q.pop(); r != model[0] {
						t.Fatalf("step %d: (%d, %d) came before (%d, %d)", step, r.Due, r.Seq, model[0].Due, model[0].Seq)
					}
					model = model[1:]
				case p == 8:
					r := model[rnd.IntN(len(model))]
					q.drop(r)
					q.drop(r) // not there any more
					left(r)
				default:
					r := q.popAny()
					if !slices.Contains(model, r) {
						t.Fatalf("step %d: row %d is not among those that wait", step, r.Seq)
					}
					left(r)
				}
				var head *row
				if len(model) > 0 {
					head = model[0]
				}
				if got := q.head(); got != head || q.len() != len(model) {
					t.Fatalf("step %d: head %v of %d, want %v of %d", step, got, q.len(), head, len(model))
				}
				longest = max(longest, len(model))
				if step%100 == 0 {
					if got := slices.SortedFunc(q.all(), order); !slices.Equal(got, model) {
						t.Fatalf("step %d: %d rows in all, want %d", step, len(got), len(model))
					}
					if got := slices.Collect(q.inOrder()); !slices.Equal(got, model) {
						t.Fatalf("step %d: %d rows in order, want %d", step, len(got), len(model))
					}
				}
			}
			if longest < 100 {
				t.Errorf("never more than %d rows", longest)
			}
			if room := cap(q.line); room > 4*longest {
				t.Errorf("room for %d rows in line, where there were %d at most", room, longest)
			}
		})
	}
}

// A queue that never runs dry takes no more room than its rows do, and keeps
// none of those that left.
func TestRowQueueRoom(t *testing.T) {
	t.Parallel()
	var q rowQueue
	for seq := range int64(10_000) {
		q.push(&row{Row: Row{Seq: seq, Due: seq - seq%5*7}})
		if q.len() <= 20 {
			continue
		}
		if seq%100 == 0 {
			q.popAny()
		}
		q.pop()
	}
	if room := cap(q.line) + cap(q.late); room > 100 {
		t.Errorf("room for %d rows, where there are %d", room, q.len())
	}
	kept := 0
	for _, rows := range [][]*row{q.line[:cap(q.line)], q.late[:cap(q.late)]} {
		for _, r := range rows {
			if r != nil {
				kept++
			}
		}
	}
	if kept != q.len() {
		t.Errorf("%d rows are kept, %d wait", kept, q.len())
	}
}

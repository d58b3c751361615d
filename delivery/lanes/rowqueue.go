package lanes

import (
	"container/heap"
	"iter"
	"slices"
)

// rowQueue is the rows of a lane that wait, by Due, then Seq. Most come in
// order: they stand in line, and leave it without a look at the others, which
// are far from the processor where much waits. The others are a heap.
type rowQueue struct {
	line  []*row
	first int // what stood before has left
	late  rowHeap
}

func (q *rowQueue) len() int { return len(q.line) - q.first + len(q.late) }

// head returns the first row, nil if there is none.
func (q *rowQueue) head() *row {
	switch {
	case q.first == len(q.line):
		if len(q.late) == 0 {
			return nil
		}
		return q.late[0]
	case len(q.late) > 0 && q.late[0].before(q.line[q.first]):
		return q.late[0]
	}
	return q.line[q.first]
}

func (q *rowQueue) push(r *row) {
	n := len(q.line)
	if n > q.first && r.before(q.line[n-1]) {
		heap.Push(&q.late, r)
		return
	}
	if n == cap(q.line) && q.first > n/2 { // room enough at its beginning
		n = copy(q.line, q.line[q.first:])
		clear(q.line[n:])
		q.line, q.first = q.line[:n], 0
	}
	q.line = append(q.line, r)
}

// pop takes off the head, which must be there.
func (q *rowQueue) pop() *row {
	r := q.head()
	if len(q.late) > 0 && r == q.late[0] {
		heap.Pop(&q.late)
		return r
	}
	q.line[q.first] = nil
	q.first++
	return r
}

// popAny takes off a row, of which there must be one, at the least expense.
func (q *rowQueue) popAny() *row {
	if len(q.late) > 0 {
		return q.late.Pop().(*row) //nolint:forcetypeassert // the last one: the others stay a heap
	}
	n := len(q.line) - 1
	r := q.line[n]
	q.line[n] = nil
	q.line = q.line[:n]
	return r
}

// drop takes off a row wherever it stands.
func (q *rowQueue) drop(r *row) {
	if i := slices.Index(q.line[q.first:], r); i >= 0 {
		q.line = slices.Delete(q.line, q.first+i, q.first+i+1)
	} else if i := slices.Index(q.late, r); i >= 0 {
		heap.Remove(&q.late, i)
	}
}

// all returns the rows in any order.
func (q *rowQueue) all() iter.Seq[*row] {
	return func(yield func(*row) bool) {
		for _, rows := range [][]*row{q.line[q.first:], q.late} {
			for _, r := range rows {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// inOrder returns the rows as they come.
func (q *rowQueue) inOrder() iter.Seq[*row] {
	late := slices.Clone(q.late)
	slices.SortFunc(late, func(a, b *row) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	return func(yield func(*row) bool) {
		for _, r := range q.line[q.first:] {
			for len(late) > 0 && late[0].before(r) {
				if !yield(late[0]) {
					return
				}
				late = late[1:]
			}
			if !yield(r) {
				return
			}
		}
		for _, r := range late {
			if !yield(r) {
				return
			}
		}
	}
}

func (r *row) before(other *row) bool {
	if r.Due != other.Due {
		return r.Due < other.Due
	}
	return r.Seq < other.Seq
}

// rowHeap is a heap of rows for container/heap.
type rowHeap []*row

func (h rowHeap) Len() int           { return len(h) }
func (h rowHeap) Less(i, j int) bool { return h[i].before(h[j]) }
func (h rowHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *rowHeap) Push(x any)        { *h = append(*h, x.(*row)) } //nolint:forcetypeassert // container/heap
func (h *rowHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}

package lanes

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// queue is operations that wait to be committed, and who commits them.
type queue struct {
	leader chan struct{} // holds one token while somebody commits
	mu     sync.Mutex
	ops    []operation

	last struct { // batch, known to who commits
		ops  int
		took time.Duration
	}
}

func (q *queue) push(o operation) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ops = append(q.ops, o)
}

func (q *queue) withdraw(o operation) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.ops, o)
	if i < 0 {
		return false
	}
	q.ops = slices.Delete(q.ops, i, i+1)
	return true
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ops)
}

// next takes operations off the queue, at least one if there is any, and rows
// at most otherwise.
func (q *queue) next(most int) []operation {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, rows := 0, 0
	for n < len(q.ops) && (n == 0 || rows+q.ops[n].state().rows <= most) {
		st := q.ops[n].state()
		if st.alone && n > 0 {
			break
		}
		rows += st.rows
		if n++; st.alone {
			break
		}
	}
	ops := q.ops[:n:n]
	if q.ops = q.ops[n:]; len(q.ops) == 0 {
		q.ops = nil
	}
	return ops
}

// gather takes it that nobody comes any more when nobody has for so long, or
// after giving way so often: a processor that is idle gives way in no time.
const (
	lull     = 50 * time.Microsecond
	lullTurn = 100
)

// gather lets those who are about to commit join the batch. Whom the last batch
// let go is likely to come again, so it gives way until as many are there, or
// nobody has come for a moment, and for half as long as that batch took at most.
// A caller that is alone does not wait at all.
func (q *queue) gather() {
	if q.last.ops < 2 {
		return
	}
	begin := time.Now()
	came, at := 0, begin
	for turns := 0; turns < lullTurn; turns++ {
		n := q.len()
		now := time.Now()
		if n > came {
			came, at, turns = n, now, 0
		}
		if n >= q.last.ops || now.Sub(at) > lull || now.Sub(begin) > q.last.took/2 {
			return
		}
		runtime.Gosched()
	}
}

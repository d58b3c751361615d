package delivery

import (
	"sync"
	"sync/atomic"
	"time"
)

// pool is the senders: few while attempts are quick, since they share the
// processors anyway, and more when some are slow, up to one for each slot.
type pool struct {
	max   int
	queue <-chan *Lease
	send  func(*Lease)

	wg      sync.WaitGroup
	mu      sync.Mutex
	senders []*sender
	idle    atomic.Int32
	growing bool
}

type sender struct{ since atomic.Int64 } // start of the attempt in ns, 0 when idle

const (
	quickSenders = 16
	slowAfter    = 5 * time.Millisecond
)

func (p *pool) init(size int, queue <-chan *Lease, send func(*Lease)) {
	p.max, p.queue, p.send = size, queue, send
}

// grow sees to it that n leases just queued find senders.
func (p *pool) grow(n int) {
	n -= int(p.idle.Load())
	if n <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for ; n > 0 && len(p.senders) < min(quickSenders, p.max); n-- {
		p.add()
	}
	if n > 0 && !p.growing && len(p.senders) < p.max {
		p.growing = true
		p.wg.Go(p.watch)
	}
}

func (p *pool) add() {
	s := &sender{}
	p.senders = append(p.senders, s)
	p.wg.Go(func() { p.run(s) })
}

func (p *pool) run(s *sender) {
	for {
		p.idle.Add(1)
		l, ok := <-p.queue
		p.idle.Add(-1)
		if !ok {
			return
		}
		s.since.Store(time.Now().UnixNano())
		p.send(l)
		s.since.Store(0)
	}
}

// watch adds a sender for each that is slow, while leases wait.
func (p *pool) watch() {
	ticker := time.NewTicker(slowAfter)
	defer ticker.Stop()
	for {
		<-ticker.C
		p.mu.Lock()
		waiting := len(p.queue)
		if waiting == 0 || len(p.senders) >= p.max {
			p.growing = false
			p.mu.Unlock()
			return
		}
		old := time.Now().Add(-slowAfter).UnixNano()
		slow := 0
		for _, s := range p.senders {
			if t := s.since.Load(); t != 0 && t < old {
				slow++
			}
		}
		for range min(quickSenders+slow-len(p.senders), waiting, p.max-len(p.senders)) {
			p.add()
		}
		p.mu.Unlock()
	}
}

// wait returns when the queue is closed and all attempts are over.
func (p *pool) wait() { p.wg.Wait() }

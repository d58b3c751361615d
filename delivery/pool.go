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
	queue <-chan *slot
	send  func(*slot)

	wg      sync.WaitGroup
	mu      sync.Mutex
	senders []*sender
	load    atomic.Int32 // leases queued or being sent
	growing bool
}

type sender struct{ since atomic.Int64 } // start of the attempt in ns, 0 when idle

const (
	quickSenders = 16
	slowAfter    = 5 * time.Millisecond
)

func (p *pool) init(size int, queue <-chan *slot, send func(*slot)) {
	p.max, p.queue, p.send = size, queue, send
}

// expect counts n leases that are about to be queued.
func (p *pool) expect(n int) { p.load.Add(int32(n)) }

// grow sees to it that what was queued finds senders. It goes by the leases
// that are queued or being sent: a sender that waits may have been handed one
// already without having noticed.
func (p *pool) grow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	load := min(int(p.load.Load()), p.max)
	for len(p.senders) < min(load, quickSenders) {
		p.add()
	}
	if load > len(p.senders) && !p.growing {
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
		l, ok := <-p.queue
		if !ok {
			return
		}
		s.since.Store(time.Now().UnixNano())
		p.send(l)
		s.since.Store(0)
		p.load.Add(-1)
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

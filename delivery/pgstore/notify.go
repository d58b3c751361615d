package pgstore

import (
	"context"
	"hash/fnv"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// news is what a notification tells. It is a hint: who misses it looks later.
type news int32

const (
	newsInbox  news = 1 << iota // something was left for another engine
	newsShards                  // shards are free, or an engine joined or left
	newsGuests                  // a guest asks, comes or goes
)

var payloads = map[news]string{newsInbox: "inbox", newsShards: "shards", newsGuests: "guests"}

// bell tells other processes what is new: never within a transaction that does
// anything else, since notifications are committed one after another, and seldom.
type bell struct {
	pool    *pgxpool.Pool
	channel string
	log     *slog.Logger
	news    atomic.Int32
	rung    chan struct{}
	serving atomic.Bool
	telling atomic.Bool
}

// channel is where a schema's processes tell each other. The server takes 63
// bytes, which the longest schema's name needs alone.
func channel(schemaName string) string {
	const prefix, most = "ringback.", 63
	if len(prefix)+len(schemaName) <= most {
		return prefix + schemaName
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(schemaName)) // cannot fail
	return prefix + strconv.FormatUint(h.Sum64(), 36)
}

// bellPause is the least time between two notifications of a process.
const bellPause = 5 * time.Millisecond

// ring has others told soon, if the process runs, or at their next look.
func (b *bell) ring(n news) {
	b.news.Or(int32(n))
	if b.serving.Load() {
		poke(b.rung)
		return
	}
	if b.telling.CompareAndSwap(false, true) { // nothing runs here that could tell
		go b.tellOn()
	}
}

// tellOn tells until there is nothing new.
func (b *bell) tellOn() {
	ctx, cancel := context.WithTimeout(context.Background(), tellTimeout)
	defer cancel()
	for {
		err := b.tell(ctx)
		b.telling.Store(false)
		if err != nil {
			b.log.LogAttrs(ctx, slog.LevelDebug, "pgstore: cannot notify", slog.Any("error", err))
			return
		}
		// Who rang while it was told left it to this one.
		if b.news.Load() == 0 || !b.telling.CompareAndSwap(false, true) {
			return
		}
	}
}

const tellTimeout = 5 * time.Second

// tell notifies now.
func (b *bell) tell(ctx context.Context) error {
	told := news(b.news.Swap(0))
	batch := &pgx.Batch{}
	for n, payload := range payloads {
		if told&n != 0 {
			batch.Queue(`SELECT pg_notify($1, $2)`, b.channel, payload)
		}
	}
	if batch.Len() == 0 {
		return nil
	}
	return b.pool.SendBatch(ctx, batch).Close()
}

// serve tells what it is told, and this process at once.
func (b *bell) serve(ctx context.Context, wake func(payload string)) {
	b.serving.Store(true)
	defer b.serving.Store(false)
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.rung:
		}
		told := news(b.news.Load())
		if err := b.tell(ctx); err != nil && ctx.Err() == nil {
			b.log.LogAttrs(ctx, slog.LevelWarn, "pgstore: cannot notify", slog.Any("error", err))
		}
		for n, payload := range payloads {
			if told&n != 0 {
				wake(payload)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(bellPause):
		}
	}
}

// wake looks at what news are about.
func (m *member) wake(payload string) {
	switch payload {
	case payloads[newsInbox]:
		poke(m.kick)
	case payloads[newsShards]:
		poke(m.shift)
	case payloads[newsGuests]:
		poke(m.guests.told)
	}
}

// listen hears other processes' news over a connection of its own. One that is
// dead is replaced; until then the inbox is polled.
func (m *member) listen(ctx context.Context) {
	const pauseMin, pauseMax = 100 * time.Millisecond, 10 * time.Second
	pause := pauseMin
	for ctx.Err() == nil {
		begin := time.Now()
		err := m.hear(ctx)
		if ctx.Err() != nil {
			return
		}
		m.log.LogAttrs(ctx, slog.LevelWarn, "pgstore: cannot listen, polling meanwhile", slog.Any("error", err))
		if pause = min(2*pause, pauseMax); time.Since(begin) > pauseMax {
			pause = pauseMin
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (m *member) hear(ctx context.Context) error {
	pooled, err := m.cfg.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack()
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // it is not needed any more
	}()
	// Asked again it tells whether the server is there, and pg_stat_activity goes
	// on showing what the connection is for.
	listen := func() error {
		asking, cancel := context.WithTimeout(ctx, m.cfg.Expiry/2)
		defer cancel()
		_, err := conn.Exec(asking, "LISTEN "+pgx.Identifier{m.bell.channel}.Sanitize())
		return err
	}
	if err := listen(); err != nil {
		return err
	}
	m.wake(payloads[newsInbox]) // what was told before
	m.wake(payloads[newsShards])
	m.wake(payloads[newsGuests])
	for {
		waiting, cancel := context.WithTimeout(ctx, m.cfg.Expiry/2)
		n, err := conn.WaitForNotification(waiting)
		cancel()
		switch {
		case err == nil:
			m.wake(n.Payload)
		case ctx.Err() != nil:
			return ctx.Err()
		case pgconn.Timeout(err): // or nobody is there any more
			if err := listen(); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// poke fills a channel of one, or leaves it full.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

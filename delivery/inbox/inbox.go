package inbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

// Config makes an [Inbox].
type Config struct {
	// Store keeps callbacks until they are handled. Needed. An inbox does not
	// share it with an engine or another inbox.
	Store delivery.Store
	// Handler does the work, in [Inbox.Run]. Needed. A status of 2xx ends a
	// callback; 408, 425, 429, 5xx, a panic and no end in time are tried again;
	// any other status is final. Retry-After is obeyed; with 429 and 503 all
	// callbacks wait so long. After five failures in a row one is handled at a
	// time, each success doubles that. A handler that does not end when its
	// context does keeps its place, and [Inbox.Run] waits for it.
	Handler http.Handler
	// ID tells callbacks apart: one that comes again is answered and not handled
	// again, for as long as the store remembers it. Needed: the platform's own ID,
	// which a gate before has proven. Without one (false) the callback is
	// refused by 400.
	ID func(*http.Request) (string, bool)
	// Key, if not nil, asks for order among the callbacks with the same one: the
	// next is handled when the one before has ended. Empty is no order.
	Key func(*http.Request) string
	// Answer answers what is stored. Nil is 204.
	Answer http.Handler
	// Drop names headers that are not stored, beside Authorization, Cookie and
	// Proxy-Authorization: what is stored is stored in the clear. So is the
	// query, with whatever stands in it.
	Drop []string
	// MaxBody bounds a body, in bytes. 0 is 128 KiB, the most is 192 KiB. One
	// that is larger is refused by 413; 32 KiB of headers and target by 431.
	MaxBody int64
	// MaxAtOnce bounds how many are handled at a time. 0 is 16.
	MaxAtOnce int
	// Timeout bounds one call of Handler by its context. 0 is a minute.
	Timeout time.Duration
	// Schedule says when to try again. Nil is 1, 5, 30 s, 5, 30 min, 2, 5, 10,
	// 10 h, each by 10 % more or less; then the callback is dead.
	Schedule delivery.Backoff
	// Retention is how long what was handled is remembered: for so long a repeat
	// is recognized. The zero value is [delivery.Retention]'s.
	Retention delivery.Retention
	// Notify, if not nil, is told of dead callbacks; see [delivery.Config].
	Notify func(context.Context, delivery.Notice)
	// Logger takes what operators should know. Nil is slog.Default().
	Logger *slog.Logger
}

// An Inbox is an http.Handler that stores a callback durably and answers, while
// [Inbox.Run] has another handler do the work. It is safe for concurrent use.
type Inbox struct {
	cfg    Config
	drop   map[string]bool
	engine *delivery.Engine
}

// endpoint is the one subscription: the application itself.
const (
	endpoint    = "sub_inbox"
	dialectName = "inbox"
)

// New makes an inbox. It does no I/O and starts nothing.
func New(cfg Config) (*Inbox, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("inbox: Config.Store is needed")
	case cfg.Handler == nil:
		return nil, errors.New("inbox: Config.Handler is needed: it does the work")
	case cfg.ID == nil:
		return nil, errors.New("inbox: Config.ID is needed: without it a repeat would be handled twice")
	case cfg.MaxBody < 0 || cfg.MaxBody > mostBody || cfg.MaxAtOnce < 0 || cfg.Timeout < 0:
		return nil, errors.New("inbox: a number in Config is negative or too large")
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 128 << 10
	}
	if cfg.MaxAtOnce == 0 {
		cfg.MaxAtOnce = 16
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	if cfg.Answer == nil {
		cfg.Answer = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	b := &Inbox{cfg: cfg, drop: map[string]bool{"Authorization": true, "Cookie": true, "Proxy-Authorization": true}}
	for _, name := range cfg.Drop {
		b.drop[http.CanonicalHeaderKey(name)] = true
	}
	self := registry.Subscription{
		ID: endpoint, Dialect: dialectName, URL: "https://inbox.invalid/", Types: []string{eventType}, State: registry.Active,
		Limits: registry.Limits{MaxInFlight: cfg.MaxAtOnce, Timeout: cfg.Timeout},
	}
	var err error
	b.engine, err = delivery.New(delivery.Config{
		Store: cfg.Store, Registry: only{self}, Client: handling{cfg.Handler, cfg.Logger},
		Dialects:    map[string]delivery.Dialect{dialectName: local{cfg.Schedule}},
		MaxInFlight: 2 * cfg.MaxAtOnce, // a batch waits while another is handled
		Retention:   cfg.Retention, Notify: cfg.Notify, Logger: cfg.Logger, DisableAfter: -1,
	})
	return b, err
}

// Run has callbacks handled until ctx ends. Those that are being handled then have
// 10 s to come to their end; after that their contexts end, too, and they are
// handled again by the next Run. See [delivery.Engine.Run]; one Run at a time.
func (b *Inbox) Run(ctx context.Context) error { return b.engine.Run(ctx) }

const eventType = "callback"

// ServeHTTP stores the callback and answers. What cannot be stored now is 503,
// so that the platform sends it again.
func (b *Inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, ok := b.cfg.ID(r)
	if !ok {
		id = ""
	}
	err := b.keep(w, r, id)
	switch refused, ok := errors.AsType[*refusal](err); {
	case ok:
		http.Error(w, http.StatusText(refused.status), refused.status)
	case err != nil:
		b.cfg.Logger.LogAttrs(r.Context(), slog.LevelError, "inbox: cannot store a callback", slog.Any("error", err))
		w.Header().Set("Retry-After", "5")
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
	default:
		b.cfg.Answer.ServeHTTP(w, r)
	}
}

// Keep stores a callback under the platform's id, or one that stands for it, and
// leaves the answer to the caller: it is for receivers that decode and answer
// themselves, and for requests that are put together. [Config].ID is not asked.
// When Keep returns nil the callback is durable, or was before; r.Body can be read
// again. [ErrRefused] is for good, any other error may pass.
func (b *Inbox) Keep(r *http.Request, id string) error { return b.keep(nil, r, id) }

// ErrRefused is in the errors about a callback that cannot be stored, now or
// later: it has no id, is too large, broke off or has a target that is no path.
var ErrRefused = errors.New("inbox: refused")

// refusal is ErrRefused with what to answer.
type refusal struct {
	status int
	why    string
}

func (e *refusal) Error() string        { return ErrRefused.Error() + ": " + e.why }
func (e *refusal) Is(target error) bool { return target == ErrRefused }

func (b *Inbox) keep(w http.ResponseWriter, r *http.Request, id string) error {
	if id == "" {
		return &refusal{http.StatusBadRequest, "no id"}
	}
	if r.Body == nil { // as a client's request may have it
		r.Body = http.NoBody
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, b.cfg.MaxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return &refusal{http.StatusRequestEntityTooLarge, "the body is too large"}
	}
	if err != nil {
		return &refusal{http.StatusBadRequest, "the body broke off"}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	head, err := encodeHead(r, b.drop)
	if err != nil {
		return err
	}
	key := ""
	if b.cfg.Key != nil {
		key = b.cfg.Key(r)
	}
	_, err = b.engine.Publish(r.Context(), delivery.Event{
		ID: eventID(id), Dialect: dialectName, Type: eventType, To: endpoint, Key: bounded(key),
		Data: append(head, body...),
	})
	return err
}

// eventID is a function of the platform's ID, whatever bytes that is of.
func eventID(id string) string { return "in_" + digest(id) }

// bounded keeps a key that every store takes, and has a digest stand for one that
// is too long or no text.
func bounded(key string) string {
	if len(key) > delivery.MaxKey || !utf8.ValidString(key) || strings.ContainsRune(key, 0) {
		return digest(key)
	}
	return key
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))
}

package tencentchat

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/ringback-go/ringback/dialect/tencentchat/event"
)

// A Mux hands packets to the handler of their command, decoded into its type.
// Its [Mux.Handle] is the Handler of a [Receiver], which has proven the sender
// and that query and body name the same command.
//
// The handler of an after-command returns an error or nil. That of a
// before-command returns a reply, of a type that can carry no code but the
// command's. Errors are answered as those of any [Handler]; the event's query
// parameters are in [EventFrom]. Commands without a handler go to that of
// [Mux.OnOther].
//
// Each method panics for a nil handler and for a second handler of a command,
// as http.ServeMux does. The zero value is ready and allows everything. A Mux
// is safe for concurrent use and must not be copied.
type Mux struct {
	mu       sync.RWMutex
	handlers map[string]Handler // "" is the other commands'
}

// Handle is a [Handler]. A packet whose members do not have the types that the
// command's document names is [ErrPacket].
func (m *Mux) Handle(ctx context.Context, ev Event) (Reply, error) {
	m.mu.RLock()
	h := m.handlers[ev.Command]
	if h == nil {
		h = m.handlers[""]
	}
	m.mu.RUnlock()
	if h == nil {
		h = AllowAll
	}
	return h(ctx, ev)
}

// OnOther sets the handler of all commands that have none. Without it they are
// acknowledged or allowed, see [AllowAll].
func (m *Mux) OnOther(h Handler) {
	m.add("", h)
}

func (m *Mux) add(command string, h Handler) {
	if h == nil {
		panic(fmt.Sprintf("tencentchat: Mux: nil handler for %q", command))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.handlers[command] != nil {
		panic(fmt.Sprintf("tencentchat: Mux: a second handler for %q", command))
	}
	if m.handlers == nil {
		m.handlers = make(map[string]Handler)
	}
	m.handlers[command] = h
}

type eventKey struct{}

// EventFrom returns the packet as it came, with SdkAppid, ClientIP and
// OptPlatform, in a handler of a [Mux]; false elsewhere.
func EventFrom(ctx context.Context) (Event, bool) {
	ev, ok := ctx.Value(eventKey{}).(Event)
	return ev, ok
}

// typed is a pointer to an event.
type typed[E any] interface {
	*E
	event.Packet
	json.Unmarshaler
}

// on adds a handler for the command of E.
func on[E any, P typed[E]](m *Mux, missing bool, f func(context.Context, E) (Reply, error)) {
	var h Handler
	if !missing {
		h = func(ctx context.Context, ev Event) (Reply, error) {
			var e E
			if err := P(&e).UnmarshalJSON(ev.Body); err != nil {
				return Reply{}, err
			}
			return f(context.WithValue(ctx, eventKey{}, ev), e)
		}
	}
	m.add(P(new(E)).Command(), h)
}

func after[E any, P typed[E]](m *Mux, f func(context.Context, E) error) {
	on[E, P](m, f == nil, func(ctx context.Context, e E) (Reply, error) { return Reply{}, f(ctx, e) })
}

func before[E any, R interface{ reply() Reply }, P typed[E]](m *Mux, f func(context.Context, E) (R, error)) {
	on[E, P](m, f == nil, func(ctx context.Context, e E) (Reply, error) {
		r, err := f(ctx, e)
		if err != nil {
			return Reply{}, err
		}
		return r.reply(), nil
	})
}

func beforeFriend[E any, P typed[E]](m *Mux, f func(context.Context, E) (FriendReply, error)) {
	on[E, P](m, f == nil, func(ctx context.Context, e E) (Reply, error) {
		asked := accountsOf(P(&e))
		if slices.Contains(asked, "") {
			return Reply{}, refused("a friend request without To_Account")
		}
		r, err := f(ctx, e)
		if err != nil {
			return Reply{}, err
		}
		return r.replyTo(asked)
	})
}

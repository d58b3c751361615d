package event

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/ringback-go/ringback/internal/strictjson"
)

// ErrPacket is in every refusal of a packet: it is not what the platform
// sends. Its text names documented members and holds no byte of the packet.
var ErrPacket = errors.New("tencentchat: not a packet")

func refused(what string) error { return fmt.Errorf("%w: %s", ErrPacket, what) }

// A Packet is one of this package's events, or a pointer to one. All of them
// implement [encoding/json.Marshaler], their pointers
// [encoding/json.Unmarshaler].
type Packet interface {
	// Command is the CallbackCommand.
	Command() string
}

// A Before is a packet that asks for permission: what was answered to it
// counts. The types named *Before* and Prev* are.
type Before interface {
	Packet
	asks()
}

// Parse decodes a packet into a pointer to the type of its command, or to an
// [Unknown]. The body must be exactly one JSON object that every reader
// understands in the same way: no name twice, valid UTF-8, at most 64 levels,
// nothing behind it. Values must have the types of the fields; null stands for
// an absent value. Every error is [ErrPacket].
func Parse(body []byte) (Packet, error) {
	if err := strictjson.Check(body, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPacket, err)
	}
	name, err := commandOf(body)
	if err != nil {
		return nil, err
	}
	var p Packet = new(Unknown)
	if empty, known := types[name]; known {
		p = empty()
	} else {
		name = "" // a field of its own
	}
	if err := decodeChecked(body, p, name); err != nil {
		return nil, err
	}
	return p, nil
}

// Known reports whether a command has a type here.
func Known(command string) bool {
	_, known := types[command]
	return known
}

// Commands returns the commands that have a type here, in order.
func Commands() []string { return slices.Sorted(maps.Keys(types)) }

// Data returns the packet as an object without CallbackCommand, its members in
// the order of the type's fields and nothing escaped for HTML: what a
// delivery.Event of this dialect has as its data. An error is [ErrPacket]: a
// Packet of another package, a time or raw value that JSON cannot say.
func Data(p Packet) ([]byte, error) {
	t := reflect.TypeOf(p)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.PkgPath() != reflect.TypeFor[Unknown]().PkgPath() {
		return nil, refused("a packet of another package")
	}
	switch u := p.(type) {
	case Unknown:
		return encode(u.nameless(), "")
	case *Unknown:
		if u == nil {
			break // encode says it
		}
		return encode(u.nameless(), "")
	}
	return encode(p, "")
}

// Unknown is a packet whose command has no type here.
type Unknown struct {
	// Name is the command; empty for Push.*, whose Events have it.
	Name      string `json:"CallbackCommand,omitzero"`
	EventTime Time   `json:"EventTime,omitzero"`
	Extra     Extra  `json:"-"`
}

// Command implements [Packet].
func (u Unknown) Command() string { return u.Name }

// nameless returns the event without its name. Name is the first field.
func (u Unknown) nameless() Unknown {
	u.Name = ""
	u.Extra.seen &^= 1
	u.Extra.null &^= 1
	return u
}

// UnmarshalJSON implements [json.Unmarshaler].
func (u *Unknown) UnmarshalJSON(data []byte) error { return decode(data, u, "") }

// MarshalJSON implements [json.Marshaler].
func (u Unknown) MarshalJSON() ([]byte, error) { return encode(&u, "") }

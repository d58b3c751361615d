package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/ringback-go/ringback/internal/strictjson"
)

// Extra are the members of an object that its type has no field for. It also
// remembers which fields the packet had, so that they, and only they, are
// encoded again; a field that was set since is encoded, too.
//
// The zero value is empty: the object was not decoded, and is encoded by its
// tags, as encoding/json does.
type Extra struct {
	members []member
	seen    uint64 // by the index of the field
	null    uint64
	decoded bool
}

type member struct {
	name  string
	value json.RawMessage
}

// Get returns the JSON text of a member, false if there is none. It must not
// be written to.
func (x Extra) Get(name string) (json.RawMessage, bool) {
	for _, m := range x.members {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

// Set adds a member or replaces it. A value that is not one JSON text by the
// rules of [Parse] is an error; a name that the type has a field for is one
// when the event is encoded.
func (x *Extra) Set(name string, value json.RawMessage) error {
	if err := strictjson.Check(value, 0); err != nil {
		return fmt.Errorf("event: value of a member: %w", err)
	}
	value = bytes.Clone(value)
	x.members = slices.Clone(x.members) // events are copied as values
	for i := range x.members {
		if x.members[i].name == name {
			x.members[i].value = value
			return nil
		}
	}
	x.members = append(x.members, member{name, value})
	return nil
}

// All yields the members in their order.
func (x Extra) All() iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		for _, m := range x.members {
			if !yield(m.name, m.value) {
				return
			}
		}
	}
}

// Equal reports whether both have the same members with the same texts. Two
// events can so be compared by packages such as go-cmp, a decoded one with one
// that was put together.
func (x Extra) Equal(y Extra) bool {
	if len(x.members) != len(y.members) {
		return false
	}
	for _, m := range x.members {
		if value, ok := y.Get(m.name); !ok || !bytes.Equal(value, m.value) {
			return false
		}
	}
	return true
}

package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"github.com/ringback-go/ringback/internal/strictjson"
)

// decode decodes JSON text into v, a pointer to a struct with a [table]. The
// object must name the command, unless that is empty.
func decode(data []byte, v any, command string) error {
	if err := strictjson.Check(data, 0); err != nil {
		return fmt.Errorf("%w: %w", ErrPacket, err)
	}
	return decodeChecked(data, v, command)
}

// decodeChecked is decode for text that strictjson has accepted. Nothing of
// the result points into data.
func decodeChecked(data []byte, v any, command string) error {
	target := reflect.ValueOf(v).Elem()
	target.SetZero()
	r := reader{data: data}
	r.space()
	return r.object(target, tableOf(target.Type()), command)
}

func (r *reader) object(v reflect.Value, t *table, command string) error {
	if r.data[r.pos] != '{' {
		return refused("a value is not an object")
	}
	extra := v.Field(t.extra).Addr().Interface().(*Extra) //nolint:forcetypeassert // see tableOf
	extra.decoded = true
	named, next := command == "", 0
	for r.begin(); !r.end('}'); r.comma() {
		name := r.name()
		if at := t.find(name, next); at >= 0 {
			next = at + 1
			extra.seen |= 1 << at
			if r.data[r.pos] == 'n' {
				extra.null |= 1 << at
				r.skip()
				continue
			}
			if err := r.value(v.Field(t.fields[at].index), &t.fields[at].shape, t.fields[at].name); err != nil {
				return err
			}
			continue
		}
		if command != "" && string(name) == memberCommand {
			if r.data[r.pos] != '"' || string(r.content()) != command {
				return refused("CallbackCommand is another")
			}
			named = true
			continue
		}
		extra.members = append(extra.members, member{string(name), bytes.Clone(r.skip())})
	}
	if !named {
		return refused("CallbackCommand is missing")
	}
	return nil
}

func (r *reader) list(v reflect.Value, elem *shape, name string) error {
	if r.data[r.pos] != '[' {
		return refused(name + " is not a list")
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 1))
	for r.begin(); !r.end(']'); r.comma() {
		n := v.Len()
		v.Grow(1)
		v.SetLen(n + 1)
		if err := r.value(v.Index(n), elem, name); err != nil {
			return err
		}
	}
	return nil
}

// value decodes a value that is not null, unless it is an element of a list.
func (r *reader) value(v reflect.Value, s *shape, name string) error {
	first := r.data[r.pos]
	switch s.kind {
	case kindText, kindTextPointer:
		if first != '"' {
			return refused(name + " is not a string")
		}
		text := string(r.content())
		if s.kind == kindTextPointer {
			v.Set(reflect.ValueOf(&text))
			return nil
		}
		v.SetString(text)
	case kindUint32:
		n, err := strconv.ParseUint(string(r.skip()), 10, 32)
		if err != nil {
			return refused(name + " is not an unsigned 32-bit number")
		}
		v.SetUint(n)
	case kindInt64:
		n, err := strconv.ParseInt(string(r.skip()), 10, 64)
		if err != nil {
			return refused(name + " is not a whole number")
		}
		v.SetInt(n)
	case kindTime, kindScalar:
		into := v.Addr().Interface().(json.Unmarshaler) //nolint:forcetypeassert // both are
		return into.UnmarshalJSON(r.skip())
	case kindRaw:
		v.SetBytes(bytes.Clone(r.skip()))
	case kindObject:
		if first != '{' {
			return refused(name + " is not an object, or holds something else")
		}
		return r.object(v, s.obj, "")
	case kindList:
		return r.list(v, s.elem, name)
	}
	return nil
}

// commandOf returns the command of a checked packet, "" for none.
func commandOf(data []byte) (string, error) {
	r := reader{data: data}
	if r.space(); r.data[r.pos] != '{' {
		return "", refused("not an object")
	}
	for r.begin(); !r.end('}'); r.comma() {
		switch name := r.name(); {
		case string(name) != memberCommand:
			r.skip()
		case r.data[r.pos] == '"':
			return string(r.content()), nil
		default:
			return "", refused("CallbackCommand is not a string")
		}
	}
	return "", nil
}

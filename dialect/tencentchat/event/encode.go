package event

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"unicode/utf8"
)

// encode encodes v, a pointer to a struct with a [table] or to one that is in
// an interface, with the command in front unless that is empty.
func encode(v any, command string) ([]byte, error) {
	target := reflect.ValueOf(v)
	if target.Kind() == reflect.Pointer {
		if target.IsNil() {
			return nil, refused("nil")
		}
		target = target.Elem()
	}
	var w writer
	if err := w.object(target, tableOf(target.Type()), command); err != nil {
		return nil, err
	}
	return w.buf.Bytes(), nil
}

type writer struct{ buf bytes.Buffer }

func (w *writer) object(v reflect.Value, t *table, command string) error {
	extra := v.Field(t.extra).Interface().(Extra) //nolint:forcetypeassert // see tableOf
	w.buf.WriteByte('{')
	first := true
	name := func(s string) {
		if !first {
			w.buf.WriteByte(',')
		}
		first = false
		w.text(s)
		w.buf.WriteByte(':')
	}
	if command != "" {
		name(memberCommand)
		w.text(command)
	}
	for i := range t.fields {
		f := &t.fields[i]
		value := v.Field(f.index)
		zero, bit := value.IsZero(), uint64(1)<<i
		switch {
		case zero && extra.null&bit != 0:
			name(f.name)
			w.buf.WriteString("null")
			continue
		case zero && extra.decoded && extra.seen&bit == 0, zero && !extra.decoded && f.omit:
			continue
		}
		name(f.name)
		if err := w.value(value, &f.shape); err != nil {
			return err
		}
	}
	for _, m := range extra.members {
		if t.find([]byte(m.name), 0) >= 0 || command != "" && m.name == memberCommand {
			return refused("Extra has a member that has a field")
		}
		name(m.name)
		if err := w.raw(m.value); err != nil {
			return err
		}
	}
	w.buf.WriteByte('}')
	return nil
}

func (w *writer) value(v reflect.Value, s *shape) error {
	switch s.kind {
	case kindText:
		w.text(v.String())
	case kindTextPointer:
		if v.IsNil() {
			w.buf.WriteString("null")
			return nil
		}
		w.text(v.Elem().String())
	case kindUint32:
		w.buf.Write(strconv.AppendUint(w.buf.AvailableBuffer(), v.Uint(), 10))
	case kindInt64:
		w.buf.Write(strconv.AppendInt(w.buf.AvailableBuffer(), v.Int(), 10))
	case kindTime, kindScalar:
		text, err := v.Interface().(json.Marshaler).MarshalJSON() //nolint:forcetypeassert // both are
		if err != nil {
			return err
		}
		w.buf.Write(text)
	case kindRaw:
		return w.raw(v.Bytes())
	case kindObject:
		return w.object(v, s.obj, "")
	case kindList:
		w.buf.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				w.buf.WriteByte(',')
			}
			if err := w.value(v.Index(i), s.elem); err != nil {
				return err
			}
		}
		w.buf.WriteByte(']')
	}
	return nil
}

// raw writes JSON text without white space, null for none.
func (w *writer) raw(text []byte) error {
	if len(text) == 0 {
		w.buf.WriteString("null")
		return nil
	}
	if json.Compact(&w.buf, text) != nil {
		return refused("a raw value is not JSON")
	}
	return nil
}

func (w *writer) text(s string) { w.buf.Write(appendString(w.buf.AvailableBuffer(), s)) }

// appendString appends a JSON string, not escaped for HTML. Invalid UTF-8
// becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

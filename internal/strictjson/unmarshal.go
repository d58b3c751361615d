package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Unmarshal checks data as [Check] does with [DefaultMaxDepth] and decodes it
// into v as [json.Unmarshal] does, with two differences. A member whose name
// equals a field's name only under another letter case is an unknown member:
// it is ignored, wherever in the type it stands. And a null for the whole
// text does not pass for a struct or a pointer to one.
//
// Types with their own UnmarshalJSON get the bytes as they are, and are
// responsible for what they do with names; values behind interfaces are
// decoded without looking at the types that they held before.
//
// A value that does not fit its type is [ErrType]; the [*json.UnmarshalTypeError]
// in its chain names the field and the kind of the value, not the value.
// Errors of other UnmarshalJSON methods are of that class too.
func Unmarshal(data []byte, v any) error {
	if err := Check(data, DefaultMaxDepth); err != nil {
		return err
	}
	target := reflect.TypeOf(v)
	if target == nil || target.Kind() != reflect.Pointer {
		return &json.InvalidUnmarshalError{Type: target}
	}
	if p := planFor(target.Elem()); p != nil {
		if p.members != nil && data[skipSpace(data, 0)] == 'n' {
			return &Error{Err: ErrType}
		}
		data = hideFolded(data, p)
	}
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*json.InvalidUnmarshalError](err); ok {
		return err
	}
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		// "number 17" → "number": the value has no business in a log.
		mismatch.Value, _, _ = strings.Cut(mismatch.Value, " ")
		return fmt.Errorf("%w: %w", ErrType, mismatch)
	}
	// Other texts of encoding/json may quote the value; the chain stays
	// readable by errors.Is and errors.AsType, the text does not show it.
	return &typeError{cause: err}
}

type typeError struct{ cause error }

func (e *typeError) Error() string { return ErrType.Error() }

func (e *typeError) Unwrap() []error { return []error{ErrType, e.cause} }

// hideFolded returns data in which the names that match only under another
// letter case are overwritten by bytes that no field is called. It is data
// itself when there is none.
func hideFolded(data []byte, p *plan) []byte {
	h := hider{in: data, out: data}
	h.value(skipSpace(data, 0), p)
	return h.out
}

type hider struct {
	in  []byte // valid JSON, never written
	out []byte // in, or a copy of it with names overwritten
}

// value walks over the value at i by p and returns the index behind it.
func (h *hider) value(i int, p *plan) int {
	if p == nil {
		return skipValue(h.in, i)
	}
	switch {
	case h.in[i] == '{' && (p.members != nil || p.elem != nil):
		return h.object(i, p)
	case h.in[i] == '[' && p.elem != nil:
		return h.array(i, p)
	}
	return skipValue(h.in, i)
}

func (h *hider) array(i int, p *plan) int {
	for i = skipSpace(h.in, i+1); h.in[i] != ']'; {
		i = skipSpace(h.in, h.value(i, p.elem))
		if h.in[i] == ',' {
			i = skipSpace(h.in, i+1)
		}
	}
	return i + 1
}

func (h *hider) object(i int, p *plan) int {
	for i = skipSpace(h.in, i+1); h.in[i] != '}'; {
		end, escaped := stringEnd(h.in, i)
		member := p.elem
		if p.members != nil {
			name := h.in[i+1 : end-1]
			if escaped {
				name = unescape(name)
			}
			m, known := p.members[string(name)]
			if member = m; !known && p.folds(name) {
				h.hide(i+1, end-1)
			}
		}
		i = skipSpace(h.in, end)
		i = skipSpace(h.in, i+1) // the colon
		i = skipSpace(h.in, h.value(i, member))
		if h.in[i] == ',' {
			i = skipSpace(h.in, i+1)
		}
	}
	return i + 1
}

// hide overwrites a name by DEL characters: legal in a JSON string, one byte
// each, and never part of a field's name, so that the length of the text and
// its commas stay as they are.
func (h *hider) hide(from, to int) {
	if &h.out[0] == &h.in[0] {
		h.out = bytes.Clone(h.in)
	}
	for i := from; i < to; i++ {
		h.out[i] = 0x7f
	}
}

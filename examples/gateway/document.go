package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// value is a part of a JSON document that knows where it stands, so that an
// error can name the key. The first error sticks to the document.
type value struct {
	doc  *document
	path string
	v    any // nil, bool, string, json.Number, []any or *object
	set  bool
}

type object struct {
	names  []string
	values map[string]any
}

type document struct{ err error }

// errConfig is in every error about the configuration's content.
var errConfig = errors.New("configuration")

func (v value) fail(format string, args ...any) {
	if v.doc.err == nil {
		where := v.path
		if where == "" {
			where = "the file"
		}
		v.doc.err = fmt.Errorf("%w: %s: %s", errConfig, where, fmt.Sprintf(format, args...))
	}
}

// maxDepth bounds how deep a document is nested: what an event's data may be, and
// some more.
const maxDepth = 80

// parse reads a whole JSON document; a repeated key is an error.
func parse(b []byte) (value, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	root := value{doc: &document{}}
	v, err := read(d, maxDepth)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			err = errors.New("something follows the JSON object")
		}
	}
	if twice, ok := errors.AsType[*repeated](err); ok {
		at := root
		for _, step := range slices.Backward(twice.steps) {
			at = step(at)
		}
		at.fail("is given twice")
		return root, root.doc.err
	}
	if err != nil {
		return root, fmt.Errorf("%w: the file: takes one JSON object (at byte %d: %w)", errConfig, d.InputOffset(), err)
	}
	root.v, root.set = v, true
	return root, nil
}

// repeated says where a key is given twice, the innermost step first.
type repeated struct{ steps []func(value) value }

func (*repeated) Error() string { return "a key is given twice" }

// within adds a step to where a key is repeated, if one is.
func within(err error, step func(value) value) error {
	if twice, ok := errors.AsType[*repeated](err); ok {
		twice.steps = append(twice.steps, step)
	}
	return err
}

func read(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	if _, nests := t.(json.Delim); nests && depth == 0 {
		return nil, errors.New("nested too deeply")
	}
	switch t {
	case json.Delim('{'):
		return readObject(d, depth-1)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			item, err := read(d, depth-1)
			if err != nil {
				n := len(list)
				return nil, within(err, func(v value) value { return v.item(n) })
			}
			list = append(list, item)
		}
		_, err = d.Token()
		return list, err
	}
	return t, nil
}

func readObject(d *json.Decoder, depth int) (*object, error) {
	o := &object{values: map[string]any{}}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := name.(string) // a decoder gives nothing else here
		_, twice := o.values[key]
		if twice {
			err = &repeated{}
		} else {
			o.names = append(o.names, key)
			o.values[key], err = read(d, depth)
		}
		if err != nil {
			return nil, within(err, func(v value) value { return v.child(key) })
		}
	}
	_, err := d.Token()
	return o, err
}

func (v value) child(name string) value {
	path := name
	if v.path != "" {
		path = v.path + "." + name
	}
	return value{doc: v.doc, path: path}
}

func (v value) item(i int) value {
	return value{doc: v.doc, path: v.path + "[" + strconv.Itoa(i) + "]"}
}

// keys says which names the object takes.
func (v value) keys(names ...string) {
	o, ok := v.v.(*object)
	if !ok {
		if v.set {
			v.fail("takes an object")
		}
		return
	}
	for _, n := range o.names {
		if !slices.Contains(names, n) {
			v.child(n).fail("is not a key; there are %v", names)
			return
		}
	}
}

func (v value) get(name string) value {
	c := v.child(name)
	if o, ok := v.v.(*object); ok {
		c.v, c.set = o.values[name]
	}
	return c
}

func (v value) list() []value {
	if !v.set {
		return nil
	}
	items, ok := v.v.([]any)
	if !ok {
		v.fail("takes a list")
		return nil
	}
	out := make([]value, len(items))
	for i := range items {
		out[i] = v.item(i)
		out[i].v, out[i].set = items[i], true
	}
	return out
}

// str is a string; without one it is empty.
func (v value) str() string {
	if !v.set {
		return ""
	}
	s, ok := v.v.(string)
	if !ok {
		v.fail("takes a string")
	}
	return s
}

// need is a string that must be there and not be empty.
func (v value) need(what string) string {
	s := v.str()
	if s == "" {
		v.fail("takes %s", what)
	}
	return s
}

func (v value) strs() []string {
	var out []string
	for _, item := range v.list() {
		out = append(out, item.need("a string that is not empty"))
	}
	return out
}

func (v value) boolean() bool {
	b, ok := v.v.(bool)
	if v.set && !ok {
		v.fail("takes true or false")
	}
	return b
}

func (v value) integer(fallback, least, most int64) int64 {
	if !v.set {
		return fallback
	}
	n, ok := v.v.(json.Number)
	i, err := strconv.ParseInt(n.String(), 10, 64)
	if !ok || err != nil || i < least || i > most {
		v.fail("takes a whole number from %d to %d", least, most)
		return fallback
	}
	return i
}

// number is above 0 and at most most.
func (v value) number(most float64) float64 {
	n, ok := v.v.(json.Number)
	f, err := n.Float64()
	if !ok || err != nil || f <= 0 || f > most {
		v.fail("takes a number above 0, at most %.0f", most)
		return 1
	}
	return f
}

func (v value) duration(fallback time.Duration) time.Duration {
	if !v.set {
		return fallback
	}
	d, err := time.ParseDuration(v.str())
	if err != nil || d <= 0 {
		v.fail(`takes a duration above 0, such as "15s"`)
		return fallback
	}
	return d
}

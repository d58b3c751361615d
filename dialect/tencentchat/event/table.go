package event

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

const memberCommand = "CallbackCommand"

// A table says how a type is decoded and encoded, for all types alike.
type table struct {
	fields []field
	extra  int // index of the field Extra
}

type field struct {
	name  string
	index int
	omit  bool // when zero, in an object that was not decoded
	shape
}

type shape struct {
	kind kind
	elem *shape // of a list
	obj  *table // of an object
}

type kind uint8

const (
	kindText kind = iota
	kindTextPointer
	kindUint32
	kindInt64
	kindTime
	kindScalar
	kindRaw
	kindObject
	kindList
)

var tables sync.Map // reflect.Type → *table

// tableOf returns the table of a struct.
func tableOf(t reflect.Type) *table {
	if found, ok := tables.Load(t); ok {
		return found.(*table) //nolint:forcetypeassert // the map holds nothing else
	}
	out := &table{extra: -1}
	for f := range t.Fields() {
		if f.Type == reflect.TypeFor[Extra]() {
			out.extra = f.Index[0]
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		out.fields = append(out.fields, field{name: name, index: f.Index[0], omit: options == "omitzero", shape: shapeOf(f.Type)})
	}
	if out.extra < 0 || len(out.fields) > 64 {
		panic(fmt.Sprintf("event: %s has no Extra or more than 64 fields", t))
	}
	tables.Store(t, out)
	return out
}

func shapeOf(t reflect.Type) shape {
	switch {
	case t == reflect.TypeFor[Time]():
		return shape{kind: kindTime}
	case t == reflect.TypeFor[Scalar]():
		return shape{kind: kindScalar}
	case t == reflect.TypeFor[json.RawMessage]():
		return shape{kind: kindRaw}
	case t == reflect.TypeFor[*string]():
		return shape{kind: kindTextPointer}
	}
	switch t.Kind() {
	case reflect.String:
		return shape{kind: kindText}
	case reflect.Uint32:
		return shape{kind: kindUint32}
	case reflect.Int64:
		return shape{kind: kindInt64}
	case reflect.Struct:
		return shape{kind: kindObject, obj: tableOf(t)}
	case reflect.Slice:
		elem := shapeOf(t.Elem())
		return shape{kind: kindList, elem: &elem}
	}
	panic(fmt.Sprintf("event: a field of type %s", t))
}

// find returns the index of a field, -1 for none. Packets mostly have the
// order of the documentation, so the search begins behind the last one found.
func (t *table) find(name []byte, begin int) int {
	for i := begin; i < len(t.fields); i++ {
		if t.fields[i].name == string(name) {
			return i
		}
	}
	for i := range min(begin, len(t.fields)) {
		if t.fields[i].name == string(name) {
			return i
		}
	}
	return -1
}

package strictjson

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// plan says which names an object may have where a value of some type is
// decoded. A nil plan is a type in which no struct can be reached.
type plan struct {
	members map[string]*plan    // of a struct: by exact name
	folded  map[string]struct{} // the same names, case-folded
	elem    *plan               // of a map, slice or array
}

var plans sync.Map // reflect.Type → *plan

var (
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func planFor(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		got, _ := p.(*plan)
		return got
	}
	p := build(t, make(map[reflect.Type]*plan))
	plans.Store(t, p)
	return p
}

// build makes the plan of t. seen holds the plans under construction, so that
// recursive types end.
func build(t reflect.Type, seen map[reflect.Type]*plan) *plan {
	for t.Kind() == reflect.Pointer && !decodesItself(t) {
		t = t.Elem()
	}
	if p, ok := seen[t]; ok {
		return p
	}
	if decodesItself(t) {
		return nil
	}
	p := new(plan)
	switch t.Kind() {
	case reflect.Struct:
		seen[t] = p
		p.members = make(map[string]*plan)
		p.folded = make(map[string]struct{})
		for name, ft := range fieldsOf(t) {
			p.members[name] = build(ft, seen)
			p.folded[string(fold(nil, []byte(name)))] = struct{}{}
		}
	case reflect.Map, reflect.Slice, reflect.Array:
		seen[t] = p
		if p.elem = build(t.Elem(), seen); p.elem == nil {
			return nil
		}
	default:
		return nil
	}
	return p
}

func decodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return t.Implements(unmarshaler) || p.Implements(unmarshaler) ||
		t.Implements(textUnmarshaler) || p.Implements(textUnmarshaler)
}

// candidate is a field that wants a name.
type candidate struct {
	typ    reflect.Type
	depth  int
	tagged bool
	clash  bool // another one of the same rank wants it too
}

// fieldsOf lists the names that encoding/json fills in t, with the type of
// each, by its rules: the field of least depth wins, among those a tagged
// one, and if two remain neither is filled.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	found := make(map[string]candidate)
	visited := map[reflect.Type]bool{}
	for level, depth := []reflect.Type{t}, 0; len(level) > 0; depth++ {
		var next []reflect.Type
		for _, s := range level {
			visited[s] = true
		}
		for _, s := range level {
			for f := range s.Fields() {
				inner, name, tagged, ok := look(f)
				switch {
				case !ok:
				case inner != nil:
					if !visited[inner] {
						next = append(next, inner)
					}
				default:
					claim(found, name, candidate{typ: f.Type, depth: depth, tagged: tagged})
				}
			}
		}
		level = next
	}
	out := make(map[string]reflect.Type, len(found))
	for name, c := range found {
		if !c.clash {
			out[name] = c.typ
		}
	}
	return out
}

// look classifies a field: ignored (not ok), embedded (inner is the struct to
// look into) or named.
func look(f reflect.StructField) (inner reflect.Type, name string, tagged, ok bool) {
	tag := f.Tag.Get("json")
	if tag == "-" {
		return nil, "", false, false
	}
	name, _, _ = strings.Cut(tag, ",")
	if tagged = validName(name); !tagged {
		name = f.Name
	}
	if f.Anonymous {
		t := f.Type
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if !f.IsExported() && t.Kind() != reflect.Struct {
			return nil, "", false, false
		}
		if !tagged && t.Kind() == reflect.Struct {
			return t, "", false, true
		}
	} else if !f.IsExported() {
		return nil, "", false, false
	}
	return nil, name, tagged, true
}

func claim(found map[string]candidate, name string, c candidate) {
	old, taken := found[name]
	switch {
	case !taken, old.depth == c.depth && c.tagged && !old.tagged:
		found[name] = c
	case old.depth == c.depth && c.tagged == old.tagged:
		old.clash = true
		found[name] = old
	}
}

// validName is the rule of encoding/json for names in tags.
func validName(s string) bool {
	if s == "" {
		return false
	}
	for _, c := range s {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return false
		}
	}
	return true
}

// folds reports whether name equals a field's name under case folding.
func (p *plan) folds(name []byte) bool {
	var buf [64]byte
	_, ok := p.folded[string(fold(buf[:0], name))]
	return ok
}

// fold appends the form of name in which all names that encoding/json takes
// for equal are the same.
func fold(dst, name []byte) []byte {
	for i := 0; i < len(name); {
		if c := name[i]; c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(name[i:])
		for { // the smallest rune of the orbit
			r2 := unicode.SimpleFold(r)
			if r2 <= r {
				r = r2
				break
			}
			r = r2
		}
		dst = utf8.AppendRune(dst, r)
		i += n
	}
	return dst
}

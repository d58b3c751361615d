package middleware

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-playground/validator/v10"
)

// rules is the one validator: it caches what it learns about types.
var rules = sync.OnceValue(func() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			return ""
		}
		return name // empty means the Go name
	})
	return v
})

// maxFields bounds the list of broken rules: a body may break thousands.
const maxFields = 32

// validate returns the first broken rules of what p points to.
func validate(p any) ([]FieldError, error) {
	v := reflect.ValueOf(p)
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, nil // a null that strictjson lets pass, for a pointer to no struct
		}
		v = v.Elem()
	}
	var err error
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return nil, nil
		}
		err = rules().Struct(v.Interface())
	case reflect.Slice, reflect.Array, reflect.Map:
		if !holdsStruct(v.Type().Elem()) {
			return nil, nil
		}
		err = rules().Var(v.Interface(), "dive")
	}
	if err == nil {
		return nil, nil
	}
	broken, ok := errors.AsType[validator.ValidationErrors](err)
	if !ok {
		return nil, err
	}
	broken = broken[:min(len(broken), maxFields)]
	fields := make([]FieldError, len(broken))
	for i, b := range broken {
		fields[i] = FieldError{Pointer: pointer(b.Namespace(), v.Type()), Detail: detail(b)}
	}
	return fields, nil
}

func holdsStruct(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct
}

// detail names the rule by its tag, which is the program's text.
func detail(b validator.FieldError) string {
	if b.Tag() == "required" {
		return "is required"
	}
	rule := b.Tag()
	if b.Param() != "" {
		rule += "=" + b.Param()
	}
	return "breaks the rule " + rule
}

// pointer turns the validator's path in a value of type t, such as
// Type.list[3].name, into a JSON pointer. Map keys are the sender's text, and
// may hold dots and brackets: whatever is neither the name of a field nor an
// index becomes *.
func pointer(path string, t reflect.Type) string {
	if t.Kind() == reflect.Struct {
		_, path, _ = strings.Cut(path, ".")
	}
	known := namesOf(t)
	var b strings.Builder
	for path != "" {
		end := strings.IndexAny(path[1:], ".[") + 1
		if end == 0 {
			end = len(path)
		}
		part := strings.TrimPrefix(path[:end], ".")
		path = path[end:]
		index, isIndex := strings.CutPrefix(strings.TrimSuffix(part, "]"), "[")
		if _, err := strconv.ParseUint(index, 10, 31); isIndex && err == nil {
			part = index
		} else if !known[part] {
			part = "*"
		}
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
	}
	return b.String()
}

var names sync.Map // reflect.Type → map[string]bool

// namesOf returns the names of all fields that t reaches.
func namesOf(t reflect.Type) map[string]bool {
	if set, ok := names.Load(t); ok {
		known, _ := set.(map[string]bool)
		return known
	}
	known := make(map[string]bool)
	structs(t, func(s reflect.Type) {
		for f := range s.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			known[name], known[f.Name] = name != "", true
		}
	})
	names.Store(t, known)
	return known
}

// structs calls do once for every struct type that t reaches.
func structs(t reflect.Type, do func(reflect.Type)) {
	seen := make(map[reflect.Type]bool)
	var visit func(reflect.Type)
	visit = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			visit(t.Elem())
		case reflect.Struct:
			if seen[t] || t == reflect.TypeFor[time.Time]() {
				return
			}
			seen[t] = true
			do(t)
			for f := range t.Fields() {
				if f.IsExported() || f.Anonymous {
					visit(f.Type)
				}
			}
		}
	}
	visit(t)
}

// checkTags lets the validator parse the tags of every struct that t reaches,
// and panics where it would panic at the first request.
func checkTags(t reflect.Type) { structs(t, parseTags) }

func parseTags(t reflect.Type) {
	defer func() {
		if why := recover(); why != nil {
			panic(fmt.Sprintf("middleware: Payload: the validate tags of %v are wrong, correct them: %v", t, why))
		}
	}()
	// The outcome for a zero value does not matter, its tags are parsed.
	_ = rules().Struct(reflect.New(t).Interface())
}

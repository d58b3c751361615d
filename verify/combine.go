package verify

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"strings"
)

const (
	schemeAny = "any-of"
	schemeAll = "all-of"
)

// Any is satisfied by the first of its verifiers that is. Make it with
// [AnyOf]; the zero value refuses everything.
type Any struct {
	list []Verifier
}

// AnyOf returns a verifier that asks each of list in turn and takes the first
// identity. An empty list, and a verifier that is nil or a zero value of this
// package or httpsig, are [ErrConfig].
func AnyOf(list ...Verifier) (Any, error) {
	own, err := copyVerifiers(schemeAny, list)
	return Any{list: own}, err
}

// Verify returns the identity of the first verifier that accepts m, or an
// error that joins all refusals. The joined error tells an operator how far
// each scheme came; it is not for the sender.
func (a Any) Verify(ctx context.Context, m Message) (Identity, error) {
	if len(a.list) == 0 {
		return Identity{}, notMade(schemeAny)
	}
	var refusals []error
	for _, v := range a.list {
		id, err := v.Verify(ctx, m)
		if err == nil {
			return id, nil
		}
		refusals = append(refusals, err)
	}
	return Identity{}, &Error{Scheme: schemeAny, Err: errors.Join(refusals...)}
}

// All is satisfied when all of its verifiers are. Make it with [AllOf]; the
// zero value refuses everything.
type All struct {
	list []Verifier
}

// AllOf returns a verifier that asks each of list in turn and stops at the
// first refusal: put the cheap ones first. An empty list, and a verifier that
// is nil or a zero value of this package or httpsig, are [ErrConfig].
func AllOf(list ...Verifier) (All, error) {
	own, err := copyVerifiers(schemeAll, list)
	return All{list: own}, err
}

// Verify merges the identities: the schemes are joined by '+', and of each
// other field the first one that is not empty counts.
func (a All) Verify(ctx context.Context, m Message) (Identity, error) {
	if len(a.list) == 0 {
		return Identity{}, notMade(schemeAll)
	}
	var all Identity
	for _, v := range a.list {
		id, err := v.Verify(ctx, m)
		if err != nil {
			return Identity{}, err
		}
		all = all.Merge(id)
	}
	return all, nil
}

// Merge returns id with its empty fields taken from other, and the two
// schemes joined by '+'.
func (id Identity) Merge(other Identity) Identity {
	switch {
	case id.Scheme == "":
		id.Scheme = other.Scheme
	case other.Scheme != "":
		id.Scheme += "+" + other.Scheme
	}
	if id.Subject == "" {
		id.Subject = other.Subject
	}
	if id.Key == "" {
		id.Key = other.Key
	}
	if id.MessageID == "" {
		id.MessageID = other.MessageID
	}
	return id
}

// ours reports whether a type is of this package or one below it, whose
// verifiers have constructors.
func ours(path string) bool {
	own := reflect.TypeFor[Key]().PkgPath()
	return path == own || strings.HasPrefix(path, own+"/")
}

func copyVerifiers(scheme string, list []Verifier) ([]Verifier, error) {
	if len(list) == 0 {
		return nil, configError(scheme, "", "no verifier given")
	}
	for i, v := range list {
		if v == nil {
			return nil, configError(scheme, "verifier "+strconv.Itoa(i), "nil")
		}
		if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer && r.IsNil() {
			return nil, configError(scheme, "verifier "+strconv.Itoa(i), "nil")
		}
		if r := reflect.Indirect(reflect.ValueOf(v)); ours(r.Type().PkgPath()) && r.IsZero() {
			return nil, configError(scheme, "verifier "+strconv.Itoa(i), "zero value used, make it with its constructor")
		}
	}
	return append([]Verifier(nil), list...), nil
}

package middleware

import (
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/ringback-go/ringback/internal/strictjson"
)

// Payload decodes the body into a T and validates it, so that the handler
// finds a value of which it knows the rules in [PayloadFrom]:
//
//   - 415 when the Content-Type is not application/json, with or without
//     charset=utf-8;
//   - 400 when the body is not one JSON text that every reader understands
//     in the same way: duplicate keys, data behind it, more than 64 levels,
//     invalid UTF-8; or when a value does not fit its Go type;
//   - 422 when it breaks a rule in a validate tag
//     (github.com/go-playground/validator/v10, with required on structs
//     meaning it), with a list of the broken rules that contains no value.
//
// Member names are matched in their exact letter case; unknown members are
// ignored. A [Body] gate must stand outside, else every request is refused
// with 500.
//
// The zero value is ready for use.
type Payload[T any] struct {
	// AllowNoContentType lets requests without a Content-Type pass.
	AllowNoContentType bool
	// Deny writes refusals. Nil is [Problem].
	Deny DenyFunc
	// Logger gets the causes. Nil is slog.Default().
	Logger *slog.Logger
}

// Check returns the decoded value, or an [*Error] of class [ErrMediaType],
// [ErrSyntax], [ErrInvalid] or [ErrConfig]. The body must have been read by a
// [Body] gate. A T with a validate tag that is not known panics; Handler
// panics earlier.
func (g Payload[T]) Check(r *http.Request) (T, error) {
	p, err := g.check(r)
	if err != nil {
		var zero T
		return zero, err
	}
	return *p, nil
}

func (g Payload[T]) check(r *http.Request) (*T, error) {
	if !g.jsonType(r.Header["Content-Type"]) {
		return nil, &Error{Err: ErrMediaType}
	}
	raw, ok := RawBody(r)
	if !ok {
		return nil, &Error{Err: wrap(ErrConfig, errNoBody)}
	}
	p := new(T)
	if err := strictjson.Unmarshal(raw, p); err != nil {
		if !errors.Is(err, strictjson.ErrInvalid) {
			return nil, &Error{Err: wrap(ErrConfig, err)}
		}
		return nil, &Error{Err: wrap(ErrSyntax, err)}
	}
	fields, err := validate(p)
	if err != nil {
		return nil, &Error{Err: wrap(ErrConfig, err)}
	}
	if len(fields) > 0 {
		return nil, &Error{Err: ErrInvalid, Fields: fields}
	}
	return p, nil
}

func (g Payload[T]) jsonType(values []string) bool {
	if len(values) != 1 {
		return len(values) == 0 && g.AllowNoContentType
	}
	if values[0] == "application/json" {
		return true
	}
	media, params, err := mime.ParseMediaType(values[0])
	if err != nil || media != "application/json" {
		return false
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}

// Handler returns the gate in front of next. It panics when next is nil, when
// the order is wrong, and when a validate tag in T, or in a struct that T
// reaches, is not known.
func (g Payload[T]) Handler(next http.Handler) http.Handler {
	checkTags(reflect.TypeFor[T]())
	return wire("Payload", rankPayload, next, func(w http.ResponseWriter, r *http.Request) {
		p, err := g.check(r)
		if err != nil {
			refuse(w, r, "Payload", err, g.Deny, g.Logger)
			return
		}
		r, s := withState(r)
		s.payload = p
		next.ServeHTTP(w, r)
	})
}

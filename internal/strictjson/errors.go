package strictjson

import (
	"errors"
	"fmt"
)

// ErrInvalid matches, by [errors.Is], every refusal of this package.
var ErrInvalid = errors.New("strictjson: invalid JSON")

// The classes of refusal. All match [ErrInvalid]. Check returns the first
// five, Unmarshal all six.
var (
	// ErrSyntax: not the grammar of RFC 8259. A byte order mark, comments,
	// raw control characters in strings and an empty input are of this class.
	ErrSyntax error = classError("strictjson: syntax error")
	// ErrDuplicate: an object has one key twice, after decoding escapes.
	ErrDuplicate error = classError("strictjson: duplicate key")
	// ErrDepth: more levels of objects and arrays than allowed.
	ErrDepth error = classError("strictjson: nested too deeply")
	// ErrTrailing: something other than white space follows the value.
	ErrTrailing error = classError("strictjson: data after the value")
	// ErrUTF8: a string is not valid UTF-8, or has half of a surrogate pair.
	ErrUTF8 error = classError("strictjson: invalid UTF-8 or lone surrogate")
	// ErrType: valid JSON, but a value does not fit the Go type.
	ErrType error = classError("strictjson: value does not fit its type")
)

type classError string

func (c classError) Error() string { return string(c) }

func (c classError) Is(target error) bool { return target == ErrInvalid }

// Error is a refusal with its place. It unwraps to its class.
type Error struct {
	Offset int   // bytes before the place
	Err    error // one of the classes
}

func (e *Error) Error() string { return fmt.Sprintf("%v at byte %d", e.Err, e.Offset) }

// Unwrap returns the class.
func (e *Error) Unwrap() error { return e.Err }

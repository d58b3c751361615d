// Package strictjson decides whether bytes are exactly one JSON text by
// RFC 8259 that every reader understands in the same way, and decodes such
// texts without matching names by letter case.
//
// [encoding/json] takes the last of two equal keys, replaces invalid UTF-8,
// accepts lone surrogates, follows 10,000 levels and fills a field from a key
// in another letter case. Each of these lets two readers of one message see
// different data, which matters where one of them checks and another acts:
//
//	var call struct {
//		URL string `json:"statusCallbackUrl"`
//	}
//	if err := strictjson.Unmarshal(body, &call); err != nil {
//		// errors.Is(err, strictjson.ErrInvalid)
//	}
//
// Both functions take time linear in the input and hold no state; they are
// safe for concurrent use. No error text contains bytes of the input.
//
// Not here, because: a limit on the size (the reader of the body has one) and
// on numbers (a 60,000-digit number in a member that nobody reads is legal).
package strictjson

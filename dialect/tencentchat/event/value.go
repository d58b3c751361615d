package event

import (
	"encoding/json"
	"strconv"
	"time"
)

// A Time is when something happened: milliseconds in a packet, as a number or,
// as in most of the documented samples, in quotes. The zero value is absent.
type Time struct {
	time.Time
	// Quoted says that it stands in quotes.
	Quoted bool
}

// At returns t as a number.
func At(t time.Time) Time { return Time{Time: t} }

// maxTime is the end of the year 9999, behind which no text form exists.
const maxTime = 253_402_300_799_999

// UnmarshalJSON implements [json.Unmarshaler]. Null is the zero value;
// fractions, signs, exponents, leading zeros and times after the year 9999 are
// [ErrPacket].
func (t *Time) UnmarshalJSON(data []byte) error {
	*t = Time{}
	if string(data) == "null" {
		return nil
	}
	digits, quoted := string(data), false
	if len(data) > 0 && data[0] == '"' {
		if err := json.Unmarshal(data, &digits); err != nil {
			return refused("EventTime is not in milliseconds")
		}
		quoted = true
	}
	ms, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || ms > maxTime || len(digits) > 1 && digits[0] == '0' {
		return refused("EventTime is not in milliseconds")
	}
	*t = Time{Time: time.UnixMilli(int64(ms)).UTC(), Quoted: quoted}
	return nil
}

// MarshalJSON implements [json.Marshaler]. A time that a packet cannot hold is
// an error.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	ms := t.UnixMilli()
	if ms < 0 || ms > maxTime {
		return nil, refused("EventTime is before 1970 or after 9999")
	}
	out := make([]byte, 0, 24)
	if t.Quoted {
		out = append(out, '"')
	}
	if out = strconv.AppendInt(out, ms, 10); t.Quoted {
		out = append(out, '"')
	}
	return out, nil
}

// A Scalar is a value that is a number in some packets and a string in others,
// such as ProfileItem.Value. The zero value is the empty string.
type Scalar struct {
	// Text is the string, or the number as it is spelled.
	Text string
	// Number says that it is a number.
	Number bool
}

// Int64 returns the number, false if it is a string or not a whole number of
// 64 bits.
func (s Scalar) Int64() (int64, bool) {
	n, err := strconv.ParseInt(s.Text, 10, 64)
	return n, err == nil && s.Number
}

// String returns Text.
func (s Scalar) String() string { return s.Text }

// UnmarshalJSON implements [json.Unmarshaler]. Null is the zero value.
func (s *Scalar) UnmarshalJSON(data []byte) error {
	*s = Scalar{}
	switch {
	case string(data) == "null":
		return nil
	case len(data) > 0 && data[0] == '"':
		if json.Unmarshal(data, &s.Text) == nil {
			return nil
		}
	case isNumber(data):
		*s = Scalar{Text: string(data), Number: true}
		return nil
	}
	return refused("a value is neither a number nor a string")
}

// MarshalJSON implements [json.Marshaler]. A number that is none is an error.
func (s Scalar) MarshalJSON() ([]byte, error) {
	if !s.Number {
		return appendString(nil, s.Text), nil
	}
	if !isNumber([]byte(s.Text)) {
		return nil, refused("a number is none")
	}
	return []byte(s.Text), nil
}

func isNumber(text []byte) bool {
	return len(text) > 0 && (text[0] == '-' || '0' <= text[0] && text[0] <= '9') && json.Valid(text) && text[len(text)-1] > ' '
}

package httpsig

import (
	"encoding/base64"
	"strings"
)

// bare reads an item without its parameters.
func (c *scanner) bare() (bare, bool) {
	from := c.i
	k, ok := kindNone, false
	switch b := c.peek(); {
	case b == '-', isDigit(b):
		k, ok = c.number()
	case b == '"':
		k, ok = kindString, c.text()
	case b == '*', isAlpha(b):
		c.while(isToken)
		k, ok = kindToken, true
	case b == ':':
		k, ok = kindBytes, c.bytes()
	case b == '?':
		c.i++
		k, ok = kindBool, c.skip('0') || c.skip('1')
	case b == '@':
		c.i++
		sort, good := c.number()
		k, ok = kindDate, good && sort == kindInteger
	}
	if !ok {
		return bare{}, false
	}
	return bare{kind: k, raw: c.s[from:c.i]}, true
}

// number takes the canonical form alone: no leading zero, no minus before
// zero, no zero at the end of a fraction.
func (c *scanner) number() (kind, bool) {
	negative := c.skip('-')
	whole := c.while(isDigit)
	if whole == "" || len(whole) > 15 || whole[0] == '0' && len(whole) > 1 {
		return kindNone, false
	}
	if !c.skip('.') {
		return kindInteger, !negative || whole != "0"
	}
	part := c.while(isDigit)
	if part == "" || len(part) > 3 || len(whole) > 12 || part[len(part)-1] == '0' && len(part) > 1 {
		return kindNone, false
	}
	return kindDecimal, !negative || whole != "0" || strings.Trim(part, "0") != ""
}

func (c *scanner) text() bool {
	c.i++
	for !c.done() {
		b := c.s[c.i]
		c.i++
		switch {
		case b == '"':
			return true
		case b == '\\':
			if !c.skip('"') && !c.skip('\\') {
				return false
			}
		case b < ' ' || b > '~':
			return false
		}
	}
	return false
}

// bytes takes padded base64 without stray bits.
func (c *scanner) bytes() bool {
	c.i++
	body := c.while(func(b byte) bool { return isAlpha(b) || isDigit(b) || b == '+' || b == '/' })
	pad := c.while(func(b byte) bool { return b == '=' })
	if !c.skip(':') || len(pad) > 2 || (len(body)+len(pad))%4 != 0 {
		return false
	}
	if len(pad) == 0 {
		return true
	}
	stray := byte(1)<<(2*len(pad)) - 1
	return len(body) > 0 && strings.IndexByte(base64Digits, body[len(body)-1])&int(stray) == 0
}

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// plainText returns the content of a string that has no escapes.
func plainText(b bare) (string, bool) {
	if b.kind != kindString || strings.IndexByte(b.raw, '\\') >= 0 {
		return "", false
	}
	return b.raw[1 : len(b.raw)-1], true
}

// unquote returns the content of a string.
func unquote(b bare) (string, bool) {
	if text, ok := plainText(b); ok || b.kind != kindString {
		return text, ok
	}
	raw := b.raw[1 : len(b.raw)-1]
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' {
			i++
		}
		out = append(out, raw[i])
	}
	return string(out), true
}

// appendString appends s as a string; s is printable ASCII.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

// unsigned returns the value of an integer that is not negative.
func unsigned(b bare) (int64, bool) {
	if b.kind != kindInteger || b.raw[0] == '-' {
		return 0, false
	}
	var n int64
	for i := range len(b.raw) { // at most 15 digits
		n = n*10 + int64(b.raw[i]-'0')
	}
	return n, true
}

// decodeBytes fills dst from a member that is a byte sequence of exactly its
// length, whatever its parameters. dst has at most 64 bytes.
func decodeBytes(dst []byte, m member) bool {
	c := scanner{s: m.value}
	b, ok := c.bare()
	if !ok || m.implicit || b.kind != kindBytes {
		return false
	}
	encoded := b.raw[1 : len(b.raw)-1]
	var text, raw [88]byte
	if len(encoded) > len(text) || len(encoded) != base64.StdEncoding.EncodedLen(len(dst)) {
		return false
	}
	n, err := base64.StdEncoding.Strict().Decode(raw[:], text[:copy(text[:], encoded)])
	if err != nil || n != len(dst) {
		return false
	}
	copy(dst, raw[:n])
	return true
}

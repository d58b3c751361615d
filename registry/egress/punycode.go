package egress

import (
	"math"
	"strings"
	"unicode"
)

// Parameters of RFC 3492, section 5.
const (
	punyBase        = 36
	punyTMin        = 1
	punyTMax        = 26
	punySkew        = 38
	punyDamp        = 700
	punyInitialBias = 72
	punyInitialN    = 128
)

// validALabel judges what follows "xn--" in a label of lower-case letters, digits and hyphens: it
// must decode, hold something beyond ASCII, consist of characters that IDNA 2008 lets into names,
// and encode to the very same text, so that a name has one spelling.
func validALabel(encoded string) bool {
	runes, ok := punyDecode(encoded)
	if !ok || len(runes) == 0 || unicode.Is(unicode.M, runes[0]) {
		return false
	}
	beyond := false
	for _, r := range runes {
		if r >= punyInitialN {
			beyond = true
			if !nameRune(r) {
				return false
			}
		}
	}
	if !beyond || runes[0] == '-' || runes[len(runes)-1] == '-' {
		return false
	}
	again, ok := punyEncode(runes)
	return ok && again == encoded
}

// nameRune approximates PVALID of RFC 5892 by general categories; wide and mathematical forms, which
// only mean other letters, and characters that need context are left out.
func nameRune(r rune) bool {
	switch {
	case r == 0xB7 || r == 0x375 || r == 0x5F3 || r == 0x5F4 || r == 0x30FB:
		return true
	case 0xFF00 <= r && r <= 0xFFEF || 0x1D400 <= r && r <= 0x1D7FF || 0xFB00 <= r && r <= 0xFB06:
		return false
	}
	return unicode.In(r, unicode.Ll, unicode.Lo, unicode.Lm, unicode.Mn, unicode.Mc, unicode.Nd)
}

// punyDecode is RFC 3492, section 6.2. Labels are short, so the insertions cost nothing.
func punyDecode(encoded string) ([]rune, bool) {
	runes := make([]rune, 0, len(encoded))
	if dash := strings.LastIndexByte(encoded, '-'); dash >= 0 {
		if dash == 0 {
			return nil, false
		}
		runes = append(runes, []rune(encoded[:dash])...)
		encoded = encoded[dash+1:]
	}
	n, i, bias := int64(punyInitialN), int64(0), int64(punyInitialBias)
	for pos := 0; pos < len(encoded); {
		before, weight := i, int64(1)
		for k := int64(punyBase); ; k += punyBase {
			if pos == len(encoded) {
				return nil, false
			}
			digit, ok := punyDigit(encoded[pos])
			pos++
			if !ok || digit > (math.MaxInt32-i)/weight {
				return nil, false
			}
			i += digit * weight
			t := min(max(k-bias, punyTMin), punyTMax)
			if digit < t {
				break
			}
			if weight > math.MaxInt32/(punyBase-t) {
				return nil, false
			}
			weight *= punyBase - t
		}
		length := int64(len(runes) + 1)
		bias = punyAdapt(i-before, length, before == 0)
		n += i / length
		i %= length
		if n > unicode.MaxRune || 0xD800 <= n && n <= 0xDFFF {
			return nil, false
		}
		runes = append(runes, 0)
		copy(runes[i+1:], runes[i:])
		runes[i] = rune(n)
		i++
	}
	return runes, true
}

// punyEncode is RFC 3492, section 6.3.
func punyEncode(runes []rune) (string, bool) {
	out := make([]byte, 0, 2*len(runes))
	for _, r := range runes {
		if r < punyInitialN {
			out = append(out, byte(r))
		}
	}
	basic := int64(len(out))
	if basic > 0 {
		out = append(out, '-')
	}
	n, delta, bias := int64(punyInitialN), int64(0), int64(punyInitialBias)
	for handled := basic; handled < int64(len(runes)); {
		next := int64(math.MaxInt32)
		for _, r := range runes {
			if int64(r) >= n {
				next = min(next, int64(r))
			}
		}
		if next-n > (math.MaxInt32-delta)/(handled+1) {
			return "", false
		}
		delta += (next - n) * (handled + 1)
		n = next
		for _, r := range runes {
			if int64(r) < n {
				delta++
			}
			if int64(r) != n {
				continue
			}
			q := delta
			for k := int64(punyBase); ; k += punyBase {
				t := min(max(k-bias, punyTMin), punyTMax)
				if q < t {
					break
				}
				out = append(out, punyLetter(t+(q-t)%(punyBase-t)))
				q = (q - t) / (punyBase - t)
			}
			out = append(out, punyLetter(q))
			bias = punyAdapt(delta, handled+1, handled == basic)
			delta = 0
			handled++
		}
		delta++
		n++
	}
	return string(out), true
}

func punyAdapt(delta, points int64, first bool) int64 {
	if first {
		delta /= punyDamp
	} else {
		delta /= 2
	}
	delta += delta / points
	k := int64(0)
	for delta > ((punyBase-punyTMin)*punyTMax)/2 {
		delta /= punyBase - punyTMin
		k += punyBase
	}
	return k + (punyBase-punyTMin+1)*delta/(delta+punySkew)
}

func punyDigit(c byte) (int64, bool) {
	switch {
	case 'a' <= c && c <= 'z':
		return int64(c - 'a'), true
	case '0' <= c && c <= '9':
		return int64(c-'0') + 26, true
	}
	return 0, false
}

func punyLetter(digit int64) byte {
	if digit < 26 {
		return 'a' + byte(digit)
	}
	return '0' + byte(digit-26)
}

package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/internal/strictjson"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	nest := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	tests := []struct {
		name, in string
		want     error
	}{
		{"object", `{"a":[1,-2.5e+3,true,false,null,"x"],"b":{}}`, nil},
		{"scalar with white space", " \t\r\n1 \n", nil},
		{"all escapes", `"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"`, nil},
		{"text beyond ASCII", `{"ключ":"значение 😀"}`, nil},
		{"equal keys in different objects", `{"a":{"a":1},"b":[{"a":1},{"a":2}]}`, nil},
		{"keys that differ in case", `{"a":1,"A":2}`, nil},
		{"escaped NUL", `"\u0000"`, nil},
		{"huge number", `{"x":` + strings.Repeat("9", 60_000) + `}`, nil},
		{"64 levels", nest(64), nil},

		{"empty", "", strictjson.ErrSyntax},
		{"blank", " ", strictjson.ErrSyntax},
		{"byte order mark", "\ufeff{}", strictjson.ErrSyntax},
		{"cut object", `{`, strictjson.ErrSyntax},
		{"cut string", `"abc`, strictjson.ErrSyntax},
		{"cut escape", `"abc\`, strictjson.ErrSyntax},
		{"cut unicode escape", `"\u12"`, strictjson.ErrSyntax},
		{"unknown escape", `"\x41"`, strictjson.ErrSyntax},
		{"trailing comma in an object", `{"a":1,}`, strictjson.ErrSyntax},
		{"trailing comma in an array", `[1,]`, strictjson.ErrSyntax},
		{"leading comma", `[,1]`, strictjson.ErrSyntax},
		{"missing comma", `[1 2]`, strictjson.ErrSyntax},
		{"missing colon", `{"a" 1}`, strictjson.ErrSyntax},
		{"missing value", `{"a":}`, strictjson.ErrSyntax},
		{"single quotes", `{'a':1}`, strictjson.ErrSyntax},
		{"bare key", `{a:1}`, strictjson.ErrSyntax},
		{"number as key", `{1:1}`, strictjson.ErrSyntax},
		{"line comment", "{} // c", strictjson.ErrTrailing},
		{"comment inside", "[/* c */1]", strictjson.ErrSyntax},
		{"raw newline in a string", "\"a\nb\"", strictjson.ErrSyntax},
		{"raw NUL in a string", "\"a\x00b\"", strictjson.ErrSyntax},
		{"leading zero", `01`, strictjson.ErrTrailing},
		{"leading plus", `+1`, strictjson.ErrSyntax},
		{"bare minus", `-`, strictjson.ErrSyntax},
		{"bare fraction", `1.`, strictjson.ErrSyntax},
		{"bare exponent", `1e+`, strictjson.ErrSyntax},
		{"hex number", `0x1`, strictjson.ErrTrailing},
		{"NaN", `NaN`, strictjson.ErrSyntax},
		{"cut literal", `tru`, strictjson.ErrSyntax},
		{"literal in capitals", `True`, strictjson.ErrSyntax},
		{"other white space", "\u00a01", strictjson.ErrSyntax},
		{"vertical tab", "\v1", strictjson.ErrSyntax},

		{"duplicate key", `{"a":1,"a":1}`, strictjson.ErrDuplicate},
		{"duplicate key behind an escape", `{"Id":1,"\u0049d":2}`, strictjson.ErrDuplicate},
		{"duplicate key behind a pair", `{"😀":1,"\ud83d\ude00":2}`, strictjson.ErrDuplicate},
		{"duplicate empty key", `{"":1,"":2}`, strictjson.ErrDuplicate},
		{"duplicate key inside", `[{"x":{"a":1,"b":2,"a":3}}]`, strictjson.ErrDuplicate},
		{"duplicate key after a nested object", `{"a":{"b":1},"a":2}`, strictjson.ErrDuplicate},

		{"65 levels", nest(65), strictjson.ErrDepth},
		{"65 levels of objects", strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65), strictjson.ErrDepth},
		{"10,002 levels", nest(10_002), strictjson.ErrDepth},

		{"two documents", `{}{}`, strictjson.ErrTrailing},
		{"trailing brace", `{}}`, strictjson.ErrTrailing},
		{"trailing NUL", "{}\x00", strictjson.ErrTrailing},

		{"invalid UTF-8", "\"\xff\"", strictjson.ErrUTF8},
		{"overlong form", "\"\xc0\xaf\"", strictjson.ErrUTF8},
		{"raw surrogate", "\"\xed\xa0\x80\"", strictjson.ErrUTF8},
		{"invalid UTF-8 in a key", "{\"\xff\":1}", strictjson.ErrUTF8},
		{"lone high surrogate", `"\ud800"`, strictjson.ErrUTF8},
		{"lone low surrogate", `"\udc00"`, strictjson.ErrUTF8},
		{"high surrogate before another escape", `"\ud800\u0041"`, strictjson.ErrUTF8},
		{"pair in the wrong order", `"\ude00\ud83d"`, strictjson.ErrUTF8},
		{"lone surrogate in a key", `{"\ud800":1}`, strictjson.ErrUTF8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := strictjson.Check([]byte(tt.in), 0)
			if !errors.Is(err, tt.want) {
				t.Fatalf("Check = %v, want %v", err, tt.want)
			}
			if (err != nil) != errors.Is(err, strictjson.ErrInvalid) {
				t.Fatalf("%v does not match ErrInvalid", err)
			}
			if tt.want == nil && !json.Valid([]byte(tt.in)) {
				t.Fatal("encoding/json disagrees")
			}
		})
	}
}

func TestCheckMaxDepth(t *testing.T) {
	t.Parallel()
	for depth, in := range map[int]string{1: `[1]`, 2: `{"a":[]}`, 100: strings.Repeat("[", 100) + strings.Repeat("]", 100)} {
		if err := strictjson.Check([]byte(in), depth); err != nil {
			t.Errorf("depth %d: %v", depth, err)
		}
		if err := strictjson.Check([]byte(`[`+in+`]`), depth); !errors.Is(err, strictjson.ErrDepth) {
			t.Errorf("depth %d: %v, want ErrDepth", depth+1, err)
		}
	}
}

func TestCheckManyKeys(t *testing.T) {
	t.Parallel()
	object := func(n int, extra string) []byte {
		var b strings.Builder
		b.WriteByte('{')
		for i := range n {
			fmt.Fprintf(&b, `"k%d":{"k1":[{"k1":%d}]},`, i, i)
		}
		b.WriteString(extra + `:0}`)
		return []byte(b.String())
	}
	for _, n := range []int{1, 15, 16, 17, 18, 40, 5000} {
		if err := strictjson.Check(object(n, `"new"`), 0); err != nil {
			t.Errorf("%d keys: %v", n, err)
		}
		for _, again := range []int{0, n / 2, n - 1} {
			if err := strictjson.Check(object(n, fmt.Sprintf(`"k%d"`, again)), 0); !errors.Is(err, strictjson.ErrDuplicate) {
				t.Errorf("%d keys, key %d again: %v, want ErrDuplicate", n, again, err)
			}
		}
	}
}

func TestErrorPlace(t *testing.T) {
	t.Parallel()
	err := strictjson.Check([]byte(`{"a":1,"hush":2,"hush":3}`), 0)
	e, ok := errors.AsType[*strictjson.Error](err)
	if !ok || e.Offset != 16 {
		t.Fatalf("error %v, want an offset of 16", err)
	}
	if strings.Contains(err.Error(), "hush") {
		t.Errorf("the text shows the input: %v", err)
	}
}

func TestCheckAllocations(t *testing.T) {
	in := []byte(`{"CallbackCommand":"C2C.CallbackAfterSendMsg","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello"}}],"MsgSeq":48374,"EventTime":1669872112000}`)
	if n := testing.AllocsPerRun(100, func() {
		if err := strictjson.Check(in, 0); err != nil {
			t.Fatal(err)
		}
	}); n > 4 {
		t.Errorf("Check allocates %v times, want at most 4", n)
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"\u00e9"]}`, `{"a":1,"\u0061":2}`, `"\ud83d\ude00"`, `[[]]`, "\"\xff\"", `1 `, ``, `{"":{}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		err := strictjson.Check(in, 0)
		if err == nil && !json.Valid(in) {
			t.Fatalf("Check accepts %q, encoding/json does not", in)
		}
		if json.Valid(in) && errors.Is(err, strictjson.ErrSyntax) {
			t.Fatalf("Check calls %q a syntax error: %v", in, err)
		}
		var v any
		if uerr := strictjson.Unmarshal(in, &v); err == nil && uerr != nil && !errors.Is(uerr, strictjson.ErrType) {
			t.Fatalf("Unmarshal of checked %q: %v", in, uerr)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	in := []byte(`{"CallbackCommand":"C2C.CallbackAfterSendMsg","From_Account":"jared","To_Account":"Johh","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello"}}],"MsgSeq":48374,"MsgRandom":2837546,"EventTime":1669872112000}`)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if err := strictjson.Check(in, 0); err != nil {
			b.Fatal(err)
		}
	}
}

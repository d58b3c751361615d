package event_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
)

// canonical decodes JSON so that equal values are deeply equal: numbers keep
// all digits and stay apart from strings.
func canonical(t testing.TB, raw []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return numbers(v)
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, ok := new(big.Int).SetString(string(v), 10); ok {
			return "number " + n.String()
		}
		return "number " + string(v)
	case string:
		return "string " + v
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

// A sample is one packet of the documentation or of real traffic.
type sample struct {
	name   string
	bodies [][]byte
}

// samples reads the packets that lie beside the repository; what each file must
// hold is in vectors/README.md.
func samples(t *testing.T, folder string) []sample {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for ; files == nil; dir = filepath.Dir(dir) {
		for _, at := range []string{"../shared/vectors", "shared/vectors"} {
			found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(at), "tencent", folder, "*"))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, found...)
		}
		if files == nil && filepath.Dir(dir) == dir {
			const missing = "the sample packets are not beside the repository, nothing to compare with"
			if os.Getenv("CI") != "" {
				t.Fatal(missing)
			}
			t.Skip(missing)
		}
	}
	out := make([]sample, 0, len(files))
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var whole struct {
			Body    json.RawMessage `json:"body"`
			Raw     string          `json:"body_raw_as_published"`
			Request struct {
				Body json.RawMessage `json:"body"`
			} `json:"request"`
		}
		if err := json.Unmarshal(raw, &whole); err != nil {
			t.Fatal(fmt.Errorf("%s: %w", file, err))
		}
		s := sample{name: filepath.Base(file)}
		switch {
		case whole.Raw != "":
			s.bodies = [][]byte{whole.Body, []byte(whole.Raw)}
		case whole.Request.Body != nil:
			s.bodies = [][]byte{whole.Request.Body}
		default:
			s.bodies = [][]byte{raw}
		}
		out = append(out, s)
	}
	return out
}

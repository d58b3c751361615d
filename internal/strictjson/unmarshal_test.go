package strictjson_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/internal/strictjson"
)

type inner struct {
	K    string `json:"k"`
	Next *inner `json:"next"`
}

type promoted struct {
	Deep string `json:"deep"`
	Name string `json:"name"` // hidden by outer.Name
}

type Clash1 struct {
	Twice string `json:"twice"`
}

type Clash2 struct {
	Twice string `json:"twice"`
	TWICE int
}

type outer struct {
	promoted
	*Clash1
	Clash2
	Name   string           `json:"name"`
	NAME   string           `json:"NAME"`
	List   []inner          `json:"list"`
	Map    map[string]inner `json:"map"`
	Any    any              `json:"any"`
	Raw    json.RawMessage  `json:"raw"`
	At     time.Time        `json:"at"`
	Array  [1]*inner        `json:"array"`
	Hidden string           `json:"-"`
	Dash   string           `json:"-,"` //nolint:staticcheck // the name "-" is meant
	Opt    int              `json:"opt,omitempty"`
	Untag  string
	secret string
}

func TestUnmarshalNames(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in, same string // same: what encoding/json must make of it
	}{
		{"exact", `{"name":"a","NAME":"b","Untag":"c","-":"d","opt":1}`, `{"name":"a","NAME":"b","Untag":"c","-":"d","opt":1}`},
		{"other case alone", `{"Name":"evil","untag":"evil","OPT":2}`, `{}`},
		{"other case after", `{"name":"good","nAME":"evil"}`, `{"name":"good"}`},
		{"other case before", `{"nAME":"evil","name":"good"}`, `{"name":"good"}`},
		{"other case behind an escape", `{"name":"good","\u004eame":"evil"}`, `{"name":"good"}`},
		{"Kelvin sign", `{"list":[{"k":"good","` + "\u212a" + `":"evil"}]}`, `{"list":[{"k":"good"}]}`},
		{"nested", `{"list":[{"k":"a","next":{"K":"evil","next":{"k":"b"}}}]}`, `{"list":[{"k":"a","next":{"next":{"k":"b"}}}]}`},
		{"map keys are data", `{"map":{"k":{"k":"a"},"K":{"K":"evil"}}}`, `{"map":{"k":{"k":"a"},"K":{}}}`},
		{"array of pointers", `{"array":[{"K":"evil"}]}`, `{"array":[{}]}`},
		{"promoted", `{"deep":"a","DEEP":"evil"}`, `{"deep":"a"}`},
		{"two of one rank fill nothing", `{"twice":"x","tWice":"evil","TWICE":3}`, `{"TWICE":3}`},
		{"raw and any keep names", `{"raw":{"K":1,"k":2},"any":{"K":1}}`, `{"raw":{"K":1,"k":2},"any":{"K":1}}`},
		{"member of a hidden name", `{"NAme":{"deep":[1,{"x":"}"}]},"deep":"a"}`, `{"deep":"a"}`},
		{"unknown members", `{"x":[{"name":1}],"y":"\"]}","deep":"a"}`, `{"deep":"a"}`},
		{"white space", " { \"NaMe\" : \"evil\" , \"list\" : [ { \"K\" : \"evil\" } , { \"k\" : \"a\" } ] } ", `{"list":[{},{"k":"a"}]}`},
		{"field without a name", `{"Hidden":"x","secret":"x","hidden":"y"}`, `{}`},
		{"nulls", `{"list":null,"map":null,"name":null,"array":null}`, `{}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got, want outer
			in := []byte(tt.in)
			if err := strictjson.Unmarshal(in, &got); err != nil {
				t.Fatal(err)
			}
			if string(in) != tt.in {
				t.Errorf("the input was written to: %q", in)
			}
			if err := json.Unmarshal([]byte(tt.same), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got.secret != "" {
				t.Error("an unexported field was filled")
			}
		})
	}
}

func TestUnmarshalTargets(t *testing.T) {
	t.Parallel()
	var list []inner
	if err := strictjson.Unmarshal([]byte(`[{"K":"evil"},{"k":"a"}]`), &list); err != nil || list[0].K != "" || list[1].K != "a" {
		t.Errorf("slice: %v %v", list, err)
	}
	var byName map[string]*inner
	if err := strictjson.Unmarshal([]byte(`{"X":{"K":"evil"}}`), &byName); err != nil || byName["X"].K != "" {
		t.Errorf("map: %v %v", byName, err)
	}
	var p *inner
	if err := strictjson.Unmarshal([]byte(`{"k":"a"}`), &p); err != nil || p.K != "a" {
		t.Errorf("pointer: %v %v", p, err)
	}
	var n int
	if err := strictjson.Unmarshal([]byte(`7`), &n); err != nil || n != 7 {
		t.Errorf("int: %v %v", n, err)
	}
	for _, v := range []any{nil, inner{}, (*inner)(nil)} {
		err := strictjson.Unmarshal([]byte(`{}`), v)
		if _, ok := errors.AsType[*json.InvalidUnmarshalError](err); !ok {
			t.Errorf("Unmarshal into %T: %v, want InvalidUnmarshalError", v, err)
		}
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		want     error
	}{
		{"number for a string", `{"name":424242}`, strictjson.ErrType},
		{"overflow", `{"opt":1e400}`, strictjson.ErrType},
		{"fraction", `{"opt":424242.5}`, strictjson.ErrType},
		{"array for an object", `[]`, strictjson.ErrType},
		{"null for an object", ` null`, strictjson.ErrType},
		{"error of another decoder", `{"at":"424242"}`, strictjson.ErrType},
		{"duplicate", `{"name":"a","name":"424242"}`, strictjson.ErrDuplicate},
		{"trailing", `{} 424242`, strictjson.ErrTrailing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var v outer
			err := strictjson.Unmarshal([]byte(tt.in), &v)
			if !errors.Is(err, tt.want) || !errors.Is(err, strictjson.ErrInvalid) {
				t.Fatalf("Unmarshal = %v, want %v", err, tt.want)
			}
			if strings.Contains(err.Error(), "424242") || strings.Contains(err.Error(), "1e400") {
				t.Errorf("the text shows the input: %v", err)
			}
		})
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{`{"name":"a","nAme":"b"}`, `{"list":[{"K":"x"}]}`, `{"map":{"a":{"\u006b":"x"}}}`, `{"at":"x"}`, `[1]`, ` {"x" : [ {} , {"":0} ] } `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var v outer
		if err := strictjson.Unmarshal(in, &v); err != nil {
			if !errors.Is(err, strictjson.ErrInvalid) {
				t.Fatalf("%q: %v", in, err)
			}
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(in, &members); err != nil {
			t.Fatal(err)
		}
		if _, ok := members["name"]; !ok && v.Name != "" {
			t.Fatalf("%q filled name with %q", in, v.Name)
		}
		if _, ok := members["list"]; !ok && v.List != nil {
			t.Fatalf("%q filled list", in)
		}
	})
}

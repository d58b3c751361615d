package event_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/dialect/tencentchat/event"
)

// TestVectors decodes every packet of the documentation and of real traffic
// into the type of its command, and encodes it without losing anything. No
// member of them is unknown to its type.
func TestVectors(t *testing.T) {
	t.Parallel()
	for folder, count := range map[string]int{"docs": 37, "captured": 13} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			all := samples(t, folder)
			if len(all) < count {
				t.Errorf("%d files, want %d or more", len(all), count)
			}
			for _, s := range all {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					for _, body := range s.bodies {
						checkSample(t, body)
					}
				})
			}
		})
	}
}

func checkSample(t *testing.T, body []byte) {
	t.Helper()
	p, err := event.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	want := canonical(t, body)
	if u, ok := p.(*event.Unknown); ok {
		t.Fatalf("no type for %s", u.Name)
	}
	if command := want.(map[string]any)["CallbackCommand"]; command != "string "+p.Command() {
		t.Errorf("decoded as %s, it is %s", p.Command(), command)
	}
	checkNoExtra(t, reflect.ValueOf(p).Elem(), p.Command())
	for name, v := range map[string]any{"pointer": p, "value": reflect.ValueOf(p).Elem().Interface()} {
		out, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, canonical(t, out)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", name, diff)
		}
	}
	again := reflect.New(reflect.TypeOf(p).Elem())
	if err := json.Unmarshal(body, again.Interface()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, again.Interface()); diff != "" {
		t.Errorf("Parse and json.Unmarshal differ:\n%s", diff)
	}
	data, err := event.Data(p)
	if err != nil {
		t.Fatal(err)
	}
	delete(want.(map[string]any), "CallbackCommand")
	if diff := cmp.Diff(want, canonical(t, data)); diff != "" {
		t.Errorf("Data, -want +got:\n%s", diff)
	}
}

// checkNoExtra fails for members that have no field, at every level.
func checkNoExtra(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	if extra, ok := reflect.TypeAssert[event.Extra](v); ok {
		for name := range extra.All() {
			t.Errorf("%s has no field for %s", path, name)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if _, ok := reflect.TypeAssert[event.Time](v); ok {
			return
		}
		for f, inner := range v.Fields() {
			checkNoExtra(t, inner, path+"."+f.Name)
		}
	case reflect.Slice:
		for i := range v.Len() {
			checkNoExtra(t, v.Index(i), path)
		}
	}
}

// TestEveryTypeHasASample: a type that no document shows would be invented.
func TestEveryTypeHasASample(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range samples(t, "docs") {
		p, err := event.Parse(s.bodies[0])
		if err != nil {
			t.Fatal(err)
		}
		seen[p.Command()] = true
	}
	commands := event.Commands()
	if len(commands) != 35 || !slices.IsSorted(commands) {
		t.Errorf("%d commands, %q", len(commands), commands)
	}
	for _, c := range commands {
		if !seen[c] {
			t.Errorf("no sample of %s", c)
		}
	}
}

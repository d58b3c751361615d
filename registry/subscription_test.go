package registry_test

import (
	"reflect"
	"testing"

	"github.com/ringback-go/ringback/registry"
)

// Every field of a subscription that refers to something is copied by Clone.
func TestCloneSharesNothing(t *testing.T) {
	t.Parallel()
	s := valid()
	s.Secrets, s.Headers, s.Meta = []registry.Secret{registry.NewSecret("a")}, []registry.Header{headerOf("X", "a")}, map[string]string{"k": "v"}
	c := s.Clone()
	if !reflect.DeepEqual(c, s) {
		t.Errorf("the copy is another: %+v", c)
	}
	from, to := reflect.ValueOf(s), reflect.ValueOf(c)
	shared := 0
	for i := range from.NumField() {
		switch from.Field(i).Kind() {
		case reflect.Slice, reflect.Map, reflect.Pointer:
			name := from.Type().Field(i).Name
			if from.Field(i).IsNil() {
				t.Errorf("%s is not filled in by this test", name)
			}
			if from.Field(i).Pointer() == to.Field(i).Pointer() {
				t.Errorf("%s is shared", name)
			}
			shared++
		}
	}
	if shared != 4 {
		t.Errorf("%d fields refer to something: the test is to be looked at", shared)
	}
}

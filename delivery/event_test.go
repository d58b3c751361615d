package delivery_test

import (
	"strings"
	"testing"

	"github.com/ringback-go/ringback/delivery"
)

func TestValidEventID(t *testing.T) {
	t.Parallel()
	for id, wanted := range map[string]bool{
		"": false, "a": true, "msg_01": true, "a b": false, "a.b": false, "a\n": false, "é": false, "\x7f": false, "~!/": true,
		strings.Repeat("x", delivery.MaxID): true, strings.Repeat("x", delivery.MaxID+1): false, delivery.NewEventID(): true,
	} {
		want(t, id, delivery.ValidEventID(id), wanted)
	}
	if first, second := delivery.NewEventID(), delivery.NewEventID(); first == second {
		t.Error("the same ID twice")
	}
}

func FuzzValidEventID(f *testing.F) {
	for _, seed := range []string{"", "a", "a.b", "a b", "msg_0\x00", "\xff", strings.Repeat("x", 257)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		wanted := id != "" && len(id) <= 256
		for _, c := range []byte(id) {
			wanted = wanted && c > 0x20 && c < 0x7f && c != '.'
		}
		want(t, id, delivery.ValidEventID(id), wanted)
	})
}

func FuzzDeliveryIDIsInjective(f *testing.F) {
	f.Add("a", "sub_x", "a", "x")
	f.Add("a", "sub_.x", "a", ".x")
	f.Add("a", "sub_sub_x", "a", "sub_x")
	f.Add("a", "b.c", "a.b", "c")
	f.Add("a", "", "a", "sub_")
	f.Fuzz(func(t *testing.T, event1, sub1, event2, sub2 string) {
		if !delivery.ValidEventID(event1) || !delivery.ValidEventID(event2) {
			return
		}
		one, two := delivery.DeliveryID(event1, sub1), delivery.DeliveryID(event2, sub2)
		want(t, event1+" "+sub1+" "+event2+" "+sub2, one == two, event1 == event2 && sub1 == sub2)
		if !strings.HasPrefix(one, event1+".") {
			t.Errorf("%q does not begin with its event", one)
		}
	})
}

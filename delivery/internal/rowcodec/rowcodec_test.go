package rowcodec_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	for name, d := range map[string]delivery.Delivery{
		"bare": {ID: "a.b", EventID: "a", SubscriptionID: "sub_b", PublishedAt: at},
		"full": {
			ID: "a.b", EventID: "a", SubscriptionID: "sub_b", Lane: "l", Key: "k", Dialect: "d", Type: "t", Tenant: "n",
			ContentType: "application/json", Body: []byte("\x00body"), Meta: map[string]string{"x": "1", "y": ""},
			TraceParent: "00-", PublishedAt: at, Ahead: true,
		},
	} {
		want := rowcodec.Times{Due: 5, Expires: 7}
		b := rowcodec.AppendDelivery(nil, &d, want)
		got, times, err := rowcodec.Delivery(d.ID, b)
		if err != nil || times != want || !cmp.Equal(*got, d) {
			t.Errorf("%s: %v %v %s", name, err, times, cmp.Diff(*got, d))
		}
	}
	a := delivery.Attempt{Number: 3, At: at, Duration: time.Second, Status: 500, Class: "status", Error: "answered 500", Response: []byte("no")}
	got, err := rowcodec.Attempt(rowcodec.AppendAttempt(nil, &a))
	if err != nil || !cmp.Equal(got, a) {
		t.Errorf("attempt: %v %s", err, cmp.Diff(got, a))
	}
}

func TestResponseIsBounded(t *testing.T) {
	t.Parallel()
	a := delivery.Attempt{Response: make([]byte, 10_000)}
	got, err := rowcodec.Attempt(rowcodec.AppendAttempt(nil, &a))
	if err != nil || len(got.Response) != delivery.MaxResponse {
		t.Errorf("%d bytes kept, %v", len(got.Response), err)
	}
}

func FuzzDelivery(f *testing.F) {
	d := delivery.Delivery{EventID: "a", SubscriptionID: "s", Meta: map[string]string{"x": "1"}, Body: []byte("b")}
	good := rowcodec.AppendDelivery(nil, &d, rowcodec.Times{})
	f.Add(good)
	f.Add(good[:5])
	f.Add([]byte{1, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, times, err := rowcodec.Delivery("id", b)
		if err != nil {
			if !errors.Is(err, rowcodec.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		again, t2, err := rowcodec.Delivery("id", rowcodec.AppendDelivery(nil, d, times))
		if err != nil || t2 != times || !cmp.Equal(again, d) {
			t.Fatalf("not stable: %v", err)
		}
	})
}

package rowcodec_test

import (
	"fmt"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
)

func Example() {
	d := delivery.Delivery{ID: "msg_1.a", EventID: "msg_1", SubscriptionID: "sub_a", Body: []byte("{}")}
	row := rowcodec.AppendDelivery(nil, &d, rowcodec.Times{Due: 7})
	again, times, err := rowcodec.Delivery("msg_1.a", row)
	fmt.Println(again.SubscriptionID, string(again.Body), times.Due, err)
	// Output:
	// sub_a {} 7 <nil>
}

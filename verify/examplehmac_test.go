package verify_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/verify"
)

func ExampleGenerateKeyPair() {
	private, public := verify.GenerateKeyPair()
	sender, err := verify.NewStandard(0, verify.Key{Secret: []byte(private)})
	if err != nil {
		fmt.Println(err)
		return
	}
	receiver, err := verify.NewStandard(0, verify.Key{ID: "2026", Secret: []byte(public)})
	if err != nil {
		fmt.Println(err)
		return
	}
	at, body := time.Unix(1614265330, 0), []byte(`{"type":"invoice.paid"}`)
	signature, err := sender.Sign("msg_1", at, body)
	if err != nil {
		fmt.Println(err)
		return
	}
	h := http.Header{}
	h.Set("webhook-id", "msg_1")
	h.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("webhook-signature", signature)
	id, err := receiver.Verify(context.Background(), verify.Message{Header: h, Body: body, At: at})
	fmt.Println(signature[:4], id.MessageID, id.Key, err)
	// Output: v1a, msg_1 2026 <nil>
}

func ExampleNewHMAC() {
	v, err := verify.NewHMAC(verify.HMACFormat{
		Name:            "acme",
		Header:          "X-Acme-Signature",
		Prefix:          "v2:",
		Encoding:        verify.Base64,
		Signed:          "{id}.{timestamp}.{body}",
		TimestampHeader: "X-Acme-Timestamp",
		IDHeader:        "X-Acme-Id",
	}, verify.Key{ID: "console", Secret: []byte("the secret as printed")})
	if err != nil {
		fmt.Println(err)
		return
	}
	m := verify.Message{Body: []byte(`{}`), At: time.Unix(1700000000, 0)}
	if m.Header, err = v.Sign("evt-1", m); err != nil {
		fmt.Println(err)
		return
	}
	id, err := v.Verify(context.Background(), m)
	fmt.Println(id.Scheme, id.MessageID, id.Key, err)
	m.At = m.At.Add(-10 * time.Minute)
	_, err = v.Verify(context.Background(), m)
	fmt.Println(err)
	// Output:
	// acme evt-1 console <nil>
	// verify: acme: X-Acme-Timestamp: too far in the future
}

func ExampleGitHub() {
	v, err := verify.NewHMAC(verify.GitHub(), verify.Key{Secret: []byte("It's a Secret to Everybody")})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := http.Header{}
	h.Set("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
	h.Set("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
	id, err := v.Verify(context.Background(), verify.Message{Header: h, Body: []byte("Hello, World!")})
	fmt.Println(id.MessageID, err)
	// Output: 72d3162e-cc78-11e3-81ab-4c9367dc0958 <nil>
}

func ExampleStripe() {
	v, err := verify.NewHMAC(verify.Stripe(),
		verify.Key{ID: "new", Secret: []byte("whsec_test_secret")},
		verify.Key{ID: "old", Secret: []byte("whsec_old_secret"), NotAfter: time.Unix(1492800000, 0)})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := http.Header{}
	h.Set("Stripe-Signature", "t=1492774577,v1=aed64a3c4c277a17c2a83b486f08da11442d772bc6e44361371cabce6d56f8af")
	m := verify.Message{Header: h, Body: []byte(`{"id":"evt_test_webhook","object":"event"}`), At: time.Unix(1492774600, 0)}
	id, err := v.Verify(context.Background(), m)
	fmt.Println(id.Key, err)
	// Output: old <nil>
}

func ExampleSlack() {
	v, err := verify.NewHMAC(verify.Slack(), verify.Key{Secret: []byte("8f742231b10e8888abcd99yyyzzz85a5")})
	if err != nil {
		fmt.Println(err)
		return
	}
	m := verify.Message{Body: []byte("command=%2Fhello"), At: time.Unix(1531420618, 0)}
	if m.Header, err = v.Sign("", m); err != nil {
		fmt.Println(err)
		return
	}
	_, err = v.Verify(context.Background(), m)
	fmt.Println(m.Header.Get("X-Slack-Signature")[:3], err)
	// Output: v0= <nil>
}

func ExampleShopify() {
	v, err := verify.NewHMAC(verify.Shopify(), verify.Key{Secret: []byte("shop-secret")})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := http.Header{}
	h.Set("X-Shopify-Webhook-Id", "b54557e4")
	h.Set("X-Shopify-Hmac-Sha256", "plW8VGqq0nDMIEhDqaNNW99asdUCy7EIqLZVcQwtAZ0=")
	id, err := v.Verify(context.Background(), verify.Message{Header: h, Body: []byte(`{"id":1}`)})
	fmt.Println(id.MessageID, err)
	// Output: b54557e4 <nil>
}

package verify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/verify"
)

func ExampleNewStandard() {
	secret := verify.GenerateSecret()
	v, err := verify.NewStandard(0, verify.Key{ID: "2026", Secret: []byte(secret)})
	if err != nil {
		fmt.Println(err)
		return
	}
	at, body := time.Unix(1614265330, 0), []byte(`{"type":"invoice.paid"}`)

	// The sender:
	signature, err := v.Sign("msg_1", at, body)
	if err != nil {
		fmt.Println(err)
		return
	}
	h := http.Header{}
	h.Set("webhook-id", "msg_1")
	h.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("webhook-signature", signature)

	// The receiver, ten seconds and ten minutes later:
	id, err := v.Verify(context.Background(), verify.Message{Header: h, Body: body, At: at.Add(10 * time.Second)})
	fmt.Println(id.MessageID, id.Key, err)
	_, err = v.Verify(context.Background(), verify.Message{Header: h, Body: body, At: at.Add(10 * time.Minute)})
	fmt.Println(err, errors.Is(err, verify.ErrExpired))
	// Output:
	// msg_1 2026 <nil>
	// verify: standard: Webhook-Timestamp: too old true
}

func ExampleNewTencentSign() {
	v, err := verify.NewTencentSign(0, verify.Key{ID: "console", Secret: []byte("xxxxyyyy")})
	if err != nil {
		fmt.Println(err)
		return
	}
	at := time.Unix(1669872112, 0)
	sign, requestTime := v.Sign(at)
	id, err := v.Verify(context.Background(), verify.Message{RawQuery: "Sign=" + sign + "&RequestTime=" + requestTime, At: at})
	fmt.Println(sign[:8], requestTime, id.Key, err)
	// Output: 17773bc3 1669872112 console <nil>
}

func ExampleNewAppID() {
	v, err := verify.NewAppID("1400000001")
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := v.Verify(context.Background(), verify.Message{RawQuery: "SdkAppid=1400000001"})
	fmt.Println(id.Subject, err)
	_, err = v.Verify(context.Background(), verify.Message{RawQuery: "SdkAppid=%2B1400000001"})
	fmt.Println(err)
	// Output:
	// 1400000001 <nil>
	// verify: appid: SdkAppid: unknown party or key
}

func ExampleNewToken() {
	v, err := verify.NewToken("Authorization", "Token", true, verify.Key{Secret: []byte("K-0123456789abcdef")})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, value := range []string{"token K-0123456789abcdef", "K-0123456789abcdef", "Bearer K-0123456789abcdef"} {
		_, err := v.Verify(context.Background(), verify.Message{Header: http.Header{"Authorization": {value}}})
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// <nil>
	// verify: token: Authorization: does not match
}

func ExampleNewSecret() {
	serverKey := []byte("sixteen bytes or more")
	stored := map[string]verify.Digest{"My Group": verify.CodeDigest(serverKey, "DEMO-CODE")}
	v, err := verify.NewSecret(serverKey, func(_ context.Context, params url.Values) (string, verify.Digest, bool, error) {
		group := params.Get("group")
		digest, known := stored[group]
		return group, digest, known, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, query := range []string{"group=My+Group&secret=DEMO-CODE", "group=My+Group&secret=guess", "group=Other&secret=guess"} {
		id, err := v.Verify(context.Background(), verify.Message{Method: "GET", RawQuery: query})
		fmt.Printf("%q %v\n", id.Subject, err)
	}
	// Output:
	// "My Group" <nil>
	// "" verify: secret: does not match
	// "" verify: secret: does not match
}

func ExampleNewSecretChecker() {
	serverKey := []byte("sixteen bytes or more")
	c, err := verify.NewSecretChecker(serverKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	stored := verify.CodeDigest(serverKey, "DEMO-CODE")
	fmt.Println(c.Check("", "3AF691611D1FD4CCF7947B077F2E660513E2AEBB", stored, true))
	fmt.Println(c.Check("DEMO-CODE", "", stored, false))
	// Output:
	// <nil>
	// verify: secret: does not match
}

func ExampleAllOf() {
	apps, err := verify.NewAppID("1400000001")
	if err != nil {
		fmt.Println(err)
		return
	}
	sign, err := verify.NewTencentSign(0, verify.Key{ID: "console", Secret: []byte("xxxxyyyy")})
	if err != nil {
		fmt.Println(err)
		return
	}
	both, err := verify.AllOf(apps, sign)
	if err != nil {
		fmt.Println(err)
		return
	}
	at := time.Unix(1669872112, 0)
	s, t := sign.Sign(at)
	id, err := both.Verify(context.Background(), verify.Message{RawQuery: "SdkAppid=1400000001&Sign=" + s + "&RequestTime=" + t, At: at})
	fmt.Println(id.Scheme, id.Subject, id.Key, err)
	// Output: appid+tencent-sign 1400000001 console <nil>
}

func ExampleAnyOf() {
	old, err := verify.NewToken("Authorization", "Token", false, verify.Key{ID: "legacy", Secret: []byte("K-1")})
	if err != nil {
		fmt.Println(err)
		return
	}
	signed, err := verify.NewStandard(0, verify.Key{Secret: []byte(verify.GenerateSecret())})
	if err != nil {
		fmt.Println(err)
		return
	}
	either, err := verify.AnyOf(signed, old)
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := either.Verify(context.Background(), verify.Message{Header: http.Header{"Authorization": {"Token K-1"}}})
	fmt.Println(id.Scheme, id.Key, err)
	// Output: token legacy <nil>
}

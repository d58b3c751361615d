package verify

import (
	"context"
	"strconv"

	"github.com/ringback-go/ringback/internal/rawquery"
)

const (
	schemeAppID = "appid"
	paramAppID  = "SdkAppid"
)

// AppID checks that the query parameter SdkAppid of a Tencent Cloud Chat
// callback is one of ours (https://trtc.io/document/34354). The text must be
// exactly the decimal form, the name exactly SdkAppid, and the parameter must
// stand there once.
//
// An SdkAppid is not a secret: AppID alone proves nothing about the sender.
// Combine it with [TencentSign].
//
// The zero value refuses everything. An AppID is safe for concurrent use.
type AppID struct {
	ids map[string]string
}

// NewAppID returns a verifier for the given SdkAppids, in decimal without
// leading zeros. No ids, and ids of another form, are [ErrConfig].
func NewAppID(ids ...string) (AppID, error) {
	if len(ids) == 0 {
		return AppID{}, configError(schemeAppID, paramAppID, "no SdkAppid given")
	}
	known := make(map[string]string, len(ids))
	for _, id := range ids {
		// ParseUint alone would take leading zeros.
		if n, err := strconv.ParseUint(id, 10, 64); err != nil || n == 0 || strconv.FormatUint(n, 10) != id {
			return AppID{}, configError(schemeAppID, paramAppID, strconv.Quote(id)+" is not a positive decimal number")
		}
		known[id] = id
	}
	return AppID{ids: known}, nil
}

// Verify returns the SdkAppid as the identity's subject. It does not look at
// the body, and does not allocate when it accepts.
func (a AppID) Verify(_ context.Context, m Message) (Identity, error) {
	if len(a.ids) == 0 {
		return Identity{}, notMade(schemeAppID)
	}
	text, err := single(m.RawQuery, paramAppID)
	if err != nil {
		return Identity{}, &Error{Scheme: schemeAppID, Field: paramAppID, Err: err}
	}
	id, ok := a.ids[text] // our copy: the identity may outlive the query
	if !ok {
		return Identity{}, &Error{Scheme: schemeAppID, Field: paramAppID, Err: ErrUnknown}
	}
	return Identity{Scheme: schemeAppID, Subject: id}, nil
}

// single returns the one value of a query parameter that must stand there
// exactly once and not be empty.
func single(rawQuery, name string) (string, error) {
	value, n, err := rawquery.Values(rawQuery, name)
	if err != nil {
		return "", ErrMalformed
	}
	return once(value, n)
}

// once returns the value of a parameter that must stand there once.
func once(value string, n int) (string, error) {
	switch {
	case n > 1:
		return "", ErrRepeated
	case value == "":
		return "", ErrMissing
	}
	return value, nil
}

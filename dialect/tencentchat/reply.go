package tencentchat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/ringback-go/ringback/dialect/tencentchat/event"
	"github.com/ringback-go/ringback/middleware"
)

// A Reply is the answer to a packet that was processed. The zero value, which
// [OK] returns, allows whatever was asked. Replies that refuse have a type of
// their own for each range of codes, see [Mux].
type Reply struct {
	packet packet
}

// OK acknowledges an after-command and allows a before-command. Where the
// platform requires an answer for each account, as for Sns.CallbackPrevFriend*,
// the [Receiver] adds one of code 0 for each account asked about.
func OK() Reply { return Reply{} }

type resultItem struct {
	Account string `json:"To_Account"`
	Code    int    `json:"ResultCode"`
	Info    string `json:"ResultInfo"`
}

// packet is an answer on the wire, its members in the platform's order.
type packet struct {
	Status     string          `json:"ActionStatus"`
	Info       string          `json:"ErrorInfo"`
	Code       int             `json:"ErrorCode"`
	MsgBody    []event.MsgElem `json:"MsgBody,omitempty"`
	CustomData *string         `json:"CloudCustomData,omitempty"`
	Refused    []string        `json:"RefusedMembers_Account,omitempty"`
	Items      []resultItem    `json:"ResultItem,omitempty"`
}

// MarshalJSON returns the packet, with ActionStatus OK. An error is
// [ErrPacket], for a part of a message that is not JSON.
func (r Reply) MarshalJSON() ([]byte, error) {
	r.packet.Status = statusOK
	raw, err := plain(r.packet)
	if err != nil {
		return nil, fmt.Errorf("tencentchat: reply: %w", err)
	}
	return raw, nil
}

const statusOK, statusFail = "OK", "FAIL"

// AllowAll is the [Handler] that allows everything: [OK], with a ResultItem of
// code 0 for each account that a friend request asks about. An error is an
// [ErrPacket], for a list of accounts that cannot be read.
func AllowAll(_ context.Context, ev Event) (Reply, error) {
	var asked struct {
		Add      []account `json:"FriendItem"`
		Response []account `json:"ResponseFriendItem"`
	}
	if !wantsItems(ev.Command) {
		return OK(), nil
	}
	if err := ev.Decode(&asked); err != nil {
		return Reply{}, err
	}
	list := asked.Add
	if ev.Command == event.CommandPrevFriendResponse {
		list = asked.Response
	}
	r := Reply{}
	for _, a := range list {
		if a.To == "" {
			return Reply{}, refused("a friend request without To_Account")
		}
		r.packet.Items = append(r.packet.Items, resultItem{Account: a.To})
	}
	return r, nil
}

type account struct {
	To string `json:"To_Account"`
}

func wantsItems(command string) bool {
	return command == event.CommandPrevFriendAdd || command == event.CommandPrevFriendResponse
}

// Deny writes the refusal of a gate as a packet: the status of err, FAIL, the
// class of the refusal and the status as ErrorCode. It is a
// middleware.DenyFunc; give it to gates that stand in front of a [Receiver],
// such as a rate limit by peer.
func Deny(w http.ResponseWriter, _ *http.Request, err error) {
	status := middleware.Status(err)
	var info string
	switch status {
	case http.StatusUnauthorized: // one packet, whatever was wrong
		info = "unauthorized"
	case http.StatusMethodNotAllowed:
		info = "method not allowed"
	case http.StatusRequestEntityTooLarge:
		info = "packet too large"
	case http.StatusUnsupportedMediaType:
		info = "unsupported media type"
	case http.StatusTooManyRequests:
		info = "too many requests"
	default:
		status, info = http.StatusBadRequest, "bad request"
		if middleware.Status(err) >= 500 {
			status, info = http.StatusServiceUnavailable, "service unavailable"
		}
	}
	body, err := plain(packet{Status: statusFail, Info: info, Code: status})
	if err != nil { // strings and numbers always encode
		status, body = http.StatusServiceUnavailable, []byte(`{"ActionStatus":"FAIL","ErrorInfo":"service unavailable","ErrorCode":503}`)
	}
	write(w, status, body)
}

var _ middleware.DenyFunc = Deny

func write(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", mediaJSON)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that left cannot be told
}

const mediaJSON = "application/json"

// plain is json.Marshal without escapes for HTML.
func plain(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

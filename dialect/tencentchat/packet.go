package tencentchat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/dialect/tencentchat/event"
	"github.com/ringback-go/ringback/internal/rawquery"
	"github.com/ringback-go/ringback/internal/strictjson"
)

// ErrPacket is in every refusal of a packet: the query or the body is not what
// the platform sends. Its text holds no byte of either. It is the one of
// package event.
var ErrPacket = event.ErrPacket

// OptPlatform is where an operation came from. Values that are not listed here
// are kept as they came; empty is absent.
type OptPlatform string

// The platforms of the documentation.
const (
	PlatformREST    OptPlatform = "RESTAPI"
	PlatformWeb     OptPlatform = "Web"
	PlatformAndroid OptPlatform = "Android"
	PlatformIOS     OptPlatform = "iOS"
	PlatformWindows OptPlatform = "Windows"
	PlatformMac     OptPlatform = "Mac"
	PlatformIPad    OptPlatform = "iPad"
	PlatformUnknown OptPlatform = "Unknown"
)

// An Event is one packet, of a known command or not.
type Event struct {
	// Command is the CallbackCommand, the same in query and body.
	Command string
	// SDKAppID is the app's.
	SDKAppID string
	// ClientIP and Platform say where the operation came from. They may be
	// empty.
	ClientIP string
	Platform OptPlatform
	// EventTime is the packet's, in milliseconds; zero when it has none.
	EventTime time.Time
	// Body is the packet as it came, to be decoded with [Event.Decode].
	Body json.RawMessage
}

// Decode decodes the packet into v, a pointer to a struct, as json.Unmarshal
// does but without matching names by letter case.
func (e Event) Decode(v any) error {
	if err := strictjson.Unmarshal(e.Body, v); err != nil {
		return fmt.Errorf("%w: %w", ErrPacket, err)
	}
	return nil
}

// Packet decodes the packet into a pointer to the type of its command, an
// [event.Unknown] where it has none. Errors are [ErrPacket]. See [Mux] for
// handlers that get the type at once.
func (e Event) Packet() (event.Packet, error) { return event.Parse(e.Body) }

// Decode reads a request of the platform: the query as it stood on the wire,
// without the question mark, and the body. It proves nothing about the sender;
// [Receiver] does. Refusals are [ErrPacket]: a broken query, a body that is not
// exactly one JSON object by strictjson's rules or holds an escaped NUL, a
// command that is missing, repeated or not the same in both, numbers out of
// their range.
func Decode(rawQuery string, body []byte) (Event, error) {
	if err := strictjson.Check(body, 0); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrPacket, err)
	}
	return decode(rawQuery, body)
}

func refused(what string) error { return fmt.Errorf("%w: %s", ErrPacket, what) }

// decode is Decode for a body that was checked.
func decode(rawQuery string, body []byte) (Event, error) {
	ev := Event{Body: body}
	var platform string
	for _, p := range []struct {
		name string
		into *string
	}{{"SdkAppid", &ev.SDKAppID}, {"CallbackCommand", &ev.Command}, {"ClientIP", &ev.ClientIP}, {"OptPlatform", &platform}} {
		value, n, err := rawquery.Values(rawQuery, p.name)
		if err != nil {
			return Event{}, fmt.Errorf("%w: %w", ErrPacket, err)
		}
		if n > 1 {
			return Event{}, refused(p.name + " is repeated")
		}
		*p.into = value
	}
	ev.Platform = OptPlatform(platform)
	if ev.Command == "" {
		return Event{}, refused("no CallbackCommand in the query")
	}
	members, err := object(body)
	if err != nil {
		return Event{}, err
	}
	if holdsNUL(body) { // no database keeps it
		return Event{}, refused("an escaped NUL")
	}
	if err := checkNames(ev.Command, members); err != nil {
		return Event{}, err
	}
	ev.EventTime, err = checkMembers(ev.Command, members)
	if err != nil {
		return Event{}, err
	}
	return ev, nil
}

func object(text json.RawMessage) (map[string]json.RawMessage, error) {
	if text = bytes.TrimSpace(text); len(text) == 0 || text[0] != '{' {
		return nil, refused("not an object")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, refused("not an object")
	}
	return members, nil
}

// holdsNUL reports whether a string of valid JSON holds an escaped NUL.
func holdsNUL(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			if bytes.HasPrefix(text[i:], []byte(`\u0000`)) {
				return true
			}
			i++ // what is escaped begins no escape
		}
	}
	return false
}

const memberCommand, memberEventTime = "CallbackCommand", "EventTime"

// checkNames compares the command of the query with that of the body: its own
// member, or for Push.* the one of each of its Events.
func checkNames(command string, members map[string]json.RawMessage) error {
	own, given, err := text(members[memberCommand])
	if err != nil || given && own != command || !given && !isPush(command) {
		return refused("CallbackCommand of the body is missing or another")
	}
	if !isPush(command) {
		return nil
	}
	var events []json.RawMessage
	if json.Unmarshal(members["Events"], &events) != nil || len(events) == 0 {
		return refused("Push.* without Events")
	}
	for _, e := range events {
		inner, err := object(e)
		if err != nil {
			return err
		}
		if name, _, err := text(inner[memberCommand]); err != nil || name != command {
			return refused("CallbackCommand of an event is missing or another")
		}
	}
	return nil
}

// text reads a string; null and absence are not given.
func text(value json.RawMessage) (s string, given bool, err error) {
	if absent(value) {
		return "", false, nil
	}
	if err := json.Unmarshal(value, &s); err != nil {
		return "", false, refused("not a string")
	}
	return s, true, nil
}

func absent(value json.RawMessage) bool { return len(value) == 0 || string(value) == "null" }

// wide are the members that are unsigned numbers of 32 bits in every packet.
var wide = []string{"MsgSeq", "MsgRandom", "Random"}

// texts are members that are strings in every documented packet that has them.
var texts = []string{
	"GroupId", "Type", "Operator_Account", "From_Account", "To_Account",
	"Owner_Account", "OptionType", "Name", "TopicId", "MsgKey",
}

// checkMembers judges the members that have one meaning in all packets and
// returns the event's time.
func checkMembers(command string, members map[string]json.RawMessage) (time.Time, error) {
	for _, name := range wide {
		if value := members[name]; !absent(value) {
			if _, err := strconv.ParseUint(string(value), 10, 32); err != nil {
				return time.Time{}, refused(name + " is not an unsigned 32-bit number")
			}
		}
	}
	if event.Known(command) {
		for _, name := range texts {
			if _, _, err := text(members[name]); err != nil {
				return time.Time{}, refused(name + " is not a string")
			}
		}
	}
	return eventTime(members[memberEventTime])
}

// eventTime reads milliseconds, as a number or a quoted one; zero for none.
func eventTime(value json.RawMessage) (time.Time, error) {
	if absent(value) {
		return time.Time{}, nil
	}
	var at event.Time
	err := at.UnmarshalJSON(value)
	return at.Time, err
}

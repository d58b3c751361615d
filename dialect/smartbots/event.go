package smartbots

import (
	"bytes"
	"encoding/json"
)

// A Callback is one event as a developer's URL gets it.
type Callback struct {
	// ID is the header webhook-id: the same when the event is repeated. Decode
	// leaves it empty.
	ID string
	// AppUUID is the one that was given at registration, in lower case.
	AppUUID string
	// GroupID, GroupUUID and GroupName are the group's.
	GroupID, GroupUUID, GroupName string
	// Event is a [CallbackSet], [CallbackRemoved], [GroupChat] or [Other].
	Event Event
}

// An Event is what happened in a group.
type Event interface {
	// Action is the event's name on the wire.
	Action() string
}

// CallbackSet says that the URL has been registered. The others wait for its
// first attempt.
type CallbackSet struct {
	// URL is the one that was registered.
	URL string
}

// CallbackRemoved is the last event of a registration.
type CallbackRemoved struct {
	// Reason is [ReasonCodeChanged] or [ReasonRemovedByUser].
	Reason string
}

// GroupChat is a message in the group's chat.
type GroupChat struct {
	// SpeakerName and SpeakerUUID say who spoke.
	SpeakerName, SpeakerUUID string
	// Message is what was said.
	Message string
}

// Other is an event that this package does not know.
type Other struct {
	// Name is the action.
	Name string
	// Fields are all the text fields of the event, action included.
	Fields map[string]string
}

// Action implements [Event].
func (CallbackSet) Action() string { return ActionCallbackSet }

// Action implements [Event].
func (CallbackRemoved) Action() string { return ActionCallbackRemoved }

// Action implements [Event].
func (GroupChat) Action() string { return ActionGroupChat }

// Action implements [Event].
func (o Other) Action() string { return o.Name }

// data is the chat as the Data of an event.
func (c GroupChat) data() ([]byte, error) {
	return marshal(struct {
		SpeakerName string `json:"speaker_name"`
		SpeakerUUID string `json:"speaker_uuid"`
		Message     string `json:"message"`
	}{c.SpeakerName, c.SpeakerUUID, c.Message})
}

// marshal is json.Marshal that leaves <, > and & as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

package smartbots

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/strictjson"
	"github.com/ringback-go/ringback/registry"
)

// Dialect sends the events of groups. It implements [delivery.Dialect] and
// [delivery.Fareweller] and is safe for concurrent use. The zero value sends
// farewells alone: without Groups it cannot know which registrations stand.
type Dialect struct {
	// Groups tells the present code of a group. Needed.
	Groups Groups
}

var (
	_ delivery.Dialect    = (*Dialect)(nil)
	_ delivery.Fareweller = (*Dialect)(nil)
)

// NewGroupChat makes the event of a chat message for every app that is
// connected to the group.
func NewGroupChat(groupID string, chat GroupChat) (delivery.Event, error) {
	data, err := chat.data()
	return delivery.Event{Dialect: Name, Scope: groupID, Type: ActionGroupChat, Data: data}, err
}

// Check reports what Encode would refuse, for those who want to know it of an
// event that nobody may have subscribed to. Errors wrap [delivery.ErrInvalid].
func (*Dialect) Check(ev delivery.Event) error {
	switch {
	case ev.Type == ActionGroupChat && ev.Scope == "" && ev.To == "":
		return fmt.Errorf("%w: smartbots: an event needs the group's id as its scope", delivery.ErrInvalid)
	case ev.Type == ActionGroupChat:
		_, err := parseGroupChat(ev.Data)
		return err
	case ev.Type == ActionCallbackSet && ev.To != "" && len(ev.Data) == 0:
		return nil
	}
	return fmt.Errorf("%w: smartbots: not an event that can be published", delivery.ErrInvalid)
}

// Encode makes the form of an event: action, app_uuid, group_id, group_name,
// group_uuid and the fields of the event, sorted. The data of group_chat must
// be a JSON object of exactly the strings speaker_name, speaker_uuid and
// message.
func (d *Dialect) Encode(ev delivery.Event, sub registry.Subscription) (delivery.Payload, error) {
	form := url.Values{
		fieldAction:    {ev.Type},
		fieldAppUUID:   {sub.Slot},
		fieldGroupID:   {sub.Scope},
		fieldGroupName: {sub.Meta[metaGroupName]},
		fieldGroupUUID: {sub.Meta[metaGroupUUID]},
	}
	switch {
	case ev.Type == ActionCallbackRemoved && sub.State == registry.Removed:
		form.Set(fieldReason, wireReason(sub.Reason))
	case ev.Type == ActionGroupChat:
		chat, err := parseGroupChat(ev.Data)
		if err != nil {
			return delivery.Payload{}, err
		}
		form.Set(fieldSpeakerName, chat.SpeakerName)
		form.Set(fieldSpeakerUUID, chat.SpeakerUUID)
		form.Set(fieldMessage, chat.Message)
	default:
		if err := d.Check(ev); err != nil {
			return delivery.Payload{}, err
		}
		form.Set(fieldURL, sub.URL)
	}
	return delivery.Payload{ContentType: contentType, Body: []byte(form.Encode())}, nil
}

// parseGroupChat reads the data of a group_chat event.
func parseGroupChat(data []byte) (GroupChat, error) {
	var members map[string]*string
	err := strictjson.Unmarshal(data, &members)
	if err != nil && !errors.Is(err, strictjson.ErrType) {
		return GroupChat{}, fmt.Errorf("%w: smartbots: %w", delivery.ErrInvalid, err)
	}
	name, speaker, message := members[fieldSpeakerName], members[fieldSpeakerUUID], members[fieldMessage]
	if err != nil || len(members) != 3 || name == nil || speaker == nil || message == nil {
		return GroupChat{}, fmt.Errorf("%w: smartbots: group_chat takes exactly the strings speaker_name, speaker_uuid and message", delivery.ErrInvalid)
	}
	return GroupChat{SpeakerName: *name, SpeakerUUID: *speaker, Message: *message}, nil
}

// wireReason is what a developer is told of why the registration ended.
func wireReason(reason string) string {
	if reason == ReasonCodeChanged {
		return ReasonCodeChanged
	}
	return ReasonRemovedByUser
}

// Request posts the form to the registration's URL. A registration made under
// another code than the group has now gets nothing but its farewell: the
// delivery is dead with [delivery.ReasonRemoved]. So is a callback_set that
// announces another URL than the registration has now.
func (d *Dialect) Request(ctx context.Context, dl delivery.Delivery, sub registry.Subscription, _ time.Time) (*http.Request, error) {
	if dl.Type != ActionCallbackRemoved {
		if err := d.stands(ctx, sub); err != nil {
			return nil, err
		}
	}
	if dl.Type == ActionCallbackSet && !announces(dl.Body, sub.URL) {
		return nil, delivery.Permanent(errors.New(superseded))
	}
	return delivery.NewRequest(ctx, dl, sub.URL)
}

// stands is nil if the registration was made under the group's present code.
func (d *Dialect) stands(ctx context.Context, sub registry.Subscription) error {
	if d.Groups == nil {
		return errors.New("smartbots: Dialect.Groups is needed")
	}
	g, known, err := d.Groups.GroupByID(ctx, sub.Scope)
	if err != nil {
		return fmt.Errorf("smartbots: look-up of the group: %w", err)
	}
	if !known || stale(sub, g) {
		return delivery.Permanent(errors.New(delivery.ReasonRemoved))
	}
	return nil
}

// stale reports whether the registration was made under another code. Both
// sides are digests under the server's key that no caller chooses, so their
// comparison needs no constant time.
func stale(sub registry.Subscription, g Group) bool { return sub.Meta[metaCode] != g.fingerprint() }

func announces(body []byte, target string) bool {
	form, err := url.ParseQuery(string(body))
	return err == nil && form.Get(fieldURL) == target
}

// Judge is [delivery.Judge]: 2xx is accepted.
func (*Dialect) Judge(status int, _ http.Header, _ []byte) delivery.Verdict {
	return delivery.Judge(status)
}

// Schedule is [delivery.Standard].
func (*Dialect) Schedule(registry.Subscription) delivery.Backoff { return delivery.Standard() }

// Farewell is callback_removed, to the URL of the registration that ends.
func (*Dialect) Farewell(sub registry.Subscription) (delivery.Event, bool) {
	return delivery.Event{
		Dialect: Name, Tenant: sub.Tenant, Scope: sub.Scope,
		Type: ActionCallbackRemoved, To: sub.ID,
	}, true
}

package ednapulse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/ringback-go/ringback/internal/strictjson"
)

// An Event is what a callback says: a [*Status], [*InMessage],
// [*TemplateStatus], [*CategoryChanged], [*LinkClick] or [*Unknown]. Tell them
// apart with a type switch.
type Event interface {
	// JSON is the event's own text, with all the members that the type does not
	// have.
	JSON() json.RawMessage
}

// State is a status text in capitals, in whatever letters it came.
type State string

// Some states of messages and templates; others are kept as they are.
const (
	Delivered State = "DELIVERED"
	Read      State = "READ"
	Failed    State = "FAILED"
	Approved  State = "APPROVED" // of a template
)

// UnmarshalJSON brings ASCII letters into capitals.
func (s *State) UnmarshalJSON(data []byte) error {
	var text *string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*s = ""
	if text != nil {
		*s = State(strings.Map(func(r rune) rune {
			if 'a' <= r && r <= 'z' {
				return r - 'a' + 'A'
			}
			return r
		}, *text))
	}
	return nil
}

// raw is the text that an event was decoded from.
type raw struct{ text json.RawMessage }

// JSON implements [Event].
func (r raw) JSON() json.RawMessage { return r.text }

func (r *raw) keep(text json.RawMessage) { r.text = text }

// A Status says how far a message came.
type Status struct {
	raw
	// RequestID is the sender's own id of the message; it may be empty.
	RequestID        string `json:"requestId"`
	MessageID        int64  `json:"messageId"`
	CascadeID        int64  `json:"cascadeId"`
	CascadeStageUUID string `json:"cascadeStageUUID"`
	// Subject and SubjectID name the channel.
	Subject   string    `json:"subject"`
	SubjectID int64     `json:"subjectId"`
	Status    State     `json:"status"`
	StatusAt  time.Time `json:"statusAt"`
	// Error and Comment say why a message failed; empty otherwise.
	Error   string `json:"error"`
	Comment string `json:"comment"`
	// Payment is what the message costs, as it came; it may be absent.
	Payment json.RawMessage `json:"paymentData"`
}

// An InMessage came from a subscriber.
type InMessage struct {
	raw
	ID         int64  `json:"id"`
	Subject    string `json:"subject"`
	SubjectID  int64  `json:"subjectId"`
	Subscriber struct {
		ID int64 `json:"id"`
		// Identifier is the phone number or the like.
		Identifier string `json:"identifier"`
	} `json:"subscriber"`
	UserInfo struct {
		UserName  string `json:"userName"`
		FirstName string `json:"firstName"`
		LastName  string `json:"lastName"`
		AvatarURL string `json:"avatarUrl"`
	} `json:"userInfo"`
	Content struct {
		// Type says which of the others are there: TEXT, FLOW, ….
		Type       string          `json:"type"`
		Text       string          `json:"text"`
		Caption    string          `json:"caption"`
		Payload    json.RawMessage `json:"payload"`
		Attachment json.RawMessage `json:"attachment"`
		Location   json.RawMessage `json:"location"`
		Story      json.RawMessage `json:"story"`
		Items      json.RawMessage `json:"items"`
	} `json:"messageContent"`
	ReceivedAt time.Time `json:"receivedAt"`
	// The message that this one answers, 0 and empty for none.
	ReplyOutMessageID                int64  `json:"replyOutMessageId"`
	ReplyOutMessageExternalRequestID string `json:"replyOutMessageExternalRequestId"`
	ReplyInMessageID                 int64  `json:"replyInMessageId"`
}

// A Template is a message template under review.
type Template struct {
	ID          int64           `json:"id"`
	Name        string          `json:"name"`
	ChannelType string          `json:"channelType"`
	Language    string          `json:"language"`
	Content     json.RawMessage `json:"content"`
	ContentType string          `json:"contentType"`
	Category    string          `json:"category"`
	Status      State           `json:"status"`
	Locked      bool            `json:"locked"`
	Type        string          `json:"type"`
	CreatedAt   time.Time       `json:"createdAt"`
	UpdatedAt   time.Time       `json:"updatedAt"`
}

// A TemplateStatus says what became of a template. The platform sends it as an
// object with messageMatcher and subjectIds, and as an array of templates.
type TemplateStatus struct {
	raw
	Template Template `json:"messageMatcher"`
	// SubjectIDs are the channels concerned, absent in the array form.
	SubjectIDs []int64 `json:"subjectIds"`
}

// An Envelope is around the newer events.
type Envelope struct {
	Type      string    `json:"type"`
	Version   string    `json:"version"`
	Timestamp time.Time `json:"timestamp"`
}

// Types of events with an [Envelope].
const (
	typeCategoryChanged  = "message_matcher.category_changed"
	typeShortLinkVisited = "short_link_visited"
)

// A CategoryChanged says that a template has another category now.
type CategoryChanged struct {
	raw
	Envelope
	Payload struct {
		ID          int64  `json:"id"`
		Name        string `json:"name"`
		ChannelType string `json:"channelType"`
		Category    string `json:"category"`
	} `json:"payload"`
}

// A LinkClick says that somebody followed a short link.
type LinkClick struct {
	raw
	Envelope
	Payload struct {
		Sender       string `json:"sender"`
		TemplateID   int64  `json:"templateId"`
		ChannelType  string `json:"channelType"`
		OutMessageID int64  `json:"outMessageId"`
		Phone        string `json:"phone"`
		URL          string `json:"url"`
		ShortLink    string `json:"shortLink"`
		RequestID    string `json:"requestId"`
	} `json:"payload"`
}

// Unknown is an object of another form.
type Unknown struct {
	raw
	// Type is its member of that name, if it has one that is a string.
	Type string
}

// Decode reads the body of a callback: one event or an array of events. It
// refuses what is not exactly one JSON text by strictjson's rules, what is
// neither an object nor an array of objects, and a known event whose members
// have the wrong types.
func Decode(body []byte) ([]Event, error) {
	if err := strictjson.Check(body, 0); err != nil {
		return nil, err
	}
	return decode(body)
}

// decode is Decode for a body that was checked.
func decode(body []byte) ([]Event, error) {
	body = bytes.TrimSpace(body)
	var texts []json.RawMessage
	if body[0] != '[' {
		texts = []json.RawMessage{body}
	} else if err := json.Unmarshal(body, &texts); err != nil {
		return nil, err
	}
	events := make([]Event, len(texts))
	for i, text := range texts {
		ev, err := decodeOne(text)
		if err != nil {
			return nil, fmt.Errorf("ednapulse: event %d: %w", i, err)
		}
		events[i] = ev
	}
	return events, nil
}

func decodeOne(text json.RawMessage) (Event, error) {
	var members map[string]json.RawMessage
	if text[0] != '{' {
		return nil, strictjson.ErrType
	}
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	has := func(names ...string) bool {
		for _, name := range names {
			if _, ok := members[name]; !ok {
				return false
			}
		}
		return true
	}
	var typ string
	if err := json.Unmarshal(members["type"], &typ); err != nil {
		typ = "" // absent, or no text: then it says nothing
	}
	switch {
	case typ == typeCategoryChanged:
		return fill(text, &CategoryChanged{})
	case typ == typeShortLinkVisited:
		return fill(text, &LinkClick{})
	case has("messageMatcher"):
		return fill(text, &TemplateStatus{})
	case has("messageContent"):
		return fill(text, &InMessage{})
	case has("status", "name", "channelType"):
		ev := &TemplateStatus{raw: raw{text}}
		return ev, strictjson.Unmarshal(text, &ev.Template)
	case has("status", "statusAt"), has("status", "requestId"), has("status", "messageId"), has("status", "cascadeId"):
		return fill(text, &Status{})
	}
	return &Unknown{raw: raw{text}, Type: typ}, nil
}

func fill[T interface {
	Event
	keep(json.RawMessage)
}](text json.RawMessage, ev T) (Event, error) {
	if err := strictjson.Unmarshal(text, ev); err != nil {
		return nil, err
	}
	ev.keep(text)
	return ev, nil
}

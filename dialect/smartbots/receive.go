package smartbots

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/strictjson"
)

var (
	// ErrCallback says that a body is not a callback: broken, without an
	// action, or with a field given twice.
	ErrCallback = errors.New("smartbots: not a callback")
	// ErrMediaType says that a body is neither a form nor JSON in UTF-8.
	ErrMediaType = errors.New("smartbots: media type not supported")
)

const mediaJSON = "application/json"

// eventFields are those that have a place in a [Callback] or its [Event].
var eventFields = map[string]bool{
	fieldAction: true, fieldAppUUID: true, fieldGroupID: true, fieldGroupName: true, fieldGroupUUID: true,
	fieldMessage: true, fieldReason: true, fieldSpeakerName: true, fieldSpeakerUUID: true, fieldURL: true,
}

// Decode reads the body of a callback: a form, or the same as a JSON object,
// where event may stand for action. Fields that it does not know are ignored,
// but [Other] has them; a field that is missing is empty. Errors wrap
// [ErrCallback] or [ErrMediaType].
func Decode(contentType string, body []byte) (Callback, error) {
	var fields map[string]string
	var err error
	switch mediaType(http.Header{"Content-Type": {contentType}}) {
	case mediaForm:
		fields, err = formFields(string(body))
	case mediaJSON:
		fields, err = jsonFields(body)
	default:
		return Callback{}, ErrMediaType
	}
	if err != nil {
		return Callback{}, err
	}
	action, other := fields[fieldAction], fields[alias]
	if action == "" {
		action = other
	}
	if action == "" || other != "" && other != action {
		return Callback{}, fmt.Errorf("%w: no action, or two that differ", ErrCallback)
	}
	fields[fieldAction] = action
	return Callback{
		AppUUID: strings.ToLower(fields[fieldAppUUID]),
		GroupID: fields[fieldGroupID], GroupUUID: fields[fieldGroupUUID], GroupName: fields[fieldGroupName],
		Event: typed(action, fields),
	}, nil
}

func typed(action string, fields map[string]string) Event {
	switch action {
	case ActionCallbackSet:
		return CallbackSet{URL: fields[fieldURL]}
	case ActionCallbackRemoved:
		return CallbackRemoved{Reason: fields[fieldReason]}
	case ActionGroupChat:
		return GroupChat{SpeakerName: fields[fieldSpeakerName], SpeakerUUID: fields[fieldSpeakerUUID], Message: fields[fieldMessage]}
	}
	return Other{Name: action, Fields: fields}
}

func formFields(form string) (map[string]string, error) {
	fields := map[string]string{}
	twice := false
	err := pairs(form, func(name, value string) {
		if _, ok := fields[name]; ok {
			twice = true
		}
		fields[name] = value
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCallback, err)
	}
	if twice {
		return nil, fmt.Errorf("%w: a field is given twice", ErrCallback)
	}
	return fields, nil
}

func jsonFields(body []byte) (map[string]string, error) {
	var members map[string]json.RawMessage
	if err := strictjson.Unmarshal(body, &members); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCallback, err)
	}
	fields := make(map[string]string, len(members))
	for name, value := range members {
		var text *string
		if err := json.Unmarshal(value, &text); err == nil && text != nil {
			fields[name] = *text
		} else if eventFields[name] || name == alias {
			return nil, fmt.Errorf("%w: a field is not a string", ErrCallback)
		}
	}
	return fields, nil
}

// Receiver is the handler of a developer's callback URL. It is safe for
// concurrent use if Handle is.
//
// The check that it makes is weak: app_uuid is the same in every callback,
// nothing covers the body, and who has seen one callback can make others.
// Register a URL with a long random path, and do not act on a callback alone
// where it matters. HEAD and GET are not served (405).
type Receiver struct {
	// AppUUID is the one given at registration. If it is not a UUID, every
	// request is refused with the status 500.
	AppUUID string
	// Handle gets each callback, with the header webhook-id as its ID: the same
	// event may come more than once. It may block; the sender waits for 15 s.
	// An error is answered with the status 500, upon which the event comes
	// again. Needed: without it every request is answered so.
	Handle func(context.Context, Callback) error
	// Limit is the largest body in bytes. 0 is 1 MiB, more than any event has.
	Limit int64
	// Logger gets Handle's errors. Nil is slog.Default().
	Logger *slog.Logger
}

var _ http.Handler = Receiver{}

// ServeHTTP answers 200, or 405, 415, 413, 400 (not a callback), 403 (not our
// app_uuid) and 500, whichever comes first, without a body.
func (rc Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, err := rc.serve(w, r)
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	if err != nil {
		logger := rc.Logger
		if logger == nil {
			logger = slog.Default()
		}
		level := slog.LevelDebug
		if status == http.StatusInternalServerError {
			level = slog.LevelError
		}
		logger.LogAttrs(r.Context(), level, "smartbots: callback refused", slog.Int("status", status), slog.Any("cause", err))
	}
	w.WriteHeader(status)
}

var (
	errReceiver = errors.New("smartbots: Receiver needs a UUID in AppUUID and a Handle")
	errMethod   = errors.New("smartbots: method not allowed")
	errAppUUID  = errors.New("smartbots: not our app_uuid")
)

func (rc Receiver) serve(w http.ResponseWriter, r *http.Request) (int, error) {
	if !isUUID(rc.AppUUID) || rc.Handle == nil {
		return http.StatusInternalServerError, errReceiver
	}
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed, errMethod
	}
	if media := mediaType(r.Header); media != mediaForm && media != mediaJSON {
		return http.StatusUnsupportedMediaType, ErrMediaType
	}
	limit := rc.Limit
	if limit <= 0 {
		limit = 1 << 20
	}
	body, err := readBody(w, r, limit)
	if err != nil {
		return bodyStatus(err), err
	}
	cb, err := Decode(r.Header.Get("Content-Type"), body)
	if err != nil {
		return http.StatusBadRequest, err
	}
	if subtle.ConstantTimeCompare([]byte(cb.AppUUID), []byte(strings.ToLower(rc.AppUUID))) != 1 {
		return http.StatusForbidden, errAppUUID
	}
	cb.ID = r.Header.Get(delivery.HeaderID)
	if err := rc.Handle(r.Context(), cb); err != nil {
		return http.StatusInternalServerError, err
	}
	return http.StatusOK, nil
}

package smartbots_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/smartbots"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	const form, jsonType = "application/x-www-form-urlencoded", "application/json"
	head := smartbots.Callback{AppUUID: demoUUID, GroupID: "g", GroupUUID: "u", GroupName: "n o"}
	with := func(ev smartbots.Event) smartbots.Callback {
		cb := head
		cb.Event = ev
		return cb
	}
	const fields = "&app_uuid=" + demoUUID + "&group_id=g&group_name=n+o&group_uuid=u"
	const members = `,"app_uuid":"` + demoUUID + `","group_id":"g","group_name":"n o","group_uuid":"u"`
	tests := []struct {
		name, media, body string
		want              smartbots.Callback
		err               error
	}{
		{"set", form, "action=callback_set&url=https%3A%2F%2Fa%2F" + fields, with(smartbots.CallbackSet{URL: "https://a/"}), nil},
		{"removed", form + ";charset=utf-8", "action=callback_removed&reason=removed_by_user" + fields, with(smartbots.CallbackRemoved{Reason: "removed_by_user"}), nil},
		{"chat", form, "action=group_chat&message=a+b&speaker_name=c&speaker_uuid=d" + fields, with(smartbots.GroupChat{SpeakerName: "c", SpeakerUUID: "d", Message: "a b"}), nil},
		{"app_uuid in capitals", form, "action=callback_set" + strings.ToUpper(fields[:46]) + "&app_uuid=" + strings.ToUpper(demoUUID) + fields[46:], with(smartbots.CallbackSet{}), nil},
		{"event for action", form, "event=callback_set" + fields, with(smartbots.CallbackSet{}), nil},
		{"both, agreeing", form, "event=callback_set&action=callback_set" + fields, with(smartbots.CallbackSet{}), nil},
		{"unknown fields", form, "action=callback_set&x=y" + fields, with(smartbots.CallbackSet{}), nil},
		{
			"other", form, "action=group_notice&x=y" + fields,
			with(smartbots.Other{Name: "group_notice", Fields: map[string]string{"action": "group_notice", "x": "y", "app_uuid": demoUUID, "group_id": "g", "group_name": "n o", "group_uuid": "u"}}), nil,
		},
		{"JSON chat", jsonType, `{"event":"group_chat","message":"a\u0000b","speaker_name":"c","speaker_uuid":"d"` + members + `}`, with(smartbots.GroupChat{SpeakerName: "c", SpeakerUUID: "d", Message: "a\x00b"}), nil},
		{"JSON with unknown members", jsonType, `{"action":"callback_set","x":[1,null],"y":null` + members + `}`, with(smartbots.CallbackSet{}), nil},
		{"both, differing", form, "event=callback_set&action=group_chat", smartbots.Callback{}, smartbots.ErrCallback},
		{"no action", form, "app_uuid=a", smartbots.Callback{}, smartbots.ErrCallback},
		{"empty", form, "", smartbots.Callback{}, smartbots.ErrCallback},
		{"twice", form, "action=group_chat&message=a&message=b", smartbots.Callback{}, smartbots.ErrCallback},
		{"broken escape", form, "action=group_chat&message=%z", smartbots.Callback{}, smartbots.ErrCallback},
		{"semicolon", form, "action=group_chat;message=a", smartbots.Callback{}, smartbots.ErrCallback},
		{"JSON number", jsonType, `{"action":"group_chat","message":1}`, smartbots.Callback{}, smartbots.ErrCallback},
		{"JSON null", jsonType, `{"action":"group_chat","message":null}`, smartbots.Callback{}, smartbots.ErrCallback},
		{"JSON twice", jsonType, `{"action":"group_chat","action":"group_chat"}`, smartbots.Callback{}, smartbots.ErrCallback},
		{"JSON array", jsonType, `["action"]`, smartbots.Callback{}, smartbots.ErrCallback},
		{"JSON null alone", jsonType, `null`, smartbots.Callback{}, smartbots.ErrCallback},
		{"text", "text/plain", "action=group_chat", smartbots.Callback{}, smartbots.ErrMediaType},
		{"no type", "", "action=group_chat", smartbots.Callback{}, smartbots.ErrMediaType},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := smartbots.Decode(tt.media, []byte(tt.body))
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRoundTrip: what the dialect sends is what Decode reads.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	chat := smartbots.GroupChat{SpeakerName: "<Ann & Bob>", SpeakerUUID: "u", Message: "a=b&c;%\n\u2028é"}
	ev := must(smartbots.NewGroupChat("my-group", chat))
	p := must((&smartbots.Dialect{}).Encode(ev, demoSubscription()))
	got := must(smartbots.Decode(p.ContentType, p.Body))
	want := smartbots.Callback{AppUUID: demoUUID, GroupID: "my-group", GroupUUID: groupUUID, GroupName: "My Group & Name", Event: chat}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, event := range []smartbots.Event{smartbots.CallbackSet{}, smartbots.CallbackRemoved{}, chat, smartbots.Other{Name: "x"}} {
		switch event.Action() {
		case "callback_set", "callback_removed", "group_chat", "x":
		default:
			t.Errorf("%T: %s", event, event.Action())
		}
	}
}

func TestReceiver(t *testing.T) {
	t.Parallel()
	const form = "application/x-www-form-urlencoded"
	const body = "action=callback_set&app_uuid=" + demoUUID
	failing := func(context.Context, smartbots.Callback) error { return errors.New("secret") }
	tests := []struct {
		name, method, media, body string
		change                    func(*smartbots.Receiver)
		want                      int
	}{
		{"accepted", "POST", form, body, nil, 200},
		{"app_uuid in capitals", "POST", form, body, func(r *smartbots.Receiver) { r.AppUUID = strings.ToUpper(demoUUID) }, 200},
		{"JSON", "POST", "application/json", `{"action":"callback_set","app_uuid":"` + demoUUID + `"}`, nil, 200},
		{"GET", "GET", form, body, nil, 405},
		{"HEAD", "HEAD", "", "", nil, 405},
		{"text", "POST", "text/plain", strings.Repeat("x", 2000), nil, 415},
		{"too large", "POST", form, body + "&x=" + strings.Repeat("x", 1000), nil, 413},
		{"broken", "POST", form, body + "&x=%", nil, 400},
		{"no app_uuid", "POST", form, "action=callback_set", nil, 403},
		{"another app_uuid", "POST", form, "action=callback_set&app_uuid=" + groupUUID, nil, 403},
		{"handler fails", "POST", form, body, func(r *smartbots.Receiver) { r.Handle = failing }, 500},
		{"no handler", "POST", form, body, func(r *smartbots.Receiver) { r.Handle = nil }, 500},
		{"no app_uuid of ours", "POST", form, "action=callback_set&app_uuid=", func(r *smartbots.Receiver) { r.AppUUID = "" }, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []smartbots.Callback
			rc := smartbots.Receiver{
				AppUUID: demoUUID, Limit: 1000, Logger: slog.New(slog.DiscardHandler),
				Handle: func(_ context.Context, cb smartbots.Callback) error {
					got = append(got, cb)
					return nil
				},
			}
			if tt.change != nil {
				tt.change(&rc)
			}
			r := httptest.NewRequestWithContext(t.Context(), tt.method, "/", strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.media)
			r.Header.Set(delivery.HeaderID, "msg_1")
			rec := httptest.NewRecorder()
			rc.ServeHTTP(rec, r)
			if rec.Code != tt.want || rec.Body.Len() != 0 {
				t.Errorf("%d %q, want %d", rec.Code, rec.Body, tt.want)
			}
			if (rec.Header().Get("Allow") == http.MethodPost) != (tt.want == 405) {
				t.Errorf("Allow %q", rec.Header().Get("Allow"))
			}
			if handled := len(got) == 1; handled != (tt.want == 200) || handled && (got[0].ID != "msg_1" || got[0].Event != smartbots.CallbackSet{}) {
				t.Errorf("handled %+v", got)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("application/x-www-form-urlencoded", []byte("action=group_chat&message=a+b&app_uuid="+demoUUID))
	f.Add("application/json", []byte(`{"event":"callback_set","url":"x"}`))
	f.Fuzz(func(t *testing.T, media string, body []byte) {
		cb, err := smartbots.Decode(media, body)
		if err != nil {
			if cb.Event != nil || !errors.Is(err, smartbots.ErrCallback) && !errors.Is(err, smartbots.ErrMediaType) {
				t.Errorf("%+v, %v", cb, err)
			}
			return
		}
		if cb.Event.Action() == "" || cb.AppUUID != strings.ToLower(cb.AppUUID) {
			t.Errorf("%+v", cb)
		}
	})
}

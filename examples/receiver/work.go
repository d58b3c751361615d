package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ringback-go/ringback/delivery/inbox"
	"github.com/ringback-go/ringback/dialect/ednapulse"
	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/dialect/tencentchat"
)

// workTime is how long the work for one callback may take.
const workTime = 30 * time.Second

// errForGood is in errors that another try would not mend.
var errForGood = errors.New("for good")

// work is what the inbox runs, after the sender got its answer and as often as it
// takes. The requests are those that came, without Authorization, and need no
// proof any more.
func (s *site) work() http.Handler {
	happened := s.happened()
	mux := http.NewServeMux()
	for path, do := range map[string]func(*http.Request, []byte) error{
		"/tencent": func(r *http.Request, body []byte) error {
			ev, err := tencentchat.Decode(r.URL.RawQuery, body)
			if err == nil {
				_, err = happened.Handle(r.Context(), ev)
			}
			if errors.Is(err, tencentchat.ErrPacket) {
				return fmt.Errorf("%w: %w", errForGood, err)
			}
			return err
		},
		"/standard":  s.told(inBody),
		"/stripe":    s.told(inBody),
		"/slack":     s.told(inBody),
		"/github":    s.told(inHeader("X-GitHub-Event")),
		"/shopify":   s.told(inHeader("X-Shopify-Topic")),
		"/smartbots": s.told(chatted),
		"/edna":      s.told(pulsed),
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				err = do(r, body)
			}
			if err == nil {
				return // 200 ends a callback
			}
			status := http.StatusServiceUnavailable // has it tried again
			if errors.Is(err, errForGood) {
				status = http.StatusUnprocessableEntity // makes it a dead letter
			}
			cb, _ := inbox.CallbackFrom(r.Context())
			s.log.ErrorContext(r.Context(), "callback not handled", "path", path, "id", cb.ID, "attempt", cb.Attempt, "error", err)
			w.WriteHeader(status)
		})
	}
	return mux
}

// told hands a callback on, with what kind finds out about it.
func (s *site) told(kind func(*http.Request, []byte) (string, error)) func(*http.Request, []byte) error {
	return func(r *http.Request, body []byte) error {
		what, err := kind(r, body)
		if err != nil {
			return fmt.Errorf("%w: %w", errForGood, err)
		}
		return s.tell(r.Context(), r.URL.Path, what, string(body))
	}
}

func inHeader(name string) func(*http.Request, []byte) (string, error) {
	return func(r *http.Request, _ []byte) (string, error) { return r.Header.Get(name), nil }
}

func inBody(_ *http.Request, body []byte) (string, error) {
	var call struct {
		Type  string
		Event struct{ Type string } // Slack's
	}
	err := json.Unmarshal(body, &call)
	return cmp.Or(call.Event.Type, call.Type), err
}

func chatted(r *http.Request, body []byte) (string, error) {
	cb, err := smartbots.Decode(r.Header.Get("Content-Type"), body)
	if err != nil {
		return "", err
	}
	if chat, ok := cb.Event.(smartbots.GroupChat); ok {
		return chat.SpeakerName + " spoke in " + cb.GroupName, nil
	}
	return cb.Event.Action(), nil
}

func pulsed(_ *http.Request, body []byte) (string, error) {
	events, err := ednapulse.Decode(body)
	failed := 0
	for _, e := range events {
		if status, ok := e.(*ednapulse.Status); ok && status.Status == ednapulse.Failed {
			failed++
		}
	}
	return fmt.Sprintf("%d events, %d messages failed", len(events), failed), err
}

// note is what the URL of ours gets. The ID is the same at every attempt.
type note struct{ ID, Path, Kind, Body string }

// tell is the slow work: it posts a note.
func (s *site) tell(ctx context.Context, path, kind, body string) error {
	cb, _ := inbox.CallbackFrom(ctx)
	data, err := json.Marshal(note{cb.ID, path, kind, body})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.Forward, bytes.NewReader(data))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r) // the inbox ends ctx after workTime
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return errors.New("the URL of ours answered " + resp.Status)
	}
	return nil
}

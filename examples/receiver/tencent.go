package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/dialect/tencentchat/event"
	"github.com/ringback-go/ringback/middleware"
)

// tencent is the callback URL of our app: its receiver has the gates of the
// platform and answers in its packets.
func (s *site) tencent() (http.Handler, error) {
	apps, err := middleware.NewLocalLimiter(middleware.LocalLimiterConfig{Requests: 6000, Per: time.Minute})
	if err != nil {
		return nil, err
	}
	// What asks for permission is answered at once, the rest goes through the inbox.
	var asked tencentchat.Mux
	asked.OnGroupBeforeSendMsg(mayBeSent)
	asked.OnOther(s.keep)
	receiver, err := tencentchat.NewReceiver(tencentchat.ReceiverConfig{
		Apps:       []tencentchat.App{{SDKAppID: s.cfg.Tencent.App, Tokens: tokens(s.cfg.Tencent.Tokens)}},
		Handler:    asked.Handle,
		AppLimiter: apps, Logger: s.log,
	})
	if err != nil {
		return nil, err
	}
	front, err := s.front(tencentchat.Deny)
	if err != nil {
		return nil, err
	}
	return front(receiver), nil
}

// mayBeSent answers by a type that can carry no code but the command's.
func mayBeSent(_ context.Context, m event.GroupBeforeSendMsg) (tencentchat.GroupMsgReply, error) {
	for _, part := range m.MsgBody {
		if text, ok := part.Text(); ok && strings.Contains(text, "casino") {
			return tencentchat.GroupMsgReply{}.Refuse(10100, "no advertisements")
		}
	}
	return tencentchat.GroupMsgReply{}, nil
}

// keep stores what has happened for later. The platform has no ids; its packets
// have a time and random numbers, so their digests serve.
func (s *site) keep(ctx context.Context, ev tencentchat.Event) (tencentchat.Reply, error) {
	if tencentchat.IsBefore(ev.Command) { // another question, which nobody here answers
		return tencentchat.AllowAll(ctx, ev)
	}
	query := url.Values{
		"SdkAppid": {ev.SDKAppID}, "CallbackCommand": {ev.Command},
		"ClientIP": {ev.ClientIP}, "OptPlatform": {string(ev.Platform)},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/tencent?"+query.Encode(), bytes.NewReader(ev.Body))
	if err != nil {
		return tencentchat.Reply{}, err
	}
	return tencentchat.OK(), s.inbox.Keep(r, "/tencent\x00"+ev.SDKAppID+"\x00"+digest(ev.Body))
}

// happened has a typed handler for each command that matters here.
func (s *site) happened() *tencentchat.Mux {
	var mux tencentchat.Mux
	mux.OnGroupAttrChanged(func(ctx context.Context, e event.GroupAttrChanged) error {
		return s.tell(ctx, "/tencent", fmt.Sprintf("%s of %d attributes in %s", e.Option, len(e.Attrs), e.GroupID), "")
	})
	mux.OnNewMemberJoin(func(ctx context.Context, e event.NewMemberJoin) error {
		return s.tell(ctx, "/tencent", fmt.Sprintf("%d joined %s", len(e.Members), e.GroupID), "")
	})
	mux.OnOther(func(ctx context.Context, ev tencentchat.Event) (tencentchat.Reply, error) {
		return tencentchat.OK(), s.tell(ctx, "/tencent", ev.Command, string(ev.Body))
	})
	return &mux
}

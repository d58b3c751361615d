package tencentchat

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ringback-go/ringback/dialect/tencentchat/event"
)

// ErrCode is in the errors of replies: a code outside the range that the
// before-command has, an account that was not asked about.
var ErrCode = errors.New("tencentchat: not a code of this command")

// Codes that all before-commands but those about friends have.
const (
	codeAllow  = 0
	codeForbid = 1
	codeDrop   = 2 // of messages: forbidden, and the sender believes it was sent
)

// A codeRange is the codes that a business may choose, which the platform
// passes to the caller.
type codeRange struct{ from, to int }

var (
	c2cCodes    = codeRange{120001, 130000}
	groupCodes  = codeRange{10100, 10200}
	friendCodes = codeRange{38000, 39000}
)

func (c codeRange) has(code int) bool { return c.from <= code && code <= c.to }

// refuse returns the packet that refuses with a code of the range. Another code
// becomes one that forbids: who overlooks the error must not allow.
func (c codeRange) refuse(code int, info string) (packet, error) {
	if !c.has(code) {
		return packet{Code: codeForbid}, fmt.Errorf("%w: %d is not in %d to %d", ErrCode, code, c.from, c.to)
	}
	return packet{Code: code, Info: info}, nil
}

// C2CMsgReply is the reply to [event.C2CBeforeSendMsg]. The zero value allows
// the message; each method returns another reply, whatever the one it is called
// on.
type C2CMsgReply struct{ packet packet }

// Forbid forbids the message.
func (C2CMsgReply) Forbid() C2CMsgReply { return C2CMsgReply{packet{Code: codeForbid}} }

// Drop forbids the message without telling the sender.
func (C2CMsgReply) Drop() C2CMsgReply { return C2CMsgReply{packet{Code: codeDrop}} }

// Refuse forbids the message with a code of 120001 to 130000 and a text, which
// are passed to the sender. Another code is [ErrCode], and the reply Forbid's.
func (C2CMsgReply) Refuse(code int, info string) (C2CMsgReply, error) {
	p, err := c2cCodes.refuse(code, info)
	return C2CMsgReply{p}, err
}

// Rewrite allows the message with another body, another CloudCustomData or
// both. An empty body and nil leave them as they are.
func (C2CMsgReply) Rewrite(body []event.MsgElem, customData *string) C2CMsgReply {
	return C2CMsgReply{packet{MsgBody: slices.Clone(body), CustomData: customData}}
}

func (r C2CMsgReply) reply() Reply { return Reply(r) }

// GroupMsgReply is the reply to [event.GroupBeforeSendMsg]. The zero value
// allows the message; each method returns another reply, whatever the one it is
// called on.
type GroupMsgReply struct{ packet packet }

// Forbid forbids the message.
func (GroupMsgReply) Forbid() GroupMsgReply { return GroupMsgReply{packet{Code: codeForbid}} }

// Drop forbids the message without telling the sender.
func (GroupMsgReply) Drop() GroupMsgReply { return GroupMsgReply{packet{Code: codeDrop}} }

// Refuse forbids the message with a code of 10100 to 10200 and a text, which
// are passed to the sender. Another code is [ErrCode], and the reply Forbid's.
func (GroupMsgReply) Refuse(code int, info string) (GroupMsgReply, error) {
	p, err := groupCodes.refuse(code, info)
	return GroupMsgReply{p}, err
}

// Rewrite allows the message with another body, another CloudCustomData or
// both. An empty body and nil leave them as they are.
func (GroupMsgReply) Rewrite(body []event.MsgElem, customData *string) GroupMsgReply {
	return GroupMsgReply{packet{MsgBody: slices.Clone(body), CustomData: customData}}
}

func (r GroupMsgReply) reply() Reply { return Reply(r) }

// GroupReply is the reply to [event.BeforeCreateGroup],
// [event.BeforeCreateTopic] and [event.BeforeApplyJoinGroup]. The zero value
// allows what was asked.
type GroupReply struct{ packet packet }

// Forbid returns a reply that forbids it.
func (GroupReply) Forbid() GroupReply { return GroupReply{packet{Code: codeForbid}} }

// Refuse returns a reply that forbids it with a code of 10100 to 10200 and a
// text, which are passed to the caller. Another code is [ErrCode], and the reply
// Forbid's.
func (GroupReply) Refuse(code int, info string) (GroupReply, error) {
	p, err := groupCodes.refuse(code, info)
	return GroupReply{p}, err
}

func (r GroupReply) reply() Reply { return Reply(r) }

// InviteReply is the reply to [event.BeforeInviteJoinGroup]. The zero value
// lets all users in; each method returns another reply, whatever the one it is
// called on.
type InviteReply struct{ packet packet }

// Forbid lets nobody in.
func (InviteReply) Forbid() InviteReply { return InviteReply{packet{Code: codeForbid}} }

// Refuse lets nobody in, with a code of 10100 to 10200 and a text, which are
// passed to the caller. Another code is [ErrCode], and the reply Forbid's.
func (InviteReply) Refuse(code int, info string) (InviteReply, error) {
	p, err := groupCodes.refuse(code, info)
	return InviteReply{p}, err
}

// RefuseMembers lets all in but these accounts.
func (InviteReply) RefuseMembers(accounts ...string) InviteReply {
	return InviteReply{packet{Refused: slices.Clone(accounts)}}
}

func (r InviteReply) reply() Reply { return Reply(r) }

// FriendReply is the reply to [event.PrevFriendAdd] and
// [event.PrevFriendResponse]. The zero value allows all accounts that were
// asked about.
type FriendReply struct{ items []resultItem }

// Refuse returns the reply with one account more refused, with a code of 38000
// to 39000 and a text, which are passed to the caller. Another code and an
// account that was refused already are [ErrCode]; one that was not asked about
// is it when the reply is sent.
func (r FriendReply) Refuse(account string, code int, info string) (FriendReply, error) {
	if slices.ContainsFunc(r.items, func(i resultItem) bool { return i.Account == account }) {
		return r, fmt.Errorf("%w: the account was refused already", ErrCode)
	}
	var err error
	if !friendCodes.has(code) {
		err = fmt.Errorf("%w: %d is not in %d to %d", ErrCode, code, friendCodes.from, friendCodes.to)
		code, info = friendCodes.from, ""
	}
	return FriendReply{append(slices.Clip(r.items), resultItem{account, code, info})}, err
}

// replyTo answers for each account that was asked about, in their order.
func (r FriendReply) replyTo(asked []string) (Reply, error) {
	items := make([]resultItem, len(asked))
	refused := 0
	for i, account := range asked {
		items[i].Account = account
		if at := slices.IndexFunc(r.items, func(i resultItem) bool { return i.Account == account }); at >= 0 {
			items[i] = r.items[at]
			refused++
		}
	}
	if refused < len(r.items) {
		return Reply{}, fmt.Errorf("%w: an account was refused that was not asked about", ErrCode)
	}
	return Reply{packet{Items: items}}, nil
}

// accountsOf returns the accounts that need an answer of their own.
func accountsOf(p event.Packet) []string {
	var out []string
	switch p := p.(type) {
	case *event.PrevFriendAdd:
		for _, item := range p.FriendItems {
			out = append(out, item.To)
		}
	case event.PrevFriendAdd:
		return accountsOf(&p)
	case *event.PrevFriendResponse:
		for _, item := range p.FriendItems {
			out = append(out, item.To)
		}
	case event.PrevFriendResponse:
		return accountsOf(&p)
	}
	return out
}

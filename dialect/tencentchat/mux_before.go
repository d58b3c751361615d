package tencentchat

import (
	"context"

	"github.com/ringback-go/ringback/dialect/tencentchat/event"
)

// OnC2CBeforeSendMsg sets the handler of C2C.CallbackBeforeSendMsg.
func (m *Mux) OnC2CBeforeSendMsg(f func(context.Context, event.C2CBeforeSendMsg) (C2CMsgReply, error)) {
	before(m, f)
}

// OnGroupBeforeSendMsg sets the handler of Group.CallbackBeforeSendMsg.
func (m *Mux) OnGroupBeforeSendMsg(f func(context.Context, event.GroupBeforeSendMsg) (GroupMsgReply, error)) {
	before(m, f)
}

// OnBeforeCreateGroup sets the handler of Group.CallbackBeforeCreateGroup.
func (m *Mux) OnBeforeCreateGroup(f func(context.Context, event.BeforeCreateGroup) (GroupReply, error)) {
	before(m, f)
}

// OnBeforeApplyJoinGroup sets the handler of Group.CallbackBeforeApplyJoinGroup.
func (m *Mux) OnBeforeApplyJoinGroup(f func(context.Context, event.BeforeApplyJoinGroup) (GroupReply, error)) {
	before(m, f)
}

// OnBeforeInviteJoinGroup sets the handler of Group.CallbackBeforeInviteJoinGroup.
func (m *Mux) OnBeforeInviteJoinGroup(f func(context.Context, event.BeforeInviteJoinGroup) (InviteReply, error)) {
	before(m, f)
}

// OnBeforeCreateTopic sets the handler of Group.CallbackBeforeCreateTopic.
func (m *Mux) OnBeforeCreateTopic(f func(context.Context, event.BeforeCreateTopic) (GroupReply, error)) {
	before(m, f)
}

// OnPrevFriendAdd sets the handler of Sns.CallbackPrevFriendAdd.
func (m *Mux) OnPrevFriendAdd(f func(context.Context, event.PrevFriendAdd) (FriendReply, error)) {
	beforeFriend(m, f)
}

// OnPrevFriendResponse sets the handler of Sns.CallbackPrevFriendResponse.
func (m *Mux) OnPrevFriendResponse(f func(context.Context, event.PrevFriendResponse) (FriendReply, error)) {
	beforeFriend(m, f)
}

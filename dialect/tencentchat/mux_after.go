package tencentchat

import (
	"context"

	"github.com/ringback-go/ringback/dialect/tencentchat/event"
)

// OnC2CSendMsg sets the handler of C2C.CallbackAfterSendMsg.
func (m *Mux) OnC2CSendMsg(f func(context.Context, event.C2CSendMsg) error) {
	after(m, f)
}

// OnC2CMsgReport sets the handler of C2C.CallbackAfterMsgReport.
func (m *Mux) OnC2CMsgReport(f func(context.Context, event.C2CMsgReport) error) {
	after(m, f)
}

// OnC2CMsgWithDraw sets the handler of C2C.CallbackAfterMsgWithDraw.
func (m *Mux) OnC2CMsgWithDraw(f func(context.Context, event.C2CMsgWithDraw) error) {
	after(m, f)
}

// OnGroupSendMsg sets the handler of Group.CallbackAfterSendMsg.
func (m *Mux) OnGroupSendMsg(f func(context.Context, event.GroupSendMsg) error) {
	after(m, f)
}

// OnSendMsgException sets the handler of Group.CallbackSendMsgException.
func (m *Mux) OnSendMsgException(f func(context.Context, event.SendMsgException) error) {
	after(m, f)
}

// OnRecallMsg sets the handler of Group.CallbackAfterRecallMsg.
func (m *Mux) OnRecallMsg(f func(context.Context, event.RecallMsg) error) {
	after(m, f)
}

// OnReadReceipt sets the handler of Group.CallbackAfterReadReceipt.
func (m *Mux) OnReadReceipt(f func(context.Context, event.ReadReceipt) error) {
	after(m, f)
}

// OnCreateGroup sets the handler of Group.CallbackAfterCreateGroup.
func (m *Mux) OnCreateGroup(f func(context.Context, event.CreateGroup) error) {
	after(m, f)
}

// OnGroupFull sets the handler of Group.CallbackAfterGroupFull.
func (m *Mux) OnGroupFull(f func(context.Context, event.GroupFull) error) {
	after(m, f)
}

// OnGroupDestroyed sets the handler of Group.CallbackAfterGroupDestroyed.
func (m *Mux) OnGroupDestroyed(f func(context.Context, event.GroupDestroyed) error) {
	after(m, f)
}

// OnGroupInfoChanged sets the handler of Group.CallbackAfterGroupInfoChanged.
func (m *Mux) OnGroupInfoChanged(f func(context.Context, event.GroupInfoChanged) error) {
	after(m, f)
}

// OnChangeGroupOwner sets the handler of Group.CallbackAfterChangeGroupOwner.
func (m *Mux) OnChangeGroupOwner(f func(context.Context, event.ChangeGroupOwner) error) {
	after(m, f)
}

// OnDailyGroupQuotaAlarm sets the handler of Group.CallbackOnDailyGroupQuotaAlarm.
func (m *Mux) OnDailyGroupQuotaAlarm(f func(context.Context, event.DailyGroupQuotaAlarm) error) {
	after(m, f)
}

// OnNewMemberJoin sets the handler of Group.CallbackAfterNewMemberJoin.
func (m *Mux) OnNewMemberJoin(f func(context.Context, event.NewMemberJoin) error) {
	after(m, f)
}

// OnMemberExit sets the handler of Group.CallbackAfterMemberExit.
func (m *Mux) OnMemberExit(f func(context.Context, event.MemberExit) error) {
	after(m, f)
}

// OnMemberFieldChanged sets the handler of Group.CallbackAfterMemberFieldChanged.
func (m *Mux) OnMemberFieldChanged(f func(context.Context, event.MemberFieldChanged) error) {
	after(m, f)
}

// OnMemberStateChange sets the handler of Group.CallbackOnMemberStateChange.
func (m *Mux) OnMemberStateChange(f func(context.Context, event.MemberStateChange) error) {
	after(m, f)
}

// OnCreateTopic sets the handler of Group.CallbackAfterCreateTopic.
func (m *Mux) OnCreateTopic(f func(context.Context, event.CreateTopic) error) {
	after(m, f)
}

// OnTopicDestroyed sets the handler of Group.CallbackAfterTopicDestroyed.
func (m *Mux) OnTopicDestroyed(f func(context.Context, event.TopicDestroyed) error) {
	after(m, f)
}

// OnTopicInfoChanged sets the handler of Group.CallbackAfterTopicInfoChanged.
func (m *Mux) OnTopicInfoChanged(f func(context.Context, event.TopicInfoChanged) error) {
	after(m, f)
}

// OnFriendAdd sets the handler of Sns.CallbackFriendAdd.
func (m *Mux) OnFriendAdd(f func(context.Context, event.FriendAdd) error) {
	after(m, f)
}

// OnFriendDelete sets the handler of Sns.CallbackFriendDelete.
func (m *Mux) OnFriendDelete(f func(context.Context, event.FriendDelete) error) {
	after(m, f)
}

// OnBlackListAdd sets the handler of Sns.CallbackBlackListAdd.
func (m *Mux) OnBlackListAdd(f func(context.Context, event.BlackListAdd) error) {
	after(m, f)
}

// OnBlackListDelete sets the handler of Sns.CallbackBlackListDelete.
func (m *Mux) OnBlackListDelete(f func(context.Context, event.BlackListDelete) error) {
	after(m, f)
}

// OnStateChange sets the handler of State.StateChange.
func (m *Mux) OnStateChange(f func(context.Context, event.StateChange) error) {
	after(m, f)
}

// OnPortraitSet sets the handler of Profile.CallbackPortraitSet.
func (m *Mux) OnPortraitSet(f func(context.Context, event.PortraitSet) error) {
	after(m, f)
}

// OnGroupAttrChanged sets the handler of Group.CallbackAfterGroupAttrChanged.
func (m *Mux) OnGroupAttrChanged(f func(context.Context, event.GroupAttrChanged) error) {
	after(m, f)
}

package event

// The commands that have a type here, each that of the type of its name.
const (
	CommandC2CBeforeSendMsg      = "C2C.CallbackBeforeSendMsg"
	CommandC2CSendMsg            = "C2C.CallbackAfterSendMsg"
	CommandC2CMsgReport          = "C2C.CallbackAfterMsgReport"
	CommandC2CMsgWithDraw        = "C2C.CallbackAfterMsgWithDraw"
	CommandGroupBeforeSendMsg    = "Group.CallbackBeforeSendMsg"
	CommandGroupSendMsg          = "Group.CallbackAfterSendMsg"
	CommandSendMsgException      = "Group.CallbackSendMsgException"
	CommandRecallMsg             = "Group.CallbackAfterRecallMsg"
	CommandReadReceipt           = "Group.CallbackAfterReadReceipt"
	CommandBeforeCreateGroup     = "Group.CallbackBeforeCreateGroup"
	CommandCreateGroup           = "Group.CallbackAfterCreateGroup"
	CommandGroupFull             = "Group.CallbackAfterGroupFull"
	CommandGroupDestroyed        = "Group.CallbackAfterGroupDestroyed"
	CommandGroupInfoChanged      = "Group.CallbackAfterGroupInfoChanged"
	CommandChangeGroupOwner      = "Group.CallbackAfterChangeGroupOwner"
	CommandDailyGroupQuotaAlarm  = "Group.CallbackOnDailyGroupQuotaAlarm"
	CommandBeforeApplyJoinGroup  = "Group.CallbackBeforeApplyJoinGroup"
	CommandBeforeInviteJoinGroup = "Group.CallbackBeforeInviteJoinGroup"
	CommandNewMemberJoin         = "Group.CallbackAfterNewMemberJoin"
	CommandMemberExit            = "Group.CallbackAfterMemberExit"
	CommandMemberFieldChanged    = "Group.CallbackAfterMemberFieldChanged"
	CommandMemberStateChange     = "Group.CallbackOnMemberStateChange"
	CommandBeforeCreateTopic     = "Group.CallbackBeforeCreateTopic"
	CommandCreateTopic           = "Group.CallbackAfterCreateTopic"
	CommandTopicDestroyed        = "Group.CallbackAfterTopicDestroyed"
	CommandTopicInfoChanged      = "Group.CallbackAfterTopicInfoChanged"
	CommandPrevFriendAdd         = "Sns.CallbackPrevFriendAdd"
	CommandPrevFriendResponse    = "Sns.CallbackPrevFriendResponse"
	CommandFriendAdd             = "Sns.CallbackFriendAdd"
	CommandFriendDelete          = "Sns.CallbackFriendDelete"
	CommandBlackListAdd          = "Sns.CallbackBlackListAdd"
	CommandBlackListDelete       = "Sns.CallbackBlackListDelete"
	CommandStateChange           = "State.StateChange"
	CommandPortraitSet           = "Profile.CallbackPortraitSet"
	CommandGroupAttrChanged      = "Group.CallbackAfterGroupAttrChanged"
)

// types makes an empty packet for each command.
var types = map[string]func() Packet{
	CommandC2CBeforeSendMsg:      func() Packet { return new(C2CBeforeSendMsg) },
	CommandC2CSendMsg:            func() Packet { return new(C2CSendMsg) },
	CommandC2CMsgReport:          func() Packet { return new(C2CMsgReport) },
	CommandC2CMsgWithDraw:        func() Packet { return new(C2CMsgWithDraw) },
	CommandGroupBeforeSendMsg:    func() Packet { return new(GroupBeforeSendMsg) },
	CommandGroupSendMsg:          func() Packet { return new(GroupSendMsg) },
	CommandSendMsgException:      func() Packet { return new(SendMsgException) },
	CommandRecallMsg:             func() Packet { return new(RecallMsg) },
	CommandReadReceipt:           func() Packet { return new(ReadReceipt) },
	CommandBeforeCreateGroup:     func() Packet { return new(BeforeCreateGroup) },
	CommandCreateGroup:           func() Packet { return new(CreateGroup) },
	CommandGroupFull:             func() Packet { return new(GroupFull) },
	CommandGroupDestroyed:        func() Packet { return new(GroupDestroyed) },
	CommandGroupInfoChanged:      func() Packet { return new(GroupInfoChanged) },
	CommandChangeGroupOwner:      func() Packet { return new(ChangeGroupOwner) },
	CommandDailyGroupQuotaAlarm:  func() Packet { return new(DailyGroupQuotaAlarm) },
	CommandBeforeApplyJoinGroup:  func() Packet { return new(BeforeApplyJoinGroup) },
	CommandBeforeInviteJoinGroup: func() Packet { return new(BeforeInviteJoinGroup) },
	CommandNewMemberJoin:         func() Packet { return new(NewMemberJoin) },
	CommandMemberExit:            func() Packet { return new(MemberExit) },
	CommandMemberFieldChanged:    func() Packet { return new(MemberFieldChanged) },
	CommandMemberStateChange:     func() Packet { return new(MemberStateChange) },
	CommandBeforeCreateTopic:     func() Packet { return new(BeforeCreateTopic) },
	CommandCreateTopic:           func() Packet { return new(CreateTopic) },
	CommandTopicDestroyed:        func() Packet { return new(TopicDestroyed) },
	CommandTopicInfoChanged:      func() Packet { return new(TopicInfoChanged) },
	CommandPrevFriendAdd:         func() Packet { return new(PrevFriendAdd) },
	CommandPrevFriendResponse:    func() Packet { return new(PrevFriendResponse) },
	CommandFriendAdd:             func() Packet { return new(FriendAdd) },
	CommandFriendDelete:          func() Packet { return new(FriendDelete) },
	CommandBlackListAdd:          func() Packet { return new(BlackListAdd) },
	CommandBlackListDelete:       func() Packet { return new(BlackListDelete) },
	CommandStateChange:           func() Packet { return new(StateChange) },
	CommandPortraitSet:           func() Packet { return new(PortraitSet) },
	CommandGroupAttrChanged:      func() Packet { return new(GroupAttrChanged) },
}

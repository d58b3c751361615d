package event

// BeforeApplyJoinGroup is the packet of Group.CallbackBeforeApplyJoinGroup
// (https://intl.cloud.tencent.com/document/product/1047/34370): somebody
// applies to join a group.
type BeforeApplyJoinGroup struct {
	GroupID   string `json:"GroupId"`
	Type      string `json:"Type"` // the group's type, such as Public
	Requestor string `json:"Requestor_Account"`
	EventTime Time   `json:"EventTime,omitzero"`
	Extra     Extra  `json:"-"`
}

// Command implements [Packet].
func (BeforeApplyJoinGroup) Command() string { return CommandBeforeApplyJoinGroup }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *BeforeApplyJoinGroup) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandBeforeApplyJoinGroup)
}

// MarshalJSON implements [json.Marshaler].
func (e BeforeApplyJoinGroup) MarshalJSON() ([]byte, error) {
	return encode(&e, CommandBeforeApplyJoinGroup)
}

func (BeforeApplyJoinGroup) asks() {}

// BeforeInviteJoinGroup is the packet of Group.CallbackBeforeInviteJoinGroup
// (https://intl.cloud.tencent.com/document/product/1047/34371): users are
// about to be added to a group.
type BeforeInviteJoinGroup struct {
	GroupID   string   `json:"GroupId"`
	Type      string   `json:"Type"`             // the group's type, such as Public
	Operator  string   `json:"Operator_Account"` // who did it
	Members   []Member `json:"DestinationMembers"`
	EventTime Time     `json:"EventTime,omitzero"`
	Extra     Extra    `json:"-"`
}

// Command implements [Packet].
func (BeforeInviteJoinGroup) Command() string { return CommandBeforeInviteJoinGroup }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *BeforeInviteJoinGroup) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandBeforeInviteJoinGroup)
}

// MarshalJSON implements [json.Marshaler].
func (e BeforeInviteJoinGroup) MarshalJSON() ([]byte, error) {
	return encode(&e, CommandBeforeInviteJoinGroup)
}

func (BeforeInviteJoinGroup) asks() {}

// NewMemberJoin is the packet of Group.CallbackAfterNewMemberJoin
// (https://intl.cloud.tencent.com/document/product/1047/34372): users have
// joined a group.
type NewMemberJoin struct {
	GroupID   string   `json:"GroupId"`
	Type      string   `json:"Type"`             // the group's type, such as Public
	JoinType  string   `json:"JoinType"`         // Apply or Invited
	Operator  string   `json:"Operator_Account"` // who did it
	Members   []Member `json:"NewMemberList"`
	EventTime Time     `json:"EventTime,omitzero"`
	Extra     Extra    `json:"-"`
}

// Command implements [Packet].
func (NewMemberJoin) Command() string { return CommandNewMemberJoin }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *NewMemberJoin) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandNewMemberJoin)
}

// MarshalJSON implements [json.Marshaler].
func (e NewMemberJoin) MarshalJSON() ([]byte, error) { return encode(&e, CommandNewMemberJoin) }

// MemberExit is the packet of Group.CallbackAfterMemberExit
// (https://intl.cloud.tencent.com/document/product/1047/34373): members have
// left a group.
type MemberExit struct {
	GroupID   string   `json:"GroupId"`
	Type      string   `json:"Type"`             // the group's type, such as Public
	ExitType  string   `json:"ExitType"`         // Kicked or Quit
	Operator  string   `json:"Operator_Account"` // who did it
	Members   []Member `json:"ExitMemberList"`
	EventTime Time     `json:"EventTime,omitzero"`
	Extra     Extra    `json:"-"`
}

// Command implements [Packet].
func (MemberExit) Command() string { return CommandMemberExit }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *MemberExit) UnmarshalJSON(data []byte) error { return decode(data, e, CommandMemberExit) }

// MarshalJSON implements [json.Marshaler].
func (e MemberExit) MarshalJSON() ([]byte, error) { return encode(&e, CommandMemberExit) }

// MemberFieldChanged is the packet of Group.CallbackAfterMemberFieldChanged
// (https://trtc.io/document/60393): what a group knows of a member was
// changed; what was not changed is absent.
type MemberFieldChanged struct {
	GroupID   string `json:"GroupId"`
	Type      string `json:"Type"`             // the group's type, such as Public
	Operator  string `json:"Operator_Account"` // who did it
	Member    string `json:"Member_Account"`
	Role      string `json:"Role,omitzero"`
	NameCard  string `json:"NameCard,omitzero"`
	EventTime Time   `json:"EventTime,omitzero"`
	Extra     Extra  `json:"-"`
}

// Command implements [Packet].
func (MemberFieldChanged) Command() string { return CommandMemberFieldChanged }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *MemberFieldChanged) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandMemberFieldChanged)
}

// MarshalJSON implements [json.Marshaler].
func (e MemberFieldChanged) MarshalJSON() ([]byte, error) {
	return encode(&e, CommandMemberFieldChanged)
}

// MemberStateChange is the packet of Group.CallbackOnMemberStateChange
// (https://intl.cloud.tencent.com/document/product/1047/48734): members of an
// audio-video group went offline or came back.
type MemberStateChange struct {
	GroupID   string   `json:"GroupId"`
	EventType string   `json:"EventType"` // Offline or Online
	Members   []Member `json:"MemberList"`
	EventTime Time     `json:"EventTime,omitzero"`
	Extra     Extra    `json:"-"`
}

// Command implements [Packet].
func (MemberStateChange) Command() string { return CommandMemberStateChange }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *MemberStateChange) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandMemberStateChange)
}

// MarshalJSON implements [json.Marshaler].
func (e MemberStateChange) MarshalJSON() ([]byte, error) { return encode(&e, CommandMemberStateChange) }

// A Member is a user in a list.
type Member struct {
	Account string `json:"Member_Account"`
	Extra   Extra  `json:"-"`
}

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *Member) UnmarshalJSON(data []byte) error { return decode(data, e, "") }

// MarshalJSON implements [json.Marshaler].
func (e Member) MarshalJSON() ([]byte, error) { return encode(&e, "") }

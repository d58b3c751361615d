package event

// BeforeCreateGroup is the packet of Group.CallbackBeforeCreateGroup
// (https://intl.cloud.tencent.com/document/product/1047/34368): a group is
// about to be created.
type BeforeCreateGroup struct {
	Operator       string   `json:"Operator_Account"` // who did it
	Owner          string   `json:"Owner_Account"`
	Type           string   `json:"Type"` // the group's type, such as Public
	Name           string   `json:"Name"`
	CreateGroupNum int64    `json:"CreateGroupNum"` // groups of this type that Owner has created
	Members        []Member `json:"MemberList"`
	EventTime      Time     `json:"EventTime,omitzero"`
	Extra          Extra    `json:"-"`
}

// Command implements [Packet].
func (BeforeCreateGroup) Command() string { return CommandBeforeCreateGroup }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *BeforeCreateGroup) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandBeforeCreateGroup)
}

// MarshalJSON implements [json.Marshaler].
func (e BeforeCreateGroup) MarshalJSON() ([]byte, error) { return encode(&e, CommandBeforeCreateGroup) }

func (BeforeCreateGroup) asks() {}

// CreateGroup is the packet of Group.CallbackAfterCreateGroup
// (https://intl.cloud.tencent.com/document/product/1047/34369): a group was
// created.
type CreateGroup struct {
	GroupID         string     `json:"GroupId"`
	Operator        string     `json:"Operator_Account"` // who did it
	Owner           string     `json:"Owner_Account"`
	Type            string     `json:"Type"` // the group's type, such as Public
	Name            string     `json:"Name"`
	InviteOption    string     `json:"InviteOption,omitzero"` // seen, not documented
	Members         []Member   `json:"MemberList"`
	UserDefinedData []KeyValue `json:"UserDefinedDataList,omitzero"` // off by default
	EventTime       Time       `json:"EventTime,omitzero"`
	Extra           Extra      `json:"-"`
}

// Command implements [Packet].
func (CreateGroup) Command() string { return CommandCreateGroup }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *CreateGroup) UnmarshalJSON(data []byte) error { return decode(data, e, CommandCreateGroup) }

// MarshalJSON implements [json.Marshaler].
func (e CreateGroup) MarshalJSON() ([]byte, error) { return encode(&e, CommandCreateGroup) }

// GroupFull is the packet of Group.CallbackAfterGroupFull
// (https://intl.cloud.tencent.com/document/product/1047/34376): a group is
// full.
type GroupFull struct {
	GroupID   string `json:"GroupId"`
	EventTime Time   `json:"EventTime,omitzero"`
	Extra     Extra  `json:"-"`
}

// Command implements [Packet].
func (GroupFull) Command() string { return CommandGroupFull }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *GroupFull) UnmarshalJSON(data []byte) error { return decode(data, e, CommandGroupFull) }

// MarshalJSON implements [json.Marshaler].
func (e GroupFull) MarshalJSON() ([]byte, error) { return encode(&e, CommandGroupFull) }

// GroupDestroyed is the packet of Group.CallbackAfterGroupDestroyed
// (https://intl.cloud.tencent.com/document/product/1047/34377): a group was
// disbanded.
type GroupDestroyed struct {
	GroupID   string   `json:"GroupId"`
	Type      string   `json:"Type"` // the group's type, such as Public
	Owner     string   `json:"Owner_Account"`
	Name      string   `json:"Name"`
	Members   []Member `json:"MemberList,omitzero"`
	EventTime Time     `json:"EventTime,omitzero"`
	Extra     Extra    `json:"-"`
}

// Command implements [Packet].
func (GroupDestroyed) Command() string { return CommandGroupDestroyed }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *GroupDestroyed) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandGroupDestroyed)
}

// MarshalJSON implements [json.Marshaler].
func (e GroupDestroyed) MarshalJSON() ([]byte, error) { return encode(&e, CommandGroupDestroyed) }

// GroupInfoChanged is the packet of Group.CallbackAfterGroupInfoChanged
// (https://intl.cloud.tencent.com/document/product/1047/34378): the profile
// of a group was changed; what was not changed is absent.
type GroupInfoChanged struct {
	GroupID      string `json:"GroupId"`
	Type         string `json:"Type"`             // the group's type, such as Public
	Operator     string `json:"Operator_Account"` // who did it
	Name         string `json:"Name,omitzero"`
	Introduction string `json:"Introduction,omitzero"`
	Notification string `json:"Notification,omitzero"`
	FaceURL      string `json:"FaceUrl,omitzero"`
	EventTime    Time   `json:"EventTime,omitzero"`
	Extra        Extra  `json:"-"`
}

// Command implements [Packet].
func (GroupInfoChanged) Command() string { return CommandGroupInfoChanged }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *GroupInfoChanged) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandGroupInfoChanged)
}

// MarshalJSON implements [json.Marshaler].
func (e GroupInfoChanged) MarshalJSON() ([]byte, error) { return encode(&e, CommandGroupInfoChanged) }

// ChangeGroupOwner is the packet of Group.CallbackAfterChangeGroupOwner
// (https://trtc.io/document/60396): a group has another owner.
type ChangeGroupOwner struct {
	GroupID   string `json:"GroupId"`
	Type      string `json:"Type"`             // the group's type, such as Public
	Operator  string `json:"Operator_Account"` // who did it
	OldOwner  string `json:"OldOwner_Account"`
	NewOwner  string `json:"NewOwner_Account"`
	EventTime Time   `json:"EventTime,omitzero"`
	Extra     Extra  `json:"-"`
}

// Command implements [Packet].
func (ChangeGroupOwner) Command() string { return CommandChangeGroupOwner }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *ChangeGroupOwner) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandChangeGroupOwner)
}

// MarshalJSON implements [json.Marshaler].
func (e ChangeGroupOwner) MarshalJSON() ([]byte, error) { return encode(&e, CommandChangeGroupOwner) }

// DailyGroupQuotaAlarm is the packet of Group.CallbackOnDailyGroupQuotaAlarm
// (https://trtc.io/document/57455): most of the groups that an app may create
// in a day were created.
type DailyGroupQuotaAlarm struct {
	QuotaUsed int64 `json:"QuotaUsed"`
	Quota     int64 `json:"Quota"`
	EventTime Time  `json:"EventTime,omitzero"`
	Extra     Extra `json:"-"`
}

// Command implements [Packet].
func (DailyGroupQuotaAlarm) Command() string { return CommandDailyGroupQuotaAlarm }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *DailyGroupQuotaAlarm) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandDailyGroupQuotaAlarm)
}

// MarshalJSON implements [json.Marshaler].
func (e DailyGroupQuotaAlarm) MarshalJSON() ([]byte, error) {
	return encode(&e, CommandDailyGroupQuotaAlarm)
}

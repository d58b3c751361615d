package event

// GroupBeforeSendMsg is the packet of Group.CallbackBeforeSendMsg
// (https://intl.cloud.tencent.com/document/product/1047/34374): a message is
// about to be sent to a group.
type GroupBeforeSendMsg struct {
	GroupID         string    `json:"GroupId"`
	Type            string    `json:"Type"` // the group's type, such as Public
	From            string    `json:"From_Account"`
	Operator        string    `json:"Operator_Account"` // who did it
	Random          uint32    `json:"Random"`
	OnlineOnlyFlag  int64     `json:"OnlineOnlyFlag"`       // 1 for a message that is not stored
	MsgPriority     string    `json:"MsgPriority,omitzero"` // High, Normal, Low or Lowest; seen, not documented
	MsgBody         []MsgElem `json:"MsgBody"`
	CloudCustomData string    `json:"CloudCustomData,omitzero"`
	TopicID         string    `json:"TopicId,omitzero"` // for communities with topics
	EventTime       Time      `json:"EventTime,omitzero"`
	Extra           Extra     `json:"-"`
}

// Command implements [Packet].
func (GroupBeforeSendMsg) Command() string { return CommandGroupBeforeSendMsg }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *GroupBeforeSendMsg) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandGroupBeforeSendMsg)
}

// MarshalJSON implements [json.Marshaler].
func (e GroupBeforeSendMsg) MarshalJSON() ([]byte, error) {
	return encode(&e, CommandGroupBeforeSendMsg)
}

func (GroupBeforeSendMsg) asks() {}

// GroupSendMsg is the packet of Group.CallbackAfterSendMsg
// (https://intl.cloud.tencent.com/document/product/1047/34375 and
// https://trtc.io/document/34375): a message was sent to a group.
type GroupSendMsg struct {
	GroupID         string    `json:"GroupId"`
	Type            string    `json:"Type"` // the group's type, such as Public
	From            string    `json:"From_Account"`
	Operator        string    `json:"Operator_Account"` // who did it
	Random          uint32    `json:"Random"`
	MsgID           string    `json:"MsgId,omitzero"`       // the clients' name of the message; newer packets
	MsgSeq          uint32    `json:"MsgSeq"`               // orders the messages of a group
	MsgTime         int64     `json:"MsgTime"`              // Unix seconds
	OnlineOnlyFlag  int64     `json:"OnlineOnlyFlag"`       // 1 for a message that is not stored
	MsgPriority     string    `json:"MsgPriority,omitzero"` // High, Normal, Low or Lowest; seen, not documented
	MsgBody         []MsgElem `json:"MsgBody"`
	CloudCustomData string    `json:"CloudCustomData,omitzero"`
	TopicID         string    `json:"TopicId,omitzero"` // for communities with topics
	EventTime       Time      `json:"EventTime,omitzero"`
	Extra           Extra     `json:"-"`
}

// Command implements [Packet].
func (GroupSendMsg) Command() string { return CommandGroupSendMsg }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *GroupSendMsg) UnmarshalJSON(data []byte) error { return decode(data, e, CommandGroupSendMsg) }

// MarshalJSON implements [json.Marshaler].
func (e GroupSendMsg) MarshalJSON() ([]byte, error) { return encode(&e, CommandGroupSendMsg) }

// SendMsgException is the packet of Group.CallbackSendMsgException
// (https://intl.cloud.tencent.com/document/product/1047/49462): a message
// could not be sent to a group.
type SendMsgException struct {
	GroupID         string    `json:"GroupId"`
	Type            string    `json:"Type"` // the group's type, such as Public
	From            string    `json:"From_Account"`
	Operator        string    `json:"Operator_Account"` // who did it
	Random          uint32    `json:"Random"`
	OnlineOnlyFlag  int64     `json:"OnlineOnlyFlag"`       // 1 for a message that is not stored
	MsgPriority     string    `json:"MsgPriority,omitzero"` // High, Normal, Low or Lowest; seen, not documented
	MsgBody         []MsgElem `json:"MsgBody"`
	CloudCustomData string    `json:"CloudCustomData,omitzero"`
	TopicID         string    `json:"TopicId,omitzero"` // for communities with topics
	ErrorCode       int64     `json:"ErrorCode"`
	ErrorInfo       string    `json:"ErrorInfo"`
	EventTime       Time      `json:"EventTime,omitzero"`
	Extra           Extra     `json:"-"`
}

// Command implements [Packet].
func (SendMsgException) Command() string { return CommandSendMsgException }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *SendMsgException) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandSendMsgException)
}

// MarshalJSON implements [json.Marshaler].
func (e SendMsgException) MarshalJSON() ([]byte, error) { return encode(&e, CommandSendMsgException) }

// RecallMsg is the packet of Group.CallbackAfterRecallMsg: messages of a
// group were recalled.
type RecallMsg struct {
	Operator  string   `json:"Operator_Account"` // who did it
	Type      string   `json:"Type"`             // the group's type, such as Public
	GroupID   string   `json:"GroupId"`
	MsgSeqs   []MsgSeq `json:"MsgSeqList"`
	TopicID   string   `json:"TopicId,omitzero"` // for communities with topics
	EventTime Time     `json:"EventTime,omitzero"`
	Extra     Extra    `json:"-"`
}

// Command implements [Packet].
func (RecallMsg) Command() string { return CommandRecallMsg }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *RecallMsg) UnmarshalJSON(data []byte) error { return decode(data, e, CommandRecallMsg) }

// MarshalJSON implements [json.Marshaler].
func (e RecallMsg) MarshalJSON() ([]byte, error) { return encode(&e, CommandRecallMsg) }

// A MsgSeq names a message of a group.
type MsgSeq struct {
	MsgSeq uint32 `json:"MsgSeq"`
	Extra  Extra  `json:"-"`
}

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *MsgSeq) UnmarshalJSON(data []byte) error { return decode(data, e, "") }

// MarshalJSON implements [json.Marshaler].
func (e MsgSeq) MarshalJSON() ([]byte, error) { return encode(&e, "") }

// ReadReceipt is the packet of Group.CallbackAfterReadReceipt
// (https://trtc.io/document/60395): messages of a group were read by members.
type ReadReceipt struct {
	GroupID   string       `json:"GroupId"`
	Type      string       `json:"Type"` // the group's type, such as Public
	Receipts  []MsgReceipt `json:"GroupMsgReceiptList"`
	TopicID   string       `json:"TopicId,omitzero"` // for communities with topics
	EventTime Time         `json:"EventTime,omitzero"`
	Extra     Extra        `json:"-"`
}

// Command implements [Packet].
func (ReadReceipt) Command() string { return CommandReadReceipt }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *ReadReceipt) UnmarshalJSON(data []byte) error { return decode(data, e, CommandReadReceipt) }

// MarshalJSON implements [json.Marshaler].
func (e ReadReceipt) MarshalJSON() ([]byte, error) { return encode(&e, CommandReadReceipt) }

// A MsgReceipt says who has read a message.
type MsgReceipt struct {
	MsgSeq    uint32   `json:"MsgSeq"`
	ReadNum   int64    `json:"ReadNum"`            // members who have
	UnreadNum int64    `json:"UnreadNum"`          // members who have not
	Members   []Member `json:"ReadReceiptMembers"` // those of this packet
	Extra     Extra    `json:"-"`
}

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *MsgReceipt) UnmarshalJSON(data []byte) error { return decode(data, e, "") }

// MarshalJSON implements [json.Marshaler].
func (e MsgReceipt) MarshalJSON() ([]byte, error) { return encode(&e, "") }

package event

// C2CBeforeSendMsg is the packet of C2C.CallbackBeforeSendMsg
// (https://intl.cloud.tencent.com/document/product/1047/34364): a one-to-one
// message is about to be sent.
type C2CBeforeSendMsg struct {
	From            string    `json:"From_Account"`
	To              string    `json:"To_Account"`
	MsgSeq          uint32    `json:"MsgSeq"`
	MsgRandom       uint32    `json:"MsgRandom"`
	MsgTime         int64     `json:"MsgTime"`        // Unix seconds
	MsgKey          string    `json:"MsgKey"`         // unique; recalls name it
	MsgID           string    `json:"MsgId,omitzero"` // the clients' name of the message; newer packets
	OnlineOnlyFlag  int64     `json:"OnlineOnlyFlag"` // 1 for a message that is not stored
	MsgBody         []MsgElem `json:"MsgBody"`
	CloudCustomData string    `json:"CloudCustomData,omitzero"`
	EventTime       Time      `json:"EventTime,omitzero"`
	Extra           Extra     `json:"-"`
}

// Command implements [Packet].
func (C2CBeforeSendMsg) Command() string { return CommandC2CBeforeSendMsg }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *C2CBeforeSendMsg) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandC2CBeforeSendMsg)
}

// MarshalJSON implements [json.Marshaler].
func (e C2CBeforeSendMsg) MarshalJSON() ([]byte, error) { return encode(&e, CommandC2CBeforeSendMsg) }

func (C2CBeforeSendMsg) asks() {}

// C2CSendMsg is the packet of C2C.CallbackAfterSendMsg
// (https://intl.cloud.tencent.com/document/product/1047/34365): a one-to-one
// message was sent, or could not be.
type C2CSendMsg struct {
	From            string    `json:"From_Account"`
	To              string    `json:"To_Account"`
	MsgSeq          uint32    `json:"MsgSeq"`
	MsgRandom       uint32    `json:"MsgRandom"`
	MsgTime         int64     `json:"MsgTime"`        // Unix seconds
	MsgKey          string    `json:"MsgKey"`         // unique; recalls name it
	MsgID           string    `json:"MsgId,omitzero"` // the clients' name of the message; newer packets
	OnlineOnlyFlag  int64     `json:"OnlineOnlyFlag"` // 1 for a message that is not stored
	SendMsgResult   int64     `json:"SendMsgResult"`  // 0 for sent, else the error code
	ErrorInfo       string    `json:"ErrorInfo"`
	UnreadMsgNum    int64     `json:"UnreadMsgNum,omitzero"` // of all of To's conversations
	MsgBody         []MsgElem `json:"MsgBody"`
	CloudCustomData string    `json:"CloudCustomData,omitzero"`
	EventTime       Time      `json:"EventTime,omitzero"`
	Extra           Extra     `json:"-"`
}

// Command implements [Packet].
func (C2CSendMsg) Command() string { return CommandC2CSendMsg }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *C2CSendMsg) UnmarshalJSON(data []byte) error { return decode(data, e, CommandC2CSendMsg) }

// MarshalJSON implements [json.Marshaler].
func (e C2CSendMsg) MarshalJSON() ([]byte, error) { return encode(&e, CommandC2CSendMsg) }

// C2CMsgReport is the packet of C2C.CallbackAfterMsgReport
// (https://intl.cloud.tencent.com/document/product/1047/43465): messages were
// read.
type C2CMsgReport struct {
	Reporter     string `json:"Report_Account"`        // who has read
	Peer         string `json:"Peer_Account"`          // whose messages
	LastReadTime int64  `json:"LastReadTime"`          // Unix seconds
	UnreadMsgNum int64  `json:"UnreadMsgNum,omitzero"` // of all of Reporter's conversations
	EventTime    Time   `json:"EventTime,omitzero"`
	Extra        Extra  `json:"-"`
}

// Command implements [Packet].
func (C2CMsgReport) Command() string { return CommandC2CMsgReport }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *C2CMsgReport) UnmarshalJSON(data []byte) error { return decode(data, e, CommandC2CMsgReport) }

// MarshalJSON implements [json.Marshaler].
func (e C2CMsgReport) MarshalJSON() ([]byte, error) { return encode(&e, CommandC2CMsgReport) }

// C2CMsgWithDraw is the packet of C2C.CallbackAfterMsgWithDraw
// (https://intl.cloud.tencent.com/document/product/1047/43466): a one-to-one
// message was recalled.
type C2CMsgWithDraw struct {
	From         string `json:"From_Account"`
	To           string `json:"To_Account"`
	MsgKey       string `json:"MsgKey"`
	MsgID        string `json:"MsgId,omitzero"`        // newer packets
	UnreadMsgNum int64  `json:"UnreadMsgNum,omitzero"` // of all of To's conversations
	EventTime    Time   `json:"EventTime,omitzero"`
	Extra        Extra  `json:"-"`
}

// Command implements [Packet].
func (C2CMsgWithDraw) Command() string { return CommandC2CMsgWithDraw }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *C2CMsgWithDraw) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandC2CMsgWithDraw)
}

// MarshalJSON implements [json.Marshaler].
func (e C2CMsgWithDraw) MarshalJSON() ([]byte, error) { return encode(&e, CommandC2CMsgWithDraw) }

package event

// OptionType is what was done to the attributes of a group. Other values than
// the four are kept.
type OptionType string

// What may be done to attributes.
const (
	OptionSet    OptionType = "set"
	OptionModify OptionType = "modify"
	OptionClear  OptionType = "clear"  // GroupAttr may be absent
	OptionDelete OptionType = "delete" // values may be missing
)

// GroupAttrChanged is the packet of Group.CallbackAfterGroupAttrChanged
// (https://trtc.io/document/60394): the custom attributes of a group were
// set, modified, cleared or deleted.
type GroupAttrChanged struct {
	GroupID   string      `json:"GroupId"`
	Type      string      `json:"Type"`             // the group's type, such as Public
	Operator  string      `json:"Operator_Account"` // who did it
	Option    OptionType  `json:"OptionType"`
	Attrs     []GroupAttr `json:"GroupAttr,omitzero"` // nil is absent
	EventTime Time        `json:"EventTime,omitzero"`
	Extra     Extra       `json:"-"`
}

// Command implements [Packet].
func (GroupAttrChanged) Command() string { return CommandGroupAttrChanged }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *GroupAttrChanged) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandGroupAttrChanged)
}

// MarshalJSON implements [json.Marshaler].
func (e GroupAttrChanged) MarshalJSON() ([]byte, error) { return encode(&e, CommandGroupAttrChanged) }

// A GroupAttr is one attribute.
type GroupAttr struct {
	Key   string  `json:"key"`
	Value *string `json:"value,omitzero"` // nil where the packet has none
	Extra Extra   `json:"-"`
}

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *GroupAttr) UnmarshalJSON(data []byte) error { return decode(data, e, "") }

// MarshalJSON implements [json.Marshaler].
func (e GroupAttr) MarshalJSON() ([]byte, error) { return encode(&e, "") }

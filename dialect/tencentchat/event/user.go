package event

// StateChange is the packet of State.StateChange
// (https://intl.cloud.tencent.com/document/product/1047/34357): a user has
// logged in or out, or was disconnected.
type StateChange struct {
	EventTime     Time      `json:"EventTime,omitzero"`
	Info          StateInfo `json:"Info"`
	KickedDevices []Device  `json:"KickedDevice,omitzero"` // logged out by this login
	Extra         Extra     `json:"-"`
}

// Command implements [Packet].
func (StateChange) Command() string { return CommandStateChange }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *StateChange) UnmarshalJSON(data []byte) error { return decode(data, e, CommandStateChange) }

// MarshalJSON implements [json.Marshaler].
func (e StateChange) MarshalJSON() ([]byte, error) { return encode(&e, CommandStateChange) }

// A StateInfo says what happened to whom.
type StateInfo struct {
	Action string `json:"Action"` // Login, Logout or Disconnect
	To     string `json:"To_Account"`
	Reason string `json:"Reason"` // Register, Unregister, LinkClose, TimeOut
	Extra  Extra  `json:"-"`
}

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *StateInfo) UnmarshalJSON(data []byte) error { return decode(data, e, "") }

// MarshalJSON implements [json.Marshaler].
func (e StateInfo) MarshalJSON() ([]byte, error) { return encode(&e, "") }

// A Device is one that was logged out.
type Device struct {
	Platform string `json:"Platform"` // as in the query, also Linux
	Extra    Extra  `json:"-"`
}

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *Device) UnmarshalJSON(data []byte) error { return decode(data, e, "") }

// MarshalJSON implements [json.Marshaler].
func (e Device) MarshalJSON() ([]byte, error) { return encode(&e, "") }

// PortraitSet is the packet of Profile.CallbackPortraitSet
// (https://intl.cloud.tencent.com/document/product/1047/48733): a profile was
// changed.
type PortraitSet struct {
	Operator  string        `json:"Operator_Account"` // who did it
	From      string        `json:"From_Account"`
	EventTime Time          `json:"EventTime,omitzero"`
	Items     []ProfileItem `json:"ProfileItem"`
	Extra     Extra         `json:"-"`
}

// Command implements [Packet].
func (PortraitSet) Command() string { return CommandPortraitSet }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *PortraitSet) UnmarshalJSON(data []byte) error { return decode(data, e, CommandPortraitSet) }

// MarshalJSON implements [json.Marshaler].
func (e PortraitSet) MarshalJSON() ([]byte, error) { return encode(&e, CommandPortraitSet) }

// A ProfileItem is a changed field of a profile.
type ProfileItem struct {
	Tag   string `json:"Tag"`   // such as Tag_Profile_IM_Nick
	Value Scalar `json:"Value"` // a number or a string
	Extra Extra  `json:"-"`
}

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *ProfileItem) UnmarshalJSON(data []byte) error { return decode(data, e, "") }

// MarshalJSON implements [json.Marshaler].
func (e ProfileItem) MarshalJSON() ([]byte, error) { return encode(&e, "") }

package event

// PrevFriendAdd is the packet of Sns.CallbackPrevFriendAdd
// (https://intl.cloud.tencent.com/document/product/1047/43468): users are
// about to be asked for friendship.
type PrevFriendAdd struct {
	Requester     string       `json:"Requester_Account"` // who calls
	From          string       `json:"From_Account"`      // who wants to be a friend
	FriendItems   []FriendItem `json:"FriendItem"`
	AddType       string       `json:"AddType"`       // Add_Type_Single or Add_Type_Both
	ForceAddFlags int64        `json:"ForceAddFlags"` // 1 when an administrator forces it
	EventTime     Time         `json:"EventTime,omitzero"`
	Extra         Extra        `json:"-"`
}

// Command implements [Packet].
func (PrevFriendAdd) Command() string { return CommandPrevFriendAdd }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *PrevFriendAdd) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandPrevFriendAdd)
}

// MarshalJSON implements [json.Marshaler].
func (e PrevFriendAdd) MarshalJSON() ([]byte, error) { return encode(&e, CommandPrevFriendAdd) }

func (PrevFriendAdd) asks() {}

// A FriendItem is one request for friendship.
type FriendItem struct {
	To         string `json:"To_Account"`
	Remark     string `json:"Remark"`
	GroupName  string `json:"GroupName"`
	AddSource  string `json:"AddSource"`
	AddWording string `json:"AddWording"`
	Extra      Extra  `json:"-"`
}

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *FriendItem) UnmarshalJSON(data []byte) error { return decode(data, e, "") }

// MarshalJSON implements [json.Marshaler].
func (e FriendItem) MarshalJSON() ([]byte, error) { return encode(&e, "") }

// PrevFriendResponse is the packet of Sns.CallbackPrevFriendResponse
// (https://intl.cloud.tencent.com/document/product/1047/43467): requests for
// friendship are about to be answered.
type PrevFriendResponse struct {
	Requester   string               `json:"Requester_Account"` // who calls
	From        string               `json:"From_Account"`      // who answers
	FriendItems []ResponseFriendItem `json:"ResponseFriendItem"`
	EventTime   Time                 `json:"EventTime,omitzero"`
	Extra       Extra                `json:"-"`
}

// Command implements [Packet].
func (PrevFriendResponse) Command() string { return CommandPrevFriendResponse }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *PrevFriendResponse) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandPrevFriendResponse)
}

// MarshalJSON implements [json.Marshaler].
func (e PrevFriendResponse) MarshalJSON() ([]byte, error) {
	return encode(&e, CommandPrevFriendResponse)
}

func (PrevFriendResponse) asks() {}

// A ResponseFriendItem is the answer to one request.
type ResponseFriendItem struct {
	To      string `json:"To_Account"` // who has asked
	Remark  string `json:"Remark"`
	TagName string `json:"TagName"`
	Action  string `json:"ResponseAction"` // such as Response_Action_AgreeAndAdd
	Extra   Extra  `json:"-"`
}

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *ResponseFriendItem) UnmarshalJSON(data []byte) error { return decode(data, e, "") }

// MarshalJSON implements [json.Marshaler].
func (e ResponseFriendItem) MarshalJSON() ([]byte, error) { return encode(&e, "") }

// FriendAdd is the packet of Sns.CallbackFriendAdd
// (https://intl.cloud.tencent.com/document/product/1047/34359): friends were
// added.
type FriendAdd struct {
	Pairs     []Pair `json:"PairList"`
	ClientCmd string `json:"ClientCmd"`     // such as friend_add
	Admin     string `json:"Admin_Account"` // empty when no administrator did it
	ForceFlag int64  `json:"ForceFlag"`     // 1 when an administrator forced it
	EventTime Time   `json:"EventTime,omitzero"`
	Extra     Extra  `json:"-"`
}

// Command implements [Packet].
func (FriendAdd) Command() string { return CommandFriendAdd }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *FriendAdd) UnmarshalJSON(data []byte) error { return decode(data, e, CommandFriendAdd) }

// MarshalJSON implements [json.Marshaler].
func (e FriendAdd) MarshalJSON() ([]byte, error) { return encode(&e, CommandFriendAdd) }

// FriendDelete is the packet of Sns.CallbackFriendDelete
// (https://intl.cloud.tencent.com/document/product/1047/34360): friends were
// deleted.
type FriendDelete struct {
	Pairs     []Pair `json:"PairList"`
	EventTime Time   `json:"EventTime,omitzero"`
	Extra     Extra  `json:"-"`
}

// Command implements [Packet].
func (FriendDelete) Command() string { return CommandFriendDelete }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *FriendDelete) UnmarshalJSON(data []byte) error { return decode(data, e, CommandFriendDelete) }

// MarshalJSON implements [json.Marshaler].
func (e FriendDelete) MarshalJSON() ([]byte, error) { return encode(&e, CommandFriendDelete) }

// BlackListAdd is the packet of Sns.CallbackBlackListAdd
// (https://intl.cloud.tencent.com/document/product/1047/34361): users were
// put on a block list.
type BlackListAdd struct {
	Pairs     []Pair `json:"PairList"`
	EventTime Time   `json:"EventTime,omitzero"`
	Extra     Extra  `json:"-"`
}

// Command implements [Packet].
func (BlackListAdd) Command() string { return CommandBlackListAdd }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *BlackListAdd) UnmarshalJSON(data []byte) error { return decode(data, e, CommandBlackListAdd) }

// MarshalJSON implements [json.Marshaler].
func (e BlackListAdd) MarshalJSON() ([]byte, error) { return encode(&e, CommandBlackListAdd) }

// BlackListDelete is the packet of Sns.CallbackBlackListDelete
// (https://intl.cloud.tencent.com/document/product/1047/34362): users were
// taken off a block list.
type BlackListDelete struct {
	Pairs     []Pair `json:"PairList"`
	EventTime Time   `json:"EventTime,omitzero"`
	Extra     Extra  `json:"-"`
}

// Command implements [Packet].
func (BlackListDelete) Command() string { return CommandBlackListDelete }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *BlackListDelete) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandBlackListDelete)
}

// MarshalJSON implements [json.Marshaler].
func (e BlackListDelete) MarshalJSON() ([]byte, error) { return encode(&e, CommandBlackListDelete) }

// A Pair is a relation: From has To on the list.
type Pair struct {
	From      string `json:"From_Account"`
	To        string `json:"To_Account"`
	Initiator string `json:"Initiator_Account,omitzero"` // of [FriendAdd]
	Extra     Extra  `json:"-"`
}

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *Pair) UnmarshalJSON(data []byte) error { return decode(data, e, "") }

// MarshalJSON implements [json.Marshaler].
func (e Pair) MarshalJSON() ([]byte, error) { return encode(&e, "") }

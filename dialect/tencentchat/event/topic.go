package event

// BeforeCreateTopic is the packet of Group.CallbackBeforeCreateTopic
// (https://intl.cloud.tencent.com/document/product/1047/49463): a topic is
// about to be created.
type BeforeCreateTopic struct {
	Operator  string `json:"Operator_Account"` // who did it
	Type      string `json:"Type"`             // the group's type, such as Public
	Name      string `json:"Name"`
	EventTime Time   `json:"EventTime,omitzero"`
	Extra     Extra  `json:"-"`
}

// Command implements [Packet].
func (BeforeCreateTopic) Command() string { return CommandBeforeCreateTopic }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *BeforeCreateTopic) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandBeforeCreateTopic)
}

// MarshalJSON implements [json.Marshaler].
func (e BeforeCreateTopic) MarshalJSON() ([]byte, error) { return encode(&e, CommandBeforeCreateTopic) }

func (BeforeCreateTopic) asks() {}

// CreateTopic is the packet of Group.CallbackAfterCreateTopic
// (https://intl.cloud.tencent.com/document/product/1047/49464): a topic was
// created.
type CreateTopic struct {
	GroupID         string     `json:"GroupId"`
	TopicID         string     `json:"TopicId"`
	Operator        string     `json:"Operator_Account"` // who did it
	Owner           string     `json:"Owner_Account"`
	Type            string     `json:"Type"` // the group's type, such as Public
	Name            string     `json:"Name"`
	UserDefinedData []KeyValue `json:"UserDefinedDataList,omitzero"` // off by default
	EventTime       Time       `json:"EventTime,omitzero"`
	Extra           Extra      `json:"-"`
}

// Command implements [Packet].
func (CreateTopic) Command() string { return CommandCreateTopic }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *CreateTopic) UnmarshalJSON(data []byte) error { return decode(data, e, CommandCreateTopic) }

// MarshalJSON implements [json.Marshaler].
func (e CreateTopic) MarshalJSON() ([]byte, error) { return encode(&e, CommandCreateTopic) }

// TopicDestroyed is the packet of Group.CallbackAfterTopicDestroyed
// (https://intl.cloud.tencent.com/document/product/1047/49465): topics were
// deleted.
type TopicDestroyed struct {
	GroupID   string   `json:"GroupId"`
	Type      string   `json:"Type"` // the group's type, such as Public
	TopicIDs  []string `json:"TopicIdList"`
	EventTime Time     `json:"EventTime,omitzero"`
	Extra     Extra    `json:"-"`
}

// Command implements [Packet].
func (TopicDestroyed) Command() string { return CommandTopicDestroyed }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *TopicDestroyed) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandTopicDestroyed)
}

// MarshalJSON implements [json.Marshaler].
func (e TopicDestroyed) MarshalJSON() ([]byte, error) { return encode(&e, CommandTopicDestroyed) }

// TopicInfoChanged is the packet of Group.CallbackAfterTopicInfoChanged
// (https://intl.cloud.tencent.com/document/product/1047/49466): the profile
// of a topic was changed; what was not changed is absent.
type TopicInfoChanged struct {
	GroupID      string `json:"GroupId"`
	TopicID      string `json:"TopicId,omitzero"` // for communities with topics
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
func (TopicInfoChanged) Command() string { return CommandTopicInfoChanged }

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *TopicInfoChanged) UnmarshalJSON(data []byte) error {
	return decode(data, e, CommandTopicInfoChanged)
}

// MarshalJSON implements [json.Marshaler].
func (e TopicInfoChanged) MarshalJSON() ([]byte, error) { return encode(&e, CommandTopicInfoChanged) }

// A KeyValue is a custom field of a group or topic.
type KeyValue struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
	Extra Extra  `json:"-"`
}

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *KeyValue) UnmarshalJSON(data []byte) error { return decode(data, e, "") }

// MarshalJSON implements [json.Marshaler].
func (e KeyValue) MarshalJSON() ([]byte, error) { return encode(&e, "") }

package tencentchat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/internal/strictjson"
)

// CommandGroupAttrChanged is the command of [GroupAttrChanged].
const CommandGroupAttrChanged = "Group.CallbackAfterGroupAttrChanged"

// OptionType is what was done to the attributes. Other values than the four
// are kept.
type OptionType string

// What may be done to attributes.
const (
	OptionSet    OptionType = "set"
	OptionModify OptionType = "modify"
	OptionClear  OptionType = "clear"  // GroupAttr may be absent
	OptionDelete OptionType = "delete" // values may be missing
)

// GroupAttrChanged is the packet of [CommandGroupAttrChanged]
// (https://trtc.io/document/60394): the custom attributes of a group were set,
// modified, cleared or deleted. It is decoded from the packet and encodes to
// it, with the members that it does not know; EventTime is a number then.
type GroupAttrChanged struct {
	GroupID  string     // GroupId
	Type     string     // the group's type, such as Public
	Operator string     // Operator_Account
	Option   OptionType // OptionType
	// Attrs are the attributes concerned. Nil is absent.
	Attrs []GroupAttr
	// EventTime in milliseconds. Zero is absent.
	EventTime time.Time
	// Extra are the members that have no field here.
	Extra map[string]json.RawMessage
}

// A GroupAttr is one attribute.
type GroupAttr struct {
	Key string
	// Value is nil where the packet has none.
	Value *string
	// Extra are the members that have no field here.
	Extra map[string]json.RawMessage
}

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Decode]. A text
// that names another command is refused; one that names none is taken.
func (g *GroupAttrChanged) UnmarshalJSON(data []byte) error {
	members, err := strictObject(data)
	if err != nil {
		return err
	}
	if name, given, err := take(members, memberCommand); err != nil || given && name != CommandGroupAttrChanged {
		return refused("CallbackCommand is another")
	}
	*g = GroupAttrChanged{}
	option := ""
	for _, f := range []struct {
		name string
		into *string
	}{{"GroupId", &g.GroupID}, {"Type", &g.Type}, {"Operator_Account", &g.Operator}, {"OptionType", &option}} {
		if *f.into, _, err = take(members, f.name); err != nil {
			return err
		}
	}
	g.Option = OptionType(option)
	if g.EventTime, err = eventTime(members[memberEventTime]); err != nil {
		return err
	}
	if attrs := members["GroupAttr"]; !absent(attrs) {
		if err := json.Unmarshal(attrs, &g.Attrs); err != nil {
			return refused("GroupAttr is not a list of attributes")
		}
	}
	delete(members, memberEventTime)
	delete(members, "GroupAttr")
	g.Extra = rest(members)
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (g GroupAttrChanged) MarshalJSON() ([]byte, error) {
	var o objectWriter
	o.text(memberCommand, CommandGroupAttrChanged)
	o.text("GroupId", g.GroupID)
	o.text("Type", g.Type)
	o.text("Operator_Account", g.Operator)
	o.text("OptionType", string(g.Option))
	if g.Attrs != nil {
		o.value("GroupAttr", g.Attrs)
	}
	if !g.EventTime.IsZero() {
		o.raw(memberEventTime, strconv.AppendInt(nil, g.EventTime.UnixMilli(), 10))
	}
	o.extra(g.Extra)
	return o.bytes()
}

// UnmarshalJSON implements [json.Unmarshaler].
func (a *GroupAttr) UnmarshalJSON(data []byte) error {
	members, err := strictObject(data)
	if err != nil {
		return err
	}
	*a = GroupAttr{}
	if a.Key, _, err = take(members, "key"); err != nil {
		return err
	}
	value, given, err := take(members, "value")
	if err != nil {
		return err
	}
	if given {
		a.Value = &value
	}
	a.Extra = rest(members)
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (a GroupAttr) MarshalJSON() ([]byte, error) {
	var o objectWriter
	o.text("key", a.Key)
	if a.Value != nil {
		o.text("value", *a.Value)
	}
	o.extra(a.Extra)
	return o.bytes()
}

func strictObject(data []byte) (map[string]json.RawMessage, error) {
	if err := strictjson.Check(data, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPacket, err)
	}
	return object(data)
}

// take reads a string and takes it out of members.
func take(members map[string]json.RawMessage, name string) (string, bool, error) {
	s, given, err := text(members[name])
	if err != nil {
		return "", false, refused(name + " is not a string")
	}
	delete(members, name)
	return s, given, nil
}

func rest(members map[string]json.RawMessage) map[string]json.RawMessage {
	if len(members) == 0 {
		return nil
	}
	return members
}

// objectWriter puts an object together, members in the order of the calls,
// strings not escaped for HTML. The first error ends it.
type objectWriter struct {
	buf   bytes.Buffer
	names []string
	err   error
}

func (o *objectWriter) raw(name string, value []byte) {
	if o.err != nil || slices.Contains(o.names, name) {
		return // a field wins over what stands in Extra under its name
	}
	o.names = append(o.names, name)
	if o.buf.Len() == 0 {
		o.buf.WriteByte('{')
	} else {
		o.buf.WriteByte(',')
	}
	key, err := plain(name)
	if err != nil {
		o.err = err
		return
	}
	o.buf.Write(key)
	o.buf.WriteByte(':')
	o.buf.Write(value)
}

func (o *objectWriter) value(name string, v any) {
	value, err := plain(v)
	if err != nil {
		o.err = err
		return
	}
	o.raw(name, value)
}

// text writes a string that is not empty.
func (o *objectWriter) text(name, s string) {
	if s != "" || name == "key" || name == "value" {
		o.value(name, s)
	}
}

func (o *objectWriter) extra(members map[string]json.RawMessage) {
	for _, name := range slices.Sorted(maps.Keys(members)) {
		o.raw(name, members[name])
	}
}

func (o *objectWriter) bytes() ([]byte, error) {
	if o.err != nil {
		return nil, o.err
	}
	if o.buf.Len() == 0 {
		o.buf.WriteByte('{')
	}
	o.buf.WriteByte('}')
	return o.buf.Bytes(), nil
}

// plain is json.Marshal without escapes for HTML.
func plain(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

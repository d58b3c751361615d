package event

import (
	"encoding/json"

	"github.com/ringback-go/ringback/internal/strictjson"
)

// The types of elements that the documentation names, see
// https://intl.cloud.tencent.com/document/product/1047/33527. Others are kept.
const (
	ElemText     = "TIMTextElem"
	ElemLocation = "TIMLocationElem"
	ElemFace     = "TIMFaceElem"
	ElemCustom   = "TIMCustomElem"
	ElemSound    = "TIMSoundElem"
	ElemImage    = "TIMImageElem"
	ElemFile     = "TIMFileElem"
	ElemVideo    = "TIMVideoFileElem"
)

// A MsgElem is a part of a message.
type MsgElem struct {
	MsgType    string          `json:"MsgType"`    // such as [ElemText]
	MsgContent json.RawMessage `json:"MsgContent"` // an object by MsgType's rules
	Extra      Extra           `json:"-"`
}

// UnmarshalJSON implements [json.Unmarshaler] by the rules of [Parse].
func (e *MsgElem) UnmarshalJSON(data []byte) error { return decode(data, e, "") }

// MarshalJSON implements [json.Marshaler].
func (e MsgElem) MarshalJSON() ([]byte, error) { return encode(&e, "") }

// TextElem returns an element of type [ElemText].
func TextElem(text string) MsgElem {
	return MsgElem{MsgType: ElemText, MsgContent: append(appendString([]byte(`{"Text":`), text), '}')}
}

// Text returns the text of an element of type [ElemText], false for another
// and for one whose content is not what the type wants.
func (e MsgElem) Text() (string, bool) {
	var content struct{ Text *string }
	if e.MsgType != ElemText || strictjson.Unmarshal(e.MsgContent, &content) != nil || content.Text == nil {
		return "", false
	}
	return *content.Text, true
}

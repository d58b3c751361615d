package verify

import (
	"crypto/sha256"
	"net/url"
	"slices"
	"strings"

	"github.com/ringback-go/ringback/verify/internal/keys"
)

type partKind uint8

const (
	partLiteral partKind = iota
	partTimestamp
	partID
	partMethod
	partURL
	partBody
)

var partNames = map[string]partKind{
	"timestamp": partTimestamp, "id": partID, "method": partMethod, "url": partURL, "body": partBody,
}

// part is one piece of the signed text.
type part struct {
	kind    partKind
	literal string
}

// template is a parsed [HMACFormat.Signed].
type template struct {
	parts []part
	// origin is where {url} begins, "" for the message's own.
	origin string
	// stop is the byte that must not be in an id, because it ends the id in
	// the signed text; 0 is none.
	stop byte
}

func (t template) has(kind partKind) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.kind == kind })
}

// parseTemplate checks that each part's end can be told in the signed text:
// what can be read in two ways can be signed as one and sent as the other.
func parseTemplate(f HMACFormat) (template, error) {
	bad := func(field, why string) (template, error) { return template{}, configError(f.Name, field, why) }
	var t template
	for rest := f.Signed; rest != ""; {
		literal, tail, open := strings.Cut(rest, "{")
		if literal != "" {
			t.parts = append(t.parts, part{literal: literal})
		}
		if !open {
			break
		}
		name, after, closed := strings.Cut(tail, "}")
		kind, known := partNames[name]
		if !closed || !known {
			return bad("Signed", "knows {timestamp}, {id}, {method}, {url} and {body} in braces, and nothing else")
		}
		if t.has(kind) {
			return bad("Signed", "holds {"+name+"} twice")
		}
		t.parts = append(t.parts, part{kind: kind})
		rest = after
	}
	switch {
	case !t.has(partBody):
		return bad("Signed", "lacks {body}: anything could be sent under a signature that does not cover it")
	case t.has(partTimestamp) && !f.timed():
		return bad("Signed", "holds {timestamp}, set TimestampHeader or TimestampPrefix")
	case !t.has(partTimestamp) && f.timed():
		return bad("Signed", "lacks {timestamp}: a time that is not covered proves nothing")
	case t.has(partID) && f.IDHeader == "":
		return bad("Signed", "holds {id}, set IDHeader")
	case f.Origin != "" && !t.has(partURL):
		return bad("Origin", "is for {url}, which is not in Signed")
	}
	if f.Origin != "" {
		u, err := url.Parse(f.Origin)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != f.Origin {
			return bad("Origin", "needs the form https://host or https://host:port, without a path")
		}
		t.origin = f.Origin
	}
	if i := slices.IndexFunc(t.parts, func(p part) bool { return p.kind == partID }); i >= 0 && i+1 < len(t.parts) {
		switch next := t.parts[i+1]; next.kind {
		case partLiteral:
			t.stop = next.literal[0]
		case partTimestamp: // a digit more or less is out of any window
		default:
			return bad("Signed", "needs a text between {id} and what follows, to tell where the id ends")
		}
	}
	return t, nil
}

// validID reports whether an id can stand in the signed text.
func (t template) validID(id string) bool {
	return len(id) <= maxMessageID && printable(id) && (t.stop == 0 || strings.IndexByte(id, t.stop) < 0)
}

// sum returns the HMAC of the signed text; the body is not copied.
func (t template) sum(macs *keys.MACs, stamp, id string, m *Message) [sha256.Size]byte {
	st := macs.Start()
	for i := range t.parts {
		switch p := &t.parts[i]; p.kind {
		case partLiteral:
			st.Text(p.literal)
		case partTimestamp:
			st.Text(stamp)
		case partID:
			st.Text(id)
		case partMethod:
			st.Text(m.Method)
		case partURL:
			if t.origin != "" {
				st.Text(t.origin)
			} else {
				st.Text("https://")
				st.Text(m.Host)
			}
			st.Text(m.Path)
			if m.RawQuery != "" {
				st.Text("?")
				st.Text(m.RawQuery)
			}
		case partBody:
			st.Bytes(m.Body)
		}
	}
	return macs.Finish(st)
}

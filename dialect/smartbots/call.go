package smartbots

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ringback-go/ringback/internal/rawquery"
)

// allowed is the header Allow.
const allowed = "GET, POST"

const mediaForm = "application/x-www-form-urlencoded"

// A call is the parameters of one request.
type call struct {
	action, apiKey, secret, secretSHA1, group, appName, appUUID, url string
}

// field returns where the value of a parameter belongs, nil for one that is
// not known.
func (c *call) field(name string) *string {
	switch name {
	case paramAction:
		return &c.action
	case paramAPIKey:
		return &c.apiKey
	case paramSecret:
		return &c.secret
	case paramSecretSHA1:
		return &c.secretSHA1
	case paramGroup:
		return &c.group
	case paramAppName:
		return &c.appName
	case paramAppUUID:
		return &c.appUUID
	case paramURL:
		return &c.url
	}
	return nil
}

// raw returns the encoded parameters of a request: the query of a GET, the
// body of a POST.
func raw(w http.ResponseWriter, r *http.Request) (string, *refusal) {
	switch r.Method {
	case http.MethodGet:
		if len(r.URL.RawQuery) > maxCall {
			return "", failStatus(http.StatusRequestEntityTooLarge, nil)
		}
		return r.URL.RawQuery, nil
	case http.MethodPost:
	default:
		return "", failStatus(http.StatusMethodNotAllowed, nil)
	}
	if mediaType(r.Header) != mediaForm {
		return "", failStatus(http.StatusUnsupportedMediaType, nil)
	}
	body, err := readBody(w, r, maxCall)
	if err != nil {
		return "", failStatus(bodyStatus(err), err)
	}
	return string(body), nil
}

// mediaType returns the one media type of a body in UTF-8 that nothing packs,
// and "" for others.
func mediaType(h http.Header) string {
	types := h["Content-Type"]
	if len(types) != 1 {
		return ""
	}
	for _, coding := range h["Content-Encoding"] {
		if !strings.EqualFold(strings.TrimSpace(coding), "identity") {
			return ""
		}
	}
	media, params, err := mime.ParseMediaType(types[0])
	if err != nil {
		return ""
	}
	switch strings.ToLower(params["charset"]) {
	case "", "utf-8", "us-ascii":
		return media
	}
	return ""
}

// readBody reads a body of at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	if r.Body == nil {
		return nil, nil
	}
	return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
}

func bodyStatus(err error) int {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

var errParameters = errors.New("smartbots: too many parameters")

// pairs yields the decoded names and values of a form, or says that it is
// broken. The error names nothing that the form holds.
func pairs(form string, yield func(name, value string)) error {
	if err := rawquery.Check(form); err != nil {
		return err
	}
	if strings.Count(form, "&") >= maxParameters {
		return errParameters
	}
	for pair := range strings.SplitSeq(form, "&") {
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		name, errName := url.QueryUnescape(k)
		value, errValue := url.QueryUnescape(v)
		if errName != nil || errValue != nil { // unreachable after Check
			return rawquery.ErrEscape
		}
		yield(name, value)
	}
	return nil
}

// parse reads a call and judges its form: escapes, repeated and missing
// parameters and the action.
func parse(form string) (call, *refusal) {
	var c call
	seen := map[string]int{}
	var stranger *refusal // a parameter that is not known is given twice
	err := pairs(form, func(name, value string) {
		seen[name]++
		if field := c.field(name); field != nil {
			*field = value
		} else if seen[name] > 1 && stranger == nil {
			stranger = failStranger(name)
		}
	})
	if err != nil {
		return call{}, failStatus(http.StatusBadRequest, err)
	}
	for _, p := range parameters {
		if seen[p.name] > 1 {
			return call{}, fail(p.repeated)
		}
	}
	if stranger != nil {
		return call{}, stranger
	}
	for _, p := range parameters {
		switch {
		case p.name == paramSecret || p.name == paramSecretSHA1:
			if c.secret == "" && c.secretSHA1 == "" {
				return call{}, fail(textAccessDenied)
			}
		case *c.field(p.name) == "":
			return call{}, fail(textMissing + p.name)
		case p.name == paramAction && c.action != callAction:
			return call{}, fail(textUnknownAction)
		}
	}
	return c, nil
}

// failStranger refuses a parameter that is not known. The name is the caller's:
// it is repeated if it is short text.
func failStranger(name string) *refusal {
	if !isAppName(name) {
		name = ""
	}
	return fail(strings.TrimSpace(textBadParameter + name))
}

// check judges the values of a call that was let in, but for the URL, and puts
// app_uuid in lower case.
func (c *call) check() *refusal {
	if !isAppName(c.appName) {
		return fail(textBadParameter + paramAppName)
	}
	if !isUUID(c.appUUID) {
		return fail(textBadParameter + paramAppUUID)
	}
	c.appUUID = strings.ToLower(c.appUUID)
	return nil
}

func isAppName(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxAppName && strings.IndexFunc(s, unicode.IsControl) < 0
}

// isUUID reports whether s is 8-4-4-4-12 hex digits.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20 // lower case, and '-' stays
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if (c < 'a' || c > 'f') && (s[i] < '0' || s[i] > '9') {
				return false
			}
		}
	}
	return true
}

// isGroupName reports whether a group may have this name.
func isGroupName(s string) bool {
	return len(s) <= maxGroupName && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

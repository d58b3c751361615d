package main_test

import (
	"net/http"
	"strings"
	"testing"
)

// The replies of the SmartBots API and the order of its checks, over HTTP.
func TestSmartBotsReplies(t *testing.T) {
	t.Parallel()
	p := serve(t, memory, func(s settings) { s.section("outbound")["allow_ports"] = []any{9443} })
	rc := receive(t, nil)
	long := rc.url + "/" + strings.Repeat("a", 2000-len(rc.url)-1)
	form := func(pairs ...string) string { return botsForm(rc.url+"/cb", pairs...).Encode() }
	tests := []struct{ name, form, want string }{
		{"nothing", "", failed("MISSING PARAMETER action")},
		{"empty action", form("action", "") + "&action=", failed("MISSING PARAMETER action")},
		{"unknown action", "action=nothing", failed("UNKNOWN ACTION")},
		{"action in another case", form("action", "Set_HTTP_callback"), failed("UNKNOWN ACTION")},
		{"no apikey", form("apikey", "", "group", "", "secret", ""), failed("MISSING PARAMETER apikey")},
		{"no code", form("secret", "", "group", ""), failed("ACCESS DENIED")},
		{"empty code", form("secret", "") + "&secret=&secret_sha1=", failed("ACCESS DENIED")},
		{"no group", form("group", "", "app_name", ""), failed("MISSING PARAMETER group")},
		{"no app_name", form("app_name", "", "app_uuid", ""), failed("MISSING PARAMETER app_name")},
		{"no app_uuid", form("app_uuid", "", "url", ""), failed("MISSING PARAMETER app_uuid")},
		{"no url", form("url", "", "secret", "wrong"), failed("MISSING PARAMETER url")},
		{"wrong apikey", form("apikey", "x", "app_uuid", "x"), failed("ACCESS DENIED")},
		{"unknown group", form("group", "tea club", "app_uuid", "x"), failed("ACCESS DENIED")},
		{"the group's id is not its name", form("group", "tea-club"), failed("ACCESS DENIED")},
		{"wrong code", form("secret", "x", "app_uuid", "x"), failed("ACCESS DENIED")},
		{"the code of another group", form("secret", chessCode), failed("ACCESS DENIED")},
		{"the SHA-1 as the code", form("secret", sha1Hex(teaCode)), failed("ACCESS DENIED")},
		{"wrong sha1", form("secret", "", "secret_sha1", sha1Hex("x")), failed("ACCESS DENIED")},
		{"sha1 not hex", form("secret", "", "secret_sha1", "xyz"), failed("ACCESS DENIED")},
		{"right code, wrong sha1", form("secret_sha1", sha1Hex("x")), failed("ACCESS DENIED")},
		{"wrong code, right sha1", form("secret", "x", "secret_sha1", sha1Hex(teaCode)), failed("ACCESS DENIED")},
		{"secret twice", form() + "&secret=" + "x", failed("ACCESS DENIED")},
		{"secret_sha1 twice", form("secret_sha1", "x") + "&secret_sha1=y", failed("ACCESS DENIED")},
		{"apikey twice", form() + "&apikey=x", failed("ACCESS DENIED")},
		{"action twice", form() + "&action=set_http_callback", failed("BAD PARAMETER action")},
		{"group twice", form() + "&group=x", failed("BAD PARAMETER group")},
		{"app_name twice", form() + "&app_name=x", failed("BAD PARAMETER app_name")},
		{"app_uuid twice", form() + "&app_uuid=x", failed("BAD PARAMETER app_uuid")},
		{"url twice", form() + "&url=x", failed("BAD PARAMETER url")},
		{"twice comes before missing", "url=x&url=y", failed("BAD PARAMETER url")},
		{"app_name of 101", form("app_name", strings.Repeat("ä", 101), "app_uuid", "x"), failed("BAD PARAMETER app_name")},
		{"app_name with control", form("app_name", "a\nb"), failed("BAD PARAMETER app_name")},
		{"app_uuid without dashes", form("app_uuid", strings.ReplaceAll(kettleUUID, "-", ""), "url", "x"), failed("BAD PARAMETER app_uuid")},
		{"app_uuid in braces", form("app_uuid", "{"+kettleUUID+"}"), failed("BAD PARAMETER app_uuid")},
		{"url too long", form("url", long+"a"), failed("BAD URL length")},
		{"url http", form("url", "http://example.com/"), failed("BAD URL scheme")},
		{"url ftp", form("url", "ftp://example.com/"), failed("BAD URL scheme")},
		{"url with user", form("url", "https://u:p@example.com/"), failed("BAD URL userinfo")},
		{"url without host", form("url", "https:///x"), failed("BAD URL host")},
		{"url to a name without dot", form("url", "https://localhost/"), failed("BAD URL host")},
		{"url to a port", form("url", "https://93.184.216.34:22/"), failed("BAD URL port")},
		{"url to a private address", form("url", "https://10.0.0.1/"), failed("BAD URL address")},
		{"url to link-local", form("url", "https://169.254.169.254/latest"), failed("BAD URL address")},
		{"url to loopback v6", form("url", "https://[::1]/"), failed("BAD URL address")},
		{"url with fragment", form("url", rc.url+"/#x"), failed("BAD URL syntax")},
		{"url with space", form("url", rc.url+"/a b"), failed("BAD URL syntax")},
		{"url to a name that does not resolve", form("url", "https://no-such-host.example.com/"), failed("URL NOT AVAILABLE")},
		{"url on an added port that does not resolve", form("url", "https://no-such-host.example.com:9443/"), failed("URL NOT AVAILABLE")},

		{"in order", form(), teaOK},
		{"url of 2000", form("url", long), teaOK},
		{"app_name of 100", form("app_name", strings.Repeat("ä", 100)), teaOK},
		{"sha1 alone", form("secret", "", "secret_sha1", sha1Hex(teaCode)), teaOK},
		{"sha1 in capitals", form("secret", "", "secret_sha1", strings.ToUpper(sha1Hex(teaCode))), teaOK},
		{"code and sha1", form("secret_sha1", sha1Hex(teaCode)), teaOK},
		{"uuid in capitals", form("app_uuid", strings.ToUpper(kettleUUID)), teaOK},
		{"spaces as %20", strings.ReplaceAll(form(), "Tea+Club", "Tea%20Club"), teaOK},
		{"unknown parameter", form("later", "x"), teaOK},
		{"unknown parameter twice", form("later", "x") + "&later=x", failed("BAD PARAMETER later")},
		{"group with its code's SHA-1 in the file", form("group", "Schach & Go", "secret", chessCode), chessOK},
		{"the same by SHA-1", form("group", "Schach & Go", "secret", "", "secret_sha1", sha1Hex(chessCode)), chessOK},
	}
	for _, tt := range tests {
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			t.Run(tt.name+"/"+method, func(t *testing.T) {
				var r reply
				if method == http.MethodPost {
					r = p.call(t, method, "/api/simple.html?action=ignored", formType, tt.form)
				} else {
					r = p.call(t, method, "/api/simple.html?"+tt.form, "", "")
				}
				if r.status != 200 || strings.TrimSpace(r.body) != tt.want {
					t.Errorf("%d %s, want %s", r.status, r.body, tt.want)
				}
				if ct := r.header.Get("Content-Type"); ct != "application/json" {
					t.Errorf("Content-Type %q", ct)
				}
			})
		}
	}
	if n := len(p.subscriptions(t)); n != 2 {
		t.Errorf("%d registrations, want 2: (group, developer, app_uuid) is one", n)
	}
}

func TestSmartBotsStatuses(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	good := botsForm("https://127.0.0.1:1/").Encode()
	tests := []struct {
		name, method, path, contentType, body string
		status                                int
		want                                  string
	}{
		{"PUT", "PUT", "", formType, good, 405, "METHOD NOT ALLOWED"},
		{"DELETE", "DELETE", "?" + good, "", "", 405, "METHOD NOT ALLOWED"},
		{"JSON", "POST", "", jsonType, `{}`, 415, "UNSUPPORTED MEDIA TYPE"},
		{"multipart", "POST", "", "multipart/form-data; boundary=x", "--x--", 415, "UNSUPPORTED MEDIA TYPE"},
		{"no type", "POST", "", "", good, 415, "UNSUPPORTED MEDIA TYPE"},
		{"broken escape", "POST", "", formType, good + "&x=%zz", 400, "BAD REQUEST"},
		{"broken escape in a query", "GET", "?" + good + "&x=%2", "", "", 400, "BAD REQUEST"},
		{"oversized", "POST", "", formType, good + "&x=" + strings.Repeat("x", 1<<20), 413, "REQUEST ENTITY TOO LARGE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := p.call(t, tt.method, "/api/simple.html"+tt.path, tt.contentType, tt.body)
			if r.status != tt.status || strings.TrimSpace(r.body) != failed(tt.want) {
				t.Errorf("%d %s, want %d %s", r.status, r.body, tt.status, tt.want)
			}
			if tt.status == 405 && r.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

package main_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	chatOK  = `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}`
	attrCmd = "Group.CallbackAfterGroupAttrChanged"
	attr    = `{"CallbackCommand":"Group.CallbackAfterGroupAttrChanged","GroupId":"@TGS#1","Type":"Public","Operator_Account":"leckie","OptionType":"set","GroupAttr":[{"key":"k","value":"v"}],"EventTime":1670574414123}`
)

func chatSign(token, requestTime string) string {
	sum := sha256.Sum256([]byte(token + requestTime))
	return hex.EncodeToString(sum[:])
}

// signed is the query of a callback, signed at an offset from now.
func signed(app, command, token string, offset time.Duration) string {
	at := strconv.FormatInt(time.Now().Add(offset).Unix(), 10)
	return "SdkAppid=" + app + "&CallbackCommand=" + command + "&contenttype=json&ClientIP=203.0.113.9&OptPlatform=iOS&Sign=" +
		chatSign(token, at) + "&RequestTime=" + at
}

func TestTencentReceiver(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	now := strconv.FormatInt(time.Now().Unix(), 10)
	good := func() string { return signed(chatApp, attrCmd, chatToken, 0) }
	open := "SdkAppid=" + openApp + "&CallbackCommand=" + attrCmd
	tests := []struct {
		name, method, query, contentType, body string
		status                                 int
	}{
		{"signed", "POST", good(), jsonType, attr, 200},
		{"the second token", "POST", signed(chatApp, attrCmd, chatToken2, 0), jsonType, attr, 200},
		{"no content type", "POST", good(), "", attr, 200},
		{"unknown query key", "POST", good() + "&Later=1", jsonType, attr, 200},
		{"50 s old", "POST", signed(chatApp, attrCmd, chatToken, -50*time.Second), jsonType, attr, 200},
		{"50 s ahead", "POST", signed(chatApp, attrCmd, chatToken, 50*time.Second), jsonType, attr, 200},
		{"an app without tokens", "POST", open, jsonType, attr, 200},
		{"an app without tokens, a Sign", "POST", open + "&Sign=zz&RequestTime=1", jsonType, attr, 200},

		{"70 s old", "POST", signed(chatApp, attrCmd, chatToken, -70*time.Second), jsonType, attr, 401},
		{"70 s ahead", "POST", signed(chatApp, attrCmd, chatToken, 70*time.Second), jsonType, attr, 401},
		{"foreign token", "POST", signed(chatApp, attrCmd, "other", 0), jsonType, attr, 401},
		{"no Sign", "POST", "SdkAppid=" + chatApp + "&CallbackCommand=" + attrCmd + "&RequestTime=" + now, jsonType, attr, 401},
		{"no RequestTime", "POST", strings.Replace(good(), "RequestTime", "Requesttime", 1), jsonType, attr, 401},
		{"Sign twice", "POST", good() + "&Sign=" + chatSign(chatToken, now), jsonType, attr, 401},
		{"RequestTime twice", "POST", good() + "&RequestTime=" + now, jsonType, attr, 401},
		{"RequestTime with 11 digits", "POST", "SdkAppid=" + chatApp + "&CallbackCommand=" + attrCmd + "&Sign=" + chatSign(chatToken, "0"+now) + "&RequestTime=0" + now, jsonType, attr, 401},
		{"foreign app", "POST", signed("1400000009", attrCmd, chatToken, 0), jsonType, attr, 401},
		{"no app", "POST", strings.Replace(good(), "SdkAppid", "SdkAppId", 1), jsonType, attr, 401},
		{"app twice", "POST", good() + "&SdkAppid=" + chatApp, jsonType, attr, 401},
		{"app with a leading zero", "POST", signed("0"+chatApp, attrCmd, chatToken, 0), jsonType, attr, 401},
		{"another app's rights", "POST", strings.Replace(open, openApp, chatApp, 1), jsonType, attr, 401},

		{"GET", "GET", good(), "", "", 405},
		{"broken query", "POST", good() + "&x=%zz", jsonType, attr, 400},
		{"not JSON", "POST", good(), jsonType, `{`, 400},
		{"a comment", "POST", good(), jsonType, strings.Replace(attr, `{`, "{ // comment\n", 1), 400},
		{"a comma missing", "POST", good(), jsonType, strings.Replace(attr, `,"Type"`, `"Type"`, 1), 400},
		{"duplicate key", "POST", good(), jsonType, strings.Replace(attr, `{"Callback`, `{"GroupId":"x","Callback`, 1), 400},
		{"trailing data", "POST", good(), jsonType, attr + `{}`, 400},
		{"too deep", "POST", good(), jsonType, strings.Replace(attr, `{`, `{"x":`+strings.Repeat("[", 70)+strings.Repeat("]", 70)+",", 1), 400},
		{"invalid UTF-8", "POST", good(), jsonType, strings.Replace(attr, "leckie", "\xff", 1), 400},
		{"MsgSeq out of range", "POST", good(), jsonType, strings.Replace(attr, `{`, `{"MsgSeq":4294967296,`, 1), 400},
		{"no command in the body", "POST", good(), jsonType, strings.Replace(attr, "CallbackCommand", "Command", 1), 400},
		{"another command in the body", "POST", good(), jsonType, strings.Replace(attr, "AttrChanged", "Destroyed", 1), 400},
		{"no command in the query", "POST", strings.Replace(good(), "CallbackCommand=", "Command=", 1), jsonType, attr, 400},
		{"command twice", "POST", good() + "&CallbackCommand=" + attrCmd, jsonType, attr, 400},
		{"a form", "POST", good(), formType, attr, 415},
		{"oversized", "POST", good(), jsonType, strings.Replace(attr, "leckie", strings.Repeat("x", 16<<20), 1), 413},
	}
	refused := map[string]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := p.call(t, tt.method, "/tencent/callback?"+tt.query, tt.contentType, tt.body)
			if r.status != tt.status {
				t.Fatalf("%d %s, want %d", r.status, r.body, tt.status)
			}
			if ct := r.header.Get("Content-Type"); ct != jsonType {
				t.Errorf("Content-Type %q", ct)
			}
			got := strings.TrimSpace(r.body)
			if tt.status == 200 {
				if got != chatOK {
					t.Errorf("%s", got)
				}
				return
			}
			var packet struct {
				ActionStatus, ErrorInfo string
				ErrorCode               int
			}
			if err := json.Unmarshal([]byte(got), &packet); err != nil || packet.ActionStatus != "FAIL" || packet.ErrorCode == 0 || packet.ErrorInfo == "" {
				t.Errorf("%v: %s", err, got)
			}
			if tt.status == 401 {
				refused[got] = true
			}
		})
	}
	if len(refused) != 1 {
		t.Errorf("the 401 packets differ: %v", refused)
	}
	if r := p.call(t, "GET", "/tencent/callback?"+good(), "", ""); r.header.Get("Allow") != "POST" {
		t.Errorf("Allow: %q", r.header.Get("Allow"))
	}
}

func TestTencentReceived(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	accept := func(query, body, want string) {
		t.Helper()
		if r := p.call(t, "POST", "/tencent/callback?"+query, jsonType, body); r.status != 200 || strings.TrimSpace(r.body) != want {
			t.Fatalf("%d %s, want %s", r.status, r.body, want)
		}
	}
	accept(signed(chatApp, attrCmd, chatToken, 0), attr, chatOK)
	quoted := strings.Replace(strings.Replace(attr, "1670574414123", `"1670574414124"`, 1), `"@TGS#1"`, `"@TGS#1","Later":{"a":[1,2]}`, 1)
	accept("SdkAppid="+openApp+"&CallbackCommand="+attrCmd, quoted, chatOK)
	add := `{"CallbackCommand":"Sns.CallbackPrevFriendAdd","Requester_Account":"id","From_Account":"id","FriendItem":[{"To_Account":"id1","Remark":"r"},{"To_Account":"id<2>"}],"AddType":"Add_Type_Both","ForceAddFlags":1}`
	accept(signed(chatApp, "Sns.CallbackPrevFriendAdd", chatToken, 0), add,
		`{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"ResultItem":[{"To_Account":"id1","ResultCode":0,"ResultInfo":""},{"To_Account":"id<2>","ResultCode":0,"ResultInfo":""}]}`)
	unknown := `{"CallbackCommand":"Later.CallbackAfterAll","a":1}`
	accept(signed(chatApp, "Later.CallbackAfterAll", chatToken, 0), unknown, chatOK)
	p.call(t, "POST", "/tencent/callback?"+signed(chatApp, attrCmd, "wrong", 0), jsonType, attr).want(t, 401)

	type row struct {
		SDKAppID    string          `json:"sdk_app_id"`
		Command     string          `json:"command"`
		OptPlatform string          `json:"opt_platform"`
		ClientIP    string          `json:"client_ip"`
		EventTimeMS *int64          `json:"event_time_ms"`
		Body        json.RawMessage `json:"body"`
	}
	var rows []row
	p.admin(t, "GET", "/admin/received", "").want(t, 200).into(t, &rows)
	show := func(r row) string {
		ms := int64(0)
		if r.EventTimeMS != nil {
			ms = *r.EventTimeMS
		}
		return fmt.Sprint(r.SDKAppID, r.Command, r.OptPlatform, r.ClientIP, ms, string(r.Body))
	}
	want := []string{
		fmt.Sprint(chatApp, "Later.CallbackAfterAll", "iOS", "203.0.113.9", 0, unknown),
		fmt.Sprint(chatApp, "Sns.CallbackPrevFriendAdd", "iOS", "203.0.113.9", 0, add),
		fmt.Sprint(openApp, attrCmd, "", "", int64(1670574414124), quoted),
		fmt.Sprint(chatApp, attrCmd, "iOS", "203.0.113.9", int64(1670574414123), attr),
	}
	if len(rows) != len(want) {
		t.Fatalf("%d rows, want %d", len(rows), len(want))
	}
	for i := range want {
		if got := show(rows[i]); got != want[i] {
			t.Errorf("row %d\n%s, want\n%s", i, got, want[i])
		}
	}
	p.admin(t, "GET", "/admin/received?limit=1", "").want(t, 200).into(t, &rows)
	if len(rows) != 1 || rows[0].Command != "Later.CallbackAfterAll" {
		t.Errorf("limit=1: %d rows", len(rows))
	}
}

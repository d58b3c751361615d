package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const wrongCode = "WRONGCODE-d55Fg"

// No secret is in the store's files, the output or an answer, whatever the
// gateway was asked, also where it had no time to tidy up. Every other test
// ends with the same look at its gateway.
func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	rc := receive(t, firstly(500, 500, 500, 404))
	p := serve(t, sending(rc.url+"/marker-im", false, attrCmd))
	p.secrets.addCode(wrongCode)
	p.bots(t, botsForm(rc.url+"/marker-bots"), teaOK)
	p.bots(t, botsForm(rc.url+"/c", "group", "Schach & Go", "secret", "", "secret_sha1", sha1Hex(chessCode)), chessOK)
	p.bots(t, botsForm(rc.url, "secret", wrongCode), failed("ACCESS DENIED"))
	p.bots(t, botsForm(rc.url, "apikey", wrongCode), failed("ACCESS DENIED"))
	for _, path := range []string{
		"/api/simple.html?" + botsForm(rc.url, "secret", wrongCode).Encode(),
		"/api/simple.html?" + botsForm(rc.url).Encode() + "&x=%zz",
		"/api/simple.html?" + botsForm("https://10.0.0.1/").Encode(),
		"/tencent/callback?" + signed(chatApp, attrCmd, wrongCode, 0) + "&token=" + chatToken,
		"/admin/stats?token=" + adminToken,
		"/" + botsKey,
	} {
		for _, method := range []string{"GET", "POST", "PUT"} {
			r := p.call(t, method, path, jsonType, `{`, "Authorization", "Bearer "+wrongCode)
			p.secrets.check(t, path, []byte(r.body))
		}
	}
	if got := p.edna(t, acmeKey, `{"statusCallbackUrl":"`+receive(t, nil).url+`"}`); got != ednaOK {
		t.Fatal(got)
	}
	p.edna(t, wrongCode, `{"statusCallbackUrl":"https://u:`+wrongCode+`@10.0.0.1/"}`)
	_, secret := p.subscribe(t, "t1", rc.url+"/std", "a")
	p.publish(t, event("t1", "a", `1`), chat("tea-club", "m"), ednaEvent("acme", "234", "status", `{}`), tencentEvent("", attrData))
	rc.wait(t, 4)
	p.changeCode(t, "tea-club", newCode)
	p.admin(t, "POST", "/admin/smartbots/security-code", `{"group_id":"`+wrongCode+`","security_code":"`+wrongCode+`","x":1}`).want(t, 400)
	for _, path := range []string{"/admin/deliveries", "/admin/subscriptions", "/admin/received", "/admin/stats", "/admin/smartbots/apps?group_id=chess"} {
		p.admin(t, "GET", path, "").want(t, 200)
	}
	for _, d := range p.deliveries(t, "") {
		p.attempts(t, d.ID)
	}
	// The look is at the right files: what is no secret can be found in them.
	var raw []byte
	files, err := filepath.Glob(filepath.Join(p.dir, "callbacks.db*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, b...)
	}
	if len(files) < 3 || !bytes.Contains(raw, []byte("marker-bots")) || !bytes.Contains(raw, []byte("marker-im")) {
		t.Errorf("files %q do not hold the URLs", files)
	}
	p.secrets.checkFiles(t, p.dir)
	p.kill(t)
	p.secrets.checkFiles(t, p.dir)

	again := start(t, p.dir)
	again.secrets.addCode(wrongCode, newCode)
	again.secrets.add(secret, strings.TrimPrefix(secret, "whsec_"))
	again.publish(t, event("t1", "a", `2`))
	eventually(t, "a request signed with the sealed secret", func() bool {
		for _, q := range rc.all() {
			if q.uri == "/std" && strings.Contains(q.body, `"data":2}`) {
				verified(t, secret, q)
				return true
			}
		}
		return false
	})
}

// A secret_key of the file is used instead of one made beside the store, and
// another one opens nothing.
func TestSecretKey(t *testing.T) {
	t.Parallel()
	withKey := func(s settings) { s["secret_key"] = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" }
	p := serve(t, withKey)
	p.secrets.add("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "0123456789abcdef0123456789abcdef")
	if _, err := os.Stat(filepath.Join(p.dir, "callbacks.db.key")); err == nil {
		t.Error("a key file was made in spite of secret_key")
	}
	rc := receive(t, nil)
	_, secret := p.subscribe(t, "t1", rc.url, "a")
	p.stop(t)
	p = start(t, p.dir)
	p.publish(t, event("t1", "a", `1`))
	verified(t, secret, rc.wait(t, 1)[0])
}

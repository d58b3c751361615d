package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	main "github.com/ringback-go/ringback/examples/gateway"
)

// checkConfig runs -check-config in this process.
func checkConfig(t *testing.T, content string) error {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "gateway.json")
	for name, b := range map[string][]byte{file: []byte(content), filepath.Join(dir, "ca.pem"): authority, filepath.Join(dir, "not.pem"): []byte("x")} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr bytes.Buffer
	err := main.Run(t.Context(), []string{"gateway", "-check-config", "-config", file}, &stdout, &stderr)
	if stdout.Len() > 0 || stderr.Len() > 0 {
		t.Errorf("output: %q %q", &stdout, &stderr)
	}
	return err
}

const least = `"listen":"127.0.0.1:0","store":"memory:"`

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	with := func(rest string) string { return `{` + least + `,` + rest + `}` }
	const (
		group  = `{"name":"A","uuid":"6f1c5c3a-5d62-4b7e-9b8e-0c2f6f1f7a11","id":"a","security_code":"c"}`
		tenant = `{"id":"acme","api_key":"A","channels":[1]}`
	)
	tests := []struct{ name, file, key, takes string }{
		{"empty file", ``, "the file", "JSON object"},
		{"broken JSON", `{"listen":`, "the file", "JSON object"},
		{"missing brace", `{` + least, "the file", "JSON object"},
		{"not an object", `[]`, "the file", "object"},
		{"null", `null`, "the file", "object"},
		{"trailing data", `{` + least + `} {}`, "the file", "JSON object"},
		{"unknown key", with(`"Listen":"x"`), "Listen", "not a key"},
		{"unknown key inside", with(`"outbound":{"retries":3}`), "outbound.retries", "not a key"},
		{"unknown key of an item", with(`"smartbots":{"groups":[{"code":"x"}]}`), "smartbots.groups[0].code", "not a key"},
		{"key twice", `{"listen":"127.0.0.1:0",` + least + `}`, "listen", "twice"},
		{"key twice inside", with(`"edna":{"tenants":[` + tenant + `,{"id":"b","id":"c"}]}`), "edna.tenants[1].id", "twice"},

		{"no listen", `{"store":"memory:"}`, "listen", "an address and port"},
		{"listen without port", `{"listen":"127.0.0.1","store":"memory:"}`, "listen", "an address and port"},
		{"listen not a string", `{"listen":8080,"store":"memory:"}`, "listen", "a string"},
		{"listen on a port too high", `{"listen":"127.0.0.1:99999","store":"memory:"}`, "listen", "an address and port"},
		{"listen on a negative port", `{"listen":":-1","store":"memory:"}`, "listen", "an address and port"},
		{"listen on a name", `{"listen":":abc","store":"memory:"}`, "listen", "an address and port"},
		{"listen without port after the colon", `{"listen":"127.0.0.1:","store":"memory:"}`, "listen", "an address and port"},
		{"no store", `{"listen":"127.0.0.1:0"}`, "store", "memory:"},
		{"unknown store", `{"listen":"127.0.0.1:0","store":"redis://x"}`, "store", "sqlite:PATH"},
		{"store without path", `{"listen":"127.0.0.1:0","store":"sqlite:"}`, "store", "sqlite:PATH"},
		{"store without colon", `{"listen":"127.0.0.1:0","store":"memory"}`, "store", "memory:"},
		{"store in no folder", `{"listen":"127.0.0.1:0","store":"sqlite:none/x.db"}`, "store", "a folder that is there"},
		{"store below a file", `{"listen":"127.0.0.1:0","store":"sqlite:ca.pem/x.db"}`, "store", "a folder that is there"},
		{"admin token with a space before", with(`"admin_token":" x"`), "admin_token", "a space"},
		{"admin token with a space behind", with(`"admin_token":"x "`), "admin_token", "a space"},
		{"empty admin token", with(`"admin_token":""`), "admin_token", "not empty"},
		{"admin token null", with(`"admin_token":null`), "admin_token", "string"},
		{"short secret key", with(`"secret_key":"AAAA"`), "secret_key", "32 bytes in base64"},
		{"secret key not base64", with(`"secret_key":"*"`), "secret_key", "32 bytes in base64"},

		{"outbound not an object", with(`"outbound":[]`), "outbound", "object"},
		{"networks not a list", with(`"outbound":{"allow_networks":"127.0.0.0/8"}`), "outbound.allow_networks", "list"},
		{"bad network", with(`"outbound":{"allow_networks":["127.0.0.0/8","10.0.0.0"]}`), "outbound.allow_networks[1]", "network"},
		{"network with host bits", with(`"outbound":{"allow_networks":["127.0.0.1/8"]}`), "outbound.allow_networks[0]", "network"},
		{"port 0", with(`"outbound":{"allow_ports":[0]}`), "outbound.allow_ports[0]", "65535"},
		{"port too high", with(`"outbound":{"allow_ports":[443,65536]}`), "outbound.allow_ports[1]", "65535"},
		{"allow_http not a boolean", with(`"outbound":{"allow_http":"yes"}`), "outbound.allow_http", "true or false"},
		{"no such CA", with(`"outbound":{"root_ca":"none.pem"}`), "outbound.root_ca", "PEM file"},
		{"CA without certificates", with(`"outbound":{"root_ca":"not.pem"}`), "outbound.root_ca", "PEM file"},
		{"timeout a number", with(`"outbound":{"timeout":15}`), "outbound.timeout", "string"},
		{"timeout without unit", with(`"outbound":{"timeout":"15"}`), "outbound.timeout", "duration"},
		{"timeout 0", with(`"outbound":{"timeout":"0s"}`), "outbound.timeout", "duration"},
		{"in flight 0", with(`"outbound":{"max_in_flight":0}`), "outbound.max_in_flight", "whole number"},
		{"in flight a fraction", with(`"outbound":{"max_in_flight":1.5}`), "outbound.max_in_flight", "whole number"},
		{"per endpoint negative", with(`"outbound":{"max_in_flight_per_endpoint":-1}`), "outbound.max_in_flight_per_endpoint", "whole number"},

		{"developer without key", with(`"smartbots":{"developers":[{"id":"d"}]}`), "smartbots.developers[0].apikey", "key"},
		{"developer without id", with(`"smartbots":{"developers":[{"apikey":"d"}]}`), "smartbots.developers[0].id", "id"},
		{"two developers, one key", with(`"smartbots":{"developers":[{"id":"d","apikey":"a"},{"id":"e","apikey":"a"}]}`), "smartbots.developers", ""},
		{"group without code", with(`"smartbots":{"groups":[{"name":"A","uuid":"u","id":"a"}]}`), "smartbots.groups[0].security_code", "exactly one"},
		{"group with both codes", with(`"smartbots":{"groups":[` + strings.Replace(group, `"c"`, `"c","security_code_sha1":"x"`, 1) + `]}`), "smartbots.groups[0].security_code", "exactly one"},
		{"empty code", with(`"smartbots":{"groups":[` + strings.Replace(group, `"c"`, `""`, 1) + `]}`), "smartbots.groups[0].security_code", "not empty"},
		{"short digest", with(`"smartbots":{"groups":[{"name":"A","uuid":"u","id":"a","security_code_sha1":"abcd"}]}`), "smartbots.groups[0].security_code_sha1", "40 hex digits"},
		{"group twice by id", with(`"smartbots":{"groups":[` + group + `,` + strings.Replace(group, `"A"`, `"B"`, 1) + `]}`), "smartbots.groups[1].id", "another group"},
		{"group twice by name", with(`"smartbots":{"groups":[` + group + `,` + strings.Replace(group, `"a"`, `"b"`, 1) + `]}`), "smartbots.groups[1].name", "another group"},
		{"group twice by uuid", with(`"smartbots":{"groups":[` + group + `,{"name":"B","uuid":"6F1C5C3A-5D62-4B7E-9B8E-0C2F6F1F7A11","id":"b","security_code":"c"}]}`), "smartbots.groups[1].uuid", "another group"},

		{"tenant without key", with(`"edna":{"tenants":[{"id":"a"}]}`), "edna.tenants[0].api_key", "key"},
		{"tenant twice", with(`"edna":{"tenants":[` + tenant + `,` + tenant + `]}`), "edna.tenants", ""},
		{"channel as text", with(`"edna":{"tenants":[{"id":"a","api_key":"k","channels":["1"]}]}`), "edna.tenants[0].channels[0]", "whole number"},

		{"window", with(`"tencentchat":{"window":"soon"}`), "tencentchat.window", "duration"},
		{"app id", with(`"tencentchat":{"apps":[{"sdk_app_id":"abc"}]}`), "tencentchat.apps[0]", ""},
		{"app twice", with(`"tencentchat":{"apps":[{"sdk_app_id":"1"},{"sdk_app_id":"1"}]}`), "tencentchat.apps", "twice"},
		{"empty token", with(`"tencentchat":{"apps":[{"sdk_app_id":"1","tokens":[""]}]}`), "tencentchat.apps[0].tokens[0]", "not empty"},
		{"no token in the list", with(`"tencentchat":{"apps":[{"sdk_app_id":"1","tokens":[]}]}`), "tencentchat.apps[0].tokens", "at least one"},
		{"commands without url", with(`"tencentchat":{"apps":[{"sdk_app_id":"1","commands":["C2C.CallbackAfterSendMsg"]}]}`), "tencentchat.apps[0].url", "URL"},
		{"app's url refused", with(`"tencentchat":{"apps":[{"sdk_app_id":"1","url":"https://127.0.0.1/","commands":["C2C.CallbackAfterSendMsg"]}]}`), "tencentchat.apps[0].url", "URL"},
		{"before-command", with(`"tencentchat":{"apps":[{"sdk_app_id":"1","url":"https://example.com/","commands":["C2C.CallbackBeforeSendMsg"]}]}`), "tencentchat.apps[0].commands", ""},
		{"retry", with(`"tencentchat":{"apps":[{"sdk_app_id":"1","retry":1}]}`), "tencentchat.apps[0].retry", "true or false"},

		{"rate 0", with(`"rate_limit":{"per_second":0}`), "rate_limit.per_second", "above 0"},
		{"rate missing", with(`"rate_limit":{"burst":5}`), "rate_limit.per_second", "above 0"},
		{"rate infinite", with(`"rate_limit":{"per_second":1e999}`), "rate_limit.per_second", "above 0"},
		{"rate too high", with(`"rate_limit":{"per_second":1e300}`), "rate_limit.per_second", "at most 1073741824"},
		{"rate too low", with(`"rate_limit":{"per_second":1e-300}`), "rate_limit.per_second", "a rate that can be counted"},
		{"rate of centuries", with(`"rate_limit":{"per_second":1e-10}`), "rate_limit.per_second", "a rate that can be counted"},
		{"burst of centuries", with(`"rate_limit":{"per_second":0.1,"burst":1000000000}`), "rate_limit.per_second", "a rate that can be counted"},
		{"burst 0", with(`"rate_limit":{"per_second":1,"burst":0}`), "rate_limit.burst", "whole number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := checkConfig(t, tt.file)
			if err == nil {
				t.Fatal("accepted")
			}
			if main.ExitStatus(err) != 2 {
				t.Errorf("exit status %d", main.ExitStatus(err))
			}
			said := err.Error()
			if !strings.Contains(said, ": "+tt.key+": ") || !strings.Contains(said, tt.takes) {
				t.Errorf("want the key %s and %q: %s", tt.key, tt.takes, said)
			}
			if strings.Contains(said, "\n") {
				t.Errorf("more than a line: %s", said)
			}
		})
	}
}

func TestConfigAccepted(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, file string }{
		{"least", `{` + least + `}`},
		{"sections without content", `{` + least + `,"outbound":{},"smartbots":{},"edna":{},"tencentchat":{}}`},
		{"numbers", `{` + least + `,"outbound":{"allow_ports":[9443,1,65535],"max_in_flight":1,"timeout":"1500ms"},"rate_limit":{"per_second":0.5}}`},
		{"numbers at their bounds", `{"listen":":65535","store":"memory:","rate_limit":{"per_second":1073741824,"burst":1073741824}}`},
		{"a rare rate", `{` + least + `,"rate_limit":{"per_second":1e-6}}`},
		{"a developer with two keys", `{` + least + `,"smartbots":{"developers":[{"id":"d","apikey":"a"},{"id":"d","apikey":"b"}]}}`},
		{"secret key", `{` + least + `,"secret_key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`},
		{"a digest in either case", `{` + least + `,"smartbots":{"groups":[{"name":"A","uuid":"6f1c5c3a-5d62-4b7e-9b8e-0c2f6f1f7a11","id":"a","security_code_sha1":"0123456789abcdefABCDEF0123456789abcdef01"}]}}`},
		{"an app's URL in an opened network", `{` + least + `,"outbound":{"allow_networks":["127.0.0.0/8"]},"tencentchat":{"window":"60s","apps":[{"sdk_app_id":"1400000001","tokens":["x","y"],"url":"https://127.0.0.1:9443/im","commands":["Group.CallbackAfterGroupAttrChanged"],"retry":false}]}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := checkConfig(t, tt.file); err != nil {
				t.Error(err)
			}
		})
	}
}

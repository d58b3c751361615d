package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/ednapulse"
	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

const (
	demoDeveloper = "dev1"
	demoAPIKey    = "DEMO-APIKEY"
	demoCode      = "DEMO-CODE"
	demoGroup     = "Tea Club"
	demoEdnaKey   = "A-1"
	demoAppID     = "1400000001"
	demoAppUUID   = "3c525949-fdb7-4ab6-b5c2-bf3b4c5145be"
)

// demo runs the gateway with sample tenants against a receiver of its own.
func demo(ctx context.Context, length time.Duration, stdout, stderr io.Writer) (err error) {
	if length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, length)
		defer cancel()
	}
	dir, err := os.MkdirTemp("", "ringback-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	out := &lines{w: stdout}
	rc, err := startReceiver(ctx)
	if err != nil {
		return err
	}
	defer rc.close()
	g, err := open(ctx, demoConfig(dir, rc), options{
		logs: io.Discard, console: stderr,
		wrap: func(c delivery.Client) delivery.Client { return &narrator{c, out} },
	})
	if err != nil {
		return err
	}
	d := &demonstration{out: out, url: rc.url, token: g.cfg.adminToken.Reveal()}
	played := make(chan error, 1)
	var wg sync.WaitGroup
	serveCtx, stop := context.WithCancel(ctx)
	defer stop()
	err = g.serve(serveCtx, func(addr string) {
		d.base = "http://" + addr
		out.printf("gateway   %s", d.base)
		out.printf("receiver  %s", rc.url)
		out.printf("console   %s/console/ comes with a later version; until then: curl -H 'Authorization: Bearer %s' %s/admin/deliveries", d.base, d.token, d.base)
		wg.Go(func() {
			err := d.play(ctx)
			if err != nil {
				stop()
			}
			played <- err
		})
	})
	wg.Wait()
	select {
	case playErr := <-played:
		err = errors.Join(err, playErr)
	default:
	}
	if err == nil && length > 0 {
		err = d.verdict(g)
	}
	if err == nil {
		out.printf("done")
	}
	_ = stderr // logs would drown the story; problems come back as errors
	return errors.Join(err, g.close())
}

func demoConfig(dir string, rc *receiver) *config {
	secret := registry.NewSecret
	return &config{
		listen:       "127.0.0.1:0",
		store:        "sqlite:" + filepath.Join(dir, "callbacks.db"),
		adminToken:   secret("demo"),
		timeout:      15 * time.Second,
		slots:        64,
		slotsPerLane: 8,
		policy:       egress.Policy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		roots:        rc.roots,
		developers:   []smartbots.Developer{{ID: demoDeveloper, APIKey: secret(demoAPIKey)}},
		groups: []groupConfig{{
			name: demoGroup, uuid: "6f1c5c3a-5d62-4b7e-9b8e-0c2f6f1f7a11", id: "tea-club", code: secret(demoCode),
		}},
		tenants: []ednapulse.Tenant{{ID: "acme", APIKey: secret(demoEdnaKey), WebhookKey: secret("K-0123456789abcdef"), Channels: []int64{234, 235}}},
		apps: []tencentchat.App{{
			SDKAppID: demoAppID, Tokens: []registry.Secret{secret("xxxxyyyy")}, URL: rc.url + "/im",
			Commands: []string{tencentchat.CommandGroupAttrChanged},
		}},
	}
}

// demonstration plays the customers and the application.
type demonstration struct {
	out              *lines
	base, url, token string
	events           []string
}

func (d *demonstration) play(ctx context.Context) error {
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"SmartBots: a developer sets a callback for the group " + demoGroup, d.registerSmartBots},
		{"edna Pulse: a tenant sets its callback for channel 234", d.registerEdna},
		{"three events are published", d.publish},
	}
	for _, s := range steps {
		d.out.printf("")
		d.out.printf("— %s", s.name)
		if err := s.do(ctx); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // interrupted; the verdict says what that means
			}
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (d *demonstration) registerSmartBots(ctx context.Context) error {
	form := url.Values{
		"action": {"set_http_callback"}, "apikey": {demoAPIKey}, "secret": {demoCode}, "group": {demoGroup},
		"app_name": {"Demo App"}, "app_uuid": {demoAppUUID}, "url": {d.url + "/smartbots"},
	}
	return d.post(ctx, "/api/simple.html", "application/x-www-form-urlencoded", form.Encode(), nil, `"result":"OK"`)
}

func (d *demonstration) registerEdna(ctx context.Context) error {
	body := `{"statusCallbackUrl":"` + d.url + `/edna","subjectId":234}`
	return d.post(ctx, "/api/callback/set", "application/json", body, http.Header{"X-Api-Key": {demoEdnaKey}}, `"code":"ok"`)
}

func (d *demonstration) publish(ctx context.Context) error {
	body := `[
	{"dialect":"smartbots","scope":"tea-club","type":"group_chat","data":{"speaker_name":"Ada","speaker_uuid":"66666666-7777-8888-9999-000000000000","message":"Tea is ready"}},
	{"dialect":"edna","tenant":"acme","scope":"234","type":"status","data":{"requestId":"r-1","subjectId":234,"status":"DELIVERED"}},
	{"dialect":"tencentchat","tenant":"` + demoAppID + `","type":"Group.CallbackAfterGroupAttrChanged","data":{"GroupId":"@TGS#1","Type":"Public","Operator_Account":"leckie","OptionType":"set","GroupAttr":[{"key":"k","value":"v"}]}}]`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base+"/admin/events", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+d.token)
	answer, err := send(req, http.StatusAccepted)
	if err != nil {
		return err
	}
	var out struct {
		Events []eventOut `json:"events"`
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		return err
	}
	for _, e := range out.Events {
		d.events = append(d.events, e.EventID)
	}
	d.out.printf("gateway   202 %s", bytes.TrimSpace(answer))
	return nil
}

func (d *demonstration) post(ctx context.Context, path, contentType, body string, header http.Header, want string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", contentType)
	answer, err := send(req, http.StatusOK)
	if err != nil {
		return err
	}
	d.out.printf("gateway   200 %s", bytes.TrimSpace(answer))
	if !bytes.Contains(answer, []byte(want)) {
		return fmt.Errorf("the answer is %s", answer)
	}
	return nil
}

func send(req *http.Request, want int) ([]byte, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, b)
	}
	return b, err
}

// verdict says whether every sample event was delivered.
func (d *demonstration) verdict(g *gateway) error {
	delivered := map[string]bool{}
	for st, err := range g.store.Deliveries(context.Background(), delivery.Filter{State: delivery.Delivered}) {
		if err != nil {
			return err
		}
		delivered[st.EventID] = true
	}
	if len(d.events) == 0 {
		return errors.New("the demo ended before its events were published")
	}
	for _, id := range d.events {
		if !delivered[id] {
			return fmt.Errorf("event %s was not delivered", id)
		}
	}
	d.out.printf("")
	d.out.printf("all %d sample events were delivered", len(d.events))
	return nil
}

// lines prints whole lines from several goroutines.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, format+"\n", args...)
}

// narrator prints a line for each attempt.
type narrator struct {
	delivery.Client

	out *lines
}

func (n *narrator) Do(req *http.Request) (*http.Response, error) {
	begin := time.Now()
	resp, err := n.Client.Do(req)
	result, next := "accepted", ""
	switch {
	case err != nil:
		result, next = "failed", ": "+err.Error()
	case resp.StatusCode != http.StatusOK:
		result, next = fmt.Sprintf("refused with %d", resp.StatusCode), ", to be tried again"
	}
	id := strings.Join(req.Header[delivery.HeaderID], "")
	n.out.printf("attempt   POST %-10s %s  %s after %s%s", req.URL.Path, id, result, time.Since(begin).Round(100*time.Microsecond), next)
	return resp, err
}

package main

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/dialect/ednapulse"
	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/registry/egress/probelimit"
)

// config is the configuration, checked as far as it can be without acting.
type config struct {
	listen     string
	store      string // "memory:", "sqlite:" and an absolute path, or a URL
	adminToken registry.Secret
	secretKey  []byte // 32 bytes, or nil

	policy       egress.Policy
	roots        *x509.CertPool // nil: the system's
	timeout      time.Duration
	slots        int
	slotsPerLane int
	probes       probelimit.Config
	urls         int // of a tenant; 0 is any number

	developers []smartbots.Developer
	groups     []groupConfig
	tenants    []ednapulse.Tenant
	apps       []tencentchat.App

	limit *limit
}

type groupConfig struct {
	name, uuid, id string
	code           registry.Secret // the code, or
	codeSHA1       registry.Secret // its SHA-1 in hex
}

// maxRate bounds the numbers of "rate_limit".
const maxRate = 1 << 30

type limit struct {
	perSecond float64
	burst     int
}

func readConfig(path string) (*config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	root, err := parse(b)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	c := &config{}
	root.keys("listen", "store", "admin_token", "secret_key", "outbound", "smartbots", "edna", "tencentchat", "rate_limit")
	const address = `an address and port, such as "127.0.0.1:8080"`
	c.listen = root.get("listen").need(address)
	_, port, err := net.SplitHostPort(c.listen)
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
		root.get("listen").fail("takes %s", address)
	}
	if token := root.get("admin_token"); token.set {
		text := token.need("a string that is not empty; leave it out to switch /admin off")
		if text != strings.TrimSpace(text) { // a header cannot carry it
			token.fail("takes a string that neither begins nor ends with a space")
		}
		c.adminToken = registry.NewSecret(text)
	}
	if key := root.get("secret_key"); key.set {
		c.secretKey, err = base64.StdEncoding.DecodeString(key.str())
		if err != nil || len(c.secretKey) != 32 {
			key.fail("takes 32 bytes in base64")
		}
	}
	c.readStore(root.get("store"), dir)
	c.readOutbound(root.get("outbound"), dir)
	c.readSmartBots(root.get("smartbots"))
	c.readEdna(root.get("edna"))
	c.readTencent(root.get("tencentchat"))
	c.readLimit(root.get("rate_limit"))
	return c, root.doc.err
}

func (c *config) readStore(v value, dir string) {
	const forms = `"memory:", "sqlite:PATH" or "postgres://…"`
	s := v.need(forms)
	switch scheme, rest, _ := strings.Cut(s, ":"); {
	case s == "memory:":
		c.store = s
	case scheme == "sqlite" && rest != "":
		if !filepath.IsAbs(rest) {
			rest = filepath.Join(dir, rest)
		}
		c.store = "sqlite:" + rest
		if folder, err := os.Stat(filepath.Dir(rest)); err != nil || !folder.IsDir() { //nolint:gosec // the operator names it
			v.fail("takes a path in a folder that is there, %s is none", filepath.Dir(rest))
		}
	case isPostgres(s):
		c.store = s
		if _, err := pgxpool.ParseConfig(s); err != nil { // which may quote what it could not read
			v.fail("is no connection string for PostgreSQL")
		}
		if c.secretKey == nil {
			v.fail(`of this kind needs "secret_key", which all gateways on it share`)
		}
	default:
		v.fail("takes " + forms + " in this version")
	}
}

func (c *config) readOutbound(v value, dir string) {
	v.keys("allow_networks", "allow_ports", "allow_http", "root_ca", "timeout", "max_in_flight", "max_in_flight_per_endpoint",
		"probe_limit", "urls_per_tenant")
	for _, item := range v.get("allow_networks").list() {
		p, err := netip.ParsePrefix(item.str())
		if err != nil || p != p.Masked() {
			item.fail(`takes a network, such as "10.1.0.0/16"`)
		}
		c.policy.AllowNetworks = append(c.policy.AllowNetworks, p)
	}
	for _, item := range v.get("allow_ports").list() {
		c.policy.AllowPorts = append(c.policy.AllowPorts, uint16(item.integer(0, 1, 65535)))
	}
	c.policy.AllowHTTP = v.get("allow_http").boolean()
	if v.doc.err == nil {
		if err := c.policy.Validate(); err != nil {
			v.fail("%v", err)
		}
	}
	if ca := v.get("root_ca"); ca.set {
		c.roots = readRoots(ca, dir)
	}
	c.timeout = v.get("timeout").duration(15 * time.Second)
	c.slots = int(v.get("max_in_flight").integer(64, 1, 100_000))
	c.slotsPerLane = int(v.get("max_in_flight_per_endpoint").integer(8, 1, 100_000))
	c.probes = readProbeLimit(v.get("probe_limit"))
	c.urls = int(v.get("urls_per_tenant").integer(0, 1, 1_000_000))
}

func readRoots(v value, dir string) *x509.CertPool {
	path := v.need("the path of a PEM file")
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pem, err := os.ReadFile(path) //nolint:gosec // the operator names it
	switch {
	case err != nil:
		v.fail("takes the path of a PEM file (%v)", err)
	case !pool.AppendCertsFromPEM(pem):
		v.fail("takes a PEM file with certificates, %s holds none", path)
	}
	return pool
}

func (c *config) readSmartBots(v value) {
	v.keys("developers", "groups")
	for _, d := range v.get("developers").list() {
		d.keys("id", "apikey")
		c.developers = append(c.developers, smartbots.Developer{
			ID:     d.get("id").need("the developer's id"),
			APIKey: registry.NewSecret(d.get("apikey").need("the developer's key")),
		})
	}
	if v.doc.err == nil {
		if _, err := smartbots.NewDeveloperKeys(c.developers...); err != nil {
			v.get("developers").fail("%v", err)
		}
	}
	ids, names, uuids := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, g := range v.get("groups").list() {
		g.keys("name", "uuid", "id", "security_code", "security_code_sha1")
		group := groupConfig{
			name: g.get("name").need("the group's name"),
			uuid: g.get("uuid").need("the group's UUID"),
			id:   g.get("id").need("the group's id"),
		}
		if ids[group.id] {
			g.get("id").fail("is the id of another group, too")
		}
		if names[group.name] {
			g.get("name").fail("is the name of another group, too")
		}
		if uuids[strings.ToLower(group.uuid)] {
			g.get("uuid").fail("is the UUID of another group, too")
		}
		ids[group.id], names[group.name], uuids[strings.ToLower(group.uuid)] = true, true, true
		plain, sum := g.get("security_code"), g.get("security_code_sha1")
		switch {
		case plain.set == sum.set:
			plain.fail("takes the code, or security_code_sha1 its SHA-1: exactly one of the two")
		case plain.set:
			group.code = registry.NewSecret(plain.need("a code that is not empty"))
		default:
			if digest, err := hex.DecodeString(sum.str()); err != nil || len(digest) != 20 {
				sum.fail("takes 40 hex digits")
			}
			group.codeSHA1 = registry.NewSecret(strings.ToLower(sum.str()))
		}
		c.groups = append(c.groups, group)
	}
}

func (c *config) readEdna(v value) {
	v.keys("tenants")
	for _, t := range v.get("tenants").list() {
		t.keys("id", "api_key", "webhook_key", "channels")
		tenant := ednapulse.Tenant{
			ID:         t.get("id").need("the tenant's id"),
			APIKey:     registry.NewSecret(t.get("api_key").need("the tenant's API key")),
			WebhookKey: registry.NewSecret(t.get("webhook_key").str()),
		}
		for _, ch := range t.get("channels").list() {
			tenant.Channels = append(tenant.Channels, ch.integer(0, 0, 1<<62))
		}
		c.tenants = append(c.tenants, tenant)
	}
	if v.doc.err == nil {
		if _, err := ednapulse.NewTenants(c.tenants...); err != nil {
			v.get("tenants").fail("%v", err)
		}
	}
}

func (c *config) readTencent(v value) {
	v.keys("window", "apps")
	window := v.get("window").duration(time.Minute)
	for _, a := range v.get("apps").list() {
		a.keys("sdk_app_id", "tokens", "url", "commands", "retry")
		app := tencentchat.App{
			SDKAppID: a.get("sdk_app_id").need("the SdkAppid"),
			Window:   window,
			URL:      a.get("url").str(),
			Commands: a.get("commands").strs(),
			Retry:    a.get("retry").boolean(),
		}
		tokens := a.get("tokens")
		for _, t := range tokens.strs() {
			app.Tokens = append(app.Tokens, registry.NewSecret(t))
		}
		if tokens.set && len(app.Tokens) == 0 {
			tokens.fail("takes at least one token; leave it out to send and check no signatures")
		}
		c.apps = append(c.apps, app)
		if a.doc.err != nil {
			return
		}
		if _, err := tencentchat.NewApps(app); err != nil {
			a.fail("%v", err)
			return
		}
		if app.URL == "" {
			if len(app.Commands) > 0 {
				a.get("url").fail("takes the URL that the commands go to")
			}
			continue
		}
		if _, err := c.policy.Check(app.URL); err != nil {
			a.get("url").fail("takes a URL that may be called (%v)", err)
			return
		}
		if _, err := tencentchat.NewSubscription(app); len(app.Commands) > 0 && err != nil {
			a.get("commands").fail("%v", err)
		}
	}
	if v.doc.err == nil && len(c.apps) > 0 {
		if _, err := tencentchat.NewApps(c.apps...); err != nil {
			v.get("apps").fail("%v", err)
		}
	}
}

func (c *config) readLimit(v value) {
	if !v.set {
		return
	}
	v.keys("per_second", "burst")
	rate := v.get("per_second")
	c.limit = &limit{perSecond: rate.number(maxRate), burst: int(v.get("burst").integer(0, 1, maxRate))}
	if c.limit.burst == 0 {
		c.limit.burst = int(max(1, c.limit.perSecond))
	}
	if _, err := c.limit.limiter(); err != nil {
		rate.fail("takes a rate that can be counted (%v)", err)
	}
}

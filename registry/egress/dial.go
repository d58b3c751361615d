package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// maxDials bounds the connections that one attempt opens.
const maxDials = 3

var errRedialed = errors.New("egress: the endpoint ended each connection before it answered")

// maxTries bounds the addresses of one name that are dialed for one connection.
const maxTries = 4

// dialer resolves, judges and connects.
type dialer struct {
	policy   *Policy
	resolver Resolver
	connect  func(ctx context.Context, network, address string) (net.Conn, error)
	proxied  func(ctx context.Context, network, address string) (net.Conn, error) // to a proxy; nil is a net.Dialer
}

func newDialer(policy *Policy, resolver Resolver, connect func(context.Context, string, string) (net.Conn, error)) *dialer {
	d := &dialer{policy: policy, resolver: resolver, connect: connect}
	if d.resolver == nil {
		d.resolver = net.DefaultResolver
	}
	if d.connect == nil {
		d.connect = (&net.Dialer{KeepAlive: 30 * time.Second, ControlContext: d.control}).DialContext
	}
	return d
}

// control is the second lock: it sees the address of the socket itself. A panic in it, or an address
// it cannot read, is a refusal.
func (d *dialer) control(_ context.Context, network, address string, _ syscall.RawConn) (err error) {
	refused := &Error{Reason: ReasonAddress, Detail: "not a TCP address", kind: ErrResolvedAddress}
	defer func() {
		if recover() != nil {
			err = refused
		}
	}()
	if network != "tcp4" && network != "tcp6" {
		return refused
	}
	target, parseErr := netip.ParseAddrPort(address)
	if parseErr != nil {
		return refused // its text would hold what could not be read
	}
	if e := d.policy.checkAddr(target.Addr(), target.Port(), ErrResolvedAddress); e != nil {
		return e
	}
	return nil
}

// pinned carries the addresses that Probe resolved and judged to the dial of its own request, so
// that one look-up answers both.
type pinned struct {
	host  string
	addrs []netip.Addr
}

type pinnedKey struct{}

// countDial bounds the connections of an attempt. net/http repeats a request that an HTTP/2 endpoint says it
// did not process, on a new connection and without an end: GOAWAY is answered by hundreds of handshakes
// a second.
func countDial(ctx context.Context) error {
	if attempt, ok := ctx.Value(askedKey{}).(*askedFor); ok && attempt.dials.Add(1) > maxDials {
		return errRedialed
	}
	return nil
}

// DialContext connects to a host and port as http.Transport gives them.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, &Error{Reason: ReasonAddress, Detail: "not a TCP network", kind: ErrAddress}
	}
	host, portText, err := net.SplitHostPort(address)
	port, ok := parsePort(portText)
	if err != nil || !ok {
		return nil, refuse(ReasonPort, "not a host and port")
	}
	if err := countDial(ctx); err != nil {
		return nil, err
	}
	// The transport dials on after its request was given up, so the time-out has to be here.
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if addr, err := netip.ParseAddr(host); err == nil {
		if e := d.policy.checkAddr(addr, port, ErrLiteral); e != nil {
			return nil, e
		}
		return d.connect(ctx, network, join(addr.Unmap(), port))
	}
	addrs, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	return d.dialAny(ctx, network, addrs, port)
}

// dialAny tries the addresses that the policy allows, one after another, each with a fair part of the
// time that is left.
func (d *dialer) dialAny(ctx context.Context, network string, addrs []netip.Addr, port uint16) (net.Conn, error) {
	var refused *Error
	allowed := make([]netip.Addr, 0, maxTries)
	for _, addr := range addrs {
		if len(allowed) == maxTries {
			break
		}
		if e := d.policy.checkAddr(addr, port, ErrResolvedAddress); e != nil {
			refused = e
			continue
		}
		if addr = addr.Unmap(); !slices.Contains(allowed, addr) {
			allowed = append(allowed, addr)
		}
	}
	if len(allowed) == 0 {
		if refused == nil {
			return nil, ErrResolve
		}
		return nil, refused
	}
	var failed error
	for i, addr := range allowed {
		conn, err := d.tryOne(ctx, network, join(addr, port), len(allowed)-i)
		if err == nil {
			return conn, nil
		}
		failed = err
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

func (d *dialer) tryOne(ctx context.Context, network, address string, triesLeft int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && triesLeft > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(triesLeft))
		defer cancel()
	}
	return d.connect(ctx, network, address)
}

func join(addr netip.Addr, port uint16) string {
	return net.JoinHostPort(addr.String(), strconv.Itoa(int(port)))
}

// lookup resolves an absolute name to at least one address.
func (d *dialer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if pin, ok := ctx.Value(pinnedKey{}).(*pinned); ok && pin.host == host {
		return pin.addrs, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addrs, err := d.resolver.LookupNetIP(ctx, "ip", host+".")
	if err != nil {
		return nil, resolveError(err)
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%w: no address", ErrResolve)
	}
	return addrs, nil
}

// resolveError keeps what kind of failure it was and drops the resolver's own address.
func resolveError(err error) error {
	dns, ok := errors.AsType[*net.DNSError](err)
	if !ok {
		return fmt.Errorf("%w: %w", ErrResolve, err)
	}
	stripped := *dns
	stripped.Server = ""
	switch {
	case dns.IsNotFound:
		stripped.Err = "no such host"
	case dns.IsTimeout:
		stripped.Err = "timeout"
	default:
		stripped.Err = "server failure"
	}
	return fmt.Errorf("%w: %w", ErrResolve, &stripped)
}

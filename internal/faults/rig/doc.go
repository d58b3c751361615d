//go:build unix

// Package rig is what the fault scenarios share: receivers that misbehave by
// script, processes that are killed at a chosen step, and the checker that
// joins what was acknowledged, what arrived and what is stored.
//
//	func TestMain(m *testing.M) { os.Exit(rig.Main(m, nil)) }
//
//	rc := rig.Listen(t)
//	spec := rig.Spec{Path: path, Endpoints: []rig.Endpoint{rc.Endpoint("sub_a")}}
//	p := rig.Start(t, rig.EngineRole, spec)
//	p.Await(t, "ready")
//	p.Send(t, "arm settle.before:3")
//	p.Send(t, "publish sub_a e1")
//	p.Killed(t)
//	rig.Evidence{Acked: p.Words("acked"), Requests: rc.Requests(), Ledger: rig.ReadLedger(t, path)}.Check(t, rig.Allow{})
//
// # Order of use
//
// A test binary that calls [Main] can start itself as an engine process
// ([Start] with [EngineRole]) or as a process of the test's own. The same
// engine is made inside the test by [Assemble]. Steps at which a process kills
// itself are listed at [Steps]; they are seams of the configuration, none is in
// the product's code.
//
// # Guarantees
//
// A process writes each acknowledgment with one write before it goes on, so
// that a kill loses none. Whoever waits has [Patience] and fails the test then.
//
// # Concurrency
//
// Receivers and processes are safe for concurrent use. What takes a testing.TB
// belongs to the test's goroutine.
//
// Not here, because it belongs to each scenario: what a fault is allowed to
// cost.
package rig

// Package registrytest checks an implementation of [registry.Registry] against
// the rules of that interface.
//
// Call [Run] from a test of the implementation:
//
//	func TestRegistry(t *testing.T) {
//		t.Parallel()
//		registrytest.Run(t, func(t *testing.T) registry.Registry {
//			db := openDatabase(t) // empty, closed by t.Cleanup
//			return &myregistry.Registry{DB: db}
//		})
//	}
//
// A registry that is durable uses [Config] instead, to be closed and opened
// again halfway:
//
//	registrytest.Config{Open: open, Reopen: reopen}.Run(t)
//
// Each case is a parallel subtest named after what it is about, opens a
// registry of its own and prints, when it fails, the rule that is broken in a
// sentence. A case that hangs fails after a minute, if the registry obeys its
// context. The registry must be on the real clock and may be on a clock of
// another machine as long as the two differ by less than a minute.
//
// Nothing is configured by flags or the environment and no case is skipped
// silently.
//
// Not here, because they depend on the implementation: speed, behavior when
// its server fails, sealing at rest (look for a known secret in the raw bytes).
package registrytest

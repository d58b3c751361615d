package sqlregistry

import "github.com/ringback-go/ringback/registry"

// SchemaVersion is the newest one.
const SchemaVersion = schemaVersion

// Queries returns those of r that must go by an index.
func Queries(r *Registry) []string {
	open, _ := matchQuery(registry.Topic{})
	tenant, _ := matchQuery(registry.Topic{Tenant: "t"})
	scope, _ := matchQuery(registry.Topic{Tenant: "t", Scope: "s"})
	page, _ := listQuery(registry.Filter{Dialect: "d", Tenant: "t"}, new(registry.Subscription), 1)
	next, _ := listQuery(registry.Filter{}, new(registry.Subscription), 1)
	queries := []string{selectByID, selectBySlot, open, tenant, scope, page, next, r.flavor.matchMany, deleteByID, deleteTypes}
	for i, q := range queries {
		queries[i] = r.bind(q)
	}
	return queries
}

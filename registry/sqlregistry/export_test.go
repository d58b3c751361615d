package sqlregistry

import "github.com/ringback-go/ringback/registry"

// Queries returns those that must go by an index.
func Queries() []string {
	open, _ := matchQuery(registry.Topic{})
	tenant, _ := matchQuery(registry.Topic{Tenant: "t"})
	page, _ := listQuery(registry.Filter{Dialect: "d", Tenant: "t"}, new(registry.Subscription), 1)
	next, _ := listQuery(registry.Filter{}, new(registry.Subscription), 1)
	return []string{selectByID, selectBySlot, open, tenant, page, next, deleteByID, deleteTypes}
}

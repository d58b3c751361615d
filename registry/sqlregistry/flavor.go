package sqlregistry

// A flavor is what differs between databases. All other SQL is in sql.go and
// runs on each of them.
type flavor struct {
	// lock runs first in a transaction that changes something, so that no
	// other one is between reading and writing.
	lock string
	// binary is the type of a column of bytes.
	binary string
	// bytewise makes a column of text compare by its bytes.
	bytewise string
	// placeholder writes the n-th parameter, from 1.
	placeholder func(n int) string
}

// sqlite takes the write lock by a write that changes nothing; under
// _txlock=immediate the transaction has it already.
var sqlite = flavor{
	lock:        "UPDATE ringback_registry_version SET version = version WHERE 0 = 1",
	binary:      "BLOB",
	bytewise:    "",
	placeholder: func(int) string { return "?" },
}

// bind replaces each question mark of query by the flavor's parameter. The
// queries of this package have none in a literal.
func (f flavor) bind(query string) string {
	out := make([]byte, 0, len(query)+16)
	n := 0
	for i := range len(query) {
		if query[i] != '?' {
			out = append(out, query[i])
			continue
		}
		n++
		out = append(out, f.placeholder(n)...)
	}
	return string(out)
}

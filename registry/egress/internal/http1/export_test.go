package http1

// Release is what is done with a request's bytes.
func Release(b []byte) { release(&b) }

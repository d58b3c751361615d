package middleware

import "net/http"

// recorder passes an answer on and remembers it, up to a limit. Flushing,
// deadlines and hijacking find the server's own ResponseWriter by Unwrap.
type recorder struct {
	http.ResponseWriter

	keep   []string // names of header fields
	limit  int
	status int // 0 until the answer begins
	header http.Header
	size   int
	body   []byte
	cut    bool // it became too much, or the client did not get it all
}

// Unwrap is for [http.ResponseController].
func (c *recorder) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *recorder) WriteHeader(status int) {
	if c.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		c.begin(status)
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *recorder) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.begin(http.StatusOK)
	}
	n, err := c.ResponseWriter.Write(b)
	if c.size += len(b); err != nil || c.size > c.limit {
		// After an error the handler may stop in the middle.
		c.cut, c.body = true, nil
	}
	if !c.cut {
		c.body = append(c.body, b...)
	}
	return n, err
}

// begin takes the header as it is sent.
func (c *recorder) begin(status int) {
	c.status = status
	from := c.ResponseWriter.Header()
	for _, name := range c.keep {
		values := from[name]
		if len(values) == 0 {
			continue
		}
		if c.header == nil {
			c.header = make(http.Header, len(c.keep))
		}
		c.header[name] = append([]string(nil), values...)
		for _, v := range values {
			c.size += len(name) + len(v)
		}
	}
	c.cut = c.cut || c.size > c.limit
}

func (c *recorder) answer() DedupAnswer {
	if c.status == 0 {
		c.begin(http.StatusOK)
	}
	if c.cut {
		return DedupAnswer{Status: c.status, Cut: true}
	}
	return DedupAnswer{Status: c.status, Header: c.header, Body: c.body}
}

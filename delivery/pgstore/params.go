package pgstore

import "encoding/binary"

// params are the parameters of a statement in PostgreSQL's binary format, one
// behind the other. The order of calls is theirs.
type params struct {
	buf    []byte
	begins []int // of each parameter
	values [][]byte
}

// allBinary is the format of all parameters.
var allBinary = []int16{1}

// slices returns the parameters; it is valid until more are added.
func (p *params) slices() [][]byte {
	p.values = p.values[:0]
	for i, begin := range p.begins {
		end := len(p.buf)
		if i+1 < len(p.begins) {
			end = p.begins[i+1]
		}
		p.values = append(p.values, p.buf[begin:end:end])
	}
	return p.values
}

func (p *params) next() { p.begins = append(p.begins, len(p.buf)) }

// bigint is a parameter.
func (p *params) bigint(v int64) {
	p.next()
	p.buf = binary.BigEndian.AppendUint64(p.buf, uint64(v))
}

// array begins a parameter of n elements without nulls; they are to follow.
func (p *params) array(elementOID uint32, n int) {
	p.next()
	const dimensions, nulls, lowest = 1, 0, 1
	if n == 0 {
		p.uint32(0, nulls, elementOID)
		return
	}
	p.uint32(dimensions, nulls, elementOID, uint32(n), lowest)
}

func (p *params) uint32(vs ...uint32) {
	for _, v := range vs {
		p.buf = binary.BigEndian.AppendUint32(p.buf, v)
	}
}

// An element is its length and its value.

func (p *params) bool(v bool) {
	var b byte
	if v {
		b = 1
	}
	p.buf = append(p.buf, 0, 0, 0, 1, b)
}

func (p *params) int16(v int16) {
	p.buf = binary.BigEndian.AppendUint16(append(p.buf, 0, 0, 0, 2), uint16(v))
}

func (p *params) int32(v int32) {
	p.buf = binary.BigEndian.AppendUint32(append(p.buf, 0, 0, 0, 4), uint32(v))
}

func (p *params) int64(v int64) {
	p.buf = binary.BigEndian.AppendUint64(append(p.buf, 0, 0, 0, 8), uint64(v))
}

func (p *params) text(s string) {
	p.uint32(uint32(len(s)))
	p.buf = append(p.buf, s...)
}

// open begins an element that close ends, which is told where it began.
func (p *params) open() (begin int) {
	p.buf = append(p.buf, 0, 0, 0, 0)
	return len(p.buf)
}

func (p *params) close(begin int) {
	binary.BigEndian.PutUint32(p.buf[begin-4:], uint32(len(p.buf)-begin))
}

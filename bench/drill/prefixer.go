package drill

import (
	"bytes"
	"io"
	"sync"
)

// writing keeps the lines of several processes whole.
var writing sync.Mutex

// prefixer writes whole lines with the name of who said them.
type prefixer struct {
	w      io.Writer
	prefix string
	rest   []byte
	last   string // whole line; read it when the writer has ended
}

// Write implements io.Writer.
func (p *prefixer) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		i := bytes.IndexByte(p.rest, '\n')
		if i < 0 {
			return len(b), nil
		}
		line := append([]byte(p.prefix), p.rest[:i+1]...)
		p.last = string(p.rest[:i])
		p.rest = p.rest[i+1:]
		writing.Lock()
		_, err := p.w.Write(line)
		writing.Unlock()
		if err != nil {
			return len(b), err
		}
	}
}

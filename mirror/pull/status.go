package pull

import (
	"encoding/binary"
	"time"

	"onebeat/mirror/archive"
	"onebeat/mirror/ring"
	"onebeat/mirror/stream"
)

// Status is what a copy says of itself.
type Status struct {
	Lane   int    `json:"lane"`
	State  string `json:"state"`  // starting, following, caught up, waiting for the disk, failing, stopped
	Source int    `json:"source"` // node that is followed; 0: none now
	// Received is the end of the copy's log, Durable what of it is on the disk, Safe
	// what the source could give when it was last heard.
	Received uint64 `json:"received"`
	Durable  uint64 `json:"durable"`
	Safe     uint64 `json:"safe"`
	Epoch    uint32 `json:"epoch"`
	Identity string `json:"identity"`
	// BehindBytes is what is known to be missing; BehindNs how long ago the copy last
	// had everything, 0 while it has; Records are those it received since it began to
	// run, which make BehindRecords an estimate.
	BehindBytes   uint64         `json:"behind_bytes"`
	BehindRecords uint64         `json:"behind_records"`
	BehindNs      int64          `json:"behind_ns"` // -1: it never had everything since it began to run
	Records       uint64         `json:"records"`
	Bytes         uint64         `json:"bytes"`
	Connects      uint64         `json:"connects"`
	Failures      uint64         `json:"failures"`
	LastError     string         `json:"last_error,omitempty"` // empty: none, or it is over
	Archive       archive.Status `json:"archive"`
}

// typicalRecordBytes makes records of bytes before any were counted.
const typicalRecordBytes = 128

// Status returns how the copy stands.
func (p *Puller) Status() Status {
	p.mu.Lock()
	s, caught := p.status, p.caught
	p.mu.Unlock()
	s.Received, s.Durable = p.ring.Tail(), p.durable()
	if f := p.archived.Load(); f != nil {
		s.Archive = f.Status()
	}
	if s.Safe > s.Received {
		s.BehindBytes = s.Safe - s.Received
		size := uint64(typicalRecordBytes)
		if s.Records > 0 {
			size = max(1, s.Bytes/s.Records)
		}
		s.BehindRecords = (s.BehindBytes + size - 1) / size
	}
	switch age := time.Since(caught); {
	case caught.IsZero():
		s.BehindNs = -1
	case s.Source == 0 || s.BehindBytes > 0:
		s.BehindNs = int64(age)
	}
	return s
}

func (p *Puller) told(state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.State = state
	if state == "stopped" {
		p.status.Source = 0
	}
}

func (p *Puller) connected(source Source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.State, p.status.Source = "following", int(source.Node)
	p.status.Connects++
}

func (p *Puller) failing(source Source, err error) {
	p.mu.Lock()
	text := "the connection ended"
	if err != nil {
		text = err.Error()
	}
	news := p.status.LastError != text
	p.status.State, p.status.Source, p.status.LastError = "failing", 0, text
	p.status.Failures++
	p.mu.Unlock()
	if news {
		p.o.Note("following " + stream.NodeName(source.Node) + " at " + source.Address + ": " + text)
	}
}

// took notes a chunk.
func (p *Puller) took(chunk *stream.Chunk) {
	records := countRecords(chunk.Records)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.status
	s.Safe, s.LastError, s.State = chunk.Safe, "", "following"
	s.Records += records
	s.Bytes += uint64(len(chunk.Records))
	s.Epoch, s.Identity = p.epoch, p.identity.String()
	if chunk.End() >= chunk.Safe || chunk.Safe == ^uint64(0) {
		p.caught, s.State = time.Now(), "caught up"
		s.Safe = chunk.End()
	}
}

// countRecords counts what is in a chunk; its records were checked.
func countRecords(b []byte) (n uint64) {
	for at := 0; at+ring.HeaderBytes <= len(b); n++ {
		length := int(binary.LittleEndian.Uint32(b[at:]))
		at += ring.PaddedBytes(length - ring.HeaderBytes)
	}
	return n
}

package shapes

import (
	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"onebeat/engine/mark"
	"onebeat/tools/node"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

const (
	rxBatch = 64
	// lookEvery is how many empty looks at the receive ring pass before the
	// waiting client reads its clock and runs what else is due.
	lookEvery = 256
	// overdueNs without an answer is a loss: longer than a busy machine keeps a
	// spinning thread off its core.
	overdueNs = 200_000_000
	// deadNs without an answer ends a measurement.
	deadNs = 2_000_000_000
)

// shooter measures one frame at a time.
type shooter interface {
	// shoot sends one and waits for its answer; false: none came any more.
	shoot(h *hdr.Histogram) bool
	// losses counts frames that were not answered in time, since the start.
	losses() int64
}

// wirePort is the client's end of the wire, the same in all shapes.
type wirePort struct {
	port     xdp.Port
	clock    *node.Clock
	local    frame.Endpoint
	remote   frame.Endpoint
	headers  frame.Template
	reserved []byte
	sentNs   int64
	lost     int64
}

// Buffer implements client.Out.
func (w *wirePort) Buffer() []byte {
	if w.reserved = w.port.Reserve(); w.reserved == nil {
		return nil
	}
	return w.reserved[frame.HeaderBytes:]
}

// Send implements client.Out.
func (w *wirePort) Send(payloadBytes int) {
	w.headers.PutSummed(w.reserved, &w.local, w.local.Port, &w.remote, payloadBytes)
	w.port.Submit(frame.HeaderBytes + payloadBytes)
}

// fire sends what was submitted; the measured time begins here.
func (w *wirePort) fire() {
	w.sentNs = w.clock.NowNs()
	mark.At(mark.ClientKick)
	w.port.Kick()
	mark.At(mark.ClientKicked)
}

// record notes an answer that arrived at nowNs.
func (w *wirePort) record(h *hdr.Histogram, nowNs int64) {
	// The range ends far behind deadNs: there is no error to return.
	_ = h.RecordValue(max(nowNs-w.sentNs, 1))
}

func (w *wirePort) losses() int64 { return w.lost }

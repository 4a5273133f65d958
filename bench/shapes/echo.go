package shapes

import (
	"encoding/binary"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"onebeat/engine/sbe"
	"onebeat/xdp/frame"
)

// echoPayloadBytes is the length of a datagram with one order.
const echoPayloadBytes = sbe.PrefixBytes + sbe.ContextBytes + sbe.PrefixBytes + sbe.NewOrderSingleBytes

// echoShooter sends frames as long as an order's and takes them back.
type echoShooter struct {
	wirePort
	number uint64
}

func (e *echoShooter) shoot(h *hdr.Histogram) bool {
	b := e.Buffer()
	if b == nil {
		return false
	}
	e.number++
	clear(b[:echoPayloadBytes])
	binary.LittleEndian.PutUint64(b, e.number)
	e.Send(echoPayloadBytes)
	e.fire()
	for looks := 0; ; looks++ {
		n := e.port.Recv(rxBatch)
		if n == 0 {
			if looks%lookEvery == 0 && e.clock.NowNs()-e.sentNs > overdueNs {
				e.lost++
				return e.clock.NowNs()-e.sentNs < deadNs && e.lost < lostMax
			}
			continue
		}
		nowNs := e.clock.NowNs()
		if e.take(n) {
			e.record(h, nowNs)
			return true
		}
	}
}

// lostMax ends a measurement in which nothing is answered.
const lostMax = 100

// take reports whether the frame sent last is among n received ones.
func (e *echoShooter) take(n int) (found bool) {
	for i := range n {
		var from frame.Endpoint
		payload, port, ok := frame.Parse(e.port.Frame(i), &from)
		if ok && port == e.local.Port && len(payload) == echoPayloadBytes && binary.LittleEndian.Uint64(payload) == e.number {
			found = true
		}
	}
	e.port.Done()
	return found
}

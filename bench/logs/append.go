package logs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"onebeat/engine/app"
	"onebeat/pin"
)

const (
	appendMaxNs     = 60
	appendPerSecond = 10e6
)

// measureAppend fills a ring round and round: no reader, no peer, no archive.
func measureAppend(ctx context.Context, o *Options) (r Result, err error) {
	unlock, err := pin.LockThread(o.Layout.Primary)
	if err != nil {
		return r, err
	}
	defer unlock()
	b, err := newBed()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	var payload [payloadBytes]byte
	const batch = 1 << 16
	span := o.span(time.Second)
	var rounds []float64
	for range o.Rounds {
		var records uint64
		began := time.Now()
		for time.Since(began) < span {
			for n := range int64(batch) {
				if _, _, ok := b.ring.Append(app.RecordMessage, 1, n, payload[:]); !ok {
					return r, fmt.Errorf("no room at %d", b.ring.Tail())
				}
			}
			records += batch
			if err := ctx.Err(); err != nil {
				return r, err
			}
		}
		r.rate(records, records*recordBytes, time.Since(began))
		rounds = append(rounds, r.NsPerEach)
	}
	ns := median(rounds)
	r.Payload, r.RingBytes = payloadBytes, ringBytes
	r.NsPerEach, r.PerSecond, r.BytesPerS = ns, 1e9/ns, float64(recordBytes)*1e9/ns
	r.atMost("ns for a record of 64 bytes", ns, appendMaxNs)
	r.atLeast("records/s", r.PerSecond, appendPerSecond)
	return r, nil
}

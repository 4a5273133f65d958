package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/stream"
)

const (
	catchupBytes     = 1 << 30
	catchupPerSecond = 200e6
	catchupServer    = 1
	catchupClient    = 2
)

// measureCatchup fetches an archive over TLS on the loopback, checks it and
// archives it again, as a node that is behind does.
func measureCatchup(ctx context.Context, o *Options) (r Result, err error) {
	dir, err := os.MkdirTemp(o.Dir, "onebeat-bench-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	from := filepath.Join(dir, "from")
	size := uint64(catchupBytes)
	if o.For > 0 {
		size = min(size, uint64(o.For.Seconds()*catchupPerSecond))
	}
	records, err := writeArchive(ctx, from, size)
	if err != nil {
		return r, err
	}
	address, credentials, closeServer, err := serveArchive(from)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, closeServer()) }()
	var rounds []float64
	for n := range o.Rounds {
		to := filepath.Join(dir, fmt.Sprintf("to-%d", n))
		began := time.Now()
		end, err := fetch(ctx, address, credentials, to)
		if err != nil {
			return r, err
		}
		r.rate(records, end, time.Since(began))
		rounds = append(rounds, r.BytesPerS)
		if err := os.RemoveAll(to); err != nil {
			return r, err
		}
	}
	r.BytesPerS = median(rounds)
	r.Payload = payloadBytes
	r.atLeast("MB/s of log fetched and archived", r.BytesPerS/1e6, catchupPerSecond/1e6)
	return r, nil
}

// writeArchive makes an archive of so many bytes.
func writeArchive(ctx context.Context, dir string, size uint64) (records uint64, err error) {
	b, err := newBed()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	shared := &b.mem.Table.Archive
	f, err := archive.NewFollower(archive.Options{Dir: dir, Shared: shared, Wall: func() int64 { return time.Now().UnixNano() }}, b.ring)
	if err != nil {
		return 0, err
	}
	var payload [payloadBytes]byte
	for nowNs := int64(0); b.ring.Tail() < size && ctx.Err() == nil; nowNs += 1e6 {
		b.ring.SetLimit(atomic.LoadUint64(&shared.Position) + ringBytes/2)
		for {
			if _, _, ok := b.ring.Append(app.RecordMessage, 1, int64(records), payload[:]); !ok {
				break
			}
			records++
		}
		f.Step(nowNs)
	}
	for nowNs := int64(1 << 50); f.Archived() < b.ring.Tail() && ctx.Err() == nil; nowNs += 1e9 {
		f.Step(nowNs)
	}
	return records, f.Close()
}

// serveArchive starts a server on the loopback and returns what its client needs.
func serveArchive(dir string) (address string, client *stream.Credentials, stop func() error, err error) {
	a, err := stream.NewAuthority(time.Hour)
	if err != nil {
		return "", nil, nil, err
	}
	authority, _, err := a.PEM()
	if err != nil {
		return "", nil, nil, err
	}
	var both [2]*stream.Credentials
	for i, n := range []uint8{catchupServer, catchupClient} {
		certificate, key, err := a.Issue(n, time.Hour)
		if err != nil {
			return "", nil, nil, err
		}
		if both[i], err = stream.ParseCredentials(certificate, key, authority); err != nil {
			return "", nil, nil, err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, nil, err
	}
	s := stream.Serve(l, stream.ServerOptions{Credentials: both[0], Lanes: []*stream.Lane{{Archive: dir}}})
	return l.Addr().String(), both[1], s.Close, nil
}

// fetch gets the whole log and archives it.
func fetch(ctx context.Context, address string, credentials *stream.Credentials, dir string) (end uint64, err error) {
	c, err := stream.Dial(ctx, address, catchupServer, stream.ClientOptions{Credentials: credentials})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	w, err := archive.Open(archive.Options{Dir: dir, Wall: func() int64 { return time.Now().UnixNano() }})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	l, err := c.Log(stream.LogRequest{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	for {
		chunk, err := l.Next()
		if errors.Is(err, io.EOF) {
			return w.End(), nil
		}
		if err != nil {
			return 0, err
		}
		if len(chunk.Records) == 0 {
			continue
		}
		if _, err := w.Append(chunk.Position, chunk.Records); err != nil {
			return 0, err
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
	}
}

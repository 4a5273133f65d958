package mirrord

import (
	"context"
	"fmt"
	"sync"
	"time"

	"onebeat/mirror/archive"
	"onebeat/mirror/ship"
	"onebeat/mirror/snapshot"
	"onebeat/tools/config"
)

// shipping is one lane's way to one store.
type shipping struct {
	shipper *ship.Shipper
	keep    bool // retention waits for it
}

// OpenStore makes a store of its section.
func OpenStore(s *config.Store) (ship.Store, error) {
	if s.Directory != "" {
		return ship.NewDirectory(nil, s.Directory)
	}
	return ship.NewBucket(ship.BucketOptions{Endpoint: s.Endpoint, Plain: s.Plain, Region: s.Region, Bucket: s.Bucket, Prefix: s.Prefix,
		AccessKey: s.AccessKey, SecretKey: s.SecretKey, ReadBack: s.ReadBack})
}

// ship brings a lane's archive to all stores until ctx ends. keep is told from
// where on segments are still needed.
func (d *daemon) ship(ctx context.Context, laneID, number int, dir string, stores []config.Store, keep func(uint64)) (wait func(), err error) {
	var list []shipping
	keeps := false
	for i := range stores {
		s := &stores[i]
		store, err := OpenStore(s)
		if err != nil {
			return nil, fmt.Errorf("store %q: %w", s.Name, err)
		}
		list = append(list, shipping{keep: s.KeepUntilShipped, shipper: ship.New(ship.Options{Store: store, Dir: dir, Snapshots: snapshot.Dir(dir),
			KeepSnapshots: s.Snapshots, Lane: uint8(laneID), Node: uint8(number), EveryNs: s.Every.Ns(), RateBytes: s.RateLimit.Bytes(),
			Note: func(text string) { d.log.Warn(text, "store", s.Name, "lane", laneID) }})})
		keeps = keeps || s.KeepUntilShipped
	}
	d.mu.Lock()
	d.shipped[laneID] = list
	d.mu.Unlock()
	var running sync.WaitGroup
	for _, x := range list {
		running.Go(func() { x.shipper.Run(ctx) })
	}
	if keeps {
		running.Go(func() {
			for keep(shippedByAll(list)); sleep(ctx, 100*time.Millisecond); {
				keep(shippedByAll(list))
			}
		})
	}
	return running.Wait, nil
}

// shippedByAll is from where on a store that retention waits for lacks the log.
func shippedByAll(list []shipping) uint64 {
	at := uint64(archive.NoKeep)
	for _, x := range list {
		if x.keep {
			at = min(at, x.shipper.Shipped())
		}
	}
	return at
}

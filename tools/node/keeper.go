package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"onebeat/engine"
	"onebeat/engine/app"
	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/snapshot"
	"onebeat/pin"
	"onebeat/tools/config"
)

// keeper keeps a lane's states. It has a machine of its own that replays the archive
// beside the order path, whatever its node is to the lane, and saves it now and then;
// and it rebuilds the loop's machine when the ring alone cannot. It belongs to one
// goroutine; status is for any.
type keeper struct {
	log   *slog.Logger
	lane  *laneParts
	cfg   *config.Snapshot // nil: nothing is saved
	store *snapshot.Store  // nil: nothing is saved, or its directory failed yet
	dir   string
	src   snapshot.Source // FS is to be set by tests before the first step
	// restores makes the machines that the loop gets.
	restores func() (app.Machine, error)
	wallNs   func() int64

	archive archiveView // nil: there is none
	replay  *snapshot.Replay
	saved   uint64 // records of the newest snapshot
	savedNs int64  // when it was made, or this process began
	retryNs int64
	changes uint64 // of the archive, as of the last look
	gone    bool   // the replayed state is not the log's: nothing is saved any more
	crossed bool   // the archive lacks records that the state has: a snapshot is due
	// wants is where a gap in the archive ends that the state could not cross: a
	// snapshot of that place or later has to come from the peer; 0: none.
	wants    atomic.Uint64
	adoption *engine.Adoption
	restored snapshot.Restored
	told     string
	node     string // name
	// divergedPath and tell are the node's.
	divergedPath func(position uint64) string
	tell         func(detail string)
	// spare is where the state goes while the archive takes nothing; spareAt is its
	// position, 0: there is none; spareNext where the log must be for the next one.
	spare        *snapshot.Store
	spareDir     string
	spareAt      uint64
	spareNext    uint64
	explained    bool
	explainTries int

	mu     sync.Mutex
	status snapshot.Status
}

// Bounds of one step of a keeper, and its pauses.
const (
	keeperBatch   = 4096 // records
	keeperRetryNs = 1_000_000_000
	keeperSleep   = 5 * time.Millisecond
	keeperIdle    = 20 * time.Millisecond // with nothing to replay: a wake-up costs who spins 10 to 30 us
)

// SnapshotDir returns where a node keeps a lane's snapshots; empty: it keeps none.
func SnapshotDir(cfg *config.Config, laneID int) string {
	if cfg.Snapshot == nil || cfg.Archive == nil {
		return ""
	}
	if cfg.Snapshot.Dir != "" {
		return archive.LaneDir(cfg.Snapshot.Dir, cfg.Node.Name, laneID)
	}
	return snapshot.Dir(archive.LaneDir(cfg.Archive.Dir, cfg.Node.Name, laneID))
}

// addKeeper makes a lane's keeper.
func (n *Node) addKeeper(p *laneParts) {
	k := &keeper{log: n.log, lane: p, cfg: n.cfg.Snapshot, dir: SnapshotDir(n.cfg, p.cfg.ID), wallNs: func() int64 { return time.Now().UnixNano() }}
	k.src = snapshot.Source{FS: disk.OS{}, New: func() (app.Machine, error) { return newMachine(p.cfg, p.venueAt, nil, nil) },
		Note: func(text string) { k.log.Warn("snapshot", "lane", p.cfg.ID, "detail", text) }}
	k.restores = func() (app.Machine, error) { return newMachine(p.cfg, p.venueAt, p.orders, p.fixPort()) }
	switch {
	case p.archive != nil:
		k.archive = ownArchive{p.archive}
	case n.cfg.Archive != nil:
		k.archive = otherArchive{p}
	}
	if k.archive != nil {
		k.src.Archive = archive.LaneDir(n.cfg.Archive.Dir, n.cfg.Node.Name, p.cfg.ID)
		k.src.Changes = k.archive.Changes
		k.changes = k.archive.Changes()
	}
	k.node = n.cfg.Node.Name
	k.divergedPath = func(position uint64) string { return n.divergedPath(p.cfg.ID, position) }
	k.tell = func(detail string) { n.tellDiverged(p, detail) }
	k.status.State, k.status.Dir = "idle", k.dir
	k.spareDir = spareDir(n.cfg, p.cfg.ID)
	_ = os.RemoveAll(k.spareDir) // of a process before
	p.keeper = k
}

// runKeepers runs the lanes' keepers, each in a goroutine that no loop waits for.
func (n *Node) runKeepers() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, p := range n.lanes {
		running.Go(func() { p.keeper.run(ctx, n.clock.NowNs) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

func (k *keeper) run(ctx context.Context, nowNs func() int64) {
	idle := time.NewTimer(keeperSleep)
	defer idle.Stop()
	var errand *pin.Errand // while there is something to replay
	end := func() {
		if errand != nil {
			errand.End()
			errand = nil
		}
	}
	defer end()
	for {
		before := nowNs()
		sleep, n := keeperSleep, k.step(before)
		switch {
		case k.restoring():
			end()
			sleep = 0
		case n == 0:
			end()
			sleep = keeperIdle
		default:
			if errand == nil {
				errand = pin.StartErrand()
			}
			errand.Piece()
			// Half of a core at most, where the loops have two.
			sleep = min(sleep, time.Duration(nowNs()-before))
		}
		idle.Reset(sleep)
		select {
		case <-ctx.Done():
			if err := k.close(); err != nil {
				k.log.Warn("snapshot", "lane", k.lane.cfg.ID, "error", err)
			}
			return
		case <-idle.C:
		}
	}
}

func (k *keeper) close() error {
	if k.replay == nil {
		return nil
	}
	err := k.replay.Close()
	k.replay = nil
	k.noSpare()
	return err
}

// step does a piece of work and returns how many records it replayed.
func (k *keeper) step(nowNs int64) int {
	if k.outcome() {
		return 0
	}
	if d := k.lane.loop.Diverged(); d != nil {
		k.explain(d, nowNs)
		return 0
	}
	if need, wanted := k.lane.replica.History.Wanted(); wanted {
		return k.restore(&need, nowNs)
	}
	if k.cfg == nil || k.archive == nil || k.gone || nowNs < k.retryNs {
		return 0
	}
	n, err := k.follow(nowNs)
	if err != nil {
		k.failed(err, nowNs)
	}
	return n
}

// follow replays what is archived, and saves the state when it is time.
func (k *keeper) follow(nowNs int64) (int, error) {
	if err := k.open(); err != nil {
		return 0, err
	}
	if k.replay == nil {
		if !k.follows() {
			return 0, nil // it is compared with the ring still, or to be cut
		}
		if err := k.start(nowNs); err != nil || k.replay == nil {
			return 0, err
		}
	}
	n, more, err := k.replay.Step(keeperBatch, k.archive.Archived(), nil)
	if n == 0 && !more && err == nil && k.archiveLags() {
		n, err = k.replay.Bridge(k.lane.ring, keeperBatch, min(k.lane.mem.table.Committed(), k.lane.ring.Tail()))
	}
	if err == nil {
		err = k.spareState()
	}
	k.publish(more)
	switch {
	case errors.Is(err, snapshot.ErrCut):
		return n, k.close() // the next step starts anew
	case errors.Is(err, snapshot.ErrDiverged):
		k.gone = true
		return n, errors.Join(err, k.close())
	case err != nil:
		var gap *archive.Gap
		if errors.As(err, &gap) {
			k.wants.Store(gap.To) // of a peer whose archive has it
		}
		return n, errors.Join(err, k.close())
	}
	if k.due(nowNs) {
		err = k.save(nowNs)
	}
	return n, err
}

// open opens the directory, and takes away what is not of the log since the archive
// was cut.
func (k *keeper) open() error {
	if k.store == nil {
		s, err := snapshot.Open(k.src.FS, k.dir, k.cfg.Keep)
		if err != nil {
			return err
		}
		k.store, k.src.Store = s, s
	}
	now := k.archive.Changes()
	begin, end, following := k.archive.following()
	if now == k.changes || !following {
		return nil
	}
	files, err := k.store.List()
	if err != nil {
		return err
	}
	for i := range files {
		// A new life's archive begins at 0 again: all of the old one's go.
		if f := &files[i]; f.Header.Position > end || f.Header.Position < begin {
			k.log.Warn("snapshot removed: the log it was made of was cut", "lane", k.lane.cfg.ID, "file", f.Path)
			if err := k.store.Remove(f); err != nil {
				return err
			}
		}
	}
	k.changes = now
	return nil
}

// archiveLags: what was replayed is all that is archived, and the ring will not hold
// for long what follows.
func (k *keeper) archiveLags() bool {
	g := k.lane.ring
	return g.Tail() > k.replay.Position()+uint64(g.SizeBytes())/4
}

func (k *keeper) start(nowNs int64) error {
	k.set(func(s *snapshot.Status) { s.State = "replaying" })
	r, err := k.src.Start(^uint64(0))
	if errors.Is(err, archive.ErrEmpty) {
		k.retryNs = nowNs + keeperRetryNs/10
		return nil
	}
	if err != nil {
		return err
	}
	k.replay, k.savedNs, k.saved = r, nowNs, 0
	if r.From != nil {
		k.saved = r.From.Header.Records
		if r.From.Header.Position >= k.wants.Load() {
			k.wants.Store(0)
		}
	}
	k.count()
	return nil
}

// due: enough records since the last snapshot, or enough time and any; of a log that
// is the ring's.
func (k *keeper) due(nowNs int64) bool {
	k.crossed = k.replay.TakeCrossed() || k.crossed
	since := k.replay.Place().Records - k.saved
	return since > 0 && (k.crossed || since >= uint64(k.cfg.Records) || nowNs-k.savedNs >= k.cfg.Every.Ns()) &&
		k.follows()
}

func (k *keeper) follows() bool {
	_, _, ok := k.archive.following()
	return ok
}

func (k *keeper) save(nowNs int64) error {
	f, err := k.replay.Save(k.fill)
	if errors.Is(err, snapshot.ErrCut) {
		return k.close()
	}
	if f.Path != "" {
		k.saved, k.savedNs = f.Header.Records, nowNs
		k.noSpare()
		if k.crossed {
			k.crossed = false
			k.log.Warn("a snapshot behind what the archive lacks: start-up and peers go on from it", "lane", k.lane.cfg.ID, "position", f.Header.Position)
		}
		k.log.Info("snapshot", "lane", k.lane.cfg.ID, "file", f.Path, "bytes", f.FileBytes, "records", f.Header.Records)
		k.set(func(s *snapshot.Status) { s.Written++; s.LastError = "" })
		k.told = ""
	}
	k.count()
	return err
}

// count tells the status which snapshots there are.
func (k *keeper) count() {
	files, err := k.store.List()
	if err != nil {
		return // said by the next save
	}
	k.set(func(s *snapshot.Status) {
		s.Files, s.FileBytes, s.Newest, s.NewestNs, s.Oldest = 0, 0, 0, 0, 0
		for i := range files {
			f := &files[i]
			s.FileBytes += f.FileBytes
			if f.Damage != nil {
				continue
			}
			if s.Files == 0 {
				s.Oldest = f.Header.Position
			}
			s.Files++
			s.Newest, s.NewestNs = f.Header.Position, f.Header.WallNs
		}
	})
}

// failed says what went wrong, once, and waits a while.
func (k *keeper) failed(err error, nowNs int64) {
	k.retryNs = nowNs + keeperRetryNs
	k.set(func(s *snapshot.Status) {
		s.State, s.LastError = "failing", err.Error()
		s.Failures++
		if k.gone {
			s.State = "diverged"
		}
	})
	if text := err.Error(); text != k.told {
		k.told = text
		k.log.Error("snapshots", "lane", k.lane.cfg.ID, "error", err)
	}
}

func (k *keeper) set(change func(*snapshot.Status)) {
	k.mu.Lock()
	change(&k.status)
	k.mu.Unlock()
}

func (k *keeper) publish(more bool) {
	position, archived := k.replay.Position(), k.archive.Archived()
	k.set(func(s *snapshot.Status) {
		s.Position, s.Behind = position, lead(archived, position)
		switch s.State = "following"; {
		case k.replay.Bridged():
			s.State = "ahead of the archive"
		case more:
			s.State = "replaying"
		}
	})
}

// Status returns what the keeper last said.
func (k *keeper) Status() snapshot.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

// newest returns the newest good snapshot, for who sends it.
func (k *keeper) newest() (*snapshot.File, error) {
	if k.dir == "" {
		return nil, errors.New("no [snapshot] in the configuration")
	}
	if k.Status().Spare > 0 {
		if s, err := snapshot.Look(k.src.FS, k.spareDir); err == nil {
			if f, _ := s.Newest(); f != nil {
				return f, nil // what the disk has leads nowhere
			}
		}
	}
	s, err := snapshot.Look(k.src.FS, filepath.Clean(k.dir))
	if err != nil {
		return nil, err
	}
	f, harmed := s.Newest()
	if f == nil {
		return nil, fmt.Errorf("no good snapshot in %s, %d harmed", k.dir, len(harmed))
	}
	return f, nil
}

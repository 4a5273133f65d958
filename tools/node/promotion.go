package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"onebeat/mirror/archive"
	"onebeat/mirror/disk"
	"onebeat/mirror/lane"
	"onebeat/mirror/stream"
	"onebeat/tools/config"
)

// Promotion is an operator's word that a lane goes on from a copy of its log: its
// node begins with an empty ring behind the copy's end, in an epoch that no node of
// the other site has come to. It is written beside the lane's archive and ends when
// the lane is served.
type Promotion struct {
	By       string `json:"by"`       // who: why
	Position uint64 `json:"position"` // end of the copy
	Last     uint32 `json:"last"`     // epoch of its last record
	Epoch    uint32 `json:"epoch"`    // that the lane goes on in
	WallNs   int64  `json:"wall_ns"`
}

// siteEpochs is what the epochs of two sites differ by: a site that was cut off
// goes through fewer before it is stopped.
const siteEpochs = 1 << 16

// EpochAfter returns the epoch in which another site goes on from a log.
func EpochAfter(last uint32) (uint32, error) {
	next := last/siteEpochs + 1
	if next >= 1<<16 {
		return 0, fmt.Errorf("epoch %d: no site can go on after it", last)
	}
	return next * siteEpochs, nil
}

func promotionPath(dir string) string { return filepath.Clean(dir) + ".promote" }

// WritePromotion leaves the word for the node that starts on an archive.
func WritePromotion(dir string, p *Promotion) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return disk.WriteFile(disk.OS{}, filepath.Dir(filepath.Clean(dir)), promotionPath(dir), append(b, '\n'))
}

// DropPromotion takes the word back, if no node has acted on it.
func DropPromotion(dir string) error {
	err := os.Remove(promotionPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// readPromotion returns nil where there is none.
func readPromotion(dir string) (*Promotion, error) {
	b, err := os.ReadFile(promotionPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	p := &Promotion{}
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("%s: %w; say `onebeat dr promote` again", promotionPath(dir), err)
	}
	if err := CheckForce(p.By); err != nil {
		return nil, fmt.Errorf("%s: %w", promotionPath(dir), err)
	}
	return p, nil
}

// ErrNotEmpty refuses a promotion where a log is already.
var ErrNotEmpty = errors.New("the lane's ring is not empty")

// prime prepares a lane for its promotion, if there is one: its ring begins where
// the copy ends, and its word is of the epoch before the one it shall go on in. What
// is missing of the machine is rebuilt from the archive, as after any start.
func (n *Node) prime(p *laneParts) error {
	if n.cfg.Archive == nil {
		return nil
	}
	dir := archive.LaneDir(n.cfg.Archive.Dir, n.cfg.Node.Name, p.cfg.ID)
	var err error
	if p.promotion, err = readPromotion(dir); err != nil || p.promotion == nil {
		return err
	}
	word := lane.MakeWord(p.promotion.Epoch-1, lane.Syncing)
	switch now := lane.Load(p.mem.authority); {
	case p.ring.Tail() == 0:
		p.ring.Reset(p.promotion.Position, p.promotion.Last)
		atomic.StoreUint64(p.mem.authority, uint64(word))
	case now == word && p.ring.Tail() == p.promotion.Position: // primed by a process that died
	case now.Epoch() >= p.promotion.Epoch: // it was served, and its process died before it wrote that down
	default:
		return fmt.Errorf("%w: it ends at %d in epoch %d, and %s says to go on from %d: empty it with `onebeat node --cleanup`, or remove that file",
			ErrNotEmpty, p.ring.Tail(), now.Epoch(), promotionPath(dir), p.promotion.Position)
	}
	n.log.Warn("the lane goes on from a copy", "lane", p.cfg.ID, "position", p.promotion.Position, "epoch", p.promotion.Epoch, "by", p.promotion.By)
	return nil
}

// promoteEvery is how often a lane that waits for its machine is looked at.
const promoteEvery = time.Millisecond

// runPromotions gives the operator's word to each primed lane once its machine is
// there, and ends the promotion when the lane is served.
func (n *Node) runPromotions() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(promoteEvery)
		defer t.Stop()
		for n.promotions() {
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// promotions reports whether a promotion is still under way.
func (n *Node) promotions() bool {
	waits := false
	for _, p := range n.lanes {
		if p.promotion == nil {
			continue
		}
		word := lane.Load(p.mem.authority)
		if word.Epoch() >= p.promotion.Epoch && word.State() == lane.Active {
			dir := archive.LaneDir(n.cfg.Archive.Dir, n.cfg.Node.Name, p.cfg.ID)
			if err := os.Rename(promotionPath(dir), promotionPath(dir)+"d"); err != nil {
				n.log.Error("the promotion is not ended", "lane", p.cfg.ID, "error", err)
			}
			n.log.Warn("promoted", "lane", p.cfg.ID, "epoch", word.Epoch(), "position", p.promotion.Position)
			p.promotion = nil
			continue
		}
		waits = true
		if _, lacking := p.replica.History.Wanted(); !lacking && word.State() == lane.Syncing && word.Epoch() < p.promotion.Epoch {
			p.replica.Commands.Force(p.promotion.By) // false: the last one waits yet
		}
	}
	return waits
}

// siteTimeout bounds the question to one site at the start.
const siteTimeout = time.Second

// ErrPromoted refuses to start beside a site that was promoted.
var ErrPromoted = errors.New("another site serves the lane")

// askSites refuses to start where a site went on with one of the lanes. A site that
// does not answer is no reason to stay down.
func (n *Node) askSites(ctx context.Context) error {
	var credentials *stream.Credentials
	for i := range n.cfg.Sites {
		s := &n.cfg.Sites[i]
		if !s.Address.IsValid() {
			continue
		}
		if credentials == nil {
			var err error
			if credentials, err = Credentials(n.cfg); err != nil {
				return err
			}
		}
		lanes, err := askSite(ctx, s, credentials)
		if err != nil {
			n.log.Warn("a site does not answer: whether it was promoted is not known", "site", s.Name, "error", err)
			continue
		}
		for _, l := range lanes {
			if l.State == lane.Active && n.cfg.Lane(int(l.Lane)) != nil {
				return fmt.Errorf("%w: %q is ACTIVE for lane %d in epoch %d: follow it first (docs/replication.md, \"the way back\"), or remove its [[site]] if that is meant",
					ErrPromoted, s.Name, l.Lane, l.Epoch)
			}
		}
	}
	return nil
}

func askSite(ctx context.Context, s *config.Site, c *stream.Credentials) ([]stream.LaneStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, siteTimeout)
	defer cancel()
	client, err := stream.Dial(ctx, s.Address.String(), uint8(s.Node), stream.ClientOptions{Credentials: c, Timing: stream.Timing{Handshake: siteTimeout, Dead: siteTimeout}})
	if err != nil {
		return nil, err
	}
	lanes, err := client.Status()
	return lanes, errors.Join(err, client.Close())
}

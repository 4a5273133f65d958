package drill

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"onebeat/bench/lab"
)

// What the fence agents of a run do with an off.
const (
	agentWorks = "works"
	agentHangs = "hangs"
	agentLies  = "lies" // says that it has done it
)

const (
	// agentTimeout bounds a run of the agent, as the nodes' files say.
	agentTimeout = 500 * time.Millisecond
	supplyEvery  = time.Millisecond
)

//go:embed fence_drill.sh
var agentText string

// supply is what the hosts of a run have their power from. The nodes' fence
// agents reach it through a directory: a file asks for a host to be off, another
// one says that it is.
type supply struct {
	r    *run
	dir  string
	quit chan struct{}
	done chan struct{}

	mu    sync.Mutex
	offNs map[string]int64 // by place
	err   error
}

// agentSection is what the nodes' files say of the fence agents.
func agentSection(l *lab.Lab) string {
	return fmt.Sprintf("[[fence]]\npeer = $PEER\nagent = %q\noptions = [\"plug=$PEER\"]\ntimeout = %q\nmonitor = \"0s\"\n",
		agentPath(l), agentTimeout)
}

func agentPath(l *lab.Lab) string { return filepath.Join(supplyDir(l), "fence_drill") }

func supplyDir(l *lab.Lab) string { return filepath.Join(l.RunDir, "supply") }

// startSupply starts the supply and puts the agent where the nodes find it.
func startSupply(r *run) (*supply, error) {
	s := &supply{r: r, dir: supplyDir(r.lab), quit: make(chan struct{}), done: make(chan struct{}), offNs: map[string]int64{}}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	if err := errors.Join(os.WriteFile(agentPath(r.lab), []byte(strings.ReplaceAll(agentText, "@DIR@", s.dir)), 0o700), s.agents(agentWorks)); err != nil {
		return nil, err
	}
	go s.work()
	return s, nil
}

// agents says what they do from now on.
func (s *supply) agents(do string) error {
	return os.WriteFile(filepath.Join(s.dir, "mode"), []byte(do+"\n"), 0o600)
}

// close ends the supply and returns what it could not do.
func (s *supply) close() error {
	close(s.quit)
	<-s.done
	return s.err
}

func (s *supply) file(kind, place string) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s-%d", kind, lab.NodeNumber(place)))
}

// work does what agents ask for.
func (s *supply) work() {
	defer close(s.done)
	for {
		select {
		case <-s.quit:
			return
		case <-time.After(supplyEvery):
		}
		for _, place := range s.r.lab.Nodes() {
			if os.Remove(s.file("ask", place)) == nil {
				s.err = errors.Join(s.err, s.off(place))
			}
		}
	}
}

// off takes a host's power: nothing of it is there any more, and nothing reaches it.
func (s *supply) off(place string) error {
	c, err := s.r.openCut(place, wholeHost(s.r.lab, place))
	if err != nil {
		return err
	}
	err = errors.Join(c.set(true), s.r.killNode(place), c.close())
	s.mu.Lock()
	s.offNs[place] = monotonicNs()
	s.mu.Unlock()
	return errors.Join(err, os.WriteFile(s.file("off", place), nil, 0o600))
}

// tookOff returns when a host's power was taken; 0: it was not.
func (s *supply) tookOff(place string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offNs[place]
}

// fencedFirst notes a successor that went on before its predecessor was off.
func (s *supply) fencedFirst(m *Mark, place string) {
	if off := s.tookOff(place); m.ActiveNs != 0 && (off == 0 || m.ActiveNs < off) {
		m.Problem = fmt.Sprintf("the successor went on while %s had power", place)
	}
}

package drill

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
	"onebeat/tools/control"
)

// soakMirrordPort is where a node's mirror daemon serves on the cable.
const soakMirrordPort = 7601

// daemonOf names a host's mirror daemon among the processes of a run.
func daemonOf(place string) string { return control.MirrordName(place) }

// byDaemon is the node whose archive its mirror daemon writes; the other one does
// it itself.
const byDaemon = lab.NodeB

// divideArchiving says so in that node's file.
func (r *run) divideArchiving() error {
	if r.o.Fault != FaultSoak {
		return nil
	}
	path := scene.ConfigPath(r.lab, byDaemon)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	divided := bytes.Replace(text, []byte("[archive]\n"), []byte("[archive]\nby = \"mirrord\"\n"), 1)
	if len(divided) == len(text) {
		return fmt.Errorf("%s has no [archive]", path)
	}
	return os.WriteFile(path, divided, 0o600)
}

// startDaemons starts a mirror daemon beside each node of a soak.
func (r *run) startDaemons() error {
	if r.o.Fault != FaultSoak {
		return nil
	}
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		if err := r.beginDaemon(place); err != nil {
			return err
		}
	}
	return nil
}

// beginDaemon starts one and waits until it answers.
func (r *run) beginDaemon(place string) error {
	name := daemonOf(place)
	p, err := start(r.lab, r.o, place, r.o.Log, "mirrord", "--config", scene.ConfigPath(r.lab, place))
	if err != nil {
		return err
	}
	p.place = name
	r.processes[name] = p
	r.setDead(name, false)
	for deadline := time.Now().Add(readyTimeout); ; {
		var s control.MirrordStatus
		err := control.Call(control.SocketPath(r.lab.RunDir, name), control.Request{Cmd: control.CmdStatus}, &s, controlTimeout)
		if err == nil && s.PID == p.cmd.Process.Pid {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not answer within %v: %w", name, readyTimeout, err)
		}
		if err := r.rest(pollEvery); err != nil {
			return err
		}
	}
}

// endDaemon kills one.
func (r *run) endDaemon(place string) error {
	p := r.processes[daemonOf(place)]
	if !p.ended() {
		r.setDead(daemonOf(place), true)
		if err := p.signal(syscall.SIGKILL); err != nil {
			return err
		}
	}
	<-p.done
	return nil
}

// killDaemon ends a host's mirror daemon alone, and with it, on one of them, the
// archiver; it comes back.
func (s *soaking) killDaemon() error {
	place := []string{lab.NodeA, lab.NodeB}[s.rng.IntN(2)]
	s.aside(fmt.Sprintf("SIGKILL to %s's mirror daemon", place))
	s.result.DaemonKills++
	if err := s.endDaemon(place); err != nil {
		return err
	}
	if err := s.run.rest(s.down()); err != nil {
		return err
	}
	return s.beginDaemon(place)
}

// aside marks a harm that must not move the lane.
func (s *soaking) aside(what string) {
	m := s.lanes[0].mark(what, Either, soakEpochs)
	m.EndEpoch = m.Epoch
}

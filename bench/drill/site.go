package drill

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"onebeat/bench/lab"
	"onebeat/bench/load"
	"onebeat/bench/scene"
	"onebeat/mirror/lane"
	"onebeat/tools/control"
)

// FaultSite kills a whole site: both nodes. A far site's copy is promoted, by an
// operator's commands, and clients go on there. The copy is asynchronous: what was
// lost is measured, not asserted to be nothing.
const FaultSite = "site"

// farSite is where the far site is in the lab: the venue's place, which a book needs
// not.
const (
	farSite   = lab.Venue
	farName   = "far"
	farNumber = 9
	farPort   = 7601
	nodePort  = 7600
)

// SiteResult is what one run measured.
type SiteResult struct {
	// Accepted orders were acknowledged to the client before the fault; Lost of them
	// are not in the far site's log: the newest ones. Doubled were accepted twice there.
	Accepted int `json:"accepted"`
	Lost     int `json:"lost"`
	Doubled  int `json:"doubled"`
	// RPONs is the age of the oldest lost answer when the site died; 0: nothing lost.
	RPONs int64 `json:"rpo_ns"`
	// RTONs is from the site's death to the first answer of the far site, of which
	// PromoteNs were `onebeat dr promote` and StartNs the node's start up to ACTIVE.
	RTONs     int64 `json:"rto_ns"`
	PromoteNs int64 `json:"promote_ns"`
	StartNs   int64 `json:"start_ns"`
	// AnsweredAfter are orders that the far site answered.
	AnsweredAfter int    `json:"answered_after"`
	BehindRecords uint64 `json:"behind_records"` // of the copy, as it knew when it was cut off
	Epochs        [2]int `json:"epochs"`         // before and after
	// BackNs is from the far site's orderly end to the main site's node being ACTIVE
	// again, in epoch BackEpoch.
	BackNs    int64    `json:"back_ns"`
	BackEpoch int      `json:"back_epoch"`
	Broken    []string `json:"broken"`
}

// OK reports whether nothing broke that may not.
func (r *SiteResult) OK() bool { return len(r.Broken) == 0 }

// WriteText prints a result for people.
func (r *SiteResult) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "site: RPO %d of %d acknowledged orders (%.2f ms), RTO %.1f ms (promote %.1f, start %.1f), doubled %d, answered by the far site %d, epoch %d -> %d\n",
		r.Lost, r.Accepted, float64(r.RPONs)/1e6, float64(r.RTONs)/1e6, float64(r.PromoteNs)/1e6, float64(r.StartNs)/1e6, r.Doubled, r.AnsweredAfter, r.Epochs[0], r.Epochs[1])
	if err == nil {
		_, err = fmt.Fprintf(w, "      the way back: %.1f ms without a site, epoch %d, standby and far copy in step again\n", float64(r.BackNs)/1e6, r.BackEpoch)
	}
	for _, b := range r.Broken {
		_, err = fmt.Fprintln(w, "NOT OK: "+b)
	}
	return err
}

// siteRun is one run in its lab.
type siteRun struct {
	o         *Options
	lab       *lab.Lab
	stop      <-chan struct{}
	processes []*process
	client    *process
	out       bytes.Buffer
	diedNs    int64
	res       SiteResult
}

// RunSite plays one run.
func RunSite(o *Options, stop <-chan struct{}) (res *SiteResult, err error) {
	l, err := lab.Up(lab.Spec{})
	if err != nil {
		return nil, err
	}
	r := &siteRun{o: o, lab: l, stop: stop}
	defer func() {
		for i := len(r.processes) - 1; i >= 0; i-- {
			_ = r.processes[i].stop() // some were killed
		}
		err = errors.Join(err, l.Down())
	}()
	for _, step := range []func() error{r.write, r.begin, r.follow, r.load, r.die, r.promote, r.goOn, r.judge, r.back} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &r.res, nil
}

func (r *siteRun) path(name string) string { return filepath.Join(r.lab.RunDir, name) }

// write makes certificates and configurations.
func (r *siteRun) write() error {
	errs := []error{scene.WriteCertificates(r.lab.RunDir, 1, 2, farNumber)}
	archives := fmt.Sprintf("[archive]\ndir = %q\nsegment_size = \"4MiB\"\nsync_every = \"2ms\"\n", r.path("archive"))
	lines := fmt.Sprintf("policy = \"mirrored\"\nheartbeat = %q\nhang_budget = %q\nring_size = %q\n", r.o.Heartbeat, r.o.HangBudget, r.o.RingSize)
	s := &scene.Scene{Lab: r.lab, Lanes: scene.OneLane("book", lines), LogLevel: r.o.LogLevel,
		LoopLines: fmt.Sprintf("idle = %q\nmax_sleep = %q", r.o.Idle, min(maxSleep, r.o.Heartbeat/5)),
		NodeLines: archives + "[stream]\nlisten = \"10.10.0.$NODE:7600\"\ncertificate = \"node-$NODE.crt\"\nkey = \"node-$NODE.key\"\nauthorities = \"authority.crt\"\n" +
			fmt.Sprintf("[[site]]\nname = %q\nnode = %d\naddress = \"%s:%d\"\n", farName, farNumber, dotted(lab.OrderIP(farSite)), farPort),
		LinkLines: fmt.Sprintf("peer_stream = \"10.10.0.$PEER:%d\"\n", nodePort)}
	for _, n := range []string{lab.NodeA, lab.NodeB} {
		if want := fmt.Sprintf("10.10.0.%d", lab.NodeNumber(n)); dotted(lab.OrderIP(n)) != want {
			return fmt.Errorf("%s is not %s", n, want)
		}
	}
	far := fmt.Sprintf("[stream]\ncertificate = \"node-%d.crt\"\nkey = \"node-%d.key\"\nauthorities = \"authority.crt\"\nlisten = \"%s:%d\"\n",
		farNumber, farNumber, dotted(lab.OrderIP(farSite)), farPort)
	daemon := fmt.Sprintf("[mirrord]\nname = %q\nnumber = %d\nrun_dir = %q\n%s%s[follow]\ncompress = true\nretry = \"20ms\"\n"+
		"[[source]]\nnode = 1\naddress = \"%s:%d\"\n[[source]]\nnode = 2\naddress = \"%s:%d\"\n[[lane]]\nid = 0\nring_size = %q\n",
		farName, farNumber, r.lab.RunDir, far, archives, dotted(lab.OrderIP(lab.NodeA)), nodePort, dotted(lab.OrderIP(lab.NodeB)), nodePort, r.o.RingSize)
	node := fmt.Sprintf("[node]\nname = %q\nnumber = %d\nbpffs = %q\nrun_dir = %q\nlog_level = %q\n[order]\ninterface = %q\n[loop]\nidle = %q\n%s%s"+
		"[[lane]]\nid = 0\naddress = %q\nport = %d\nfirst = true\napp = \"book\"\norder_log = %q\nring_size = %q\n"+
		"[[lane.session]]\nid = %q\nname = \"client-1\"\nkey = %q\n[[lane.symbol]]\nid = %d\nname = \"ONEB\"\nreference_price_ticks = %d\n",
		farName, farNumber, r.lab.BPFFS(farSite), r.lab.RunDir, r.o.LogLevel, lab.OrderNIC, r.o.Idle, far, archives,
		dotted(lab.VenueLaneAddress(0)), scene.LanePort, r.path("far-orders.csv"), r.o.RingSize, scene.Session(0), scene.Credentials, scene.SymbolID, scene.ReferencePrice)
	return errors.Join(append(errs, s.Write(), os.WriteFile(r.path("far-mirrord.toml"), []byte(daemon), 0o600),
		os.WriteFile(r.path("far-node.toml"), []byte(node), 0o600), os.WriteFile(r.path("a-mirrord.toml"), []byte(r.copyOfFar()), 0o600))...)
}

// copyOfFar is the file by which the main site's first node becomes a copy of the
// far site.
func (r *siteRun) copyOfFar() string {
	return fmt.Sprintf("[mirrord]\nname = %q\nnumber = 1\nrun_dir = %q\n[stream]\ncertificate = \"node-1.crt\"\nkey = \"node-1.key\"\nauthorities = \"authority.crt\"\n"+
		"[archive]\ndir = %q\nsegment_size = \"4MiB\"\nsync_every = \"2ms\"\n[follow]\nretry = \"20ms\"\n"+
		"[[source]]\nnode = %d\naddress = \"%s:%d\"\n[[lane]]\nid = 0\nring_size = %q\n",
		lab.NodeA, r.lab.RunDir, r.path("archive"), farNumber, dotted(lab.OrderIP(farSite)), farPort, r.o.RingSize)
}

func dotted(ip [4]byte) string { return fmt.Sprintf("%d.%d.%d.%d", ip[0], ip[1], ip[2], ip[3]) }

func (r *siteRun) start(place string, stdout io.Writer, args ...string) (*process, error) {
	p, err := start(r.lab, r.o, place, stdout, args...)
	if err == nil {
		r.processes = append(r.processes, p)
	}
	return p, err
}

// begin starts the main site's nodes.
func (r *siteRun) begin() error {
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		if _, err := r.start(place, nil, "node", "--config", scene.ConfigPath(r.lab, place)); err != nil {
			return err
		}
	}
	view, err := r.processes[1].waitFor(r.lab, 0, lane.Standby, r.stop)
	if err != nil {
		return err
	}
	r.res.Epochs[0] = int(view.authority().Epoch())
	return view.close()
}

// follow starts the far site's daemon and waits until its copy has everything.
func (r *siteRun) follow() error {
	_, err := r.followAt(farSite, farName, "far-mirrord.toml")
	return err
}

func (r *siteRun) followAt(place, name, file string) (*process, error) {
	p, err := r.start(place, nil, "mirrord", "--config", r.path(file))
	if err != nil {
		return nil, err
	}
	return p, r.until("the copy at "+place+" has everything", func() bool {
		var s control.MirrordStatus
		err := control.Call(control.SocketPath(r.lab.RunDir, control.MirrordName(name)), control.Request{Cmd: control.CmdStatus}, &s, time.Second)
		return p.ended() || err == nil && len(s.Lanes) == 1 && s.Lanes[0].Copy != nil && s.Lanes[0].Copy.State == "caught up"
	})
}

func (r *siteRun) until(what string, ok func() bool) error {
	for deadline := time.Now().Add(readyTimeout); time.Now().Before(deadline); {
		if ok() {
			return nil
		}
		select {
		case <-r.stop:
			return ErrStopped
		case <-time.After(pollEvery):
		}
	}
	return fmt.Errorf("never within %v: %s", readyTimeout, what)
}

// siteAfter is how long orders are sent after the site's death.
const siteAfter = 12 * time.Second

// load starts a client that knows both sites' addresses, and lets it run.
func (r *siteRun) load() error {
	before := r.o.Duration / 2
	var err error
	r.client, err = r.start(lab.Client, &r.out, "load", "--transport", "udp", "--local", dotted(lab.OrderIP(lab.Client))+":40000",
		"--target", fmt.Sprintf("%s:%d", dotted(lab.LaneAddress(0)), scene.LanePort),
		"--target", fmt.Sprintf("%s:%d", dotted(lab.VenueLaneAddress(0)), scene.LanePort),
		"--session", scene.Session(0), "--key", scene.Credentials, "--rate", strconv.Itoa(r.o.RatePerSecond), "--connect", "10s",
		"--duration", (before + siteAfter).String(), "--resend", "20ms", "--drain", "10s", "--log", r.path("client.csv"), "--json")
	if err != nil {
		return err
	}
	select {
	case <-time.After(before + 500*time.Millisecond):
		return nil
	case <-r.stop:
		return ErrStopped
	}
}

// die takes the whole main site: processes and cables.
func (r *siteRun) die() error {
	r.diedNs = monotonicNs()
	var errs []error
	for _, p := range r.processes[:2] {
		errs = append(errs, p.signal(unix.SIGKILL))
	}
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		errs = append(errs, r.lab.SetCarrier(place, lab.OrderNIC, false))
	}
	r.say("both nodes of the main site are dead and unreachable")
	return errors.Join(errs...)
}

func (r *siteRun) say(format string, args ...any) {
	if r.o.Progress != nil {
		r.o.Progress(fmt.Sprintf("%10.3f s  ", float64(monotonicNs()-r.diedNs)/1e9) + fmt.Sprintf(format, args...))
	}
}

// promote is the operator's first command.
func (r *siteRun) promote() error {
	began := monotonicNs()
	l, err := r.promoteAt(farSite, "far-mirrord.toml", r.path("far-node.toml"), "drill: the main site is gone")
	if err != nil {
		return err
	}
	r.res.PromoteNs = monotonicNs() - began
	r.res.BehindRecords, r.res.Epochs[1] = l.BehindRecords, int(l.Epoch)
	r.say("promoted")
	return nil
}

// promotedLane is what `onebeat dr promote` says of a lane.
type promotedLane struct {
	Epoch         uint32 `json:"epoch"`
	BehindRecords uint64 `json:"behind_records"`
}

func (r *siteRun) promoteAt(place, daemon, node, by string) (*promotedLane, error) {
	var out bytes.Buffer
	if err := r.command(place, &out, "dr", "promote", "--config", r.path(daemon), "--node-config", node, "--by", by, "--json"); err != nil {
		return nil, err
	}
	var done struct {
		Lanes []promotedLane `json:"lanes"`
	}
	if err := decode("dr promote", out.Bytes(), &done); err != nil {
		return nil, err
	}
	return &done.Lanes[0], nil
}

// commandTimeout is far longer than any of the operator's commands takes.
const commandTimeout = 30 * time.Second

// command runs an operator's command to its end.
func (r *siteRun) command(place string, out io.Writer, args ...string) error {
	p, err := start(r.lab, r.o, place, out, args...)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-r.stop:
		return errors.Join(ErrStopped, p.stop())
	case <-time.After(commandTimeout):
		return errors.Join(fmt.Errorf("onebeat %s does not end within %v", strings.Join(args[:2], " "), commandTimeout), p.stop())
	}
	if p.err != nil {
		return fmt.Errorf("onebeat %s: %w", strings.Join(args[:2], " "), p.why())
	}
	return nil
}

// goOn starts the far site's node and lets the client run to its end.
func (r *siteRun) goOn() error {
	began := monotonicNs()
	far, err := r.start(farSite, nil, "node", "--config", r.path("far-node.toml"))
	if err != nil {
		return err
	}
	epoch, err := r.active(far, farName)
	if err != nil {
		return err
	}
	r.res.StartNs = monotonicNs() - began
	if epoch != r.res.Epochs[1] {
		r.broken("the far site serves in epoch %d, promoted was %d", epoch, r.res.Epochs[1])
	}
	r.say("the far site's node is ACTIVE")
	select {
	case <-r.client.done:
	case <-r.stop:
		return ErrStopped
	}
	if r.client.err != nil {
		return fmt.Errorf("load: %w", r.client.why())
	}
	return far.stop() // it writes its orders; back starts it again
}

func (r *siteRun) broken(format string, args ...any) {
	r.res.Broken = append(r.res.Broken, fmt.Sprintf(format, args...))
}

// judge compares what the client was told with what the far site's log holds.
func (r *siteRun) judge() error {
	orders, _, err := load.ReadCSV(r.path("client.csv"))
	if err != nil {
		return err
	}
	held, err := heldOrders(r.path("far-orders.csv"))
	if err != nil {
		return err
	}
	for _, times := range held {
		if times > 1 {
			r.res.Doubled++
		}
	}
	first := int64(0)
	for i := range orders {
		o := &orders[i]
		switch {
		case o.FirstAnswerNs == 0 || o.Accepts == 0:
		case o.FirstAnswerNs < r.diedNs:
			r.res.Accepted++
			if held[o.ClOrdID] == 0 {
				r.res.Lost++
				r.res.RPONs = max(r.res.RPONs, r.diedNs-o.FirstAnswerNs)
			}
		default:
			if held[o.ClOrdID] == 0 {
				// An answer of the main site may have been under way when it died.
				if o.FirstAnswerNs-r.diedNs > int64(50*time.Millisecond) {
					r.broken("order %d was answered %.1f ms after the main site's death and is not in the far site's log", o.ClOrdID, float64(o.FirstAnswerNs-r.diedNs)/1e6)
				}
				continue
			}
			if o.FirstAnswerNs-r.diedNs > int64(50*time.Millisecond) {
				r.res.AnsweredAfter++
				if first == 0 || o.FirstAnswerNs < first {
					first = o.FirstAnswerNs
				}
			}
		}
	}
	if first == 0 {
		r.broken("the far site answered nobody")
	} else {
		r.res.RTONs = first - r.diedNs
	}
	if r.res.Doubled > 0 {
		r.broken("%d orders were accepted twice", r.res.Doubled)
	}
	if r.res.Accepted == 0 {
		r.broken("nothing was acknowledged before the fault")
	}
	return nil
}

// heldOrders reads a book's order log: how often each order was accepted.
func heldOrders(path string) (map[uint64]int, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows := csv.NewReader(f)
	held := map[uint64]int{}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return held, nil
		} else if err != nil {
			return nil, err
		}
		if strings.HasPrefix(row[0], "clordid") {
			continue
		}
		id, err := strconv.ParseUint(row[0], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		held[id]++
	}
}

// back is the way back: the main site is repaired and becomes a copy of the far site,
// then the lane goes on there, and the far site is a copy again.
func (r *siteRun) back() error {
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		if err := errors.Join(r.lab.SetCarrier(place, lab.OrderNIC, true), r.command(place, nil, "node", "--config", scene.ConfigPath(r.lab, place), "--cleanup")); err != nil {
			return err
		}
	}
	far, err := r.start(farSite, nil, "node", "--config", r.path("far-node.toml"))
	if err != nil {
		return err
	}
	if _, err := r.active(far, farName); err != nil {
		return err
	}
	// A node that comes back by itself must not serve beside the far site.
	if err := r.command(lab.NodeA, nil, "node", "--config", scene.ConfigPath(r.lab, lab.NodeA)); err == nil || !strings.Contains(err.Error(), "another site serves the lane") {
		r.broken("a node of the main site started beside the far site: %v", err)
	}
	daemon, err := r.followAt(lab.NodeA, lab.NodeA, "a-mirrord.toml")
	if err != nil {
		return err
	}
	r.say("the main site has what the far site has")
	// A promotion while the far site serves is refused.
	if _, err := r.promoteAt(lab.NodeA, "a-mirrord.toml", scene.ConfigPath(r.lab, lab.NodeA), "drill: too early"); err == nil || !strings.Contains(err.Error(), "can be reached") {
		r.broken("the main site was promoted beside the far site: %v", err)
	}
	began := monotonicNs()
	if err := far.stop(); err != nil {
		return err
	}
	l, err := r.promoteAt(lab.NodeA, "a-mirrord.toml", scene.ConfigPath(r.lab, lab.NodeA), "drill: the main site is repaired")
	if err != nil {
		return err
	}
	if err := daemon.stop(); err != nil {
		return err
	}
	a, err := r.start(lab.NodeA, nil, "node", "--config", scene.ConfigPath(r.lab, lab.NodeA))
	if err != nil {
		return err
	}
	if r.res.BackEpoch, err = r.active(a, lab.NodeA); err != nil {
		return err
	}
	r.res.BackNs = monotonicNs() - began
	if r.res.BackEpoch < int(l.Epoch) || r.res.BackEpoch <= r.res.Epochs[1] {
		r.broken("the main site serves in epoch %d, promoted was %d, the far site's was %d", r.res.BackEpoch, l.Epoch, r.res.Epochs[1])
	}
	r.say("the main site serves again")
	b, err := r.start(lab.NodeB, nil, "node", "--config", scene.ConfigPath(r.lab, lab.NodeB))
	if err != nil {
		return err
	}
	view, err := b.waitFor(r.lab, 0, lane.Standby, r.stop)
	if err != nil {
		return err
	}
	if err := view.close(); err != nil {
		return err
	}
	for _, p := range r.processes {
		if p.place == farSite { // the daemon that followed no more
			if err := p.stop(); err != nil {
				return err
			}
		}
	}
	if err := r.command(farSite, nil, "dr", "follow", "--config", r.path("far-mirrord.toml")); err != nil {
		return err
	}
	if _, err := r.followAt(farSite, farName, "far-mirrord.toml"); err != nil {
		return err
	}
	return r.command(farSite, nil, "ring", "verify", "--archive", filepath.Join(r.path("archive"), farName+"-lane0"))
}

// active waits until a node's process serves, and returns in which epoch.
func (r *siteRun) active(p *process, name string) (epoch int, err error) {
	err = r.until(name+" is ACTIVE", func() bool {
		var s control.Status
		err := control.Call(control.SocketPath(r.lab.RunDir, name), control.Request{Cmd: control.CmdStatus}, &s, time.Second)
		if err == nil && s.PID == p.cmd.Process.Pid && len(s.Lanes) == 1 && s.Lanes[0].State == lane.Active.String() {
			epoch = int(s.Lanes[0].Epoch)
		}
		return epoch != 0 || p.ended()
	})
	if err == nil && epoch == 0 {
		err = fmt.Errorf("%s ended: %w", name, p.why())
	}
	return epoch, err
}

package drill

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"onebeat/bench/lab"
	"onebeat/bench/load"
	"onebeat/bench/scene"
	"onebeat/bpf"
	"onebeat/engine/app"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/mirror/lane"
	"onebeat/mirror/ring"
	"onebeat/tools/config"
	"onebeat/tools/control"
)

// nodeView is a look at a node's pinned memory.
type nodeView struct {
	view  *bpf.View
	table *lane.Table
	word  *uint64
}

func openNode(l *lab.Lab, place string, lane int) (*nodeView, error) {
	return viewOf(bpf.OpenView(l.BPFFS(place), lane))
}

func viewOf(v *bpf.View, err error) (*nodeView, error) {
	if err != nil {
		return nil, err
	}
	return &nodeView{view: v, table: lane.At(v.Lane), word: lane.WordAt(v.Authority)}, nil
}

func (n *nodeView) authority() lane.Word { return lane.Load(n.word) }

func (n *nodeView) close() error { return n.view.Close() }

// watch adds when the node's kernel acted.
func (n *nodeView) watch(out NodeLog) NodeLog {
	w := &n.table.Watch
	out.FencedNs = int64(atomic.LoadUint64(&w.FencedNs))
	out.CandidateNs = int64(atomic.LoadUint64(&w.CandidateNs))
	out.Why = lane.Why(atomic.LoadUint64(&w.CandidateWhy)).String()
	return out
}

// log reads what the node left: its ring's orders and when its kernel acted.
func (n *nodeView) log(place string) (NodeLog, error) {
	word := n.authority()
	out := n.watch(NodeLog{MAC: [6]byte(lab.OrderMAC(place)), Epoch: word.Epoch(), State: word.State().String()})
	// A tail of our own: the view is read-only, and the log must not move
	// while it is read.
	tail := atomic.LoadUint64(&n.table.Tail)
	r, err := ring.New(n.view.Ring, n.view.RingSize(), &tail)
	if err != nil {
		return out, err
	}
	oldest := r.Oldest()
	out.Whole = oldest == 0
	_, err = r.Scan(oldest, tail, func(rec *app.Record) bool {
		if rec.Type != app.RecordMessage {
			return true
		}
		session, seqNo, template, block, ok := fixp.ParseMessage(rec.Payload)
		if ok && template == sbe.TemplateNewOrderSingle {
			out.Orders = append(out.Orders, RingOrder{
				ClOrdID: sbe.AsNewOrderSingle(block).ClOrdID(), Position: rec.Position, Epoch: rec.Epoch, TimeNs: rec.TimeNs,
				Session: session, SeqNo: seqNo,
			})
		}
		return true
	})
	if err != nil {
		return out, fmt.Errorf("ring of %s: %w", place, err)
	}
	return out, nil
}

// collect reads a lane's logs once everything has come to rest.
func (r *run) collect(l *laneRun) (*Logs, error) {
	if r.o.Client == ClientFIX {
		return r.collectFIX(l)
	}
	var result load.Result
	if err := decode("load", l.out.Bytes(), &result); err != nil {
		return nil, err
	}
	logs := r.newLogs(l)
	logs.Servers = result.ServerList
	var err error
	var servers []load.Server
	if logs.Orders, servers, err = load.ReadCSV(clientLogPath(r.lab, l.ID)); err != nil {
		return nil, err
	}
	alignServers(logs, servers)
	nameWriters(logs, l)
	return logs, r.collectNodes(l, logs)
}

// newLogs begins the logs of a lane.
func (r *run) newLogs(l *laneRun) *Logs {
	return &Logs{HasBook: r.o.App == config.AppBook, StartEpoch: l.startEpoch, CutOff: r.fault.cutOff, MayLose: r.o.Policy == PolicyNone}
}

// collectNodes adds what venue and nodes have.
func (r *run) collectNodes(l *laneRun, logs *Logs) (err error) {
	if !logs.HasBook {
		if err := call(r.lab, lab.Venue, l.ID, control.CmdOrders, nil); err != nil {
			return err
		}
		if logs.Venue, err = ReadVenueCSV(scene.VenueOrders(r.lab, l.ID)); err != nil {
			return err
		}
	}
	logs.Backlog = r.o.Fault == FaultSoak
	if r.witnessed != nil {
		logs.Seen, logs.SeenAll = r.witnessed.epochs()
	}
	for _, m := range l.marks {
		logs.Marks = append(logs.Marks, *m)
	}
	writer, other := l.serving()
	if logs.Survivor, err = l.views[writer].log(writer); err != nil {
		return err
	}
	// What a node holds that does not serve is judged, not required.
	if logs.Old, err = l.views[other].log(other); err != nil {
		logs.OldBroken = err.Error()
	}
	return nil
}

// alignServers makes the orders' server indexes those of the result: the CSV
// names servers in the order in which their answers appear.
func alignServers(logs *Logs, servers []load.Server) {
	index := make([]uint8, len(servers))
	for i := range servers {
		for j := range logs.Servers {
			if logs.Servers[j].MAC == servers[i].String() {
				index[i] = uint8(j)
			}
		}
	}
	for i := range logs.Orders {
		if o := &logs.Orders[i]; o.FirstAnswerNs != 0 {
			o.Server = index[o.Server]
		}
	}
}

// nameWriters puts the writer's address in place of its standby's, where that let
// the answers out.
func nameWriters(logs *Logs, l *laneRun) {
	for i := range logs.Servers {
		s := &logs.Servers[i]
		mac, err := net.ParseMAC(s.MAC)
		if err != nil || len(mac) != 6 {
			continue
		}
		via, relayed := (&load.Server{MAC: [6]byte(mac)}).Relayed()
		switch {
		case !relayed:
		case via == [6]byte(lab.OrderMAC(l.Primary)):
			s.MAC = lab.OrderMAC(l.Standby).String()
		case via == [6]byte(lab.OrderMAC(l.Standby)):
			s.MAC = lab.OrderMAC(l.Primary).String()
		}
	}
}

// keep copies the logs of a run that went wrong.
func (r *run) keep() error {
	if r.o.KeepDir == "" {
		return nil
	}
	dir := filepath.Join(r.o.KeepDir, r.o.Fault+"-"+r.lab.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, l := range r.lanes {
		for place, v := range l.views {
			name := filepath.Join(dir, fmt.Sprintf("%s-lane%d.ring", place, l.ID))
			if err := os.WriteFile(name, v.view.Ring[:v.view.RingSize()], 0o644); err != nil {
				return err
			}
		}
		for _, path := range []string{clientLogPath(r.lab, l.ID), fixHistory(r.lab, l.ID), scene.VenueOrders(r.lab, l.ID)} {
			if err := copyFile(path, filepath.Join(dir, filepath.Base(path))); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// VenueHeader is the first line of a venue's order log.
var VenueHeader = []string{"clordid", "poss_resend", "time_ns"}

// ReadVenueCSV reads the orders a venue accepted.
func ReadVenueCSV(path string) ([]VenueOrder, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the venue's order log: %w", err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.ReuseRecord = true
	names, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	column := map[string]int{}
	for i, name := range names {
		column[name] = i
	}
	for _, name := range VenueHeader {
		if _, ok := column[name]; !ok {
			return nil, fmt.Errorf("%s: no column %q", path, name)
		}
	}
	var orders []VenueOrder
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return orders, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		id, err1 := strconv.ParseUint(fields[column["clordid"]], 10, 64)
		poss, err2 := strconv.ParseBool(fields[column["poss_resend"]])
		at, err3 := strconv.ParseInt(fields[column["time_ns"]], 10, 64)
		if err := errors.Join(err1, err2, err3); err != nil {
			line, _ := r.FieldPos(0)
			return nil, fmt.Errorf("%s:%d: %w", path, line, err)
		}
		orders = append(orders, VenueOrder{ClOrdID: id, PossResend: poss, TimeNs: at})
	}
}

package dr

import (
	"fmt"
	"io"
	"time"

	"onebeat/mirror/pull"
	"onebeat/tools/config"
	"onebeat/tools/control"
)

// Behind is how far one copy of one lane is behind.
type Behind struct {
	Lane int    `json:"lane"`
	Site string `json:"site"` // a copy's name, or a store's
	Kind string `json:"kind"` // copy, store
	// State of the copy, as whoever was asked knows it.
	State     string `json:"state"`
	Connected bool   `json:"connected"`
	Position  uint64 `json:"position"` // on its disk
	End       uint64 `json:"end"`      // what it should have: the log's committed end
	Bytes     uint64 `json:"behind_bytes"`
	// Records are estimated by the lane's typical record.
	Records uint64 `json:"behind_records"`
	// Ns is how long ago it last had everything; -1: not known.
	Ns    int64  `json:"behind_ns"`
	Error string `json:"error,omitempty"`
}

// typicalRecordBytes makes records of bytes where nobody counted them.
const typicalRecordBytes = 128

// Status asks this host's node and mirror daemon how far the copies are behind.
func Status(configFile string, doc []byte) ([]Behind, error) {
	if config.HasSources(doc) {
		file, err := config.ParseMirrord(configFile, doc)
		if err != nil {
			return nil, err
		}
		var s control.MirrordStatus
		if err := control.Call(socket(file), control.Request{Cmd: control.CmdStatus}, &s, askTimeout); err != nil {
			return nil, err
		}
		return ofDaemon(&s), nil
	}
	cfg, err := config.Parse(configFile, doc)
	if err != nil {
		return nil, err
	}
	var list []Behind
	var n control.Status
	nodeErr := control.Call(control.SocketPath(cfg.Node.RunDir, cfg.Node.Name), control.Request{Cmd: control.CmdStatus}, &n, askTimeout)
	if nodeErr == nil {
		list = append(list, ofNode(cfg, &n)...)
	}
	var s control.MirrordStatus
	daemonErr := control.Call(control.SocketPath(cfg.Node.RunDir, control.MirrordName(cfg.Node.Name)), control.Request{Cmd: control.CmdStatus}, &s, askTimeout)
	if daemonErr == nil {
		list = append(list, ofDaemon(&s)...)
	}
	if nodeErr != nil && daemonErr != nil {
		return nil, fmt.Errorf("neither the node nor its mirror daemon answers: %w", nodeErr)
	}
	return list, nil
}

// ofNode lists who follows a node, and the sites that should and do not.
func ofNode(cfg *config.Config, n *control.Status) []Behind {
	var list []Behind
	for i := range n.Lanes {
		l := &n.Lanes[i]
		seen := map[int]bool{}
		for _, c := range l.Copies {
			seen[int(c.Node)] = true
			list = append(list, behind(l.ID, c.Name, c.Connected, c.Durable, l.Released, n.NowNs-c.HeardNs))
		}
		for _, s := range cfg.Sites {
			if !seen[s.Node] {
				list = append(list, Behind{Lane: l.ID, Site: s.Name, Kind: "copy", State: "never came", End: l.Released, Bytes: l.Released, Ns: -1})
			}
		}
	}
	return list
}

// behind is a copy as its source knows it.
func behind(lane int, name string, connected bool, position, end uint64, heardNs int64) Behind {
	b := Behind{Lane: lane, Site: name, Kind: "copy", State: "following", Connected: connected, Position: position, End: end}
	if !connected {
		b.State, b.Ns = "gone", heardNs
	}
	if end > position {
		b.Bytes = end - position
		b.Records = (b.Bytes + typicalRecordBytes - 1) / typicalRecordBytes
		b.Ns = heardNs
	}
	return b
}

// ofDaemon lists what a daemon follows, who follows it, and its stores.
func ofDaemon(s *control.MirrordStatus) []Behind {
	var list []Behind
	for i := range s.Lanes {
		l := &s.Lanes[i]
		end := l.Committed
		if c := l.Copy; c != nil {
			list = append(list, ofCopy(s, l.ID, c))
			end = c.Received
		} else if s.Host {
			list = append(list, Behind{Lane: l.ID, Site: s.Name, Kind: "copy", State: "follows no more: " + s.Ceased, Ns: -1})
		}
		for _, c := range l.Copies {
			list = append(list, behind(l.ID, c.Name, c.Connected, c.Durable, end, 0))
		}
		for _, x := range l.Stores {
			b := Behind{Lane: l.ID, Site: x.Store, Kind: "store", State: x.State, Connected: x.State != "failing", Position: x.Shipped, End: end, Error: x.LastError, Ns: -1}
			if end > x.Shipped {
				b.Bytes = end - x.Shipped
				b.Records = (b.Bytes + typicalRecordBytes - 1) / typicalRecordBytes
			}
			if x.LastNs > 0 {
				b.Ns = max(0, time.Now().UnixNano()-x.LastNs)
			}
			list = append(list, b)
		}
	}
	return list
}

func ofCopy(s *control.MirrordStatus, lane int, c *pull.Status) Behind {
	return Behind{Lane: lane, Site: s.Name, Kind: "copy", State: c.State, Connected: c.Source != 0, Position: c.Durable, End: max(c.Safe, c.Received),
		Bytes: c.BehindBytes, Records: c.BehindRecords, Ns: c.BehindNs, Error: c.LastError}
}

// Print writes the list for people.
func Print(w io.Writer, list []Behind) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no further copies: neither [[site]] nor [[store]], and nobody follows")
		return err
	}
	if _, err := fmt.Fprintf(w, "%-5s %-6s %-28s %-22s %14s %14s %12s %12s\n", "lane", "kind", "site", "state", "position", "behind bytes", "~records", "ms"); err != nil {
		return err
	}
	for _, b := range list {
		ms := "?"
		if b.Ns >= 0 {
			ms = fmt.Sprintf("%.1f", float64(b.Ns)/1e6)
		}
		if _, err := fmt.Fprintf(w, "%-5d %-6s %-28s %-22s %14d %14d %12d %12s\n", b.Lane, b.Kind, b.Site, b.State, b.Position, b.Bytes, b.Records, ms); err != nil {
			return err
		}
		if b.Error != "" {
			if _, err := fmt.Fprintf(w, "      %s\n", b.Error); err != nil {
				return err
			}
		}
	}
	return nil
}

package load

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"onebeat/engine/sbe"
)

// Order is what became of one order. The index in the log is that of its
// ClOrdID.
type Order struct {
	ClOrdID       uint64
	IntendedNs    int64 // when it was due
	FirstSentNs   int64 // when it first left; 0: never
	FirstAnswerNs int64 // 0: unanswered
	Sends         uint32
	Answers       uint32 // all messages about it
	Accepts       uint32 // reports of the kind that acknowledged it: 1, or it was doubled
	ExecType      byte   // of the first answer; 0: none, Rejected: a Reject too
	Server        uint8  // index of the server that first answered
	Reason        uint16 // of a refusal: sbe.RejectReason
}

// Accepted reports whether the first answer acknowledged the order.
func (o *Order) Accepted() bool {
	return o.FirstAnswerNs != 0 && o.ExecType != execRejected
}

// Server is one MAC address that answered.
type Server struct {
	MAC             [6]byte
	FirstNs, LastNs int64 // first and last datagram of it
	Datagrams       uint64
}

// relayedBit marks the address of a NIC that let answers out for another node.
const relayedBit = 1

// Relayed returns the NIC that let a server's answers out, if it was another node's.
func (s *Server) Relayed() (via [6]byte, ok bool) {
	via = s.MAC
	via[0] &^= relayedBit
	return via, via != s.MAC
}

// String is the address.
func (s *Server) String() string { return net.HardwareAddr(s.MAC[:]).String() }

var csvHeader = []string{"clordid", "intended_ns", "first_sent_ns", "sends",
	"first_answer_ns", "answers", "accepts", "exec_type", "server_mac", "reject_reason"}

// WriteCSV writes an order log.
func WriteCSV(w io.Writer, orders []Order, servers []Server) error {
	b := bufio.NewWriterSize(w, 1<<20)
	for i, name := range csvHeader {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name)
	}
	b.WriteByte('\n')
	line := make([]byte, 0, 256)
	for i := range orders {
		o := &orders[i]
		line = strconv.AppendUint(line[:0], o.ClOrdID, 10)
		for _, v := range [...]int64{o.IntendedNs, o.FirstSentNs, int64(o.Sends), o.FirstAnswerNs, int64(o.Answers), int64(o.Accepts)} {
			line = strconv.AppendInt(append(line, ','), v, 10)
		}
		line = append(line, ',')
		if o.ExecType != 0 {
			line = append(line, o.ExecType)
		}
		line = append(line, ',')
		if o.FirstAnswerNs != 0 {
			line = append(line, servers[o.Server].String()...)
		}
		line = append(line, ',')
		if o.Reason != 0 {
			line = append(line, sbe.RejectReason(o.Reason).String()...)
		}
		if _, err := b.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return b.Flush()
}

// reasonsByName turns the names of refusals back into numbers.
func reasonsByName() map[string]uint16 {
	byName := map[string]uint16{}
	for r := range uint16(maxReasons) {
		byName[sbe.RejectReason(r).String()] = r
	}
	byName[""] = 0
	return byName
}

// maxReasons is above every sbe.RejectReason in use.
const maxReasons = 1024

// ReadCSV reads an order log.
func ReadCSV(path string) (orders []Order, servers []Server, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	r := csv.NewReader(bufio.NewReaderSize(f, 1<<20))
	r.ReuseRecord, r.FieldsPerRecord = true, len(csvHeader)
	if _, err := r.Read(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	index, reasons := map[string]uint8{}, reasonsByName()
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return orders, servers, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		var o Order
		var n [7]int64
		for i := range n {
			if n[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
				line, column := r.FieldPos(i)
				return nil, nil, fmt.Errorf("%s:%d:%d: %w", path, line, column, err)
			}
		}
		o.ClOrdID, o.IntendedNs, o.FirstSentNs = uint64(n[0]), n[1], n[2]
		o.Sends, o.FirstAnswerNs, o.Answers, o.Accepts = uint32(n[3]), n[4], uint32(n[5]), uint32(n[6])
		if fields[7] != "" {
			o.ExecType = fields[7][0]
		}
		if mac := fields[8]; mac != "" {
			k, known := index[mac]
			if !known {
				address, err := net.ParseMAC(mac)
				if err != nil {
					return nil, nil, fmt.Errorf("%s: %w", path, err)
				}
				k = uint8(len(servers))
				index[mac], servers = k, append(servers, Server{MAC: [6]byte(address)})
			}
			o.Server = k
		}
		o.Reason = reasons[fields[9]]
		orders = append(orders, o)
	}
}

package wireshark

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/sbe"
	"onebeat/mirror/lane"
	"onebeat/mirror/wire"
	"onebeat/tools/schema"
)

// tshark reads a capture and returns the fields of each frame.
func tshark(t *testing.T, frames [][]byte, fields ...string) [][]string {
	t.Helper()
	args := []string{"-X", "lua_script:onebeat.lua", "-r", writePcap(t, frames), "-T", "fields", "-E", "separator=|", "-E", "occurrence=a", "-E", "aggregator=;"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	c := exec.Command("tshark", args...)
	var said strings.Builder
	c.Stderr = &said
	out, err := c.Output()
	if err != nil || strings.Contains(said.String(), "Lua:") {
		t.Fatalf("tshark: %v (apt-get install tshark)\n%s", err, said.String())
	}
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	if len(lines) != len(frames) {
		t.Fatalf("tshark shows %d frames of %d: %s", len(lines), len(frames), said.String())
	}
	var rows [][]string
	for _, l := range lines {
		rows = append(rows, strings.Split(l, "|"))
	}
	return rows
}

func published(t *testing.T) *schema.Schema {
	t.Helper()
	s, err := schema.Parse(sbe.Schema)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pattern is a message of a template whose every byte is another.
func pattern(m *schema.Message, seed byte) []byte {
	b := make([]byte, sbe.PrefixBytes+m.BlockBytes)
	for i := range sbe.Put(b, m.ID, m.BlockBytes) {
		b[sbe.PrefixBytes+i] = seed + byte(7*i)
	}
	return b
}

// valueOf reads a field as the schema says, as text.
func valueOf(s *schema.Schema, f *schema.Field, block []byte) string {
	b := block[f.Offset : f.Offset+s.Bytes(f.Type)]
	le := binary.LittleEndian
	switch len(b) {
	case 1:
		return strconv.Itoa(int(b[0]))
	case 2:
		return strconv.Itoa(int(le.Uint16(b)))
	case 4:
		return strconv.Itoa(int(le.Uint32(b)))
	case 8:
		if f.Type == "int64" {
			return strconv.FormatInt(int64(le.Uint64(b)), 10)
		}
		return strconv.FormatUint(le.Uint64(b), 10)
	}
	return uuidText(b)
}

func uuidText(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// TestEveryFieldOfEveryMessage: the dissector shows what stands in each of them.
func TestEveryFieldOfEveryMessage(t *testing.T) {
	s := published(t)
	var frames [][]byte
	columns := []string{"onebeat.template", "onebeat.malformed"}
	for i := range s.Messages {
		m := &s.Messages[i]
		frames = append(frames, framed(pattern(m, byte(i))))
		for _, f := range m.Fields {
			if name := "onebeat." + strings.ToLower(f.Name); !slices.Contains(columns, name) {
				columns = append(columns, name)
			}
		}
	}
	rows := tshark(t, frames, columns...)
	for i := range s.Messages {
		m := &s.Messages[i]
		row := map[string]string{}
		for k, c := range columns {
			row[c] = rows[i][k]
		}
		if row["onebeat.template"] != strconv.Itoa(int(m.ID)) || row["onebeat.malformed"] != "" {
			t.Errorf("%s: %v", m.Name, row)
		}
		block := frames[i][len(frames[i])-m.BlockBytes:]
		for _, f := range m.Fields {
			if got, want := row["onebeat."+strings.ToLower(f.Name)], valueOf(s, &f, block); got != want {
				t.Errorf("%s.%s is shown as %q, not %q", m.Name, f.Name, got, want)
			}
		}
	}
}

// TestRealTraffic: a real session is shown message by message, with the numbers
// that nobody writes into them.
func TestRealTraffic(t *testing.T) {
	frames := realTraffic(t)
	rows := tshark(t, frames, "_ws.col.Protocol", "_ws.col.Info", "onebeat.seqno", "onebeat.clordid", "_ws.expert.message")
	seen := map[string]int{}
	for i, row := range rows {
		if row[0] != "ONEBEAT" || row[4] != "" {
			t.Fatalf("frame %d: %q", i, row)
		}
		for _, name := range strings.Split(row[1], ", ") {
			seen[name]++
		}
	}
	for _, name := range []string{"Negotiate", "NegotiationResponse", "Establish", "EstablishmentAck", "Context", "NewOrderSingle", "OrderCancelRequest",
		"OrderCancelReplaceRequest", "ExecutionReport", "Reject", "FinishedSending", "FinishedReceiving", "Terminate"} {
		if seen[name] == 0 {
			t.Errorf("no %s among %v", name, seen)
		}
	}
	found := false
	for _, row := range rows {
		if strings.HasPrefix(row[1], "Context, NewOrderSingle") {
			found = true
			if row[2] != "1;2;3" || row[3] != "1;2;3" {
				t.Errorf("the orders are shown as numbers %s, ClOrdIDs %s", row[2], row[3])
			}
		}
	}
	if !found {
		t.Error("the orders are not shown")
	}
}

// TestWhatIsWrongIsSaid: each bad message is malformed in its own way.
func TestWhatIsWrongIsSaid(t *testing.T) {
	s := published(t)
	good := func() []byte {
		for i := range s.Messages {
			if s.Messages[i].Name == "NewOrderSingle" {
				return pattern(&s.Messages[i], 1)
			}
		}
		t.Fatal("no NewOrderSingle")
		return nil
	}
	cases := []struct {
		change func(b []byte) []byte
		want   string
	}{
		{func(b []byte) []byte { return b[:len(b)-5] }, "The message is cut off"},
		{func(b []byte) []byte { return append(b, 1, 2, 3) }, "The message is cut off"},
		{func(b []byte) []byte { binary.BigEndian.PutUint32(b, 3); return b }, "The message length is out of range"},
		{func(b []byte) []byte { binary.BigEndian.PutUint32(b, 70_000); return b }, "The message length is out of range"},
		{func(b []byte) []byte { b[sbe.SOFHBytes]--; return b }, "The block length is not that of template and version"},
		{func(b []byte) []byte { b[sbe.SOFHBytes+6]--; return b }, "The block length is not that of template and version"},
		{func(b []byte) []byte { b[sbe.SOFHBytes+7]++; return b }, "Another schema or major version"},
		{func(b []byte) []byte { b[sbe.SOFHBytes+2] = 19; return b }, "No such template in this version"},
	}
	var frames [][]byte
	for _, c := range cases {
		frames = append(frames, framed(c.change(good())))
	}
	old := pattern(&s.Messages[slices.IndexFunc(s.Messages, func(m schema.Message) bool { return m.Name == "NewOrderSingle" })], 0)
	clear(old[sbe.PrefixBytes+32:])
	frames = append(frames, framed(old[:sbe.Shorten(old)]))
	rows := tshark(t, frames, "_ws.expert.message", "onebeat.malformed", "onebeat.clordid")
	for i, c := range cases {
		if !strings.Contains(rows[i][0], c.want) || rows[i][1] == "" {
			t.Errorf("case %d: %q, want %q", i, rows[i], c.want)
		}
	}
	if row := rows[len(cases)]; row[1] != "" || row[2] == "" {
		t.Errorf("a message of the version before: %q", row)
	}
}

// record is one record as the ring holds it.
func record(kind app.RecordType, epoch uint32, position uint64, payload []byte) []byte {
	n := 32 + len(payload)
	b := make([]byte, (n+wire.StepBytes-1)/wire.StepBytes*wire.StepBytes)
	le := binary.LittleEndian
	le.PutUint32(b, uint32(n))
	le.PutUint16(b[4:], uint16(kind))
	le.PutUint32(b[8:], epoch)
	le.PutUint64(b[16:], position)
	le.PutUint64(b[24:], 123_456_789)
	copy(b[32:], payload)
	return b
}

func linkFrame(h wire.Header, records, ride []byte) []byte {
	h.LengthBytes, h.RideBytes = uint16(len(records)), uint16(len(ride))
	b := make([]byte, wire.HeaderBytes)
	h.Put(b)
	return framed(append(append(b, records...), ride...))
}

// TestLinkFrames: header, records with the orders in them, and the ride are shown;
// bad lengths are said.
func TestLinkFrames(t *testing.T) {
	orders := realTraffic(t)
	ride := orders[len(orders)-1]
	var raw []byte
	for _, f := range orders {
		p := payloadOf(t, f)
		var m [sbe.MaxMessages]sbe.Message
		if n, _ := sbe.Split(p, &m); n > 1 && m[1].Template == sbe.TemplateNewOrderSingle {
			raw = m[1].Raw(p)
			break
		}
	}
	message := append(make([]byte, 16), raw...)
	binary.LittleEndian.PutUint64(message[8:], 77)
	h := wire.Header{Type: wire.Mirror, Lane: 3, Node: 2, Epoch: 9, Position: 4096, Tail: 8192, Authority: lane.MakeWord(9, lane.Active), Output: 55, Counter: 1000}
	records := append(record(app.RecordMessage, 9, 4096, message), record(app.RecordDigest, 9, 4224, []byte{1, 2, 3, 4, 5, 6, 7, 8})...)
	ack := h
	ack.Type, ack.Flags = wire.Ack, wire.FlagGap
	broken := linkFrame(h, records, nil)
	broken = framed(payloadOf(t, broken)[:wire.HeaderBytes+40])
	odd := record(app.RecordTimer, 9, 1, nil)
	binary.LittleEndian.PutUint32(odd, 5000)
	hello := h
	hello.Type = wire.HelloFrame
	unknown := h
	unknown.Type = 99
	rows := tshark(t, [][]byte{linkFrame(h, records, ride), linkFrame(ack, nil, nil), broken, linkFrame(h, odd, nil),
		linkFrame(hello, make([]byte, wire.HelloBytes), nil), linkFrame(unknown, nil, nil), framed(payloadOf(t, broken)[:20])},
		"_ws.col.Info", "onebeat_link.lane", "onebeat_link.epoch", "onebeat_link.authority.state", "onebeat_link.record.type", "onebeat_link.record.seqno",
		"onebeat.clordid", "eth.type", "_ws.expert.message")
	for i, want := range [][]string{
		{"MIRROR, lane 3, node 2, epoch 9: NewOrderSingle, digest, with a ride", "3", "9", "4", "5;3", "77", "1", "0x0800;0x0800", ""},
		{"ACK, lane 3, node 2, epoch 9", "3", "9", "4", "", "", "", "0x0800", "The receiver did not append"},
		{"MIRROR, lane 3, node 2, epoch 9 [bad length]", "3", "9", "4", "", "", "", "0x0800", "Header, records and ride are not the frame's length"},
		{"MIRROR, lane 3, node 2, epoch 9", "3", "9", "4", "", "", "", "0x0800", "The record's length leaves the frame"},
		{"HELLO, lane 3, node 2, epoch 9", "3", "9", "4", "", "", "", "0x0800", ""},
		{"type 99, lane 3, node 2, epoch 9", "3", "9", "4", "", "", "", "0x0800", "No such type of link frame"},
		{"[cut off]", "", "", "", "", "", "", "0x0800", "The frame is shorter than its header"},
	} {
		if !slices.Equal(rows[i], want) {
			t.Errorf("frame %d:\n%q\n%q", i, rows[i], want)
		}
	}
}

// TestDecodedByTheSchemaAlone: a program that knows nothing but the published XML
// reads real traffic as it was meant.
func TestDecodedByTheSchemaAlone(t *testing.T) {
	s := published(t)
	var in strings.Builder
	var datagrams [][]byte
	for _, f := range realTraffic(t) {
		datagrams = append(datagrams, payloadOf(t, f))
	}
	for i := range s.Messages {
		datagrams = append(datagrams, pattern(&s.Messages[i], byte(i)))
	}
	for _, d := range datagrams {
		in.WriteString(hex.EncodeToString(d) + "\n")
	}
	c := exec.Command("python3", "../schema/decode.py", "../../engine/sbe/onebeat.xml")
	c.Stdin = strings.NewReader(in.String())
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v (apt-get install python3)\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(datagrams) {
		t.Fatalf("%d lines for %d datagrams", len(lines), len(datagrams))
	}
	for i, d := range datagrams {
		var got []map[string]json.RawMessage
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil {
			t.Fatal(err)
		}
		var m [sbe.MaxMessages]sbe.Message
		n, why := sbe.Split(d, &m)
		if why != sbe.OK || n != len(got) {
			t.Fatalf("datagram %d: %d messages, %v; decoded %d", i, n, why, len(got))
		}
		for k := range n {
			checkDecoded(t, s, &m[k], m[k].Block(d), got[k])
		}
	}
}

func checkDecoded(t *testing.T, s *schema.Schema, m *sbe.Message, block []byte, got map[string]json.RawMessage) {
	t.Helper()
	at := slices.IndexFunc(s.Messages, func(x schema.Message) bool { return x.ID == m.Template })
	for _, f := range s.Messages[at].Fields {
		if f.Offset >= len(block) {
			continue
		}
		want, text := valueOf(s, &f, block), strings.Trim(string(got[f.Name]), `"`)
		for _, e := range s.Types.Enums {
			if e.Name != f.Type {
				continue
			}
			for _, v := range e.Values {
				if v.Value == want {
					want = v.Name
					break
				}
			}
		}
		if text != want {
			t.Errorf("%s.%s is decoded as %s, not %s", s.Messages[at].Name, f.Name, text, want)
		}
	}
}

package node

import (
	"net/netip"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
	"onebeat/engine/client"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
	"onebeat/tools/config"
	"onebeat/xdp"
	"onebeat/xdp/frame"
)

// testClient is an order entry client on AF_XDP.
type testClient struct {
	w        *world
	lane     int // id
	c        *client.Client
	port     xdp.Port
	local    frame.Endpoint
	remote   frame.Endpoint
	template frame.Template
	buffer   []byte
	nextID   uint64
	answered map[uint64][]sbe.ExecType
	rejected map[uint64]int
	doubted  map[uint64]int // told to be in doubt
	servers  map[[6]byte]int
	// places are where the lane may be when its address does not move with it.
	places  []frame.Endpoint
	heardNs int64
	turn    int
	forget  bool // answers are not kept
}

// lookElsewhereNs of silence make a client of a lane without an address of its
// own try the next node.
const lookElsewhereNs = 15_000_000

func blankClient(w *world) *testClient {
	return &testClient{w: w, answered: map[uint64][]sbe.ExecType{}, rejected: map[uint64]int{}, doubted: map[uint64]int{}, servers: map[[6]byte]int{}}
}

func newTestClient(w *world) *testClient {
	c := blankClient(w)
	err := w.lab.Do(lab.Client, func() error {
		own := w.set.address(lab.ClientIP)
		s, err := xdp.OpenEndpoint(xdp.Options{Interface: lab.OrderNIC, VLAN: w.set.vlan}, netip.AddrFrom16(own).Unmap(), clientPort)
		if err != nil {
			return err
		}
		c.port = s
		c.local = frame.Endpoint{MAC: s.Interface().MAC, IP: own, Port: clientPort}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	c.remote = frame.Endpoint{MAC: [6]byte(lab.OrderMAC(lab.NodeA)), IP: w.set.address(lab.LaneIP), Port: scene.LanePort}
	c.connect()
	return c
}

// connect makes the client's session anew.
func (c *testClient) connect() {
	c.w.t.Helper()
	id, err := parseUUID(scene.Session(c.lane))
	if err != nil {
		c.w.t.Fatal(err)
	}
	if c.c, err = client.New(client.Config{Session: id, Key: fixp.NewKey(scene.Credentials)}, c); err != nil {
		c.w.t.Fatal(err)
	}
}

func parseUUID(text string) (sbe.UUID, error) {
	var u config.UUID
	err := u.UnmarshalText([]byte(text))
	return sbe.UUID(u), err
}

func (c *testClient) step() {
	nowNs := c.w.clock.NowNs()
	n := c.port.Recv(64)
	for i := range n {
		var from frame.Endpoint
		if payload, _, ok := c.w.set.vlan.Parse(c.port.Frame(i), &from); ok {
			if !c.w.set.vlan.Relayed(c.port.Frame(i)) {
				c.remote.MAC = from.MAC
			}
			c.servers[from.MAC]++
			c.heardNs = nowNs
			if len(c.places) > 0 {
				c.remote = from
			}
			c.c.OnDatagram(payload, nowNs)
		}
	}
	c.port.Done()
	if len(c.places) > 0 && nowNs-c.heardNs > lookElsewhereNs {
		c.heardNs = nowNs
		c.turn++
		c.remote = c.places[c.turn%len(c.places)]
	}
	if c.c.Poll(nowNs, c) > 0 {
		c.port.Kick()
	}
}

func (c *testClient) Buffer() []byte {
	if c.buffer = c.port.Reserve(); c.buffer == nil {
		return nil
	}
	return c.buffer[c.w.set.vlan.Bytes()+c.local.IP.HeaderBytes():]
}

func (c *testClient) Send(payloadBytes int) {
	vlan := c.w.set.vlan
	c.template.Put(c.buffer[vlan.Bytes():], &c.local, c.local.Port, &c.remote, payloadBytes)
	vlan.Put(c.buffer)
	c.port.Submit(vlan.Bytes() + c.local.IP.HeaderBytes() + payloadBytes)
}

func (c *testClient) OnReport(_ *client.Answer, r *sbe.ExecutionReport) {
	if c.forget {
		return
	}
	if r.Reason() == sbe.RejectReasonVenueInDoubt {
		c.doubted[r.ClOrdID()]++
	}
	c.answered[r.ClOrdID()] = append(c.answered[r.ClOrdID()], r.ExecType())
}

func (c *testClient) OnReject(_ *client.Answer, r *sbe.Reject) { c.rejected[r.ClOrdID()]++ }

// order sends one order, buying and selling in turn so that they trade.
func (c *testClient) order() uint64 {
	c.nextID++
	side := sbe.SideBuy
	if c.nextID%2 == 0 {
		side = sbe.SideSell
	}
	ok := c.c.SendOrder(&client.Order{ClOrdID: c.nextID, PriceTicks: 10000, SymbolID: 1, QtyLots: 1,
		Side: side, OrdType: sbe.OrdTypeLimit, TimeInForce: sbe.TimeInForceDay}, c.w.clock.NowNs())
	if !ok {
		c.w.t.Fatalf("order %d not taken%s", c.nextID, c.w.describe())
	}
	return c.nextID
}

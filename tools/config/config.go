package config

// Transports of a node.
const (
	TransportXDP = "xdp" // AF_XDP and the kernel programs
	TransportUDP = "udp" // UDP sockets and a mapped file: no privileges, slower
)

// XDP attach modes.
const (
	ModeNative  = "native"
	ModeGeneric = "generic"
)

// Idle strategies of the engine loop.
const (
	IdleSpin    = "spin"
	IdleYield   = "yield"
	IdleBackoff = "backoff"
)

// Applications of a lane.
const (
	AppGateway = "gateway"
	AppBook    = "book"
)

// What follows when a release policy's wait ends, and who releases.
const (
	OnTimeoutDegrade = "degrade"
	OnTimeoutReject  = "reject"
	OnTimeoutStop    = "stop"

	ReleaseRide  = "ride"  // the link program releases the output with the ACK
	ReleaseChain = "chain" // as ride, but the standby's link program releases it, out of its own order NIC
	ReleaseUser  = "user"  // the engine releases it after the ACK
)

// Arbitration: who keeps the record of the lane, and what silence of the peer
// means under it.
const (
	ArbitrationPair    = "pair"
	ArbitrationWitness = "witness"
	ArbitrationEtcd    = "etcd"
	ArbitrationFence   = "fence" // pair, and silence promotes once the peer has no power

	SilenceNever = "never"
	SilenceLinks = "links"
)

// Config is one node's file.
type Config struct {
	// File is the path it was read from.
	File string `toml:"-"`

	Node  Node   `toml:"node" required:"true"`
	Order Order  `toml:"order" required:"true"`
	Links []Link `toml:"link"` // one per peer; none: this node has no peer
	Loop  Loop   `toml:"loop"`
	Lanes []Lane `toml:"lane" required:"true"`
	// Archive is nil when logs are kept in memory only.
	Archive *Archive `toml:"archive"`
	// Snapshot is nil when no states are saved.
	Snapshot *Snapshot `toml:"snapshot"`
	// Mirrord is nil when no mirror daemon runs with this file; Stores and Sites are
	// where it ships to, and who else follows.
	Mirrord *Mirrord `toml:"mirrord"`
	Stores  []Store  `toml:"store"`
	Sites   []Site   `toml:"site"`
	// Stream is nil when this node's logs and snapshots go to nobody.
	Stream *Stream `toml:"stream"`

	// Operator says who beside root and the node's user may give commands.
	Operator Operator `toml:"operator"`

	Fences  []Fence  `toml:"fence"`
	Tracks  []Track  `toml:"track"`
	Predict *Predict `toml:"predict"`
	Hooks   []Hook   `toml:"hook"`
	Witness *Witness `toml:"witness"` // of lanes with arbitration witness
	Etcd    *Etcd    `toml:"etcd"`    // of lanes with arbitration etcd
}

// Node is what concerns the process as a whole.
type Node struct {
	Name   string `toml:"name" required:"true"`
	Number int    `toml:"number" required:"true" range:"1..255"`
	// BPFFS is the directory the maps, programs and links are pinned in.
	BPFFS     string `toml:"bpffs"` // default /sys/fs/bpf/onebeat-<name>
	RunDir    string `toml:"run_dir" default:"/run/onebeat"`
	Transport string `toml:"transport" default:"xdp" oneof:"xdp|udp"`
	LogLevel  string `toml:"log_level" default:"info" oneof:"debug|info|warn|error"`
}

// Order is the NIC that faces clients and venues.
type Order struct {
	Interface string `toml:"interface"` // transport xdp
	Queue     int    `toml:"queue" default:"0" range:"0..63"`
	Mode      string `toml:"mode" default:"native" oneof:"native|generic"`
	// Address is where the lanes listen with transport udp.
	Address Address `toml:"address"`
	// VLAN is the 802.1Q tag of the order network as this NIC sees it; 0: frames
	// carry none.
	VLAN int `toml:"vlan" default:"0" range:"0..4094"`
	// AddressProbe is how long a starting node listens whether a stranger has
	// one of its lane addresses (transport xdp); 0s: it does not.
	AddressProbe Duration `toml:"address_probe" default:"150ms" range:"0s..10s"`
}

// Link is the NIC on the direct cable to one peer. Lanes find theirs by the
// peer's number.
type Link struct {
	Peer        int    `toml:"peer" required:"true" range:"1..255"`
	Interface   string `toml:"interface"` // transport xdp
	Queue       int    `toml:"queue" default:"0" range:"0..63"`
	Mode        string `toml:"mode" default:"native" oneof:"native|generic"`
	Address     IP     `toml:"address" required:"true"`
	PeerAddress IP     `toml:"peer_address" required:"true"`
	// Port is the same for all links of a node that has kernel programs.
	Port Port `toml:"port" default:"7400"`
	// KeyFile holds 32 bytes as 64 hexadecimal digits, the same on both nodes.
	KeyFile string `toml:"key_file"`
	Auth    bool   `toml:"auth" default:"true"`
	// OrderAddress and PeerOrderAddress are the nodes' own addresses on the
	// order network, the second path to the peer; zero: there is only one.
	OrderAddress     IP `toml:"order_address"`
	PeerOrderAddress IP `toml:"peer_order_address"`
	// PeerStream is the peer's [stream] address, PeerMirrord that of the mirror
	// daemon on its host; not valid: there is none.
	PeerStream  Endpoint `toml:"peer_stream"`
	PeerMirrord Endpoint `toml:"peer_mirrord"`

	// Key is what KeyFile holds; zero when Auth is false.
	Key [KeyBytes]byte `toml:"-"`
}

// TwoPaths is whether the peer can also be heard over the order network.
func (l *Link) TwoPaths() bool { return !l.OrderAddress.IsZero() && !l.PeerOrderAddress.IsZero() }

// Loop is how the engine's threads run.
type Loop struct {
	Idle string `toml:"idle" default:"backoff" oneof:"spin|yield|backoff"`
	// MaxSleep bounds one sleep of the backoff strategy: a sleeping engine
	// shows no progress.
	MaxSleep Duration `toml:"max_sleep" default:"500us" range:"10us..1s"`
	// Core pins the thread of the lanes that name no core of their own; -1
	// leaves it to the scheduler.
	Core       int  `toml:"core" default:"-1" range:"-1..1023"`
	LockMemory bool `toml:"lock_memory" default:"true"`
}

// Lane is one replicated order stream this node takes part in.
type Lane struct {
	ID      int     `toml:"id" required:"true" range:"0..15"`
	Address Address `toml:"address" required:"true"`
	Port    Port    `toml:"port" required:"true"`
	// Queue is the rx queue of the order NIC that the lane's frames arrive on.
	// Lanes of one queue share a socket and a thread.
	Queue int `toml:"queue" range:"0..63"` // default: that of [order]
	// Core gives the lane a thread pinned to it, shared with the other lanes of
	// that core only; -1: the lane runs on [loop]'s.
	Core int `toml:"core" default:"-1" range:"-1..1023"`
	// First: this node seeds the lane when neither node has state of it.
	First bool `toml:"first" default:"false"`
	// Peer is the other node's number; 0: unreplicated.
	Peer int    `toml:"peer" default:"0" range:"0..255"`
	App  string `toml:"app" required:"true" oneof:"gateway|book"`
	// Policy is what an output waits for: none, mirrored, applied, archived, or one
	// that was registered (mirror/policy).
	Policy string `toml:"policy"` // default: mirrored with a peer, none without
	// Copies is how many holders beside the writer a record needs, the standby
	// counted among them; 0: the standby, while it is in the set.
	Copies int `toml:"copies" default:"0" range:"0..9"`
	// Wait is how long an output may wait for its holders before OnTimeout.
	Wait      Wait   `toml:"wait" default:"forever"`
	OnTimeout string `toml:"on_timeout" oneof:"degrade|reject|stop"` // empty when Wait is forever
	Release   string `toml:"release" default:"ride" oneof:"ride|chain|user"`

	// Heartbeat is T: silence of the peer for this long is death.
	Heartbeat Duration `toml:"heartbeat" default:"5ms" range:"100us..10s"`
	// Tick is the period of the kernel's timer.
	Tick Duration `toml:"tick" range:"20us..2s"` // default: heartbeat / 5
	// HangBudget is how long an engine may show no progress.
	HangBudget Duration `toml:"hang_budget" default:"10ms" range:"100us..60s"`
	RingSize   Size     `toml:"ring_size" default:"16MiB"`

	Arbitration string `toml:"arbitration" default:"pair" oneof:"pair|witness|etcd|fence"`
	Silence     string `toml:"silence" default:"never" oneof:"never|links"`

	// Exchange is how a book trades and misbehaves; nil: it matches, and no more.
	Exchange *Exchange `toml:"exchange"`

	// OrderLog is where a book writes, at its end and on request, every order
	// it accepted, as CSV; empty: nowhere.
	OrderLog string `toml:"order_log"`

	// RetainMessages is what sessions that name no number of their own keep to send
	// again, 160 bytes each; 0: 1,048,576 over all of them, 64 to 16384 each.
	RetainMessages int `toml:"retain_messages" default:"0" range:"0..1048576"`

	Sessions []Session `toml:"session" required:"true"`
	FIX      *FIX      `toml:"fix"`   // nil: no FIX sessions
	Venues   []Venue   `toml:"venue"` // gateway only
	Risk     Risk      `toml:"risk"`  // gateway only: the defaults
	Accounts []Account `toml:"account"`
	Symbols  []Symbol  `toml:"symbol" required:"true"`
}

// Session is a client that may negotiate.
type Session struct {
	ID   UUID   `toml:"id" required:"true"`
	Name string `toml:"name" required:"true"`
	Key  string `toml:"key" required:"true"` // credentials of Negotiate
	// CancelOnDisconnect is how long the session may be away before its orders are
	// cancelled; 0s: they stay.
	CancelOnDisconnect Duration `toml:"cancel_on_disconnect" default:"0s" range:"0s..24h"`
	// OrdersPerSecond is how many requests are taken in the long run, OrderBurst at
	// once [a tenth of a second's]; 0: no bound.
	OrdersPerSecond int `toml:"orders_per_second" default:"0" range:"0..10000000"`
	OrderBurst      int `toml:"order_burst" default:"0" range:"0..10000000"`
	// RetainMessages is how many of the session's last messages can be sent again;
	// 0: the lane's.
	RetainMessages int  `toml:"retain_messages" default:"0" range:"0..1048576"`
	Risk           Risk `toml:"risk"` // gateway only
}

// Venue is where a gateway sends its accepted orders.
type Venue struct {
	Name string `toml:"name" required:"true"` // of its counters
	// Symbols are those whose orders go here, by their names; Default takes all that
	// no venue names. The only venue of a lane is its default.
	Symbols []string `toml:"symbols"`
	Default bool     `toml:"default" default:"false"`

	Address Address `toml:"address" required:"true"`
	Port    Port    `toml:"port" required:"true"`
	// FIX, if not nil, is how it is spoken to; else it is FIXP, from LocalPort of the
	// lane's address, as Session.
	FIX       *VenueFIX `toml:"fix"`
	LocalPort Port      `toml:"local_port"`
	Session   UUID      `toml:"session"`
	Key       string    `toml:"key"`

	// Reconnect is the first wait between two tries to connect; it doubles up to
	// ReconnectMax, and each is between half of it and all of it.
	Reconnect    Duration `toml:"reconnect" default:"1ms" range:"100us..10s"`
	ReconnectMax Duration `toml:"reconnect_max" default:"500ms" range:"100us..10m"`

	// OrdersPerSecond throttles what is sent; 0: nothing does. Burst passes at once,
	// and Queue requests wait before one is refused; 0: none waits.
	OrdersPerSecond int  `toml:"orders_per_second" default:"0" range:"0..10000000"`
	Burst           int  `toml:"burst" default:"1" range:"1..10000000"`
	Queue           int  `toml:"queue" default:"0" range:"0..65536"`
	CancelsFirst    bool `toml:"cancels_first" default:"false"` // they overtake what waits

	// BreakAfter failures (new orders refused, or not answered within BreakTimeout)
	// within BreakWindow make new orders be refused for BreakOpen; 0: never.
	BreakAfter   int      `toml:"break_after" default:"0" range:"0..4096"`
	BreakWindow  Duration `toml:"break_window" default:"1s" range:"1ms..1h"`
	BreakOpen    Duration `toml:"break_open" default:"5s" range:"1ms..1h"`
	BreakTimeout Duration `toml:"break_timeout" default:"0s" range:"0s..1h"` // 0s: silence is no failure
}

// Symbol is a tradable instrument.
type Symbol struct {
	ID   uint32 `toml:"id" required:"true"`
	Name string `toml:"name" required:"true"`
	// Tick is what a tick of a price is in FIX.
	Tick                string `toml:"tick" default:"1"`
	ReferencePriceTicks int64  `toml:"reference_price_ticks" default:"0" range:"0.."`
	Risk                Risk   `toml:"risk"` // gateway only
}

// Witness is where the lanes' registers are kept in a third host's memory.
type Witness struct {
	Address Endpoint `toml:"address" required:"true"`
	// KeyFile holds 32 bytes as 64 hexadecimal digits, the same on both nodes
	// and the witness, and another one than the link's.
	KeyFile string `toml:"key_file" required:"true"`
	// Timeout: an answer that takes longer is asked for again.
	Timeout Duration `toml:"timeout" default:"1ms" range:"50us..100ms"`

	// Key is what KeyFile holds.
	Key [KeyBytes]byte `toml:"-"`
}

// Etcd is the cluster that keeps the lanes' registers.
type Etcd struct {
	// Endpoints are URLs of its members, like http://10.98.0.1:2379.
	Endpoints []string `toml:"endpoints" required:"true"`
	// Prefix is where the pair's keys stand; pairs of one cluster need one each.
	Prefix string `toml:"prefix" required:"true"`
	// Timeout bounds one transaction.
	Timeout Duration `toml:"timeout" default:"500ms" range:"10ms..30s"`
	// CAFile is whom the members' certificates are checked against; CertFile
	// and KeyFile are this node's own, both or none.
	CAFile   string `toml:"ca_file"`
	CertFile string `toml:"cert_file"`
	KeyFile  string `toml:"key_file"`
}

// Registered is whether an arbiter keeps the lane's record, and the nodes do not.
func (l *Lane) Registered() bool {
	return l.Arbitration == ArbitrationWitness || l.Arbitration == ArbitrationEtcd
}

// Lane returns the lane with the given id, or nil.
func (c *Config) Lane(id int) *Lane {
	for i := range c.Lanes {
		if c.Lanes[i].ID == id {
			return &c.Lanes[i]
		}
	}
	return nil
}

// Link returns the link to a peer, or nil.
func (c *Config) Link(peer int) *Link {
	for i := range c.Links {
		if c.Links[i].Peer == peer {
			return &c.Links[i]
		}
	}
	return nil
}

// ThreadCore returns the core of the thread that a lane runs on, -1 for the
// scheduler's choice. Lanes of one core run on one thread.
func (c *Config) ThreadCore(l *Lane) int {
	if l.Core >= 0 {
		return l.Core
	}
	return c.Loop.Core
}

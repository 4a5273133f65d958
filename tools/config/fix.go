package config

// Applications of a FIX session.
const (
	FIXOrders = "orders" // the lane's
	FIXEcho   = "echo"   // D and d messages come back
)

// FIX lets clients in by FIX over TCP at the lane's address.
type FIX struct {
	Port Port `toml:"port" required:"true"`
	// Certificate and Key make connections begin with TLS; with Authorities clients need
	// a certificate that one of them signed. PEM files.
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	Authorities string `toml:"authorities"`
	// LogonTimeout is how long a connection may be without a Logon.
	LogonTimeout Duration `toml:"logon_timeout" default:"10s" range:"10ms..5m"`
	// Connections bounds them, Pending those before their Logon, PerAddress those before
	// it of one address.
	Connections int `toml:"connections" default:"2048" range:"1..100000"`
	Pending     int `toml:"pending" default:"256" range:"1..100000"`
	PerAddress  int `toml:"pending_per_address" default:"64" range:"1..100000"`
	// Connects is how many connections a second one address may begin, and four times
	// PerAddress at once; 0: any number.
	Connects int `toml:"connects_per_address" default:"200" range:"0..1000000"`
	// Backlog bounds what waits for a client that does not read.
	Backlog Size `toml:"backlog" default:"4MiB"`
	// MessageLog is a directory for logs of all messages; empty: none.
	MessageLog string `toml:"message_log"`
	// RetainMessages and RetainSize are how much of what each session sent can be sent
	// again, Orders how many ClOrdIDs are known, open ones and finished ones; the same on
	// both nodes.
	RetainMessages int  `toml:"retain_messages" default:"4096" range:"64..1048576"`
	RetainSize     Size `toml:"retain_size" default:"1MiB"`
	Orders         int  `toml:"orders" default:"65536" range:"64..4194304"`

	Sessions []FIXSession `toml:"session" required:"true"`
}

// FIXSession is one session, or, with places instead of target_comp_id, so many for
// whoever comes.
type FIXSession struct {
	Name      string `toml:"name" required:"true"`
	Version   string `toml:"version" default:"FIX.4.4" oneof:"FIX.4.2|FIX.4.4"`
	Sender    string `toml:"sender_comp_id"` // ours
	SenderSub string `toml:"sender_sub_id"`
	Target    string `toml:"target_comp_id"` // the client's
	TargetSub string `toml:"target_sub_id"`
	Places    int    `toml:"places" default:"0" range:"0..256"`
	App       string `toml:"app" default:"orders" oneof:"orders|echo"`

	Username string `toml:"username"`
	// PasswordFile holds the password, mode 0600.
	PasswordFile string `toml:"password_file"`
	// Allow are addresses and networks that may log on; none: all.
	Allow []string `toml:"allow"`
	// CertificateName is the name that the client's certificate must have.
	CertificateName string `toml:"certificate_name"`

	// Start and End are times of day in Zone, Days the weekdays it begins on; or StartDay
	// and EndDay of a week. None of them: the session has no end.
	Start    string   `toml:"start"`
	End      string   `toml:"end"`
	Zone     string   `toml:"time_zone"`
	Days     []string `toml:"days"`
	StartDay string   `toml:"start_day"`
	EndDay   string   `toml:"end_day"`

	HeartbeatMin Duration `toml:"heartbeat_min" default:"1s" range:"1s..10m"`
	HeartbeatMax Duration `toml:"heartbeat_max" default:"60s" range:"1s..10m"`
	// Latency is how far SendingTime may be off; 0s: any.
	Latency Duration `toml:"latency" default:"120s" range:"0s..24h"`
	// MessagesPerSecond is how many a client may send in the long run, Burst at once [a
	// second's]; 0: no bound. What is more waits in its socket.
	MessagesPerSecond int `toml:"messages_per_second" default:"0" range:"0..10000000"`
	Burst             int `toml:"burst" default:"0" range:"0..10000000"`
	// Validate checks messages by the dictionary; UserFields lets fields from 5000 up
	// through that it does not know.
	Validate   bool `toml:"validate" default:"true"`
	UserFields bool `toml:"user_fields" default:"false"`
	// NextExpected answers NextExpectedMsgSeqNum (789) by the same.
	NextExpected      bool `toml:"next_expected" default:"true"`
	ResetOnLogon      bool `toml:"reset_on_logon" default:"false"`
	ResetOnLogout     bool `toml:"reset_on_logout" default:"false"`
	ResetOnDisconnect bool `toml:"reset_on_disconnect" default:"false"`
	// CancelOnDisconnect is how long the session may be away before its orders are
	// cancelled; 0s: they stay.
	CancelOnDisconnect Duration `toml:"cancel_on_disconnect" default:"0s" range:"0s..24h"`
	// Account is that of orders that name none; Accounts are names for numbers: none, and
	// Account (1) is a number.
	Account  uint32       `toml:"account" default:"1"`
	Accounts []FIXAccount `toml:"accounts"`
	Risk     Risk         `toml:"risk"` // gateway only

	// Password is what PasswordFile holds.
	Password string `toml:"-"`
}

// FIXAccount is the name of an account in FIX.
type FIXAccount struct {
	Name string `toml:"name" required:"true"`
	ID   uint32 `toml:"id" required:"true"`
}

// FIXSessions are the lane's, in the order of their numbers, which follow those of
// Sessions; places are there as often as they are.
func (l *Lane) FIXSessions() []*FIXSession {
	if l.FIX == nil {
		return nil
	}
	var list []*FIXSession
	for i := range l.FIX.Sessions {
		s := &l.FIX.Sessions[i]
		for range max(1, s.Places) {
			list = append(list, s)
		}
	}
	return list
}

// SessionCount is how many client sessions the lane has.
func (l *Lane) SessionCount() int { return len(l.Sessions) + len(l.FIXSessions()) }

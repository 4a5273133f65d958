package config

// VenueFIX is a session with a venue over FIX, which we begin.
type VenueFIX struct {
	Version   string `toml:"version" default:"FIX.4.4" oneof:"FIX.4.2|FIX.4.4"`
	Sender    string `toml:"sender_comp_id" required:"true"` // ours
	SenderSub string `toml:"sender_sub_id"`
	Target    string `toml:"target_comp_id" required:"true"` // the venue's
	TargetSub string `toml:"target_sub_id"`
	// Username and PasswordFile are what its Logon carries; the file has mode 0600.
	Username     string `toml:"username"`
	PasswordFile string `toml:"password_file"`
	Password     string `toml:"-"` // what PasswordFile holds
	// Heartbeat is HeartBtInt, in whole seconds.
	Heartbeat Duration `toml:"heartbeat" default:"10s" range:"1s..10m"`
	// ResetOnLoss: a venue that lost its numbers is met by a Logon that resets them.
	ResetOnLoss bool `toml:"reset_on_loss" default:"false"`
	// Validate checks the venue's messages by the dictionary; UserFields lets fields from
	// 5000 up through that it does not know.
	Validate   bool `toml:"validate" default:"true"`
	UserFields bool `toml:"user_fields" default:"true"`
	// Accounts are names for numbers: none, and Account (1) is a number.
	Accounts []FIXAccount `toml:"accounts"`

	// TLS begins connections with it. The venue's certificate must have ServerName [the
	// venue's address] and be signed by one of Authorities [those the host trusts].
	// Certificate and Key are ours, for a venue that asks. PEM files.
	TLS         bool   `toml:"tls" default:"false"`
	Authorities string `toml:"authorities"`
	ServerName  string `toml:"server_name"`
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`

	// Start to EndDay are as those of FIXSession: we log on within the session only.
	Start    string   `toml:"start"`
	End      string   `toml:"end"`
	Zone     string   `toml:"time_zone"`
	Days     []string `toml:"days"`
	StartDay string   `toml:"start_day"`
	EndDay   string   `toml:"end_day"`
}

// FIXVenues are the lane's venues that speak FIX, in their order.
func (l *Lane) FIXVenues() []*Venue {
	var list []*Venue
	for i := range l.Venues {
		if l.Venues[i].FIX != nil {
			list = append(list, &l.Venues[i])
		}
	}
	return list
}

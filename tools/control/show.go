package control

// CmdShow asks for what a lane's application and sessions know: Show.
const CmdShow = "show"

// What can be shown.
const (
	ShowRisk     = "risk"     // RiskStatus
	ShowSessions = "sessions" // SessionList
	ShowOrder    = "order"    // OrderStatus
	ShowDoubt    = "doubt"    // OrderList: the open orders in doubt
)

// Show says what is asked for. A session is named by its name, its UUID or its index,
// a symbol by its name or its id.
type Show struct {
	Lane    int     `json:"lane"`
	What    string  `json:"what"`
	Session string  `json:"session,omitempty"`
	Account *uint32 `json:"account,omitempty"`
	Symbol  string  `json:"symbol,omitempty"`
	ClOrdID uint64  `json:"clordid,omitempty"`
	Text    string  `json:"clordid_text,omitempty"` // as in OrderName
}

// OrderName names an order by its session and what the client called it there, Text,
// or by the number that the lane has for it, ClOrdID, which the venue has, too. To a
// client that speaks FIXP both are the same.
type OrderName struct {
	Session string
	Text    string // empty: ClOrdID
	ClOrdID uint64
}

// RiskStatus is what the risk checks of a lane know: of the scopes that were named, or
// of all that set anything or are stopped.
type RiskStatus struct {
	Lane     int           `json:"lane"`
	State    string        `json:"state"` // of this node for the lane
	Revision uint64        `json:"revision"`
	Killed   bool          `json:"killed"`   // all are blocked
	Sweeping bool          `json:"sweeping"` // orders are being cancelled
	Limits   []LimitStatus `json:"limits"`
	// Scopes are those that set limits of their own, without the default's.
	Scopes    []ScopeStatus    `json:"scopes,omitempty"`
	Accounts  []AccountStatus  `json:"accounts,omitempty"`
	Positions []PositionStatus `json:"positions,omitempty"`
}

// Stops are the kill switches, restrictions and throttles in force in a lane.
type Stops struct {
	Everybody bool     `json:"everybody,omitempty"` // killed
	Sweeping  bool     `json:"sweeping,omitempty"`  // orders are being cancelled
	Sessions  []string `json:"sessions,omitempty"`  // killed
	Accounts  []uint32 `json:"accounts,omitempty"`  // killed
	// Restricted are scopes that may not trade, like "symbol ONEB".
	Restricted []string `json:"restricted,omitempty"`
	// Throttled are stopped by the repeated execution throttle.
	Throttled []PositionStatus `json:"throttled,omitempty"`
}

// LimitStatus is a limit in force.
type LimitStatus struct {
	Name  string `json:"name"`
	Value int64  `json:"value"` // 0: off
	From  string `json:"from"`  // default, account, session or symbol; "not set"
	Unit  string `json:"unit"`
}

// ScopeStatus is what one scope sets, and whether it is blocked.
type ScopeStatus struct {
	Scope  string           `json:"scope"`
	ID     uint32           `json:"id"`
	Name   string           `json:"name,omitempty"`
	Killed bool             `json:"killed,omitempty"`
	Limits map[string]int64 `json:"limits,omitempty"`
}

// AccountStatus is what an account has in all symbols.
type AccountStatus struct {
	Account          uint32 `json:"account"`
	Orders           uint32 `json:"orders"`
	GrossLots        int64  `json:"gross_lots"`
	OpenBuyNotional  int64  `json:"open_buy_notional"`
	OpenSellNotional int64  `json:"open_sell_notional"`
	PaidNotional     int64  `json:"paid_notional"` // bought minus sold
	Killed           bool   `json:"killed"`
}

// PositionStatus is what an account has in one symbol.
type PositionStatus struct {
	Account     uint32 `json:"account"`
	Symbol      uint32 `json:"symbol"`
	NetLots     int64  `json:"net_lots"`
	OpenBuy     int64  `json:"open_buy_lots"`
	OpenSell    int64  `json:"open_sell_lots"`
	Executions  uint32 `json:"executions"` // in the throttle's window
	Stopped     bool   `json:"stopped"`    // by it, until somebody enables it
	ReferenceAt int64  `json:"reference_price_ticks"`
}

// SessionList are a lane's client sessions.
type SessionList struct {
	Lane     int           `json:"lane"`
	State    string        `json:"state"`
	Sessions []SessionLine `json:"sessions"`
}

// SessionLine is one of them.
type SessionLine struct {
	Index   int    `json:"index"`
	Name    string `json:"name"`
	State   string `json:"state"`
	NextIn  uint64 `json:"next_in"`
	NextOut uint64 `json:"next_out"`
	Orders  uint32 `json:"orders"` // open
	Killed  bool   `json:"killed"`
	Blocked bool   `json:"blocked"`
}

// OrderList are orders of a lane.
type OrderList struct {
	Lane   int           `json:"lane"`
	State  string        `json:"state"`
	Orders []OrderStatus `json:"orders"`
}

// OrderStatus is one order.
type OrderStatus struct {
	Session    string `json:"session"` // its name
	Index      uint32 `json:"index"`
	ClOrdID    uint64 `json:"clordid"`
	Text       string `json:"clordid_text,omitempty"` // what a FIX client calls it
	VenueID    uint64 `json:"venue_clordid"`
	OrderID    uint64 `json:"order_id"`
	Venue      uint32 `json:"venue"`
	Account    uint32 `json:"account"`
	Symbol     uint32 `json:"symbol"`
	Side       string `json:"side"`
	Type       string `json:"type"`
	TIF        string `json:"time_in_force"`
	Status     string `json:"status"`
	PriceTicks int64  `json:"price_ticks"`
	QtyLots    uint32 `json:"qty_lots"`
	CumLots    uint32 `json:"cum_lots"`
	LeavesLots uint32 `json:"leaves_lots"`
	Open       bool   `json:"open"`
	InDoubt    bool   `json:"in_doubt"`
}

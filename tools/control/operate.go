package control

// Operate is an operator's command. Who gives it the socket says, when the node does.
// What is not named does not belong to it.
type Operate struct {
	Lane int `json:"lane"`
	// Kind is the name of an operator.Kind, like "risk set".
	Kind    string  `json:"kind"`
	Session string  `json:"session,omitempty"` // its name, its UUID or its index
	Account *uint32 `json:"account,omitempty"`
	Symbol  string  `json:"symbol,omitempty"`       // its name or its id
	Limit   string  `json:"limit,omitempty"`        // of "risk set"
	ClOrdID uint64  `json:"clordid,omitempty"`      // with Session
	Text    string  `json:"clordid_text,omitempty"` // as in OrderName
	Value   int64   `json:"value,omitempty"`
	Price   int64   `json:"price,omitempty"`
	Why     string  `json:"why,omitempty"`
}

// Operated is what became of a command that is in the log.
type Operated struct {
	Lane    int    `json:"lane"`
	Command string `json:"command"` // as it stands in the log
	Outcome string `json:"outcome"`
	Count   int64  `json:"count"` // what it counts depends on the command
	Who     string `json:"who"`
	UnixNs  int64  `json:"unix_ns"`
	// Position and Epoch are those of its record.
	Position uint64 `json:"position"`
	Epoch    uint32 `json:"epoch"`
}

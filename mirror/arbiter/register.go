package arbiter

// Refusal is why a register refuses a request.
type Refusal uint8

const (
	NotRefused Refusal = iota
	// RefusedForm: not a change that its sender may ask for at all.
	RefusedForm
	// RefusedChanged: the register is not what the request starts from.
	RefusedChanged
	// RefusedUnknown: the register has no record of the lane.
	RefusedUnknown
	// RefusedKnown: a seed, but the register has a record.
	RefusedKnown
	// RefusedBoot: a seed for another memory than this one.
	RefusedBoot
	refusalEnd
)

var refusalNames = [...]string{"granted", "form", "changed", "unknown", "known", "boot"}

// Name is the refusal's short name, of counters and logs.
func (r Refusal) Name() string { return refusalNames[r] }

var refusalTexts = [...]string{
	"",
	"the request is no step to the next epoch by its own writer",
	"the record of the lane has changed meanwhile: follow its writer",
	"the arbiter has no record of this lane: its ACTIVE node seeds it, or `onebeat witness seed`",
	"the arbiter has a record of this lane already; if its rings are gone for good, say which node holds the truth with `onebeat promote --force-from`",
	"the arbiter has lost its memory since it was asked",
}

// String is the refusal's reason with its remedy.
func (r Refusal) String() string { return refusalTexts[r] }

// Register is the record of one lane as an arbiter keeps it: one value that
// changes by compare-and-swap to the next epoch only. The zero Register knows
// nothing; a value of it can be copied.
type Register struct {
	// Boot names the memory: of a witness, another one after each restart.
	Boot   uint64
	Known  bool
	Record Record
}

// Read answers with the register as it is.
func (g *Register) Read() Answer {
	return Answer{Granted: true, Unknown: !g.Known, Record: g.Record, Boot: g.Boot}
}

// Swap decides a request and carries it out.
func (g *Register) Swap(r *Request) (Answer, Refusal) {
	refusal := g.Decide(r)
	if refusal == NotRefused {
		g.Known, g.Record = true, r.Next
	}
	return g.answer(refusal), refusal
}

func (g *Register) answer(refusal Refusal) Answer {
	return Answer{Granted: refusal == NotRefused, Unknown: !g.Known, Record: g.Record, Boot: g.Boot, Reason: refusal.String()}
}

// Decide says whether a request is to be granted. A change that is there
// already is granted again: its answer was lost. The proof is not asked for: a
// compare-and-swap lets one side win, whoever is right.
func (g *Register) Decide(r *Request) Refusal {
	next := &r.Next
	if *next == (Record{}) || !next.Valid() || !r.Current.Valid() || next.Writer != r.Self {
		return RefusedForm
	}
	if r.Proof == Seed {
		return g.decideSeed(r)
	}
	switch {
	case next.Epoch != r.Current.Epoch+1:
		return RefusedForm
	case !g.Known:
		return RefusedUnknown
	case g.Record == *next || g.Record == r.Current:
		return NotRefused
	}
	return RefusedChanged
}

// decideSeed: a new lane's first record, or a lane's record as it is for a
// memory that has lost it. Not for another memory than that which said so:
// between the two somebody else may have seeded and changed it.
func (g *Register) decideSeed(r *Request) Refusal {
	switch {
	case r.Current != (Record{}) && r.Current != r.Next:
		return RefusedForm
	case g.Known && g.Record == r.Next:
		return NotRefused
	case g.Known:
		return RefusedKnown
	case r.Boot != g.Boot:
		return RefusedBoot
	}
	return NotRefused
}

// Seed is an operator's word: it gives a register that knows nothing a record.
func (g *Register) Seed(record Record) Refusal {
	switch {
	case record == (Record{}) || !record.Valid():
		return RefusedForm
	case g.Known && g.Record != record:
		return RefusedKnown
	}
	g.Known, g.Record = true, record
	return NotRefused
}

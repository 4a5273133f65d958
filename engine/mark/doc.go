// Package mark says where the time of one order goes: with the build tag marks
// the order path stores the processor's time stamp counter at a few places, and
// without it At compiles to nothing. It is for one lane that serves one order at
// a time, as `onebeat bench breakdown` does; it counts and explains, and nothing
// acts on it.
//
// The counter must run at one rate on all cores (constant_tsc, nonstop_tsc):
// stamps of the client's core are compared with those of the primary's.
package mark

// Stage is a place on the way of an order, in the order they are passed.
type Stage int

// Places.
const (
	ClientKick   Stage = iota // the client is about to send
	ClientKicked              // its system call is back
	Received                  // the loop has the frame
	Decoded                   // headers, session and messages are known
	Admitted                  // the session takes the message
	Appended                  // its record is in the ring
	Applied                   // the application has decided
	Built                     // mirror frames stand in the NIC's queue
	Mirrored                  // the mirror's system call is back
	Answered                  // the client has the answer
	Stages
)

var names = [Stages]string{"client kick", "client kicked", "received", "decoded", "admitted", "appended", "applied", "built", "mirrored", "answered"}

func (s Stage) String() string { return names[s] }

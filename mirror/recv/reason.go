package recv

import "fmt"

// Reason is why a frame met its fate (enum ob_reason); each is counted.
type Reason uint8

const (
	None Reason = iota
	OrderToEngine
	OrderWaits
	OrderForwarded
	OrderNotActive
	OrderNoEngine
	OrderTooLong
	OrderExtension
	ARPAnswered
	ARPNotActive
	NDAnswered
	NDNotActive
	NDInvalid
	TCPToStack
	TCPNotActive
	TCPRefused
	StackNotActive
	FencedBySteer
	FencedByProbe
	Candidate
	CandidateRefused
	LinkTruncated
	LinkMagic
	LinkVersion
	LinkLane
	LinkLength
	LinkAddress
	LinkNode
	LinkIncarnation
	LinkType
	SecondType
	LinkBusy
	LinkMAC
	LinkPath
	LinkReplay
	LinkNoEngine
	MirrorAppended
	MirrorHeartbeat
	MirrorRepeat
	MirrorGap
	MirrorFull
	MirrorCross
	MirrorStale
	MirrorNewer
	MirrorState
	MirrorToEngine
	Ack
	AckStale
	RideReleased
	RideChained
	RideUncovered
	RideOrder
	RideFenced
	ProbeAnswered
	LifeReceived
	StaleReceived
	FencedReceived
	ForwardReceived
	HelloReceived
	NoDevice
	ReasonCount
)

// Names as in enum ob_reason, without OB_R_, in lower case.
var reasonNames = [ReasonCount]string{
	"none", "order_to_engine", "order_waits", "order_forwarded", "order_not_active", "order_no_engine",
	"order_too_long", "order_extension", "arp_answered", "arp_not_active", "nd_answered", "nd_not_active", "nd_invalid", "tcp_to_stack",
	"tcp_not_active", "tcp_refused", "stack_not_active", "fenced_by_steer", "fenced_by_probe", "candidate",
	"candidate_refused", "link_truncated", "link_magic", "link_version", "link_lane", "link_length",
	"link_address", "link_node", "link_incarnation", "link_type", "second_type", "link_busy", "link_mac", "link_path",
	"link_replay", "link_no_engine", "mirror_appended", "mirror_heartbeat", "mirror_repeat", "mirror_gap", "mirror_full",
	"mirror_cross", "mirror_stale", "mirror_newer", "mirror_state", "mirror_to_engine", "ack", "ack_stale",
	"ride_released", "ride_chained", "ride_uncovered", "ride_order", "ride_fenced", "probe_answered", "life", "stale",
	"fenced_received", "forward_received", "hello", "no_device",
}

func (r Reason) String() string {
	if r < ReasonCount {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// Verdict is what becomes of a frame.
type Verdict uint8

const (
	Pass     Verdict = iota // not a link frame: none of ours
	Drop                    // done with, or refused
	Answer                  // send the reply back by the NIC it came from
	ToEngine                // user space decides
	Release                 // send the ride out of the order NIC
	Forward                 // send the reply out of the link NIC
)

var verdictNames = [...]string{"pass", "drop", "answer", "to engine", "release", "forward"}

func (v Verdict) String() string { return verdictNames[v] }

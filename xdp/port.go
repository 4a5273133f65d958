package xdp

// Port sends and receives whole Ethernet frames on one queue of one NIC, or,
// in the UDP stand-in, on one socket whose datagrams it dresses in headers.
// A port belongs to one goroutine. Nothing but Wait and Close blocks, nothing
// but Close allocates.
type Port interface {
	// Recv makes up to max received frames available and returns their number.
	// They stay valid until Done.
	Recv(max int) int
	// Frame returns received frame i, from the destination MAC on.
	Frame(i int) []byte
	// Done hands all frames of the last Recv back to the NIC.
	Done()
	// Reserve returns the buffer of the next frame to send, or nil when the
	// NIC has not sent enough of the earlier ones. Its length is the capacity.
	Reserve() []byte
	// Submit queues the reserved buffer with its first lengthBytes.
	Submit(lengthBytes int)
	// Kick makes the NIC send what was submitted. It returns 0 or an errno
	// that means a lost device; a full queue is retried at the next kick.
	Kick() int
	// Wait sleeps until a frame arrives or timeoutNs passed.
	Wait(timeoutNs int64)
	// FD is the socket, for poll(2) over several ports.
	FD() int
	// Stats returns what the port has counted.
	Stats() PortStats
	// Close gives the socket and its memory back.
	Close() error
}

// PortStats are counters since the port was opened.
type PortStats struct {
	Received, Sent, Kicks uint64
	RxDropped, RxRingFull uint64 // by the kernel: no descriptor or ring full
	RxInvalid, TxInvalid  uint64 // descriptors the kernel refused
	FillEmpty, TxFull     uint64 // times the fill ring was empty, Reserve was nil
	Retries               uint64 // kicks that returned EAGAIN, EBUSY or ENOBUFS
	Unknown               uint64 // received frames of a shared socket that are for none of its users
}

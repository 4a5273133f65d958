// Package client is the order entry side of a FIXP session as a pure core: no
// socket, no clock, no allocation after New. Whoever owns the socket drives it:
//
//	c, err := client.New(client.Config{Session: id, Key: fixp.NewKey("secret")}, handler)
//	for {
//		for each received datagram { c.OnDatagram(payload, nowNs) }   // answers arrive in handler
//		for c.Ready() && c.Room() > 0 && an order is due { c.SendOrder(&order, nowNs) }
//		c.Poll(nowNs, out)   // writes everything due: session messages, new requests, resends
//	}
//
// SendOrder, SendCancel and SendReplace only number and store a request; the
// next Poll sends it, many requests to a datagram (Config.BatchMessages). A
// request may be sent before the session is up: it goes out once it is.
//
// A request stays in the window until its first answer. When none comes for
// ResendNs it is sent again under the same number; when the server says
// NotApplied it is sent again under a new number with the same ClOrdID. The
// server does nothing twice, so neither can double an order. Answers are
// delivered in the order of the server's flow, each exactly once; a gap is
// asked for again before anything behind it is delivered.
//
// Poll is cheap when nothing is due and must be called at least every
// millisecond. ClOrdIDs must be above 0, below 1<<48 and rise, apart from
// reordering: the server remembers a window of them (262,144 wide by default).
package client

// Package conn is a client's connection: a client.Client, the client.Connector
// that chooses its host, and the socket between them and the lane. Over UDP
// sockets it needs no privileges and reaches several hosts; over AF_XDP it speaks
// to one lane address and follows it from node to node.
//
//	c, err := conn.Open(conn.Config{
//		Client: client.Config{Session: id, Key: fixp.NewKey("secret")},
//		Hosts:  []conn.Host{{Address: primary}, {Address: backup}},
//		Local:  netip.MustParseAddrPort("10.10.0.10:0"),
//	}, handler)
//	for c.State() < client.Failed {
//		work := c.Receive()          // answers arrive in handler
//		c.Client().SendOrder(&order, c.NowNs())
//		c.Rest(work+c.Transmit(), conn.MaxSleepNs)
//	}
//
// A Conn belongs to one goroutine, which calls Receive and Transmit at least every
// millisecond, as Run does. Neither allocates.
package conn

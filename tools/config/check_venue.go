package config

import (
	"fmt"
	"slices"
)

// venuesMost bounds the venues of a lane: each has its sessions, counters and
// tables.
const venuesMost = 16

func venuePath(at func(string) string, i int, name string) string {
	return join(at(fmt.Sprintf("venue[%d]", i)), name)
}

// venues: each is somewhere else, reached by a port of its own, and every symbol
// goes to one of them or, for want of a default, to none.
func (k *checker) venues(l *Lane, at func(string) string) {
	if len(l.Venues) > venuesMost {
		k.fail(at("venue"), fmt.Sprintf("%d venues", len(l.Venues)), fmt.Sprintf("give a lane %d at most", venuesMost))
	}
	ports, names := map[Port]string{}, map[string]string{}
	for i := range l.Venues {
		v := &l.Venues[i]
		path := func(name string) string { return venuePath(at, i, name) }
		k.venueSession(v, path)
		if k.ok(at("port"), path("local_port")) && v.LocalPort == l.Port {
			k.fail(path("local_port"), fmt.Sprintf("%d is also the port clients use", l.Port), "use another port for the venue")
		}
		if other, taken := ports[v.LocalPort]; taken && v.LocalPort != 0 {
			k.fail(path("local_port"), fmt.Sprintf("%d is already that of %s", v.LocalPort, other), "give every venue a port of its own")
		}
		ports[v.LocalPort] = path("local_port")
		if other, taken := names[v.Name]; taken && v.Name != "" {
			k.fail(path("name"), fmt.Sprintf("%q is already that of %s", v.Name, other), "name venues differently")
		}
		names[v.Name] = path("name")
		if k.ok(path("address"), at("address")) && v.Address == l.Address {
			k.fail(path("address"), "is the lane's own address", "give the venue's")
		}
		k.venueFamily(l, v, at, path)
		k.venueLimits(v, path)
	}
	k.routes(l, at)
}

// venueFamily: what is sent to a venue comes from the lane's address, or with
// transport udp from the node's.
func (k *checker) venueFamily(l *Lane, v *Venue, at, path func(string) string) {
	from, name := l.Address, at("address")
	if k.c.Node.Transport == TransportUDP {
		from, name = k.c.Order.Address, "order.address"
	}
	if v.FIX != nil { // TCP, from whatever address the host has towards it
		return
	}
	if !k.ok(path("address"), name) || v.Address.IsZero() || from.IsZero() || v.Address.Is4() == from.Is4() {
		return
	}
	k.fail(path("address"), fmt.Sprintf("%v is of another family than %s = %v, from which it is spoken to", v.Address, name, from),
		"use IPv4 for both, or IPv6 for both")
}

// venueSession: FIXP needs other fields than FIX.
func (k *checker) venueSession(v *Venue, path func(string) string) {
	for name, there := range map[string]bool{"local_port": v.LocalPort != 0, "session": v.Session != (UUID{}), "key": v.Key != ""} {
		switch {
		case v.FIX == nil && !there && k.ok(path(name)):
			k.fail(path(name), "missing", fmt.Sprintf("add %s = …, or [lane.venue.fix]", name))
		case v.FIX != nil && k.has(path(name)):
			k.fail(path(name), "has no use over FIX", "remove it, or [lane.venue.fix]")
		}
	}
	if v.FIX != nil {
		k.venueFIX(v.FIX, func(name string) string { return path("fix." + name) })
	}
}

func (k *checker) venueFIX(f *VenueFIX, path func(string) string) {
	if f.PasswordFile != "" {
		if problem, remedy := readPassword(k.c.File, f.PasswordFile, &f.Password); problem != "" {
			k.fail(path("password_file"), problem, remedy)
		}
	}
	if f.Heartbeat.Ns()%1_000_000_000 != 0 {
		k.fail(path("heartbeat"), fmt.Sprintf("%v is no number of whole seconds", f.Heartbeat), "give seconds, like 5s")
	}
	k.fixSchedule(f.Start, f.End, f.Zone, f.Days, f.StartDay, f.EndDay, path("start"))
	if !f.TLS {
		for _, name := range []string{"authorities", "server_name", "certificate", "key"} {
			if k.has(path(name)) {
				k.fail(path(name), "has no use without tls = true", "add that, or remove it: clear text")
			}
		}
	} else if (f.Certificate == "") != (f.Key == "") {
		k.fail(path("certificate"), "certificate and key belong together", "give both, or none")
	}
}

func (k *checker) venueLimits(v *Venue, path func(string) string) {
	if k.ok(path("reconnect"), path("reconnect_max")) && v.ReconnectMax < v.Reconnect {
		k.fail(path("reconnect_max"), fmt.Sprintf("%v is less than reconnect = %v", v.ReconnectMax, v.Reconnect), "give at least as much")
	}
	if v.OrdersPerSecond == 0 {
		for _, name := range []string{"burst", "queue", "cancels_first"} {
			if k.has(path(name)) {
				k.fail(path(name), "has no use without a throttle", "add orders_per_second, or remove it")
			}
		}
	}
	if v.CancelsFirst && v.Queue == 0 && k.ok(path("cancels_first"), path("queue")) {
		k.fail(path("cancels_first"), "there is no queue that cancels could overtake", "add queue, or remove it")
	}
	if v.BreakAfter == 0 {
		for _, name := range []string{"break_window", "break_open", "break_timeout"} {
			if k.has(path(name)) {
				k.fail(path(name), "has no use without break_after", "add break_after, or remove it")
			}
		}
	}
}

// routes: a symbol has one venue, a lane one default.
func (k *checker) routes(l *Lane, at func(string) string) {
	if len(l.Venues) == 1 && len(l.Venues[0].Symbols) == 0 {
		l.Venues[0].Default = true
	}
	known := func(name string) bool {
		return slices.ContainsFunc(l.Symbols, func(s Symbol) bool { return s.Name == name })
	}
	where, byDefault := map[string]string{}, ""
	for i := range l.Venues {
		v := &l.Venues[i]
		path := venuePath(at, i, "symbols")
		if v.Default {
			if byDefault != "" {
				k.fail(venuePath(at, i, "default"), "the lane has a default already: "+byDefault, "say default = true of one venue")
			}
			byDefault = v.Name
		} else if len(v.Symbols) == 0 {
			k.fail(path, "nothing goes to this venue", "name symbols, or say default = true")
		}
		for _, s := range v.Symbols {
			switch other, taken := where[s]; {
			case !known(s) && k.ok(at("symbol")):
				k.fail(path, fmt.Sprintf("there is no symbol %q in this lane", s), "use the names of its [[lane.symbol]]")
			case taken:
				k.fail(path, fmt.Sprintf("%q goes to venue %s already", s, other), "let a symbol go to one venue")
			}
			where[s] = v.Name
		}
	}
}

// VenueOf returns the index of the venue that a symbol's orders go to; -1: to none.
func (l *Lane) VenueOf(symbol string) int {
	byDefault := -1
	for i := range l.Venues {
		if slices.Contains(l.Venues[i].Symbols, symbol) {
			return i
		}
		if l.Venues[i].Default {
			byDefault = i
		}
	}
	return byDefault
}

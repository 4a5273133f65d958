package config

import (
	"bytes"
	"fmt"
	"math/bits"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"onebeat/engine/fix"
	"onebeat/engine/fix/convert"
)

// FIXPlacesMax bounds the FIX sessions of a lane.
const FIXPlacesMax = 1024

func (k *checker) fix(l *Lane, at func(string) string) {
	for i := range l.Symbols {
		path := at(fmt.Sprintf("symbol[%d].tick", i))
		if _, err := convert.ParseTick(l.Symbols[i].Tick); err != nil && k.ok(path) {
			k.fail(path, fmt.Sprintf("%q is no tick", l.Symbols[i].Tick), "give a decimal above 0 like 0.01")
		}
	}
	f := l.FIX
	if f == nil {
		return
	}
	in := func(name string) string { return at("fix." + name) }
	if (f.Certificate == "") != (f.Key == "") && k.ok(in("certificate"), in("key")) {
		k.fail(in("certificate"), "certificate and key belong together", "give both, or none: clear text")
	}
	if f.Authorities != "" && f.Certificate == "" {
		k.fail(in("authorities"), "checks certificates of clients, and there is no TLS", "give certificate and key")
	}
	if bits.OnesCount(uint(f.RetainMessages)) != 1 && k.ok(in("retain_messages")) {
		k.fail(in("retain_messages"), fmt.Sprintf("%d is no power of two", f.RetainMessages), "the default is 4096")
	}
	if (bits.OnesCount64(uint64(f.RetainSize)) != 1 || f.RetainSize < 64<<10 || f.RetainSize > 1<<30) && k.ok(in("retain_size")) {
		k.fail(in("retain_size"), fmt.Sprintf("%v is no power of two from 64KiB to 1GiB", f.RetainSize), "the default is 1MiB")
	}
	if f.Backlog < 64<<10 && k.ok(in("backlog")) {
		k.fail(in("backlog"), fmt.Sprintf("%v holds not even a burst", f.Backlog), "the default is 4MiB")
	}
	if n := len(l.FIXSessions()); n > FIXPlacesMax {
		k.fail(in("session"), fmt.Sprintf("%d sessions and places", n), fmt.Sprintf("at most %d in a lane", FIXPlacesMax))
	}
	seen := map[string]bool{}
	places := false
	for i := range f.Sessions {
		s := &f.Sessions[i]
		of := func(name string) string { return in(fmt.Sprintf("session[%d].%s", i, name)) }
		k.fixSession(l, s, of)
		id := strings.Join([]string{s.Version, s.Sender, s.SenderSub, s.Target, s.TargetSub}, "\x01")
		switch {
		case s.Places > 0 && places:
			k.fail(of("places"), "there are places already", "one kind of them: who comes is not known before")
		case s.Places == 0 && seen[id]:
			k.fail(of("target_comp_id"), "these CompIDs are another session's", "each session has its own")
		}
		places, seen[id] = places || s.Places > 0, true
	}
}

func (k *checker) fixSession(l *Lane, s *FIXSession, of func(string) string) {
	switch {
	case s.Places > 0 && (s.Target != "" || s.Sender != ""):
		k.fail(of("places"), "are for whoever comes, and this session has CompIDs", "remove one of them")
	case s.Places == 0 && s.Target == "":
		k.fail(of("target_comp_id"), "missing", "give the client's CompID, or places for whoever comes")
	case s.Places == 0 && s.Sender == "":
		k.fail(of("sender_comp_id"), "missing", "give this side's CompID")
	}
	for _, c := range []struct{ name, text string }{{"sender_comp_id", s.Sender}, {"target_comp_id", s.Target}, {"sender_sub_id", s.SenderSub}, {"target_sub_id", s.TargetSub}} {
		if len(c.text) > 64 || strings.ContainsAny(c.text, "\x01=\n") {
			k.fail(of(c.name), fmt.Sprintf("%q cannot stand in a FIX header", c.text), "use at most 64 letters, digits and -")
		}
	}
	for j, a := range s.Allow {
		if _, err := ParsePrefix(a); err != nil {
			k.fail(of("allow"), fmt.Sprintf("%q (%d.) is neither an address nor a network", a, j+1), "write 192.0.2.7 or 192.0.2.0/24")
		}
	}
	k.fixSchedule(s.Start, s.End, s.Zone, s.Days, s.StartDay, s.EndDay, of("start"))
	if s.HeartbeatMin > s.HeartbeatMax && k.ok(of("heartbeat_min"), of("heartbeat_max")) {
		k.fail(of("heartbeat_min"), "is above heartbeat_max", "a Logon's HeartBtInt must be between them")
	}
	if s.CertificateName != "" && l.FIX.Authorities == "" {
		k.fail(of("certificate_name"), "no certificates are asked of clients", "give [lane.fix] authorities")
	}
	if s.Burst > 0 && s.MessagesPerSecond == 0 {
		k.fail(of("burst"), "bounds nothing without messages_per_second", "set that, or remove this")
	}
	if s.CancelOnDisconnect > 0 && s.CancelOnDisconnect <= l.Heartbeat+l.HangBudget && k.ok(of("cancel_on_disconnect")) {
		k.fail(of("cancel_on_disconnect"), "is not longer than a failover may take (heartbeat and hang_budget)", "lengthen it; 0s: orders stay")
	}
	if s.PasswordFile == "" {
		if s.Username != "" {
			k.fail(of("username"), "without a password anybody could say it", "give password_file")
		}
		return
	}
	if problem, remedy := readPassword(k.c.File, s.PasswordFile, &s.Password); problem != "" {
		k.fail(of("password_file"), problem, remedy)
	}
}

func (k *checker) fixSchedule(start, end, zone string, days []string, startDay, endDay, path string) {
	if _, err := fix.NewSchedule(start, end, zone, days, startDay, endDay); err != nil {
		k.fail(path, err.Error(), "start and end are hh:mm:ss, time_zone is one like Europe/London, days are monday, tuesday, ...")
	}
}

// ParsePrefix reads an address or a network.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

// readPassword reads a file that holds a password on a line of its own.
func readPassword(configFile, path string, to *string) (problem, remedy string) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(configFile), path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err.Error(), "write the password into it, mode 0600"
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return fmt.Sprintf("%s has mode %v: others could read the password", path, mode), "chmod 600 " + path
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error(), "make it readable for the user of the node"
	}
	b = bytes.TrimRight(b, "\r\n")
	if len(b) < 4 || len(b) > 256 || bytes.ContainsAny(b, "\x01\n") {
		return path + " does not hold a password", "4 to 256 characters on one line" // never quote what is in it
	}
	*to = string(b)
	return "", ""
}

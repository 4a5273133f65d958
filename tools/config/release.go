package config

import (
	"fmt"

	"onebeat/mirror/policy"
)

// Terms is what the lane's outputs wait for, as the file says.
func (l *Lane) Terms() (policy.Terms, error) {
	t := policy.Terms{Policy: l.Policy, WaitNs: policy.Forever, Copies: uint8(l.Copies)}
	if l.Wait != WaitForever && t.Waits() {
		t.WaitNs = l.Wait.Ns()
		var err error
		if t.OnTimeout, err = policy.ParseOnTimeout(l.OnTimeout); err != nil {
			return t, err
		}
	}
	return t, t.Check()
}

// Holders is how many nodes beside the writer can hold a lane's record so that it
// counts.
func (c *Config) Holders(l *Lane) int {
	n := 0
	if l.Peer != 0 {
		n++
	}
	for i := range c.Sites {
		if c.Sites[i].Counts {
			n++
		}
	}
	return n
}

// policy: what a lane's outputs wait for, and what then.
func (k *checker) policy(l *Lane, at func(string) string) {
	if l.Policy == "" && k.ok(at("policy")) {
		l.Policy = policy.NameNone
		if l.Peer != 0 {
			l.Policy = policy.NameMirrored
		}
	}
	if !k.ok(at("policy")) {
		return
	}
	if _, err := policy.New(l.Policy); err != nil {
		k.fail(at("policy"), err.Error(), "the policies that ship are none, mirrored, applied and archived")
		return
	}
	archives := (&policy.Terms{Policy: l.Policy}).Archives()
	if archives {
		k.archivedPolicy(l, at)
	}
	if l.Policy == policy.NameNone {
		for _, name := range []string{"wait", "on_timeout", "release", "copies"} {
			if k.has(at(name)) {
				k.fail(at(name), "policy none does not wait for an ACK", "remove it, or use policy = \"mirrored\"")
			}
		}
		return
	}
	if l.Peer == 0 && !archives && k.ok(at("peer")) {
		k.fail(at("policy"), l.Policy+" needs a peer to mirror to", "set peer, or policy = \"none\"")
	}
	k.waiting(l, at)
}

// archivedPolicy: what waits for disks needs them.
func (k *checker) archivedPolicy(l *Lane, at func(string) string) {
	if k.c.Archive == nil && k.ok("archive") {
		k.fail(at("policy"), l.Policy+" needs an archive, on either node: each is the other's standby", "add [archive], or use policy = \"applied\"")
	}
	if a := k.c.Archive; a != nil && k.ok("archive", "archive.sync") && a.Sync == SyncNone {
		k.fail(at("policy"), l.Policy+" with archive.sync = \"none\" would answer before anything is on a disk", "use sync = \"batch\", or \"interval\" and wait for it")
	}
}

func (k *checker) waiting(l *Lane, at func(string) string) {
	if l.Policy != policy.NameMirrored && k.has(at("release")) && l.Release != ReleaseUser {
		k.fail(at("release"), fmt.Sprintf("the kernel releases with an ACK, and %s asks for more", l.Policy), "remove it, or use policy = \"mirrored\"")
	}
	if l.Copies > 1 && k.has(at("release")) && l.Release != ReleaseUser && l.Policy == policy.NameMirrored {
		k.fail(at("release"), fmt.Sprintf("the kernel releases with one ACK, and copies = %d asks for more", l.Copies), "remove it")
	}
	if l.Release == ReleaseChain && k.c.Node.Transport == TransportUDP && k.ok(at("release"), "node.transport") {
		k.fail(at("release"), "the standby's kernel program releases, and over UDP sockets there is none", "use release = \"ride\"")
	}
	if !k.ok(at("wait"), at("on_timeout")) {
		return
	}
	if l.Wait != WaitForever && l.OnTimeout == "" {
		k.fail(at("on_timeout"), "missing, but wait ends", "say degrade, reject or stop")
	}
	if l.Wait == WaitForever && l.OnTimeout != "" {
		k.fail(at("on_timeout"), "is never reached: wait is forever", "set wait to a duration, or remove it")
	}
}

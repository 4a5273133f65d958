package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// arbitration: what a lane says of its arbiter.
func (k *checker) arbitration(l *Lane, at func(string) string) {
	if !k.ok(at("arbitration"), at("silence"), at("peer")) {
		return
	}
	if l.Arbitration == ArbitrationPair {
		return
	}
	if l.Peer == 0 {
		k.fail(at("arbitration"), fmt.Sprintf("%s decides between two nodes, and this lane has no peer", l.Arbitration), "set peer, or remove arbitration")
	}
	if l.Silence == SilenceLinks {
		k.fail(at("silence"), fmt.Sprintf("links is for arbitration = \"pair\": with %s silence always promotes, and the arbiter decides", l.Arbitration), "remove it")
	}
	if l.Arbitration == ArbitrationFence {
		k.fenced(l, at)
		return
	}
	sections := map[string]bool{ArbitrationWitness: k.c.Witness != nil, ArbitrationEtcd: k.c.Etcd != nil}
	if !sections[l.Arbitration] && k.ok(l.Arbitration) {
		k.fail(l.Arbitration, fmt.Sprintf("missing, but %s = %q", at("arbitration"), l.Arbitration), fmt.Sprintf("add the section [%s]", l.Arbitration))
	}
	if w := k.c.Witness; w != nil && l.Arbitration == ArbitrationWitness && k.ok("witness.timeout", at("heartbeat")) && w.Timeout > l.Heartbeat {
		k.fail("witness.timeout", fmt.Sprintf("%v is longer than the heartbeat of %s, %v: one lost datagram would cost more than the silence that it follows", w.Timeout, at("heartbeat"), l.Heartbeat),
			"shorten it; a round trip to a witness takes microseconds")
	}
}

// arbiters looks at the sections of the arbiters.
func (k *checker) arbiters() {
	used := map[string]bool{}
	for i := range k.c.Lanes {
		used[k.c.Lanes[i].Arbitration] = true
	}
	if k.c.Witness != nil {
		if !used[ArbitrationWitness] {
			k.fail("witness", "no lane uses it", "set arbitration = \"witness\" in a lane, or remove the section")
		}
		k.witness(k.c.Witness)
	}
	if k.c.Etcd != nil {
		if !used[ArbitrationEtcd] {
			k.fail("etcd", "no lane uses it", "set arbitration = \"etcd\" in a lane, or remove the section")
		}
		k.etcd(k.c.Etcd)
	}
}

// whose says whose address ip is, "" if it is a third host's as far as the file
// tells.
func (k *checker) whose(ip IP) string {
	own, peers := map[string]IP{}, map[string]IP{}
	for i := range k.c.Links {
		l, path := &k.c.Links[i], linkPath(i)
		own[path+".address"], own[path+".order_address"] = l.Address, l.OrderAddress
		peers[path+".peer_address"], peers[path+".peer_order_address"] = l.PeerAddress, l.PeerOrderAddress
	}
	if k.c.Order.Address.Is(ip) {
		return "this node's own (order.address)"
	}
	for path, a := range own {
		if a == ip && !a.IsZero() {
			return "this node's own (" + path + ")"
		}
	}
	for path, a := range peers {
		if a == ip && !a.IsZero() {
			return "the peer's (" + path + ")"
		}
	}
	for i := range k.c.Lanes {
		if k.c.Lanes[i].Address.Is(ip) {
			return "the lane's, which moves between the nodes (" + lanePath(i) + ".address)"
		}
	}
	if ip.Addr().IsLoopback() && k.c.Node.Transport == TransportXDP {
		return "this host's own"
	}
	return ""
}

func (k *checker) witness(w *Witness) {
	if k.ok("witness.address") {
		if whose := k.whose(w.Address.IP()); whose != "" {
			k.fail("witness.address", fmt.Sprintf("%v is %s: it would die together with what it has to decide about", w.Address, whose),
				"run the witness on a third host, best on a network of its own")
		}
	}
	if !k.ok("witness.key_file") {
		return
	}
	if problem, remedy := readKey(k.c.File, w.KeyFile, &w.Key); problem != "" {
		k.fail("witness.key_file", problem, remedy)
		return
	}
	for i := range k.c.Links {
		if l := &k.c.Links[i]; l.Auth && l.Key == w.Key {
			k.fail("witness.key_file", "is also the key of "+linkPath(i)+": the witness's host could speak for the nodes", "make another one with `openssl rand -hex 32`")
		}
	}
}

func (k *checker) etcd(e *Etcd) {
	if k.ok("etcd.endpoints") {
		k.endpoints(e)
	}
	if k.ok("etcd.prefix") && (!strings.HasPrefix(e.Prefix, "/") || strings.HasSuffix(e.Prefix, "/")) {
		k.fail("etcd.prefix", fmt.Sprintf("%q does not start with / or ends with it", e.Prefix), "write it like \"/onebeat/desk-1\", another one for each pair of nodes")
	}
	if (e.CertFile == "") != (e.KeyFile == "") {
		missing := map[bool]string{true: "cert_file", false: "key_file"}[e.CertFile == ""]
		k.fail("etcd."+missing, "missing: a certificate and its key belong together", "give both or none")
	}
	for name, path := range map[string]string{"ca_file": e.CAFile, "cert_file": e.CertFile, "key_file": e.KeyFile} {
		if path == "" {
			continue
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(k.c.File), path)
		}
		if _, err := os.Stat(path); err != nil {
			k.fail("etcd."+name, err.Error(), "give the path of a PEM file")
		}
	}
}

// endpoints: a cluster that stands on the two nodes alone has no majority when
// one of them dies.
func (k *checker) endpoints(e *Etcd) {
	elsewhere, tls := false, false
	for i, text := range e.Endpoints {
		path := fmt.Sprintf("etcd.endpoints[%d]", i)
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Port() == "" || u.Path != "" {
			k.fail(path, fmt.Sprintf("%q is not the URL of a member", text), "write it like \"http://10.98.0.1:2379\"")
			continue
		}
		tls = tls || u.Scheme == "https"
		ip, err := netip.ParseAddr(u.Hostname())
		if err != nil || !ip.Is4() || k.whose(ip.As4()) == "" {
			elsewhere = true
		}
	}
	if !elsewhere && k.okEach("etcd.endpoints", len(e.Endpoints)) {
		k.fail("etcd.endpoints", "are the two nodes' own: the cluster has no majority when one of them dies", "run three members or more, one of them on a third host")
	}
	if !tls && e.CAFile+e.CertFile+e.KeyFile != "" && k.okEach("etcd.endpoints", len(e.Endpoints)) {
		k.fail("etcd.endpoints", "certificates are given, but no endpoint is https", "write https://, or remove ca_file, cert_file and key_file")
	}
}

func (k *checker) okEach(path string, n int) bool {
	for i := range n {
		if !k.ok(fmt.Sprintf("%s[%d]", path, i)) {
			return false
		}
	}
	return k.ok(path)
}

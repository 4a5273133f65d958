package config

import (
	"strings"
	"testing"
)

func TestStream(t *testing.T) {
	files := "certificate = \"a.crt\"\nkey = \"a.key\"\nauthorities = \"ca.crt\"\n"
	with := func(section, link string) string {
		text := strings.Replace(base, "[[lane]]", "[stream]\n"+section+"\n[[lane]]", 1)
		return strings.Replace(text, "peer_address", link+"\npeer_address", 1)
	}
	c, err := Parse("/etc/x.toml", []byte(with("listen = \"10.99.0.1:7600\"\n"+files, `peer_stream = "10.99.0.2:7600"`)))
	if err != nil {
		t.Fatal(err)
	}
	s := c.Stream
	if s.Listen.String() != "10.99.0.1:7600" || s.RateLimit != 0 || s.Connections != 64 || s.Salvage.Ns() != 20_000_000 ||
		s.Path(c.File, s.Key) != "/etc/a.key" || s.Path(c.File, "/k") != "/k" || c.Links[0].PeerStream.String() != "10.99.0.2:7600" {
		t.Errorf("%+v %+v", s, c.Links[0])
	}
	if c, err := Parse("x.toml", []byte(base)); err != nil || c.Stream != nil {
		t.Error(err, c)
	}
	for _, bad := range []struct{ section, link, want string }{
		{"", "", "stream.certificate: missing"},
		{files + `listen = "10.99.0.1"`, "", `stream.listen: "10.99.0.1" is not an IPv4 address and a port`},
		{files + `rate_limit = "1KiB"`, "", "stream.rate_limit: 1KiB in a second is less than 64KiB"},
		{files + `connections = 1`, "", "stream.connections: 1 is out of range"},
		{files + `salvage = "1m"`, "", "stream.salvage: 1m0s is out of range"},
		{files + `listen = "10.99.0.1:7600"`, `peer_stream = "10.99.0.1:7600"`, "link[0].peer_stream: 10.99.0.1:7600 is this node's own"},
		{files, "peer_stream = \"10.99.0.2:7600\"\npeer_mirrord = \"10.99.0.2:7600\"", "link[0].peer_mirrord: is the peer's node itself"},
		{files + "cert = 1", "", "stream.cert: unknown key"},
	} {
		if _, err := Parse("x.toml", []byte(with(bad.section, bad.link))); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%q %q: %v, want %s", bad.section, bad.link, err, bad.want)
		}
	}
	text := strings.Replace(base, "peer_address", "peer_stream = \"10.99.0.2:7600\"\npeer_address", 1)
	if _, err := Parse("x.toml", []byte(text)); err == nil || !strings.Contains(err.Error(), "link[0].peer_stream: is of no use without certificates") {
		t.Error(err)
	}
}

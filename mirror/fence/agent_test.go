package fence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const metadata = `<?xml version="1.0" ?>
<resource-agent name="fence_test" shortdesc="t">
<parameters>
	<parameter name="action" required="1"><content type="string" default="off"/></parameter>
	<parameter name="ip" required="1" obsoletes="ipaddr"><content type="string"/></parameter>
	<parameter name="ipaddr" required="1" deprecated="1"><content type="string"/></parameter>
	<parameter name="password" required="0"><content type="string"/></parameter>
	<parameter name="method" required="0"><content type="select" default="onoff"><option value="onoff"/><option value="cycle"/></content></parameter>
</parameters>
<actions><action name="on"/><action name="off"/><action name="status"/><action name="monitor"/><action name="metadata"/></actions>
</resource-agent>`

// fakeAgent writes an agent whose actions are shell commands. $DIR is a
// directory of its own; what it reads goes to $DIR/input.
func fakeAgent(t *testing.T, actions string) (path, dir string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, "fence_test")
	text := "#!/bin/sh\nDIR=" + dir + `
input=$(cat)
echo "$input" > $DIR/input
echo "$0 $*" > $DIR/args
action=$(echo "$input" | sed -n 's/^action=//p')
echo "$action" >> $DIR/actions
case $action in
metadata) cat <<'XML'
` + metadata + `
XML
;;
` + actions + `
esac
`
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path, dir
}

// journal keeps log lines.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func secretsFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, cfg Config) (*Agent, *journal) {
	t.Helper()
	j := new(journal)
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	a, err := Open(context.Background(), cfg, j.logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a, j
}

const goodAgent = `
off) echo off > $DIR/power; echo "Success: Powered OFF";;
on) echo on > $DIR/power;;
status) [ "$(cat $DIR/power 2>/dev/null)" = off ] && { echo "Status: OFF"; exit 2; }; echo "Status: ON";;
monitor) ;;`

func TestOff(t *testing.T) {
	path, dir := fakeAgent(t, goodAgent)
	a, _ := open(t, Config{Agent: path, Options: []Option{{"ip", "10.0.0.9"}}, Tries: 1})
	ctx := context.Background()
	if p, err := a.Status(ctx); p != PowerOn || err != nil {
		t.Fatalf("%v, %v", p, err)
	}
	if err := errors.Join(a.Monitor(ctx), a.Off(ctx)); err != nil {
		t.Fatal(err)
	}
	if p, err := a.Status(ctx); p != PowerOff || err != nil {
		t.Errorf("%v, %v", p, err)
	}
	if err := a.On(ctx); err != nil {
		t.Error(err)
	}
	b, _ := os.ReadFile(filepath.Join(dir, "input"))
	if string(b) != "action=on\nip=10.0.0.9\n" {
		t.Errorf("input %q", b)
	}
}

// TestBadAgents: what a device does and how the attempt ends. Nothing but an
// off that succeeds and a status that says off twice counts.
func TestBadAgents(t *testing.T) {
	for _, c := range []struct {
		name, actions string
		want          error
		text          string
		offs          int
	}{
		{"off fails", `off) echo "no route" >&2; exit 1;; status) echo "Status: ON";;`, ErrFailed, "off ended with 1: no route", 2},
		{"lies: off, but stays on", `off) echo "Success: Powered OFF";; status) echo "Status: ON";;`, ErrLied, "status says on", 2},
		{"lies: off fails, status off", `off) exit 1;; status) echo "Status: OFF"; exit 2;;`, ErrLied, "status says off, but", 2},
		{"status unknown", `off) ;; status) echo "Failed: Unable to obtain correct plug status"; exit 1;;`, ErrFailed, "status ended with 1", 2},
		{"status exit and text differ", `off) ;; status) echo "Status: ON"; exit 2;;`, ErrLied, "ended with 2 and printed Status: ON", 2},
		{"off once, then on", `off) rm -f $DIR/n;; status) [ -e $DIR/n ] && { rm $DIR/n; echo "Status: ON"; exit 0; }; touch $DIR/n; exit 2;;`, ErrLied, "status says on", 2},
		{"hangs", `off) sleep 1000;; status) exit 2;;`, ErrFailed, "time limit", 2},
		{"hangs in status", `off) ;; status) sleep 1000;;`, ErrFailed, "time limit", 2},
		{"crashes", `off) kill -SEGV $$;; status) exit 0;;`, ErrFailed, "segmentation", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, _ := fakeAgent(t, c.actions)
			a, _ := open(t, Config{Agent: path, Options: []Option{{"ip", "x"}}, Tries: 2})
			a.cfg.Timeout = 800 * time.Millisecond // what a busy machine needs to start a shell
			err := a.Off(context.Background())
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v", err)
			}
			if n := strings.Count(fmt.Sprint(err), "try "); n != c.offs {
				t.Errorf("%d tries: %v", n, err)
			}
		})
	}
}

// TestSlowPower: the power goes a while after off has succeeded.
func TestSlowPower(t *testing.T) {
	path, _ := fakeAgent(t, `off) date +%s%N > $DIR/off;; status)
[ -e $DIR/off ] && [ $(( $(date +%s%N) - $(cat $DIR/off) )) -gt 600000000 ] && exit 2; exit 0;;`)
	a, _ := open(t, Config{Agent: path, Options: []Option{{"ip", "x"}}, Tries: 1})
	if err := a.Off(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestRetrySucceeds(t *testing.T) {
	path, _ := fakeAgent(t, `off) [ -e $DIR/once ] || { touch $DIR/once; exit 1; }; touch $DIR/off;; status) [ -e $DIR/off ] && exit 2; exit 0;;`)
	a, _ := open(t, Config{Agent: path, Options: []Option{{"ip", "x"}}, Tries: 2})
	if err := a.Off(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestNoCredentialLeaks looks wherever one could come out: arguments and
// environment of the agent's process, log, errors, formatted values.
func TestNoCredentialLeaks(t *testing.T) {
	const secret = "s3cr3t'p w&d"
	path, dir := fakeAgent(t, `off) env > $DIR/env; echo "trying $(echo "$input" | sed -n 's/^password=//p')" >&2
echo "https://u:s3cr3t%27p+w%26d@bmc/ 's3cr3t'\"'\"'p w&d'"; exit 1;; status) env >> $DIR/env;;`)
	a, j := open(t, Config{Agent: path, Options: []Option{{"ip", "x"}}, Tries: 1, SecretsFile: secretsFile(t, "# BMC of node 2\npassword="+secret+"\n")})
	err := a.Off(context.Background())
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if !strings.Contains(read("input"), "password="+secret+"\n") {
		t.Fatal("the agent did not get it")
	}
	for where, text := range map[string]string{"environment": read("env"), "arguments": read("args"), "log": j.String(),
		"error": err.Error(), "values": fmt.Sprintf("%v %+v %#v %v", a.secrets, a.secrets, a.secrets, *a)} {
		if strings.Contains(text, "s3cr3t") {
			t.Errorf("%s: %s", where, text)
		}
	}
	if !strings.Contains(j.String(), "trying ***") {
		t.Errorf("log: %s", j.String())
	}
}

func TestRedactCutOutput(t *testing.T) {
	s, err := ReadSecrets(secretsFile(t, "password=abcdefgh\ntoken=abcdefghij\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Redact([]byte("x abcdefghij y abcdefgh z"), false); string(got) != "x *** y *** z" {
		t.Errorf("%q", got)
	}
	if got := s.Redact([]byte("long enough text then abcdef"), true); strings.Contains(string(got), "abc") {
		t.Errorf("%q", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	good, _ := fakeAgent(t, goodAgent)
	noXML := filepath.Join(t.TempDir(), "fence_x")
	noStatus := filepath.Join(t.TempDir(), "fence_y")
	for path, text := range map[string]string{noXML: "echo hello", noStatus: `echo '<resource-agent name="y"><parameters/><actions><action name="off"/></actions></resource-agent>'`} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	open := secretsFile(t, "password=x\n")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	ip := []Option{{"ip", "x"}}
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"absent", Config{Agent: "fence_nowhere"}, "apt-get install fence-agents"},
		{"absent path", Config{Agent: "/nowhere/fence"}, "no such file"},
		{"no XML", Config{Agent: noXML}, "no usable metadata"},
		{"no status", Config{Agent: noStatus}, `has no action "status"`},
		{"unknown parameter", Config{Agent: good, Options: append(ip, Option{"colour", "x"})}, `has no parameter "colour"; it knows: ip, password, method`},
		{"required", Config{Agent: good}, "needs ip"},
		{"twice", Config{Agent: good, Options: append(ip, ip...)}, "ip is given twice"},
		{"choice", Config{Agent: good, Options: append(ip, Option{"method", "hammer"})}, "method=hammer is not known; use onoff, cycle"},
		{"action", Config{Agent: good, Options: append(ip, Option{"action", "on"})}, "action cannot be configured"},
		{"debug file", Config{Agent: good, Options: append(ip, Option{"debug_file", "/tmp/x"})}, "debug_file cannot be configured"},
		{"no secrets", Config{Agent: good, Options: ip, SecretsFile: "/nowhere"}, "no such file"},
		{"readable secrets", Config{Agent: good, Options: ip, SecretsFile: open}, "others could read the secrets; chmod 600"},
		{"empty secrets", Config{Agent: good, Options: ip, SecretsFile: secretsFile(t, "\n#\n")}, "holds no secret"},
		{"bad secrets", Config{Agent: good, Options: ip, SecretsFile: secretsFile(t, "hunter2\n")}, ":1: the line is not of the form"},
		{"unknown secret", Config{Agent: good, Options: ip, SecretsFile: secretsFile(t, "pin=1\n")}, `no parameter "pin"`},
	} {
		c.cfg.Timeout = 5 * time.Second
		_, err := Open(context.Background(), c.cfg, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s quotes the file: %v", c.name, err)
		}
	}
	old := Config{Agent: good, Options: []Option{{"ipaddr", "x"}}, Timeout: 5 * time.Second}
	if a, err := Open(context.Background(), old, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("a parameter by its older name: %v", err)
	} else {
		a.Close()
	}
}

func TestCredentialNames(t *testing.T) {
	for name, want := range map[string]bool{"password": true, "passwd": true, "snmp_priv_passwd": true, "api_token": true,
		"passwd_script": false, "username": false, "plug": false, "community": true} {
		if Credential(name) != want {
			t.Errorf("%s", name)
		}
	}
}

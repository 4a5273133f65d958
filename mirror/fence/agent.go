package fence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"onebeat/mirror/child"
)

// Actions of the agent API.
const (
	ActionOff      = "off"
	ActionOn       = "on"
	ActionStatus   = "status"
	ActionMonitor  = "monitor"
	ActionMetadata = "metadata"
)

// Errors of an agent.
var (
	ErrFailed = errors.New("the fence agent failed")
	ErrLied   = errors.New("the fence agent contradicts itself")
)

// Config is one fence device: an agent and how to reach its device.
type Config struct {
	Agent   string // name in PATH or absolute path
	Options []Option
	// SecretsFile holds further options, one name=value a line, mode 0600;
	// empty: none.
	SecretsFile string
	// Timeout bounds one action of the agent.
	Timeout time.Duration
	// Tries is how often off is tried before the device has failed.
	Tries int
	// Delay before the first try: one of two nodes that would shoot each other
	// waits, so that the other wins.
	Delay time.Duration
}

// Agent is an opened device.
type Agent struct {
	cfg     Config
	path    string
	secrets *Secrets
	meta    *Metadata
	shield  *shield // nil: none is needed
	log     *slog.Logger
}

// Open finds the agent, reads its secrets and metadata and checks both.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Agent, error) {
	a := &Agent{cfg: cfg, log: log}
	var err error
	if a.path, err = find(cfg.Agent); err != nil {
		return nil, err
	}
	if cfg.SecretsFile != "" {
		if a.secrets, err = ReadSecrets(cfg.SecretsFile); err != nil {
			return nil, fmt.Errorf("secrets of fence agent %s: %w", cfg.Agent, err)
		}
	}
	if a.meta, err = a.Metadata(ctx); err != nil {
		return nil, err
	}
	if err := a.meta.Check(cfg.Options, a.secrets.Names()); err != nil {
		return nil, fmt.Errorf("options of fence agent %s: %w", cfg.Agent, err)
	}
	if a.meta.Parameter(ipmitoolParameter) != nil && a.secret("password", "passwd") {
		if a.shield, err = newShield(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Close removes what Open made.
func (a *Agent) Close() error {
	if a.shield != nil {
		return a.shield.close()
	}
	return nil
}

// Name returns the agent's name for logs and status.
func (a *Agent) Name() string { return filepath.Base(a.path) }

// find looks an agent up where distributions put them.
func find(agent string) (string, error) {
	if filepath.IsAbs(agent) {
		if err := child.Executable(agent); err != nil {
			return "", fmt.Errorf("fence agent: %w", err)
		}
		return agent, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if path := filepath.Join(dir, agent); child.Executable(path) == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(agent)
	if err != nil {
		return "", fmt.Errorf("fence agent %s is not installed: apt-get install fence-agents, or give its path", agent)
	}
	return filepath.Abs(path)
}

// secret reports whether one of these names is in the secrets file.
func (a *Agent) secret(names ...string) bool {
	for _, have := range a.secrets.Names() {
		for _, name := range names {
			if have == name {
				return true
			}
		}
	}
	return false
}

// input is what an agent reads.
func (a *Agent) input(action string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "action=%s\n", action)
	if action == ActionMetadata {
		return b.Bytes()
	}
	for _, o := range a.cfg.Options {
		if a.shield != nil && o.Name == ipmitoolParameter {
			continue
		}
		fmt.Fprintf(&b, "%s=%s\n", o.Name, o.Value)
	}
	if a.shield != nil {
		fmt.Fprintf(&b, "%s=%s\n", ipmitoolParameter, a.shield.path)
	}
	if a.secrets == nil {
		return b.Bytes()
	}
	for _, o := range a.secrets.options {
		if a.shield != nil && (o.Name == "password" || o.Name == "passwd") {
			continue
		}
		fmt.Fprintf(&b, "%s=%s\n", o.Name, o.Value)
	}
	return b.Bytes()
}

func (a *Agent) environment() []string {
	if a.shield == nil {
		return nil
	}
	env := []string{secretsVariable + "=" + a.cfg.SecretsFile}
	for _, o := range a.cfg.Options {
		if o.Name == ipmitoolParameter {
			env = append(env, ipmitoolVariable+"="+o.Value)
		}
	}
	return env
}

// run runs one action. The output in the result is fit for a log.
func (a *Agent) run(ctx context.Context, action string) (child.Result, error) {
	r, err := child.Run(ctx, child.Spec{Path: a.path, Stdin: a.input(action), Env: a.environment(), Limit: a.cfg.Timeout})
	r.Output = a.secrets.Redact(r.Output, r.Truncated)
	level := slog.LevelDebug
	if err != nil {
		level = slog.LevelWarn
	}
	if action != ActionMetadata {
		a.log.Log(ctx, level, "fence agent", "agent", a.Name(), "action", action, "exit", r.Exit,
			"took", r.Took.Round(time.Millisecond), "output", child.Line(r.Output), "error", err)
	}
	if err != nil {
		return r, fmt.Errorf("%w: %s %s: %w", ErrFailed, a.Name(), action, err)
	}
	return r, nil
}

// do runs an action that succeeds with 0.
func (a *Agent) do(ctx context.Context, action string) error {
	r, err := a.run(ctx, action)
	if err != nil {
		return err
	}
	if r.Exit != 0 {
		return fmt.Errorf("%w: %s %s ended with %d: %s", ErrFailed, a.Name(), action, r.Exit, child.Line(r.Output))
	}
	return nil
}

// Metadata asks the agent what it knows.
func (a *Agent) Metadata(ctx context.Context) (*Metadata, error) {
	r, err := a.run(ctx, ActionMetadata)
	if err != nil {
		return nil, err
	}
	m, err := ParseMetadata(r.Stdout)
	if err != nil {
		return nil, fmt.Errorf("fence agent %s: %w", a.Name(), err)
	}
	return m, nil
}

// Monitor asks whether the device can be reached.
func (a *Agent) Monitor(ctx context.Context) error { return a.do(ctx, ActionMonitor) }

// On gives power back.
func (a *Agent) On(ctx context.Context) error { return a.do(ctx, ActionOn) }

// Power is what a device says of its host.
type Power uint8

const (
	PowerUnknown Power = iota
	PowerOn
	PowerOff
)

func (p Power) String() string { return [...]string{"unknown", "on", "off"}[p] }

// Exit statuses of status.
const (
	exitOn  = 0
	exitOff = 2
)

var statusLine = regexp.MustCompile(`(?mi)^Status: (ON|OFF)\s*$`)

// Status asks for the host's power.
func (a *Agent) Status(ctx context.Context) (Power, error) {
	r, err := a.run(ctx, ActionStatus)
	if err != nil {
		return PowerUnknown, err
	}
	power := PowerUnknown
	switch r.Exit {
	case exitOn:
		power = PowerOn
	case exitOff:
		power = PowerOff
	default:
		return power, fmt.Errorf("%w: %s status ended with %d: %s", ErrFailed, a.Name(), r.Exit, child.Line(r.Output))
	}
	if said := statusLine.FindSubmatch(r.Stdout); said != nil && !bytes.EqualFold(said[1], []byte(power.String())) {
		return PowerUnknown, fmt.Errorf("%w: %s status ended with %d and printed %s", ErrLied, a.Name(), r.Exit, bytes.TrimSpace(said[0]))
	}
	return power, nil
}

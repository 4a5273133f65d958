package fence

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
)

// Option is one parameter of an agent.
type Option struct{ Name, Value string }

// ParseOption reads "name=value".
func ParseOption(text string) (Option, error) {
	name, value, ok := strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	if !ok || name == "" || strings.ContainsAny(text, "\n\r\x00") {
		return Option{}, errors.New("is not of the form \"name=value\"")
	}
	return Option{name, value}, nil
}

// Credential reports whether a parameter of this name is one that nobody but
// the secrets file may hold.
func Credential(name string) bool {
	for _, part := range []string{"passw", "secret", "token", "hexadecimal_kg", "community", "api_key", "apikey"} {
		// passwd_script and the like name a program, which is no secret.
		if strings.Contains(name, part) && !strings.HasSuffix(name, "_script") {
			return true
		}
	}
	return false
}

// Secrets are an agent's credentials. They do not print.
type Secrets struct {
	path    string
	options []Option
}

// String keeps secrets out of every log.
func (s *Secrets) String() string { return "secrets" }

// GoString keeps them out of %#v.
func (s *Secrets) GoString() string { return "secrets" }

// Names returns what is in the file, without the values.
func (s *Secrets) Names() []string {
	if s == nil {
		return nil
	}
	var names []string
	for _, o := range s.options {
		names = append(names, o.Name)
	}
	return names
}

const secretsMaxBytes = 16 << 10

// ReadSecrets reads name=value lines; empty ones and those that begin with #
// are passed over. The file must be the owner's alone. No error quotes it.
func ReadSecrets(path string) (*Secrets, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %v: others could read the secrets; chmod 600 %s", path, mode, path)
	}
	if info.Size() > secretsMaxBytes {
		return nil, fmt.Errorf("%s has %d bytes: it must hold lines of name=value", path, info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &Secrets{path: path}
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		o, err := ParseOption(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: the line %w", path, i+1, err)
		}
		s.options = append(s.options, o)
	}
	if len(s.options) == 0 {
		return nil, fmt.Errorf("%s holds no secret: write name=value lines, like password=…", path)
	}
	return s, nil
}

// hidden is what a log shows in a secret's place.
const hidden = "***"

// Redact replaces every secret in an output, also where it was quoted for a
// shell or a URL. What a cut-off output ends with may be the beginning of one,
// and goes.
func (s *Secrets) Redact(output []byte, truncated bool) []byte {
	if s == nil {
		return output
	}
	var forms [][]byte
	longest := 0
	for _, o := range s.options {
		if o.Value == "" {
			continue
		}
		for _, form := range []string{o.Value, url.QueryEscape(o.Value), url.PathEscape(o.Value),
			strings.ReplaceAll(o.Value, "'", `'"'"'`), strings.ReplaceAll(o.Value, "'", `'\''`)} {
			forms = append(forms, []byte(form))
			longest = max(longest, len(form))
		}
	}
	// The longest first: one secret may be a part of another.
	slices.SortFunc(forms, func(a, b []byte) int { return len(b) - len(a) })
	for _, form := range forms {
		output = bytes.ReplaceAll(output, form, []byte(hidden))
	}
	if truncated {
		output = output[:max(0, len(output)-longest)]
	}
	return output
}

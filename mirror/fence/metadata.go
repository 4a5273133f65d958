package fence

import (
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrMetadata means that an agent does not describe itself as the API wants.
var ErrMetadata = errors.New("no usable metadata")

// Metadata is what an agent says about itself.
type Metadata struct {
	Name       string      `xml:"name,attr"`
	Short      string      `xml:"shortdesc,attr"`
	Parameters []Parameter `xml:"parameters>parameter"`
	Actions    []struct {
		Name string `xml:"name,attr"`
	} `xml:"actions>action"`
}

// Parameter is one setting of an agent.
type Parameter struct {
	Name       string `xml:"name,attr"`
	Required   string `xml:"required,attr"` // "1"
	Deprecated string `xml:"deprecated,attr"`
	Obsoletes  string `xml:"obsoletes,attr"` // the older name of the same setting
	Content    struct {
		Type    string  `xml:"type,attr"`
		Default *string `xml:"default,attr"`
		Options []struct {
			Value string `xml:"value,attr"`
		} `xml:"option"`
	} `xml:"content"`
}

// ParseMetadata reads the answer to action=metadata. Agents warn before their
// XML now and then: what stands before its beginning is passed over.
func ParseMetadata(output []byte) (*Metadata, error) {
	text := string(output)
	begin := strings.Index(text, "<?xml")
	if begin < 0 {
		begin = strings.Index(text, "<resource-agent")
	}
	if begin < 0 {
		return nil, fmt.Errorf("%w: the answer holds no XML", ErrMetadata)
	}
	decoder := xml.NewDecoder(strings.NewReader(text[begin:]))
	var m Metadata
	if err := decoder.Decode(&m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	if len(m.Actions) == 0 {
		return nil, fmt.Errorf("%w: it names no actions", ErrMetadata)
	}
	return &m, nil
}

// Has reports whether the agent knows an action.
func (m *Metadata) Has(action string) bool {
	for _, a := range m.Actions {
		if a.Name == action {
			return true
		}
	}
	return false
}

// Parameter returns a parameter by its name, or nil.
func (m *Metadata) Parameter(name string) *Parameter {
	for i := range m.Parameters {
		if m.Parameters[i].Name == name {
			return &m.Parameters[i]
		}
	}
	return nil
}

// notConfigured are parameters that this package sets itself, or that would
// make an agent write what it must not.
var notConfigured = []string{"action", "debug", "debug_file", "verbose", "verbose_level", "version", "help", "quiet"}

// Check compares what is configured with what the agent knows. Values of
// secrets are not looked at.
func (m *Metadata) Check(options []Option, secretNames []string) error {
	var errs []error
	for _, action := range []string{"off", "status", "monitor"} {
		if !m.Has(action) {
			errs = append(errs, fmt.Errorf("agent %s has no action %q: without it nobody knows whether the peer is off; choose another agent", m.Name, action))
		}
	}
	given := map[string]bool{}
	one := func(name string) *Parameter {
		if given[name] {
			errs = append(errs, fmt.Errorf("%s is given twice", name))
		}
		given[name] = true
		p := m.Parameter(name)
		switch {
		case slices.Contains(notConfigured, name):
			errs = append(errs, fmt.Errorf("%s cannot be configured: remove it", name))
			return nil
		case p == nil:
			errs = append(errs, fmt.Errorf("agent %s has no parameter %q; it knows: %s", m.Name, name, strings.Join(m.names(), ", ")))
		}
		return p
	}
	for _, o := range options {
		p := one(o.Name)
		if p != nil && len(p.Content.Options) > 0 && !p.allows(o.Value) {
			errs = append(errs, fmt.Errorf("%s=%s is not known; use %s", o.Name, o.Value, p.choices()))
		}
	}
	for _, name := range secretNames {
		one(name)
	}
	for i := range m.Parameters {
		p := &m.Parameters[i]
		if p.Required == "1" && p.Content.Default == nil && p.Name != "action" && !given[p.Name] &&
			!given[p.Obsoletes] && !m.givenByNewName(p.Name, given) {
			errs = append(errs, fmt.Errorf("agent %s needs %s: add it to options", m.Name, p.Name))
		}
	}
	return errors.Join(errs...)
}

// givenByNewName: the setting is there under the name that replaces this one.
func (m *Metadata) givenByNewName(old string, given map[string]bool) bool {
	for i := range m.Parameters {
		if m.Parameters[i].Obsoletes == old && given[m.Parameters[i].Name] {
			return true
		}
	}
	return false
}

func (m *Metadata) names() []string {
	var names []string
	for i := range m.Parameters {
		if p := &m.Parameters[i]; p.Deprecated != "1" && !slices.Contains(notConfigured, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

func (p *Parameter) allows(value string) bool {
	for _, o := range p.Content.Options {
		if strings.EqualFold(o.Value, value) {
			return true
		}
	}
	return false
}

func (p *Parameter) choices() string {
	var values []string
	for _, o := range p.Content.Options {
		values = append(values, o.Value)
	}
	return strings.Join(values, ", ")
}

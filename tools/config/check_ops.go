package config

import (
	"fmt"
	"path/filepath"

	"onebeat/mirror/fence"
)

// ops checks what does not belong to the order path: fencing, tracking, hooks.
func (k *checker) ops() {
	for i := range k.c.Fences {
		k.fence(&k.c.Fences[i], fmt.Sprintf("fence[%d]", i))
	}
	names := map[string]string{}
	for i := range k.c.Tracks {
		k.track(&k.c.Tracks[i], fmt.Sprintf("track[%d]", i), names)
	}
	for i := range k.c.Hooks {
		path := fmt.Sprintf("hook[%d].path", i)
		if h := &k.c.Hooks[i]; k.ok(path) && !filepath.IsAbs(h.Path) {
			k.fail(path, fmt.Sprintf("%q is not an absolute path", h.Path), "start it with /")
		}
	}
	if p := k.c.Predict; p != nil && k.ok("predict.handover_at", "predict.clear_at") && p.HandoverAt != 0 && p.ClearAt >= p.HandoverAt {
		k.fail("predict.clear_at", fmt.Sprintf("%d is not below handover_at = %d", p.ClearAt, p.HandoverAt),
			"between the two lies what keeps two sick nodes from passing a lane back and forth")
	}
}

func (k *checker) fence(f *Fence, path string) {
	at := func(name string) string { return join(path, name) }
	if k.ok(at("peer"), "node.number") && f.Peer == k.c.Node.Number {
		k.fail(at("peer"), "is this node's own number", "give the number of the node whose power the device can take")
	} else if k.ok(at("peer")) && !k.hasLaneWith(f.Peer) {
		k.fail(at("peer"), fmt.Sprintf("no lane has the peer %d", f.Peer), "give the peer of a lane with arbitration = \"fence\", or remove the section")
	}
	for i, text := range f.Options {
		o, err := fence.ParseOption(text)
		optionPath := fmt.Sprintf("%s[%d]", at("options"), i)
		switch {
		case !k.ok(optionPath):
		case err != nil:
			k.fail(optionPath, fmt.Sprintf("%q %v", text, err), "write it like \"ip=10.0.0.12\"")
		case fence.Credential(o.Name):
			// Not quoted: it stands there already, but not in a log.
			k.fail(optionPath, o.Name+" is a credential", "write it into the file that secrets_file names, mode 0600")
		}
	}
	if f.SecretsFile == "" || !k.ok(at("secrets_file")) {
		return
	}
	if !filepath.IsAbs(f.SecretsFile) {
		f.SecretsFile = filepath.Join(filepath.Dir(k.c.File), f.SecretsFile)
		if abs, err := filepath.Abs(f.SecretsFile); err == nil {
			f.SecretsFile = abs
		}
	}
	if _, err := fence.ReadSecrets(f.SecretsFile); err != nil {
		k.fail(at("secrets_file"), err.Error(), "")
	}
}

// fenced: a lane that takes its peer's power needs a device for it.
func (k *checker) fenced(l *Lane, at func(string) string) {
	if l.Peer == 0 || !k.ok("fence") {
		return
	}
	for i := range k.c.Fences {
		if k.c.Fences[i].Peer == l.Peer || !k.ok(fmt.Sprintf("fence[%d].peer", i)) {
			return
		}
	}
	k.fail(at("arbitration"), fmt.Sprintf("fence, but no [[fence]] of node %d", l.Peer), "add [[fence]] with peer, agent and options")
}

func (k *checker) hasLaneWith(peer int) bool {
	for i := range k.c.Lanes {
		if k.c.Lanes[i].Peer == peer || !k.ok(join(lanePath(i), "peer")) {
			return true
		}
	}
	return false
}

func (k *checker) track(t *Track, path string, names map[string]string) {
	at := func(name string) string { return join(path, name) }
	if before, ok := names[t.Name]; ok && k.ok(at("name")) {
		k.fail(at("name"), fmt.Sprintf("%q is already the name of %s", t.Name, before), "name checks differently")
	}
	names[t.Name] = path
	what := 0
	for _, name := range []string{"interface", "process", "pid_file", "script"} {
		if k.has(at(name)) {
			what++
		}
	}
	if what != 1 {
		k.fail(path, fmt.Sprintf("looks at %d things", what), "give exactly one of interface, process, pid_file and script")
		return
	}
	for name, file := range map[string]string{"pid_file": t.PIDFile, "script": t.Script} {
		if k.has(at(name)) && k.ok(at(name)) && !filepath.IsAbs(file) {
			k.fail(at(name), fmt.Sprintf("%q is not an absolute path", file), "start it with /")
		}
	}
	if t.Interface != "" {
		for _, name := range []string{"interval", "rise", "fall"} {
			if k.has(at(name)) {
				k.fail(at(name), "has no use with an interface", "remove it: the kernel tells of each change of its carrier")
			}
		}
		t.Rise, t.Fall = 1, 1
	}
	if t.Script == "" {
		for _, name := range []string{"args", "timeout"} {
			if k.has(at(name)) {
				k.fail(at(name), "has no use without a script", "remove it")
			}
		}
	}
}

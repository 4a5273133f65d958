package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExampleExportLoads(t *testing.T) {
	path := withKey(t, "example-a.toml")
	doc, err := os.ReadFile("example-export.toml")
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(filepath.Dir(path), "postgres.password")
	if err := os.WriteFile(secret, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	parse := func(change ...string) (*ExportFile, error) {
		text := strings.NewReplacer(change...).Replace(string(doc))
		return ParseExport(filepath.Join(filepath.Dir(path), "export.toml"), []byte(text))
	}
	c, err := parse("# password_file = \"postgres", "password_file = \"postgres", "lanes = [0]", "")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Export.Lanes) != 1 || c.Postgres.Password != "hush" || c.Redis.FinishedFor.Ns() != 24*3600*1e9 || c.Node.Node.Number != 1 {
		t.Errorf("%+v", c.Export)
	}
	if err := os.Chmod(secret, 0o644); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string][]string{
		"others could read the password": {"# password_file = \"postgres", "password_file = \"postgres"},
		"has no lane 7":                  {"lanes = [0]", "lanes = [7]"},
		"named twice":                    {"lanes = [0]", "lanes = [0, 0]"},
		"cannot begin a schema's name":   {"schema = \"onebeat\"", "schema = \"One\""},
		"cannot begin keys":              {"prefix = \"onebeat\"", "prefix = \"{x}\""},
		"no address of a Redis":          {"redis://", "http://"},
		"goes nowhere":                   {"[postgres]", "[[x]]", "[redis]", "[[x]]"},
		"export.node_config":             {"example-a.toml", "none.toml"},
		"is not an absolute path":        {"run_dir = \"/run/onebeat\"", "run_dir = \"run\""},
		"export.bach: unknown key":       {"batch = 20000", "bach = 20000"},
	} {
		if _, err := parse(change...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

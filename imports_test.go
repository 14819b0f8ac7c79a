package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "weir"

// mayImport is the architecture: the packages of ours, and the libraries, that
// each package may import directly. A name stands for what lies beneath it too,
// unless it ends in "$". The standard library is open to all.
var mayImport = map[string][]string{
	"": {"server", "internal/demo", "internal/load", "internal/shell", "github.com/alecthomas/kong", "github.com/go-sql-driver/mysql"},

	// It wires the parts, and is alone in knowing them all.
	"server": {"jetstream$", "views$", "sql$", "github.com/gofrs/flock", "github.com/prometheus/client_golang", "golang.org/x/sync"},

	// The log.
	"jetstream":           {"views$", "github.com/minio/highwayhash", "github.com/nats-io"},
	"jetstream/publisher": {"github.com/nats-io"},

	// The domain: it knows no other part.
	"views": {
		"views", "go.etcd.io/bbolt", "github.com/valyala/fastjson", "github.com/cespare/xxhash",
		"github.com/shopspring/decimal", "github.com/itchyny/timefmt-go", "golang.org/x/sync", "internal/fault", "internal/pages",
	},
	"internal/fault": {},
	"internal/pages": {},
	"views/column":   {"github.com/shopspring/decimal", "github.com/valyala/fastjson"},
	"views/partial": {
		"views/column", "github.com/axiomhq/hyperloglog", "github.com/DataDog/sketches-go",
		"github.com/cespare/xxhash", "github.com/shopspring/decimal",
	},
	"views/logtest": {"views$"}, // for tests

	// The tables.
	"sql": {
		"sql", "views", "github.com/dolthub", "github.com/sirupsen/logrus",
		"github.com/shopspring/decimal", "golang.org/x/sync",
	},
	"sql/gmsx": {
		"github.com/dolthub", "gopkg.in/src-d/go-errors.v1", "github.com/sirupsen/logrus",
		"github.com/shopspring/decimal", "golang.org/x/sync",
	},
	"sql/tables": {
		"sql/gmsx", "views/column", "views/partial", "internal/fault", "internal/pages",
		"github.com/dolthub", "go.etcd.io/bbolt", "github.com/shopspring/decimal",
	},
	"sql/ddl": {},

	// Tests alone, of the binary from outside.
	"e2e": {},

	// What weir is measured beside, by bench, which is a module of its own.
	"internal/bare": {"jetstream", "views$", "github.com/valyala/fastjson"},

	// What users see work.
	"examples/access-log": {},
	"examples/ab-test": {
		"server", "views$", "jetstream/publisher", "internal/fault", "internal/terminal", "github.com/go-sql-driver/mysql",
	},
	"examples/late-events": {"server", "jetstream/publisher", "github.com/go-sql-driver/mysql"},
	"internal/traffic":     {},
	"internal/terminal":    {},
	"internal/load":        {"jetstream/publisher", "views$", "sql/ddl", "internal/terminal"},
	"internal/shell": {
		"sql/ddl", "internal/terminal", "github.com/go-sql-driver/mysql", "github.com/ergochat/readline",
		"github.com/mattn/go-runewidth", "golang.org/x/term",
	},
	"internal/demo": {
		"server", "jetstream/publisher", "internal/traffic", "internal/terminal", "examples/access-log",
		"github.com/go-sql-driver/mysql", "golang.org/x/sync",
	},
}

// TestImports holds the packages to the architecture.
func TestImports(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := local(pkg.ImportPath)
		allowed, ok := mayImport[name]
		if !ok {
			t.Errorf("package %q is not in mayImport: give it a place in the architecture", name)
			continue
		}
		for _, path := range pkg.Imports {
			if !standard(path) && !slices.ContainsFunc(allowed, func(a string) bool { return matches(local(path), a) }) {
				t.Errorf("package %q imports %q, which mayImport does not allow", name, path)
			}
		}
	}
}

// standard reports whether path is in the standard library.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return first != module && !strings.Contains(first, ".")
}

// local strips the module path from a package of ours.
func local(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
}

// matches reports whether path is what an entry of mayImport stands for.
func matches(path, entry string) bool {
	if exact, ok := strings.CutSuffix(entry, "$"); ok {
		return path == exact
	}
	return path == entry || strings.HasPrefix(path, entry+"/")
}

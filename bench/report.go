package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"weir/bench/result"
)

// reportCommand writes what was measured into the docs.
type reportCommand struct {
	From     string `default:"results" help:"The folder of the JSON files."`
	Doc      string `default:"../docs/performance.md" help:"The page: what is between <!-- bench:SUITE --> and <!-- /bench:SUITE --> is written again."`
	Pictures string `default:"../docs/performance" help:"The folder of the pictures."`
}

var marked = regexp.MustCompile(`(?s)(<!-- bench:(\w+) -->\n).*?(<!-- /bench:(\w+) -->)`)

func (c reportCommand) run() error {
	doc, err := os.ReadFile(c.Doc)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Pictures, 0o755); err != nil {
		return err
	}
	var failed error
	var done []string
	out := marked.ReplaceAllFunc(doc, func(section []byte) []byte {
		parts := marked.FindSubmatch(section)
		name := string(parts[2])
		if name != string(parts[4]) {
			failed = errors.Join(failed, fmt.Errorf("%s: bench:%s ends as bench:%s", c.Doc, name, parts[4]))
			return section
		}
		f, err := result.Read(c.From, name)
		if err != nil || f == nil {
			failed = errors.Join(failed, err)
			return section // what is there stays
		}
		pictures, err := draw(f, c.Pictures)
		if err != nil {
			failed = errors.Join(failed, err)
			return section
		}
		done = append(done, name)
		var text bytes.Buffer
		for _, p := range pictures {
			relative, err := filepath.Rel(filepath.Dir(c.Doc), p.path)
			if err != nil {
				failed = errors.Join(failed, err)
			}
			fmt.Fprintf(&text, "![%s](%s)\n\n", p.title, filepath.ToSlash(relative))
		}
		text.WriteString(render(f))
		return append(append(bytes.Clone(parts[1]), text.Bytes()...), parts[3]...)
	})
	if failed != nil {
		return failed
	}
	if len(done) == 0 {
		return fmt.Errorf("no JSON file in %s that %s has a place for", c.From, c.Doc)
	}
	fmt.Println("written:", strings.Join(done, ", "))
	return os.WriteFile(c.Doc, out, 0o644)
}

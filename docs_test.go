package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

var (
	// docPath matches a file or folder of ours, as docs write them: `views/log.go`, `views/`.
	docPath = regexp.MustCompile("`((?:bench|docs|examples|internal|jetstream|server|sql|testdata|views)/[a-z_/-]*(?:\\.[a-z]+)?)`")
	// docLink matches the target of a link into the tree, without its anchor.
	docLink = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	// lineRef matches a line number, which the next change makes wrong.
	lineRef = regexp.MustCompile(`\w\.go:\d+`)
)

// TestDocs keeps the docs true to the tree: every path they name exists.
func TestDocs(t *testing.T) {
	docs, err := filepath.Glob("docs/*.md")
	if err != nil || len(docs) == 0 {
		t.Fatalf("no docs found: %v", err)
	}
	top, _ := filepath.Glob("*.md")
	examples, _ := filepath.Glob("examples/*/*.md")
	for _, doc := range slices.Concat(docs, top, examples) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range docPath.FindAllSubmatch(text, -1) {
			if path := string(m[1]); !exists(path) {
				t.Errorf("%s names `%s`, which does not exist", doc, path)
			}
		}
		for _, m := range docLink.FindAllSubmatch(text, -1) {
			if path := filepath.Join(filepath.Dir(doc), string(m[1])); !exists(path) {
				t.Errorf("%s links to %s, which does not exist", doc, path)
			}
		}
		for _, m := range lineRef.FindAll(text, -1) {
			t.Errorf("%s refers to a line, %s: name the function instead", doc, m)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

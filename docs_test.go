package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// docPath matches a file or folder of ours, as docs write them: `views/log.go`, `views/`.
	docPath = regexp.MustCompile("`((?:bench|docs|examples|internal|jetstream|server|sql|testdata|views)/[a-z_/-]*(?:\\.[a-z]+)?)`")
	// docLink matches the target of a link into the tree, and its anchor.
	docLink = regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	// docHeading matches a heading, docMark what its anchor lacks of it.
	docHeading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	docMark    = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	// lineRef matches a line number, which the next change makes wrong.
	lineRef = regexp.MustCompile(`\w\.go:\d+`)
)

// docs are the pages that people read.
func docs(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("docs/*.md")
	if err != nil || len(list) == 0 {
		t.Fatalf("no docs found: %v", err)
	}
	top, _ := filepath.Glob("*.md")
	examples, _ := filepath.Glob("examples/*/*.md")
	return slices.Concat(list, top, examples)
}

// anchors are those of the headings of a page.
func anchors(t *testing.T, path string) (list []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range docHeading.FindAllSubmatch(text, -1) {
		list = append(list, strings.ReplaceAll(docMark.ReplaceAllString(strings.ToLower(string(m[1])), ""), " ", "-"))
	}
	return list
}

// TestDocs keeps the docs true to the tree: every path and heading that they
// name exists.
func TestDocs(t *testing.T) {
	for _, doc := range docs(t) {
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
			path := doc
			if len(m[1]) > 0 {
				path = filepath.Join(filepath.Dir(doc), string(m[1]))
			}
			if !exists(path) {
				t.Errorf("%s links to %s, which does not exist", doc, path)
			} else if len(m[2]) > 0 && !slices.Contains(anchors(t, path), string(m[2])) {
				t.Errorf("%s links to %s#%s, a heading that does not exist", doc, path, m[2])
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

// TestDocsFlags holds the pages that list flags to the flags there are.
func TestDocsFlags(t *testing.T) {
	flag := regexp.MustCompile(`--[a-z][a-z-]*`)
	for doc, commands := range map[string][]string{"docs/operations.md": {"serve", "publish"}, "docs/shell.md": {"sql"}} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		there := map[string]bool{"--help": true}
		for _, c := range commands {
			var help, complaint bytes.Buffer
			if status := run(t.Context(), []string{c, "--help"}, &help, &complaint); status != statusOK {
				t.Fatalf("weir %s --help: status %d, %s", c, status, &complaint)
			}
			for _, f := range flag.FindAllString(help.String(), -1) {
				there[f] = true
				if !strings.Contains(string(text), "`"+f) && f != "--help" {
					t.Errorf("%s lacks %s of weir %s", doc, f, c)
				}
			}
		}
		for _, row := range regexp.MustCompile("(?m)^\\| `-[^|]*").FindAllString(string(text), -1) {
			for _, f := range flag.FindAllString(row, -1) {
				if !there[f] {
					t.Errorf("%s has %s, which there is not", doc, f)
				}
			}
		}
	}
}

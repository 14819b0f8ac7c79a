package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/bench/result"
)

// sample is a file as a suite of two rounds leaves it.
func sample(suite string) *result.File {
	f := &result.File{Suite: suite, Rounds: 2, Events: 1_000_000, Seed: 1, Versions: map[string]string{"MariaDB": "10.11"}, Skipped: []string{"postgres: not here"}}
	for _, v := range []struct {
		fig   result.Figure
		value float64
	}{
		{result.Figure{Workload: "access", Contender: alone, How: "nobody reads", Measure: "rate"}, 100_000},
		{result.Figure{Workload: "access", Contender: alone, How: "nobody reads", Measure: "rate"}, 300_000},
		{result.Figure{Workload: "access", Contender: "weir", How: "1 view fresh", Durability: soonSynced, Measure: "rate"}, 150_000},
		{result.Figure{Workload: "access", Contender: "weir", How: "1 view fresh", Durability: alwaysSynced, Measure: "rate"}, 5_000},
		{result.Figure{Workload: "access", Contender: "weir", How: "1 view fresh", Durability: soonSynced, Measure: "processor"}, 21.46},
	} {
		f.Add(v.fig, v.value)
	}
	return f
}

func TestLiveTable(t *testing.T) {
	text := render(sample("live"))
	for _, want := range []string{
		"**access**: an access log",
		"| JetStream alone | nobody reads |     | 200,000 (100,000 … 300,000) |             1.00 |",
		"| weir            | 1 view fresh | a   |                     150,000 |             0.75 |                 21.5 |",
		"| weir            | 1 view fresh | b   |                       5,000 |             0.03 |",
		"b: synced before each acknowledgement",
		"Median of 2 rounds", "MariaDB 10.11", "Left out: postgres: not here.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestReport writes a page again: what is between the marks of a suite that was
// measured, and nothing else.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	c := reportCommand{From: filepath.Join(dir, "results"), Doc: filepath.Join(dir, "page.md"), Pictures: filepath.Join(dir, "page")}
	if _, err := sample("live").Write(c.From); err != nil {
		t.Fatal(err)
	}
	const before = "# Page\n\n<!-- bench:live -->\nold\n<!-- /bench:live -->\n\nprose\n\n<!-- bench:fresh -->\nkept\n<!-- /bench:fresh -->\nend\n"
	if err := os.WriteFile(c.Doc, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	var pages [2]string
	for i := range pages { // the second time nothing changes
		if err := c.run(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(c.Doc)
		if err != nil {
			t.Fatal(err)
		}
		pages[i] = string(text)
	}
	if pages[0] != pages[1] {
		t.Errorf("first\n%s\nthen\n%s", pages[0], pages[1])
	}
	for _, want := range []string{"# Page\n\n<!-- bench:live -->\n![", "](page/live-access.svg)\n", "<!-- /bench:live -->\n\nprose\n\n<!-- bench:fresh -->\nkept\n<!-- /bench:fresh -->\nend\n"} {
		if !strings.Contains(pages[0], want) {
			t.Errorf("no %q in\n%s", want, pages[0])
		}
	}
	if strings.Contains(pages[0], "old") {
		t.Error("the old table is still there")
	}
	svg, err := os.ReadFile(filepath.Join(c.Pictures, "live-access.svg"))
	if err != nil || !strings.Contains(string(svg), ">weir: 1 view fresh (synced)<") {
		t.Errorf("%v in %s", err, svg)
	}
	if err := os.WriteFile(c.Doc, []byte("<!-- bench:live -->\n<!-- /bench:fresh -->\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c.run() == nil {
		t.Error("marks that do not match pass")
	}
}

package main

import (
	"bytes"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestRun runs the example, on a server of its own, and holds docs/ab-test.md
// to what it prints.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var out bytes.Buffer
	if err := run(t.Context(), &out, options{events: eventsDefault, seed: seedDefault}); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	doc, err := os.ReadFile("../../docs/ab-test.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile(`(?m)^(?:>|Checked)(?:.+\n?)+`).FindAllString(out.String(), -1) {
		if !strings.Contains(string(doc), block) {
			t.Errorf("docs/ab-test.md lacks\n%s", block)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("the example left %v behind: %v", left, err)
	}
	checkIntervals(t, out.String())
}

// checkIntervals holds the figures that SQL has worked out to the textbook.
func checkIntervals(t *testing.T, out string) {
	t.Helper()
	rows := regexp.MustCompile(`(?m)^[AB] +(\d+) +(\d+) +([0-9.]+) +([0-9.]+) +([0-9.]+)$`).FindAllStringSubmatch(out, -1)
	if len(rows) != 2 {
		t.Fatalf("%d rows with an interval, want 2", len(rows))
	}
	var n, x, p [2]float64
	for i, r := range rows {
		n[i], x[i] = number(t, r[1]), number(t, r[2])
		p[i] = x[i] / n[i]
		const z = 1.96
		middle := (p[i] + z*z/(2*n[i])) / (1 + z*z/n[i])
		half := z / (1 + z*z/n[i]) * math.Sqrt(p[i]*(1-p[i])/n[i]+z*z/(4*n[i]*n[i]))
		for j, want := range []float64{p[i], middle - half, middle + half} {
			near(t, r[3+j], 100*want)
		}
	}
	pooled := (x[0] + x[1]) / (n[0] + n[1])
	z := (p[1] - p[0]) / math.Sqrt(pooled*(1-pooled)*(1/n[0]+1/n[1]))
	r := regexp.MustCompile(`(?m)^([0-9.-]+) +([0-9.-]+) +(yes|no)$`).FindStringSubmatch(out)
	if r == nil {
		t.Fatal("no row with the significance")
	}
	near(t, r[1], 100*(p[1]-p[0]))
	near(t, r[2], z)
	if got := r[3] == "yes"; got != (math.Abs(z) > 1.96) {
		t.Errorf("z is %.2f, and significant %q", z, r[3])
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// near fails the test unless text is want, rounded to two digits.
func near(t *testing.T, text string, want float64) {
	t.Helper()
	if got := number(t, text); math.Abs(got-want) > 0.005001 {
		t.Errorf("got %v, want %.4f", got, want)
	}
}

func TestTooFewEvents(t *testing.T) {
	if err := run(t.Context(), io.Discard, options{events: eventsMin - 1}); err == nil {
		t.Error("want an error")
	}
}

func TestRequests(t *testing.T) {
	all, again := makeRequests(eventsMin, 7), makeRequests(eventsMin, 7)
	late, visitors := 0, map[string]int{}
	for i, r := range all {
		if r != again[i] {
			t.Fatalf("one seed made %v and %v", r, again[i])
		}
		if r.at.Before(begin) || !r.arrives.Before(end) || r.arrives.Before(r.at) || i > 0 && r.arrives.Before(all[i-1].arrives) {
			t.Fatalf("request %d is of %v and arrives at %v", i, r.at, r.arrives)
		}
		if i > 0 && r.at.Before(all[i-1].at) {
			late++
		}
	}
	if late == 0 {
		t.Error("no request is out of order")
	}
	for v := range uint32(10_000) {
		visitors[variantOf(v)]++
	}
	if a := visitors["A"]; a < 4_800 || a > 5_200 {
		t.Errorf("%d of 10,000 visitors get variant A, want half of them", a)
	}
}

func TestCompareFindsWhatIsNotTheTruth(t *testing.T) {
	all := makeRequests(eventsMin, 1)
	want := byVariant(all)
	truth := func() map[string]row {
		rows := map[string]row{}
		for key, g := range want {
			rows[key] = row{g.requests, int64(len(g.visitors)), int64(len(g.buyers))}
		}
		return rows
	}
	if err := want.compare(truth()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(map[string]row){
		"a visitor twice":  func(got map[string]row) { a := got["A"]; a.visitors++; got["A"] = a },
		"a group too few":  func(got map[string]row) { delete(got, "B") },
		"a group too many": func(got map[string]row) { got["C"] = row{requests: 1} },
	} {
		got := truth()
		spoil(got)
		if want.compare(got) == nil {
			t.Errorf("%s passed", name)
		}
	}
}

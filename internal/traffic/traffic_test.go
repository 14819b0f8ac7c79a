package traffic_test

import (
	"regexp"
	"testing"

	"weir/internal/traffic"
)

func TestLines(t *testing.T) {
	form := regexp.MustCompile(`^GET 198\.1[89]\.\d+\.\d+ (/purchase/1\d\d/list\?itembox=[123](&minprice=\d+0)?&since=2022\d{4}-\d{6}|/[a-z.]*) HTTP/1\.1$`)
	g := traffic.New(1, 50, 1000)
	for range 10_000 {
		if line := g.Append(nil); !form.Match(line) {
			t.Fatalf("line %q is not of the form %s", line, form)
		}
	}
}

func TestSeed(t *testing.T) {
	a, b, c := traffic.New(7, 50, 1000), traffic.New(7, 50, 1000), traffic.New(8, 50, 1000)
	same := true
	for range 100 {
		line := string(a.Append(nil))
		if other := string(b.Append(nil)); other != line {
			t.Fatalf("one seed made %q and %q", line, other)
		}
		same = same && line == string(c.Append(nil))
	}
	if same {
		t.Error("another seed made the same lines")
	}
}

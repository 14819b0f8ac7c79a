package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// TestRun runs the example, on a server of its own, and holds the README to
// what it prints.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var out bytes.Buffer
	if err := run(t.Context(), &out, ordersMade); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), out.String()) {
		t.Errorf("README.md lacks the output:\n%s", &out)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("the example left %v behind: %v", left, err)
	}
}

func TestCompareFindsWhatIsNotTheTruth(t *testing.T) {
	all := makeOrders(100)
	if err := compare(truth(all), truth(all)); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []answer{joinedInTime(all, 4*time.Hour, 30*time.Minute), joinedInTime(all[:99], 4*time.Hour, 0)} {
		if compare(wrong.sums, truth(all)) == nil {
			t.Errorf("the answer %+v passed", wrong)
		}
	}
}

func TestJoinedInTime(t *testing.T) {
	all := []order{
		{at: 90 * time.Minute, arrives: 91 * time.Minute, cents: 1},  // in the batch
		{at: 90 * time.Minute, arrives: 121 * time.Minute, cents: 2}, // after it
		{at: 119 * time.Minute, arrives: 119 * time.Minute, cents: 4},
		{at: 119 * time.Minute, arrives: 120 * time.Minute, cents: 8},
		{at: 120 * time.Minute, arrives: 120 * time.Minute, cents: 16},
	}
	a := joinedInTime(all, 2*time.Hour, 0)
	if a.cents[1] != 1+4 || a.cents[2] != 16 || a.lost[1] != 2 || total(a.twice) != 0 {
		t.Errorf("without an overlap: %+v", a)
	}
	a = joinedInTime(all, 2*time.Hour, 10*time.Minute)
	if a.cents[1] != 1+2*4+8 || a.cents[2] != 16 || a.lost[1] != 1 || a.twice[1] != 1 {
		t.Errorf("with an overlap: %+v", a)
	}
}

func TestOrdersArriveInOrder(t *testing.T) {
	all := makeOrders(10_000)
	late := 0
	for i, o := range all {
		if i > 0 && o.arrives < all[i-1].arrives || o.arrives < o.at || o.at < 0 || o.at >= hours*time.Hour {
			t.Fatalf("order %d: %+v", i, o)
		}
		if o.arrives-o.at >= lateMin {
			late++
		}
	}
	if late < 200 || late > 400 {
		t.Errorf("%d of %d orders are late", late, len(all))
	}
	if n := arrivedBy(all, 2*time.Hour); all[n-1].arrives >= 2*time.Hour || all[n].arrives < 2*time.Hour {
		t.Errorf("order %d is not the first one after 02:00", n)
	}
}

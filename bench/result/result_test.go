package result

import (
	"os"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 100}, 3}} {
		if got := Median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
	}
	if got := Quantile([]float64{5, 1, 4, 2, 3}, 0.99); got != 5 {
		t.Errorf("p99 is %v", got)
	}
}

func TestAddKeepsRounds(t *testing.T) {
	f := &File{Suite: "live"}
	for _, v := range []float64{10, 30, 20} {
		f.Add(Figure{Contender: "weir", Measure: "rate"}, v)
	}
	f.Add(Figure{Contender: "MariaDB", Measure: "rate"}, 1)
	dir := t.TempDir()
	if _, err := f.Write(dir); err != nil {
		t.Fatal(err)
	}
	read, err := Read(dir, "live")
	if err != nil || len(read.Figures) != 2 {
		t.Fatalf("%v, %+v", err, read)
	}
	if fig := read.Figures[0]; len(fig.Rounds) != 3 || fig.Median != 20 || fig.Least != 10 || fig.Most != 30 {
		t.Errorf("got %+v", fig)
	}
	if none, err := Read(dir, "fresh"); none != nil || err != nil {
		t.Errorf("got %v, %v", none, err)
	}
}

// TestProcess reads what the kernel says of this process.
func TestProcess(t *testing.T) {
	for sum := 0.0; CPU(os.Getpid()) == 0; sum++ { // until the first tick
	}
	if now, most := Memory(os.Getpid()); now < 1<<20 || most < 1<<20 {
		t.Errorf("memory %d, most %d", now, most)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/x", make([]byte, 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Disk(dir); got < 100_000 || got > 200_000 {
		t.Errorf("disk %d", got)
	}
}

package result

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// Others tells what programs that are no part of the run take of the
// processors: where that is much, times say little.
type Others struct {
	begun     time.Time
	busy, own time.Duration
}

// WatchOthers begins to watch.
func WatchOthers() Others { return Others{time.Now(), busy(), CPU(os.Getpid())} }

// Processors returns how many processors others have kept busy since, as a
// mean; 0 where the system does not tell. What ran in children of this process
// that have ended without being waited for counts as theirs.
func (o Others) Processors() float64 {
	busy, own := busy()-o.busy, CPU(os.Getpid())-o.own
	return max(0, (busy-own).Seconds()/time.Since(o.begun).Seconds())
}

// busy is what all processors together have worked.
func busy() (sum time.Duration) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		// user, nice, system, idle, iowait, irq, softirq, steal; guests count as user
		if n, err := strconv.ParseInt(field, 10, 64); err == nil && i >= 1 && i <= 8 && i != 4 && i != 5 {
			sum += time.Duration(n) * tick
		}
	}
	return sum
}

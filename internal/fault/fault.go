// Package fault lets tests make the program fail where it seldom does by
// itself: a disk that is full, a log that cannot be read. A point in the code
// has a name; the environment variable WEIR_FAULTS says which points fail, and
// how often:
//
//	WEIR_FAULTS='batch.compute=2,view.commit:visits=1'
//
// makes the next two batch runs fail, and the next commit of the view visits.
// Without it a point costs one comparison.
package fault

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Variable is the name of the environment variable.
const Variable = "WEIR_FAULTS"

var (
	armed   atomic.Bool
	mu      sync.Mutex
	points  = map[string]int{}
	crashes = map[string]int{} // visits until the process ends
)

func init() {
	for spec := range strings.SplitSeq(os.Getenv(Variable), ",") {
		name, times, _ := strings.Cut(strings.TrimSpace(spec), "=")
		visits, crash := strings.CutPrefix(times, "crash:")
		if n, err := strconv.Atoi(visits); crash && err == nil && name != "" {
			crashes[name] = n
			armed.Store(true)
			continue
		}
		if n, err := strconv.Atoi(times); err == nil && name != "" {
			Set(name, n)
		}
	}
}

// Set makes the point fail the next n times.
func Set(point string, n int) {
	mu.Lock()
	defer mu.Unlock()
	points[point] = n
	armed.Store(true)
}

// Reset makes no point fail any more.
func Reset() {
	mu.Lock()
	defer mu.Unlock()
	clear(points)
	armed.Store(false)
}

// An Error is the failure of a point.
type Error struct{ Point string }

func (e *Error) Error() string {
	return fmt.Sprintf("injected failure at %s (%s)", e.Point, Variable)
}

// Point returns an error where the point is to fail, for everything or for the
// thing with the name.
func Point(point, name string) error {
	if !armed.Load() {
		return nil
	}
	mu.Lock()
	defer mu.Unlock()
	for _, p := range []string{point + ":" + name, point} {
		if points[p] > 0 {
			points[p]--
			return &Error{p}
		}
	}
	return nil
}

// Crash ends the process where it stands, as kill -9 does, where the point is
// to: WEIR_FAULTS='commit.between=crash:3' does so at the third visit. The
// point is one of CrashPoints.
func Crash(point string) {
	if !armed.Load() {
		return
	}
	mu.Lock()
	defer mu.Unlock()
	if crashes[point] == 0 {
		return
	}
	if crashes[point]--; crashes[point] == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until it has
	}
}

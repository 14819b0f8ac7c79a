package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var (
	crashes = flag.Int("crashes", 4, "how often each crash test kills the server")
	visits  = flag.Int("visits", 0, "how often TestCrashPoints visits each crash point; 0 is some of them, once")
	kills   = flag.Int("kills", 4, "how often TestCrashPoints and TestCrashDeliveries kill the server at random, each")
	seed    = flag.Uint64("seed", 0, "seed of the crash tests' random choices; 0 takes a new one")
)

// binary is the weir that all tests run.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "weir-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "weir")
	args := []string{"build", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "weir")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// random returns source n of a test's choices and prints the seed.
func random(t *testing.T, n uint64) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("run again with -seed %d", s)
	return rand.New(rand.NewPCG(s, n))
}

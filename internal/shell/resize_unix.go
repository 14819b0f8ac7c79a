//go:build unix

package shell

import (
	"os"
	"syscall"
)

// resizeSignals come when the terminal's size has changed.
var resizeSignals = []os.Signal{syscall.SIGWINCH}

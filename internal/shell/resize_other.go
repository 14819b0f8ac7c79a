//go:build !unix

package shell

import "os"

// resizeSignals are none here, and signal.Notify takes none for all.
var resizeSignals = []os.Signal{os.Kill}

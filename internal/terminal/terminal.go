// Package terminal is what commands share that show their progress.
package terminal

import (
	"io"
	"os"
	"strconv"
)

// Is reports whether w is a terminal that understands control sequences.
func Is(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Colors reports whether w is a terminal that is to show colors, which the
// variable NO_COLOR refuses.
func Colors(w io.Writer) bool { return os.Getenv("NO_COLOR") == "" && Is(w) }

// Group formats a number with a comma between thousands.
func Group[N int64 | uint64 | float64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

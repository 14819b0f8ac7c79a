//go:build !linux && !darwin

package jetstream

// diskFree is not known here; the disk itself is the limit.
func diskFree(string) (int64, error) { return 1 << 50, nil }

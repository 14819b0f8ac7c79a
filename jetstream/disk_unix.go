//go:build linux || darwin

package jetstream

import "syscall"

// diskFree returns the bytes that an ordinary user may still write beside dir.
func diskFree(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

//go:build linux || darwin

package jetstream

import "syscall"

// diskFree returns the bytes that an ordinary user may still write beside dir,
// and how many the disk has.
func diskFree(dir string) (free, total int64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}

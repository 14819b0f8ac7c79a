//go:build !unix

package gmsx

import "syscall"

// hungUp cannot look without reading here; such a statement ends with its rows.
func hungUp(syscall.Conn) bool { return false }

package sql

import (
	"bufio"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryLimit is the heap at which statements fail that still grow; see
// Config.MemoryLimit. 0 is no limit.
func memoryLimit(configured uint64) uint64 {
	if configured != 0 {
		return configured
	}
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		return uint64(limit) / 5 * 4
	}
	return machineMemory() / 2
}

// machineMemory is how much memory the machine has, or the control group that
// the process is in; 0 where that cannot be found out.
func machineMemory() (bytes uint64) {
	if f, err := os.Open("/proc/meminfo"); err == nil {
		defer func() { _ = f.Close() }()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			if len(fields) < 2 || fields[0] != "MemTotal:" {
				continue
			}
			if kb, err := strconv.ParseUint(fields[1], 10, 64); err == nil {
				bytes = kb << 10
			}
			break
		}
	}
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		raw, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64); err == nil && n > 0 && (bytes == 0 || n < bytes) {
			bytes = n
		}
	}
	return bytes
}

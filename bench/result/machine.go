package result

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Machine is where it ran.
type Machine struct {
	CPU    string
	Cores  int // that the run may use
	Memory int64
	Kernel string
	System string
	Go     string
	Files  string  // what kind of file system the data was on
	Load   float64 // the load average when the run began: of a quiet machine, below 0.5
}

// Here describes this machine, and the file system of dir.
func Here(dir string) Machine {
	m := Machine{Cores: runtime.GOMAXPROCS(0), Go: runtime.Version()}
	m.CPU = field("/proc/cpuinfo", "model name", ":")
	kb, _ := strconv.ParseInt(strings.TrimSuffix(field("/proc/meminfo", "MemTotal", ":"), " kB"), 10, 64)
	m.Memory = kb << 10
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	m.System = strings.Trim(field("/etc/os-release", "PRETTY_NAME", "="), `"`)
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		m.Load, _ = strconv.ParseFloat(first, 64)
	}
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) == nil {
		m.Files = map[int64]string{0xEF53: "ext4", 0x58465342: "xfs", 0x9123683E: "btrfs", 0x01021994: "tmpfs", 0x794C7630: "overlayfs", 0x2FC12FC1: "zfs"}[fs.Type]
	}
	return m
}

// field returns the rest of the first line of a file that begins with a name.
func field(path, name, separator string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if before, after, ok := strings.Cut(line, separator); ok && strings.TrimSpace(before) == name {
			return strings.TrimSpace(after)
		}
	}
	return ""
}

// Memory returns the bytes of memory that a process and its children have now,
// pages that they share counted once, and the most that the process had.
func Memory(pid int) (now, most int64) {
	for _, p := range append(children(pid), pid) {
		now += kilobytes(p, "smaps_rollup", "Pss")
	}
	return now, kilobytes(pid, "status", "VmHWM")
}

func kilobytes(pid int, file, name string) int64 {
	text := field(filepath.Join("/proc", strconv.Itoa(pid), file), name, ":")
	n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(text, "kB")), 10, 64)
	return n << 10
}

func children(pid int) (list []int) {
	tasks, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	for _, path := range tasks {
		text, _ := os.ReadFile(path)
		for word := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				list = append(append(list, child), children(child)...)
			}
		}
	}
	return list
}

const tick = 10 * time.Millisecond // of Linux's counters, whatever the kernel's own

// CPU returns what a process and its children have taken of the processors,
// children that have ended among them.
func CPU(pid int) time.Duration {
	var sum time.Duration
	for _, p := range append(children(pid), pid) {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p), "stat"))
		if err != nil {
			continue // it has ended
		}
		// The name, in brackets, may hold anything.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, field := range fields[11:15] {
			n, _ := strconv.ParseInt(field, 10, 64)
			sum += time.Duration(n) * tick
		}
	}
	return sum
}

// Disk returns the bytes that the files below a path occupy; files that go
// meanwhile do not count.
func Disk(path string) (bytes int64) {
	walk := func(_ string, d os.DirEntry, failed error) error {
		if failed == nil && d.Type().IsRegular() {
			bytes += blocks(d)
		}
		return nil
	}
	_ = filepath.WalkDir(path, walk)
	return bytes
}

func blocks(d os.DirEntry) int64 {
	if info, err := d.Info(); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			return st.Blocks * 512
		}
	}
	return 0
}

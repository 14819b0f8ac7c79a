package fault_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"weir/internal/fault"
)

// TestCrashPoints keeps CrashPoints true to the code.
func TestCrashPoints(t *testing.T) {
	call := regexp.MustCompile(`fault\.Crash\("([^"]+)"\)`)
	var called []string
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range call.FindAllSubmatch(text, -1) {
			called = append(called, string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range called {
		if !slices.Contains(fault.CrashPoints, name) {
			t.Errorf("%s is a crash point that CrashPoints lacks", name)
		}
	}
	for i, name := range fault.CrashPoints {
		if !slices.Contains(called, name) {
			t.Errorf("no code has the crash point %s", name)
		}
		if slices.Contains(fault.CrashPoints[:i], name) {
			t.Errorf("%s is there twice", name)
		}
	}
}

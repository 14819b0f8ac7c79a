package terminal

import (
	"bytes"
	"testing"
)

func TestGroup(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -123: "-123"} {
		if got := Group(n); got != want {
			t.Errorf("Group(%d): got %s, want %s", n, got, want)
		}
	}
}

func TestABufferIsNoTerminal(t *testing.T) {
	if Is(new(bytes.Buffer)) {
		t.Error("a buffer passes for a terminal")
	}
}

package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func readLines(t *testing.T, text string, most int) (lines []line) {
	t.Helper()
	r := lineReader{r: bufio.NewReaderSize(strings.NewReader(text), 16), max: most}
	for {
		one, err := r.next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, one)
	}
}

func TestLinesAreTakenApart(t *testing.T) {
	long := strings.Repeat("x", 50)
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"a\nb\n", "1:0-1-2 a; 2:2-3-4 b; "},
		{"a\r\nb\r\n", "1:0-1-3 a; 2:3-4-6 b; "},
		{"a\nb", "1:0-1-2 a; 2:2-3-3 b cut; "},
		{"a\nb\r", "1:0-1-2 a; 2:2-3-4 b cut; "},
		{"\n\r\n \t\na", "1:0-0-1 blank; 2:1-1-3 blank; 3:3-5-6 blank; 4:6-7-7 a cut; "},
		{"a\rb\n", "1:0-3-4 a\rb; "},
		{long[:20] + "\n" + long[:21] + "\nb\n", "1:0-20-21 " + long[:20] + "; 2:21-42-43 long; 3:43-44-45 b; "},
		{long[:20] + "\r\n" + long[:21] + "\r\nb\n", "1:0-20-22 " + long[:20] + "; 2:22-43-45 long; 3:45-46-47 b; "},
		{long, "1:0-50-50 long cut; "},
		{long + long + "\nb", "1:0-100-101 long; 2:101-102-102 b cut; "},
		{"\xff\x00é\n", "1:0-4-5 \xff\x00é; "},
	} {
		var got strings.Builder
		for _, one := range readLines(t, test.text, 20) {
			fmt.Fprintf(&got, "%d:%d-%d-%d", one.number, one.start, one.end, one.next)
			switch {
			case one.long:
				got.WriteString(" long")
			case one.blank():
				got.WriteString(" blank")
			default:
				got.WriteString(" " + string(one.text))
			}
			if one.cut {
				got.WriteString(" cut")
			}
			got.WriteString("; ")
		}
		if got.String() != test.want {
			t.Errorf("%q: got %q, want %q", test.text, &got, test.want)
		}
	}
}

func TestLinesStayAsTheyAre(t *testing.T) {
	var text bytes.Buffer
	for n := range 20_000 {
		fmt.Fprintf(&text, "line %d %s\n", n, strings.Repeat("x", n%300))
	}
	var again bytes.Buffer
	for _, one := range readLines(t, text.String(), 1000) {
		again.Write(one.raw)
	}
	if !bytes.Equal(text.Bytes(), again.Bytes()) {
		t.Error("the lines together are not the text")
	}
}

func TestALongLineKeepsNoMemory(t *testing.T) {
	const size = 64 << 20
	r := lineReader{r: bufio.NewReaderSize(io.LimitReader(endless{}, size), readSize), max: 1 << 10}
	one, err := r.next()
	if err != nil || !one.long || one.next != size || len(one.raw) != tailSize || cap(one.raw) > 2*tailSize {
		t.Errorf("got a line up to %d with %d bytes kept in %d, error %v", one.next, len(one.raw), cap(one.raw), err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestIdentity(t *testing.T) {
	title := "date,ip,path\n"
	whole := []byte(title + strings.Repeat("2026-01-01,203.0.113.7,/\n", 400))[:blockSize]
	small := identify("log", "", []byte(title+"2026-01-01,203.0.113.7,/\n2026-01-0"))
	m := mark{}
	small.update(&m)
	if m.HeadLen != len(title)+25 {
		t.Errorf("the head of a small file has %d bytes, want its whole lines", m.HeadLen)
	}
	for _, test := range []struct {
		what  string
		block []byte
		same  bool
	}{
		{"continued", whole, true},
		{"the same", small.block, true},
		{"shorter", []byte(title), false},
		{"another with the same title", []byte(title + strings.Repeat("2026-01-02,203.0.113.7,/\n", 9)), false},
	} {
		who := identify("log", "", test.block)
		if who.prefix != small.prefix || who.begins(&m) != test.same {
			t.Errorf("a file that is %s: it is the same: %v, want %v", test.what, who.begins(&m), test.same)
		}
	}
	if other := identify("log", "", []byte("another\n")); other.prefix == small.prefix {
		t.Error("files with different first lines are looked for together")
	}
	if end, ok := lineEnd("f", eventID("f", 12)); end != 12 || !ok {
		t.Errorf("the offset in an event's ID is %d, %v", end, ok)
	}
	for _, id := range []string{"", "f", "f:", "f:x", "ff:12", "f-2:12"} {
		if _, ok := lineEnd("f", id); ok {
			t.Errorf("%q passes for an ID of f", id)
		}
	}
}

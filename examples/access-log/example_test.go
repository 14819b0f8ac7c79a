package accesslog_test

import (
	"regexp"
	"slices"
	"testing"

	accesslog "weir/examples/access-log"
	"weir/internal/traffic"
	"weir/sql/ddl"
)

// TestPattern holds the pattern of the schema's stream to the generated lines.
func TestPattern(t *testing.T) {
	parts, err := ddl.Split(accesslog.Schema)
	if err != nil {
		t.Fatal(err)
	}
	statement, err := ddl.Parse(parts[0].Text)
	if err != nil {
		t.Fatal(err)
	}
	stream, ok := statement.(*ddl.CreateStream)
	if !ok {
		t.Fatalf("the schema begins with %T, want the stream", statement)
	}
	option, _ := stream.Options.Get("pattern")
	pattern := regexp.MustCompile(option.Value)
	for _, name := range pattern.SubexpNames()[1:] {
		if !slices.ContainsFunc(stream.Columns, func(c ddl.Column) bool { return c.Name == name }) {
			t.Errorf("the pattern's group %q is no column", name)
		}
	}
	lines := traffic.New(1, 40, 1000)
	for range 1000 {
		if line := lines.Append(nil); !pattern.Match(line) {
			t.Fatalf("the pattern does not match %q", line)
		}
	}
}

func TestSchemaIsWeirs(t *testing.T) {
	parts, err := ddl.Split(accesslog.Schema)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		if statement, err := ddl.Parse(part.Text); err != nil || statement == nil {
			t.Errorf("got %v and error %v for %s", statement, err, part.Text)
		}
	}
	if len(parts) != 3 {
		t.Errorf("%d statements, want a stream and two views", len(parts))
	}
}

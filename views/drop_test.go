package views_test

import (
	"errors"
	"testing"
	"time"

	"weir/views"
)

// TestDropStreamOfPreviousVersion shows that DROP STREAM ends previous versions
// that read the stream, and that one that is refused leaves them.
func TestDropStreamOfPreviousVersion(t *testing.T) {
	dir := t.TempDir()
	e, first, _ := openCounting(t, dir)
	other := *first.Stream().Def
	other.Name, other.Subjects = "other", []string{"other"}
	if err := e.CreateStream(t.Context(), &other); err != nil {
		t.Fatal(err)
	}
	moved := *first.Def()
	moved.Stream, moved.KeepPrevious = "other", time.Hour
	reader := *first.Def()
	reader.Name = "reader"
	if err := errors.Join(e.CreateView(t.Context(), &moved, true), e.CreateView(t.Context(), &reader, false)); err != nil {
		t.Fatal(err)
	}
	drop := func() error { return e.DropStream(t.Context(), views.DefaultDatabase, "s") }
	if err := drop(); !errors.Is(err, views.ErrInUse) {
		t.Fatalf("DROP STREAM under a view: %v", err)
	}
	for range 2 { // back, and forth
		if err := e.Rollback(views.DefaultDatabase, "v"); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(e.DropView(t.Context(), views.DefaultDatabase, "reader"), drop()); err != nil {
		t.Fatal(err)
	}
	if err := e.Rollback(views.DefaultDatabase, "v"); err == nil {
		t.Error("ROLLBACK to a version whose stream is gone succeeded")
	}
	eventually(t, "one file", func() (string, bool) { return "", files(t, dir) == 1 })
}

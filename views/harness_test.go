package views_test

import (
	"testing"

	"weir/views"
)

// openView returns an engine with view v over stream s, which the definitions
// say the rest of.
func openView(t *testing.T, cfg views.Config, stream *views.StreamDef, view *views.ViewDef) (*views.Engine, *views.View) {
	t.Helper()
	e, err := views.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	stream.Database, stream.Name, stream.Format, stream.Subjects = views.DefaultDatabase, "s", views.FormatJSON, []string{"s"}
	if err := e.CreateStream(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	view.Database, view.Name, view.Stream, view.Mode, view.Delivery = views.DefaultDatabase, "v", "s", views.Lambda, views.ExactlyOnce
	if err := e.CreateView(t.Context(), view, false); err != nil {
		t.Fatal(err)
	}
	v, err := e.View(views.DefaultDatabase, "v")
	if err != nil {
		t.Fatal(err)
	}
	return e, v
}

// publishTo publishes events to the stream of v and waits until they are applied.
func publishTo(t *testing.T, e *views.Engine, v *views.View, msgs []views.Message) {
	t.Helper()
	seq, err := e.Publish(t.Context(), v.Stream(), msgs)
	if err == nil {
		err = v.Stream().WaitApplied(t.Context(), seq)
	}
	if err != nil {
		t.Fatal(err)
	}
}

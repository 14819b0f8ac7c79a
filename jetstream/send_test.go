package jetstream

import (
	"testing"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"weir/views"
)

// TestSendToSubscribers shows that a client gets what is sent, with its headers,
// whether a log takes the subject too or not.
func TestSendToSubscribers(t *testing.T) {
	s := open(t, Config{})
	conn, err := nats.Connect("nats://" + s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if s.Heard("a.b") {
		t.Error("somebody hears a.b before anybody subscribes")
	}
	sub, err := conn.SubscribeSync("a.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, log := range []bool{false, true} {
		if log {
			if _, err := s.CreateLog(t.Context(), views.LogConfig{Name: "a", Subjects: []string{"a.>"}}); err != nil {
				t.Fatal(err)
			}
		}
		if !s.Heard("a.b") {
			t.Error("nobody hears a.b")
		}
		msg := views.Message{Subject: "a.b", ID: "1", Payload: []byte("x"), Header: map[string][]string{"Weir-Seq": {"7"}}}
		if err := s.Send(t.Context(), []views.Message{msg, {Subject: "a.b"}}); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			m, err := sub.NextMsgWithContext(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 && (string(m.Data) != "x" || m.Header.Get(natsjs.MsgIDHeader) != "1" || m.Header.Get("Weir-Seq") != "7") {
				t.Errorf("the subscriber got %q with %v", m.Data, m.Header)
			}
		}
	}
	// A log that is not there for a moment, as while the server starts again,
	// is not nobody.
	s.ns.Load().Shutdown()
	if !s.Heard("a.b") || !s.Heard("never.asked") {
		t.Error("nobody hears a server that is down")
	}
}

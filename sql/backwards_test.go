package sql

import (
	"fmt"
	"io"
	"strings"
	"testing"

	gms "github.com/dolthub/go-mysql-server/sql"

	"weir/views"
	"weir/views/logtest"
)

// TestBackwardsIsBoundInBytes: the last events first, where few rows make the
// pieces long and then many and long rows come.
func TestBackwardsIsBoundInBytes(t *testing.T) {
	broker := &logtest.Memory{}
	s := newTestServer(t, broker, 0)
	if _, err := s.query(t.Context(), "CREATE STREAM ev (k INT, s LONGTEXT)"); err != nil {
		t.Fatal(err)
	}
	const long, short, size = 1200, 60_000, 10_000
	msgs := make([]views.Message, 0, long+short)
	for k := range long {
		msgs = append(msgs, views.Message{Payload: fmt.Appendf(nil, `{"k":%d,"s":"%s"}`, k, strings.Repeat("x", size))})
	}
	for range short { // dead letters, which are no rows
		msgs = append(msgs, views.Message{Payload: []byte("broken")})
	}
	if _, err := broker.Publish(t.Context(), "ev", msgs); err != nil {
		t.Fatal(err)
	}
	stream, ok := s.cfg.Engine.Stream(views.DefaultDatabase, "ev")
	if !ok {
		t.Fatal("no stream")
	}
	table, err := newStreamTable(s.cfg.Engine, stream)
	if err != nil {
		t.Fatal(err)
	}
	ctx := gms.NewContext(t.Context())
	rows := &backwardRows{t: table, p: seqPartition{until: long + short}, size: backwardsFirst}
	for k := long - 1; k >= 0; k-- {
		row, err := rows.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if row[0] != int32(k) {
			t.Fatalf("row %v, want %d", row[0], k)
		}
		if n := len(rows.held); n > backwardsBytes/size {
			t.Fatalf("%d rows of %d bytes are held", n, size)
		}
	}
	if _, err := rows.Next(ctx); err != io.EOF { //nolint:errorlint // as iterators have it
		t.Fatalf("%v behind the last row", err)
	}
	if rows.most > backwardsBytes+size+1000 || rows.most < backwardsBytes/2 {
		t.Errorf("%d bytes of rows were held, want up to %d", rows.most, backwardsBytes)
	}
}

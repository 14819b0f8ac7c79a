package sql

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"weir/views"
	"weir/views/logtest"
)

// Beyond its counters, APPROX_TOP_K may depend on when batch runs were. AUDIT
// knows by how much, and the values that stand out are right all the same.
func TestTopsBeyondTheirCounters(t *testing.T) {
	w := &world{t: t, r: rand.New(rand.NewPCG(1, 2)), logs: &errorLog{}, dir: filepath.Join(t.TempDir(), "0"), broker: &logtest.Memory{BatchMax: 50}}
	w.open()
	defer w.close()
	w.exec("CREATE STREAM ev (page VARCHAR(20))")
	var err error
	if w.log, err = w.broker.OpenLog(t.Context(), "ev"); err != nil {
		t.Fatal(err)
	}
	w.exec("CREATE MATERIALIZED VIEW v AS SELECT APPROX_TOP_K(page, 2) AS top FROM ev")
	const rounds, rare = 5, 400
	for range rounds {
		var msgs []views.Message
		for range rare {
			for _, page := range []string{"most", "most", "more", fmt.Sprint(w.r.Uint32())} {
				msgs = append(msgs, views.Message{Payload: fmt.Appendf(nil, `{"page":%q}`, page)})
				w.events = append(w.events, plainEvent{valid: true})
			}
		}
		if _, err := w.broker.Publish(t.Context(), "ev", msgs); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.exec("REFRESH MATERIALIZED VIEW v")
	}
	_, rows, _ := w.query("SELECT top FROM v", nil)
	var top []struct {
		Value string
		Count int64
	}
	if err := json.Unmarshal([]byte(rows[0][0].(string)), &top); err != nil {
		t.Fatal(err)
	}
	const events, most, more = 4 * rare * rounds, 2 * rare * rounds, rare * rounds
	if len(top) != 2 || top[0].Value != "most" || top[1].Value != "more" || top[0].Count > most || top[0].Count < most-events/64 || top[1].Count > more || top[1].Count < more-events/64 {
		t.Errorf("%v; want most %d times and more %d times, up to %d less", top, most, more, events/64)
	}
	_, divided, _ := w.query("SELECT __top_state FROM v_batch", nil)
	v, err := w.engine.View(views.DefaultDatabase, "v")
	if err != nil {
		t.Fatal(err)
	}
	audit, err := w.engine.Audit(t.Context(), v)
	if err != nil || audit.Compared != 1 || audit.Different != 0 {
		t.Errorf("audit: %+v, %v", audit, err)
	}
	w.exec("REFRESH MATERIALIZED VIEW v FULL")
	_, whole, _ := w.query("SELECT __top_state FROM v_batch", nil)
	if compareCells(divided[0][0], whole[0][0]) == 0 {
		t.Error("the division did not show: the test shows nothing")
	}
}

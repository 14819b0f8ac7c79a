package sql
import ("testing";"weir/views";"weir/views/logtest";"math/rand/v2";"os")
func TestZZ(t *testing.T) {
	w := &world{t: t, r: rand.New(rand.NewPCG(1, 0)), logs: &errorLog{}, defs: map[string]propertyDef{}, dir: t.TempDir()}
	w.broker = &logtest.Memory{}
	w.open(); defer w.close()
	w.exec(propertyStream)
	for _, k := range []string{"a","b","ab","A","äöü","日本","", "a "} {
		w.broker.Publish(t.Context(), "ev", []views.Message{{Payload: []byte(`{"req":1,"x":1,"k":"`+k+`"}`)}})
	}
	for _, q := range os.Args[len(os.Args)-1:] {
		s, rows, _ := w.query(q, nil)
		for _, c := range s { t.Log(c.Name, c.Type) }
		for _, r := range rows { t.Log(r...) }
	}
}

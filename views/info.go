package views

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The states of views.
const (
	ViewBuilding = "building"
	ViewLive     = "live"
	ViewFailed   = "failed"
)

// A ViewInfo is a row of weir.views.
type ViewInfo struct {
	Def       *ViewDef
	Version   uint64
	State     string
	Applied   uint64
	Head      uint64 // last sequence of the log
	Lag       time.Duration
	Watermark time.Time // zero where no event has moved it
	Batch     uint64    // the batch layer holds the events up to here
	Rows      uint64
	Bytes     uint64
	Gaps      uint64
	Error     string
}

// ViewInfos returns what there is to say of every view, in order of their names.
func (e *Engine) ViewInfos(ctx context.Context) ([]ViewInfo, error) {
	list, building := e.Views()
	var infos []ViewInfo
	heads := map[*Stream]LogState{}
	for _, v := range list {
		st, ok := heads[v.stream]
		if !ok {
			var err error
			if st, err = v.stream.log.State(ctx); err != nil {
				return nil, err
			}
			heads[v.stream] = st
		}
		infos = append(infos, v.guardedInfo(st))
	}
	for _, def := range building {
		infos = append(infos, ViewInfo{Def: def, State: ViewBuilding})
	}
	slices.SortStableFunc(infos, func(a, b ViewInfo) int { return strings.Compare(a.Def.Name, b.Def.Name) })
	return infos, nil
}

// guardedInfo is info, and failed where the view's file cannot be read.
func (v *View) guardedInfo(st LogState) (i ViewInfo) {
	err := v.failure()
	if err == nil {
		err = guard("read view", func() (err error) {
			i, err = v.info(st)
			return err
		})
	}
	if err != nil {
		i = ViewInfo{Def: v.Def(), Version: v.Version, State: ViewFailed, Head: st.Last, Error: err.Error()}
	}
	return i
}

func (v *View) info(st LogState) (i ViewInfo, err error) {
	i = ViewInfo{Def: v.Def(), Version: v.Version, State: ViewLive, Head: st.Last}
	var r ReadSet
	defer r.Close()
	s, err := r.Snapshot(v)
	if err != nil {
		return i, err
	}
	if err := v.trouble(); err != nil {
		i.State, i.Error = ViewFailed, fmt.Sprintf("its file cannot be written, which is tried again each second; it answers from memory: %v", err)
	}
	i.Applied, i.Batch, i.Gaps = s.Seq, s.meta.Cut, s.meta.Gaps
	i.Bytes = s.bytes()
	if i.Rows, err = s.Count(context.Background(), Serving); err != nil {
		return i, err
	}
	now := v.stream.state.Load()
	if now.watermark > noSpan.Max {
		i.Watermark = time.UnixMicro(now.watermark).UTC()
	}
	if st.Last > s.Seq {
		// The events that wait came after the last that was applied.
		i.Lag = max(0, time.Since(time.Unix(0, now.time)))
		if now.time == 0 {
			i.Lag = max(0, time.Since(st.FirstTime))
		}
	}
	return i, nil
}

// A LayerInfo is a row of weir.layers.
type LayerInfo struct {
	Database string
	View     string
	Layer    Layer
	Epoch    uint64 // 0 for the batch layer
	From, To uint64 // sequences; an epoch without events has To below From
	Rows     uint64
	Min, Max time.Time // of event time; zero where there is none
	Serving  bool
}

// Layers returns the batch layer and the epochs of every view.
func (e *Engine) Layers() ([]LayerInfo, error) {
	list, _ := e.Views()
	var infos []LayerInfo
	for _, v := range list {
		if v.failure() != nil {
			continue
		}
		var of []LayerInfo
		err := guard("read view", func() (err error) {
			of, err = v.layers()
			return err
		})
		if err != nil {
			continue // dropped meanwhile, or damaged: weir.views tells
		}
		infos = append(infos, of...)
	}
	return infos, nil
}

func (v *View) layers() (infos []LayerInfo, err error) {
	var r ReadSet
	defer r.Close()
	s, err := r.Snapshot(v)
	if err != nil {
		return nil, err
	}
	add := func(l Layer, id, from, to, rows uint64, sp span, serving bool) {
		i := LayerInfo{Database: v.Def().Database, View: v.Def().Name, Layer: l, Epoch: id, From: from, To: to, Rows: rows, Serving: serving}
		if sp.Min <= sp.Max {
			i.Min, i.Max = time.UnixMicro(sp.Min).UTC(), time.UnixMicro(sp.Max).UTC()
		}
		infos = append(infos, i)
	}
	m := s.meta
	if m.Batch != 0 {
		add(Batch, 0, 1, m.Cut, m.BatchRows, m.BatchSpan, true)
	}
	for _, e := range m.Retired {
		add(Speed, e.ID, e.From, e.To, e.Rows, e.Span, false)
	}
	for k, ep := range m.Epochs {
		to, rows, sp := ep.To, ep.Rows, ep.Span
		if k == len(m.Epochs)-1 {
			// The open epoch has the runs that no commit has written yet.
			to = max(s.Seq, m.Applied)
			for _, r := range s.runs {
				sp.union(r.span)
			}
			if len(s.runs) > 0 {
				s.mu.Lock() // the transaction is that of s
				open := &Snapshot{View: v, tx: s.tx, runs: s.runs, drop: s.drop, meta: &storeMeta{Epochs: []epoch{ep}}}
				rows, err = open.Count(context.Background(), Speed)
				s.mu.Unlock()
				if err != nil {
					return nil, err
				}
			}
		}
		add(Speed, ep.ID, ep.From, to, rows, sp, true)
	}
	return infos, nil
}

// BatchRuns returns the batch runs of every view that its file remembers.
func (e *Engine) BatchRuns() (runs []BatchRun, err error) {
	list, _ := e.Views()
	for _, v := range list {
		if v.store == nil {
			continue
		}
		of, err := v.store.runs()
		if err != nil {
			continue // dropped meanwhile, or damaged: weir.views tells
		}
		for i := range of {
			of[i].Database, of[i].View = v.Def().Database, v.Def().Name
		}
		runs = append(runs, of...)
	}
	slices.SortFunc(runs, func(a, b BatchRun) int { return int(a.ID) - int(b.ID) })
	return runs, nil
}

// DeadLetters returns the events of the stream that did not decode and are
// still kept, in order.
func (s *Stream) DeadLetters() ([]DeadLetter, error) { return s.dead.list() }

// DeadCount returns the number of events of the stream that did not decode.
func (s *Stream) DeadCount() uint64 { return s.dead.total() }

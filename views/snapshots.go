package views

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A ReadSet is what one statement reads: a snapshot of each view, those of one
// stream all at the same sequence.
type ReadSet struct {
	mu    sync.Mutex // the engine may finish a statement on another goroutine than it began
	noted []*View
	snaps map[*View]*Snapshot
}

// Note says that the statement will read v, so that its snapshot is taken
// together with those of the stream's other views.
func (r *ReadSet) Note(v *View) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note(v)
}

func (r *ReadSet) note(v *View) {
	if !slices.Contains(r.noted, v) {
		r.noted = append(r.noted, v)
	}
}

// Snapshot returns the statement's snapshot of v.
func (r *ReadSet) Snapshot(v *View) (*Snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.snaps[v]; s != nil {
		return s, nil
	}
	r.note(v)
	v.eng.governor.read.Store(time.Now().UnixNano())
	var together []*View
	for _, w := range r.noted {
		if w.stream == v.stream && r.snaps[w] == nil {
			if err := w.working(); err == nil {
				together = append(together, w)
			} else if w == v {
				return nil, err
			}
		}
	}
	if r.snaps == nil {
		r.snaps = map[*View]*Snapshot{}
	}
	snaps, err := takeSnapshots(v.stream, together)
	if err != nil {
		return nil, err
	}
	for _, s := range snaps {
		r.snaps[s.View] = s
	}
	return r.snaps[v], nil
}

// Close ends the snapshots.
func (r *ReadSet) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.snaps {
		s.close()
	}
	r.snaps, r.noted = nil, nil
}

// A Snapshot is a view at one sequence: its rows are those of a computation
// over the events up to there.
//
// It reads through a transaction of the view's file. An open transaction keeps
// the file from using freed pages again, so one that outlives txAgeMax, as
// under a client that reads slowly, moves to a copy of the file; see detach.
type Snapshot struct {
	View *View
	Seq  uint64
	meta *storeMeta
	runs []*run   // beyond meta.Applied
	live []*run   // the same and those before them that were in memory too
	drop *windows // rows that retention has dropped, in the file or not

	mu     sync.Mutex
	damage error    // found in the file: no cursor goes on
	tx     *bolt.Tx // nil once closed
	moved  int      // how often tx was replaced: cursors of the one before must be made again
	copy   *bolt.DB // what tx reads when it has moved
	timer  *time.Timer
}

// txAgeMax bounds how long a statement holds a transaction of a view's own file.
var txAgeMax = 2 * time.Second

// detach moves the snapshot to a copy of the view's file, and lets go of the
// file itself. Where there is no room for a copy it stays as it is.
func (s *Snapshot) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx == nil {
		return
	}
	v := s.View
	path := fmt.Sprintf("%s.%d.read.db", strings.TrimSuffix(v.eng.viewPath(v.Def(), v.Version), ".db"), readCopies.Add(1))
	db, tx, err := copyFile(s.tx, path)
	if err != nil {
		s.View.log().Warn("a long read keeps the view's file from using freed space again: cannot copy it", "error", err)
		return
	}
	_ = s.tx.Rollback() // a read transaction: cannot fail
	if s.copy != nil {
		_ = s.copy.Close()
	}
	s.tx, s.copy = tx, db
	s.moved++
}

// readCopies numbers the copies of files that long reads make.
var readCopies atomic.Uint64

// copyFile copies what tx sees to path and opens it. The file is nameless then.
func copyFile(tx *bolt.Tx, path string) (*bolt.DB, *bolt.Tx, error) {
	defer func() { _ = os.Remove(path) }()
	if err := tx.CopyFile(path, 0o600); err != nil {
		return nil, nil, err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, NoStatistics: true})
	if err != nil {
		return nil, nil, err
	}
	copied, err := db.Begin(false)
	if err != nil {
		_ = db.Close()
		return nil, nil, err
	}
	return db, copied, nil
}

// takeSnapshots returns snapshots of views of one stream, all at one sequence.
//
// A snapshot is a transaction of the file and the runs beyond what it holds.
// The runs are looked up first: should a commit then put more into the file
// than they reach to, or should they begin beyond it, everything is taken anew.
func takeSnapshots(s *Stream, views []*View) ([]*Snapshot, error) {
	for {
		st := s.state.Load()
		snaps, ok, err := snapshotsAt(st, views)
		if ok && err == nil {
			for _, snap := range snaps {
				snap.timer = time.AfterFunc(txAgeMax, snap.detach)
			}
			return snaps, nil
		}
		for _, snap := range snaps {
			snap.close()
		}
		if err != nil {
			return nil, err
		}
	}
}

func snapshotsAt(st *readState, views []*View) (snaps []*Snapshot, ok bool, err error) {
	for _, v := range views {
		vr, attached := st.views[v]
		if !attached {
			return snaps, false, fmt.Errorf("materialized view %s was replaced or dropped; run the statement again", v.Def().Name)
		}
		snap := &Snapshot{View: v, Seq: st.seq}
		err = snap.guard(func() (err error) {
			if snap.tx, err = v.store.db.Begin(false); err == nil {
				snap.meta, err = v.store.meta(snap.tx)
			}
			return err
		})
		snaps = append(snaps, snap)
		if err != nil {
			return snaps, false, err
		}
		if snap.meta.Applied < vr.base || snap.meta.Applied > vr.end() {
			return snaps, false, nil
		}
		runs := vr.runs
		snap.live = runs
		for len(runs) > 0 && runs[0].to <= snap.meta.Applied {
			runs = runs[1:]
		}
		if len(runs) > 0 && runs[0].from < snap.meta.Applied {
			return snaps, false, nil // a run that a commit cut through: cannot be
		}
		snap.runs = runs
		snap.drop = v.windows(v.shown(snap.meta, st.watermark))
	}
	return snaps, true, nil
}

func (s *Snapshot) close() {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx == nil {
		return
	}
	_ = s.tx.Rollback() // a read transaction: cannot fail
	s.tx = nil
	if s.copy != nil {
		if err := s.copy.Close(); err != nil {
			s.View.log().Warn("close the copy of a view's file", "error", err)
		}
	}
}

// Count returns the number of rows of a layer.
func (s *Snapshot) Count(ctx context.Context, l Layer) (n uint64, err error) {
	if n, ok, err := s.keptCount(l); ok || err != nil {
		return n, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(ctx, l)
}

// count takes as a fact how many rows the largest source has, and looks for the
// rows of the others there: the speed layer has few rows beside the batch layer,
// and the runs in memory few beside the open epoch.
func (s *Snapshot) count(ctx context.Context, l Layer) (n uint64, err error) {
	known := s.drop == nil || s.drop.floor == s.meta.Deleted // rows that are dropped are not in the file
	if l == Batch && known {
		return max(s.meta.BatchRows, s.keyless()), nil
	}
	err = s.guard(func() error {
		c := &Cursor{snap: s, layer: l, src: s.sources(l), ranges: All, drop: s.drop, ctx: ctx}
		var most *bucketSource
		if known && !c.perEpoch() {
			most = c.withoutMost()
		}
		for c.advance() {
			if c.stopped() {
				break
			}
			if most != nil {
				if k, _, err := most.rows.seek(most.c, c.current); err != nil {
					return err
				} else if bytes.Equal(k, c.current) {
					continue
				}
			}
			n++
		}
		if most != nil {
			n += *most.rows.rows
		}
		return errors.Join(s.damage, c.ended)
	})
	return max(n, s.keyless()), err
}

// withoutMost takes the bucket with the most rows from the sources, if the
// others have few beside it.
func (c *Cursor) withoutMost() (most *bucketSource) {
	var at int
	var rest uint64
	for i, s := range c.src {
		n := uint64(0)
		switch s := s.(type) {
		case *bucketSource:
			n = *s.rows.rows
			if most == nil || n > *most.rows.rows {
				if most != nil {
					rest += *most.rows.rows
				}
				most, at = s, i
				continue
			}
		case *tableSource:
			n = uint64(s.t.Len())
		}
		rest += n
	}
	// To find a row costs some ten times what a step to the next one does.
	if most == nil || rest > *most.rows.rows/10 {
		return nil
	}
	c.src = slices.Delete(c.src, at, at+1)
	return most
}

// countChunk is how many rows are counted between two looks at the context.
const countChunk = 10_000

// CountRanges returns the number of rows of a layer in ranges, which must be in
// order. It stops at most, unless that is 0.
func (s *Snapshot) CountRanges(ctx context.Context, l Layer, ranges []Range, most uint64) (n uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx == nil {
		return 0, errors.New("the statement that counts has ended")
	}
	out := s.View.Layout(l, nil, nil)
	err = s.guard(func() error {
		c := &Cursor{snap: s, layer: l, src: s.sources(l), moved: s.moved, ranges: ranges, drop: s.drop, out: out, ctx: ctx}
		for (most == 0 || n < most) && c.advance() {
			if n++; n%countChunk == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return errors.Join(s.damage, c.ended)
	})
	if n == 0 && coversEmpty(ranges) {
		n = s.keyless()
	}
	return n, err
}

// guard runs f, which reads the file, and has the view built again where that
// is damaged.
func (s *Snapshot) guard(f func() error) error {
	err := guard("read view "+s.View.Def().Name, f)
	if err == nil {
		return nil
	}
	return s.View.store.notice(err)
}

// bytes returns the size of the file that the snapshot sees.
func (s *Snapshot) bytes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(s.tx.Size())
}

// Estimate returns about how many rows a layer has, never fewer, without
// looking at them.
func (s *Snapshot) Estimate(l Layer) (n uint64) {
	if l != Speed {
		n += s.meta.BatchRows
	}
	if l != Batch {
		for _, e := range s.meta.Epochs {
			n += e.Rows
		}
		for _, r := range s.runs {
			n += uint64(r.table.Len())
		}
	}
	if l == Speed {
		for _, e := range s.meta.Retired {
			n += e.Rows
		}
	}
	return max(n, s.keyless())
}

// floor is the last window that retention has dropped of what the snapshot shows.
func (s *Snapshot) floor() int64 {
	if s.drop == nil {
		return noFloor
	}
	return s.drop.floor
}

// keyless is the number of rows that there are in any case: a view without
// group key has one.
func (s *Snapshot) keyless() uint64 {
	if len(s.View.plan.Keys) == 0 {
		return 1
	}
	return 0
}

package views

import (
	"context"
	"iter"

	"weir/views/column"
)

// scanFirst and scanMost bound the events that Scan asks the log for at a
// time: few at first, since many readers want only some.
const (
	scanFirst = 256
	scanMost  = 1 << 20
)

// Scan yields the stream's events in (after, until], decoded: batches with the
// given columns (indexes into AllColumns), in which Sel lists the rows to take,
// nil for all. Events that do not decode are left out; they are dead letters.
// A batch is valid until the next.
func (s *Stream) Scan(ctx context.Context, after, until uint64, cols []int) iter.Seq2[*column.Batch, error] {
	return func(yield func(*column.Batch, error) bool) {
		d, err := newDecoder(s.plan, cols)
		if err != nil {
			yield(nil, err)
			return
		}
		b := &column.Batch{}
		for size := uint64(scanFirst); after < until; size = min(size*8, scanMost) {
			to := min(after+size, until)
			for recs, err := range s.log.Read(ctx, after, to) {
				if err != nil {
					yield(nil, err)
					return
				}
				d.decode(recs, b)
				if !yield(b, nil) {
					return
				}
			}
			after = to
		}
	}
}

// SeqAt returns the last sequence whose event the log received before the time
// t, in nanoseconds since the epoch: the events from t on are those after it.
// It relies on the log's clock not going back.
func (s *Stream) SeqAt(ctx context.Context, t int64) (uint64, error) { return s.log.SeqAt(ctx, t) }

// Count returns how many events of the stream decode, which is what the log
// holds without the dead letters, reading only those that nobody has looked at
// yet. It says false where that is not known: with repeats, whose dead letters
// are not kept, or once the log or the dead letters have lost some.
func (s *Stream) Count(ctx context.Context) (n uint64, ok bool, err error) {
	if s.dedup != nil {
		return 0, false, nil
	}
	seen, dead := s.dead.looked()
	st, err := s.log.State(ctx)
	if err != nil || st.Messages == 0 {
		return 0, err == nil, err
	}
	if st.Messages != st.Last-st.First+1 || seen > st.Last {
		return 0, false, nil
	}
	if st.First > 1 {
		if dead, ok, err = s.dead.between(st.First, seen); err != nil || !ok {
			return 0, false, nil // the events themselves tell
		}
	}
	seen = max(seen, st.First-1)
	n = seen - (st.First - 1) - dead
	for b, err := range s.Scan(ctx, seen, st.Last, nil) {
		if err != nil {
			return 0, false, err
		}
		if b.Sel != nil {
			n += uint64(len(b.Sel))
		} else {
			n += uint64(b.Len)
		}
	}
	return n, true, nil
}

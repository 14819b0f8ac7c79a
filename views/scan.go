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
func (s *Stream) SeqAt(ctx context.Context, t int64) (uint64, error) {
	st, err := s.log.State(ctx)
	if err != nil || st.Messages == 0 {
		return 0, err
	}
	lo, hi := st.First-1, st.Last // lo is before t; what is above hi is not
	for lo < hi {
		mid := lo + (hi-lo+1)/2
		at, ok, err := s.timeAt(ctx, mid, hi)
		switch {
		case err != nil:
			return 0, err
		case ok && at < t:
			lo = mid
		default:
			hi = mid - 1
		}
	}
	return lo, nil
}

// timeAt returns the time of the first event with a sequence from seq to until,
// and whether there is one.
func (s *Stream) timeAt(ctx context.Context, seq, until uint64) (t int64, ok bool, err error) {
	to := seq
	for ; !ok && to <= until; to = to*2 - seq + 1 {
		for recs, err := range s.log.Read(ctx, seq-1, min(to, until)) {
			if err != nil {
				return 0, false, err
			}
			return recs[0].Time, true, nil
		}
		if to == until {
			break
		}
	}
	return 0, false, nil
}

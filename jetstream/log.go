package jetstream

import (
	"context"
	"fmt"
	"iter"
	"time"

	"weir/views"
)

// A log is one JetStream stream. It holds nothing that can go out of date: the
// server is asked each time.
type log struct {
	server   *Server
	name     string
	subjects []string
	created  time.Time
}

var _ views.Log = (*log)(nil)

// State returns the log's identity and extent.
func (l *log) State(ctx context.Context) (views.LogState, error) {
	stream, err := l.server.js.Stream(ctx, l.name)
	if err != nil {
		return views.LogState{}, fmt.Errorf("reading the state of log %s: %w", l.name, explain(ctx, err))
	}
	info := stream.CachedInfo()
	st := views.LogState{
		Created:  info.Created,
		First:    info.State.FirstSeq,
		Last:     info.State.LastSeq,
		Messages: info.State.Msgs,
		Bytes:    info.State.Bytes,
	}
	if st.Messages == 0 {
		st.First = st.Last + 1
		return st, nil
	}
	st.FirstTime, st.LastTime = info.State.FirstTime, info.State.LastTime
	return st, nil
}

// Read yields the records in (after, until], or follows the log where until is
// zero.
func (l *log) Read(ctx context.Context, after, until uint64) iter.Seq2[[]views.Record, error] {
	return func(yield func([]views.Record, error) bool) {
		if until != 0 && until <= after {
			return
		}
		r := newReader(ctx, l, after, until)
		defer r.close()
		for {
			batch, err := r.next()
			if err != nil {
				yield(nil, err)
				return
			}
			if len(batch) == 0 || !yield(batch, nil) {
				return
			}
		}
	}
}

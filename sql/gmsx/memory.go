package gmsx

import (
	"runtime/metrics"
	"sync/atomic"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
)

// A memory reports the heap to the engine, which asks before each growth of a
// GROUP BY, a DISTINCT or a sort. The engine's own reporter stops the world
// for every answer; this one reads a metric at most every memoryAge.
type memory struct {
	limit uint64
	used  atomic.Uint64
	at    atomic.Int64 // UnixNano of the latest reading
}

const memoryAge = 50 * time.Millisecond

var _ gms.Reporter = (*memory)(nil)

func newMemory(limit uint64) *memory { return &memory{limit: limit} }

func (m *memory) MaxMemory() uint64 { return m.limit }

func (m *memory) UsedMemory() uint64 {
	now := time.Now().UnixNano()
	at := m.at.Load()
	if now-at > int64(memoryAge) && m.at.CompareAndSwap(at, now) {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(s)
		if s[0].Value.Kind() == metrics.KindUint64 {
			m.used.Store(s[0].Value.Uint64())
		}
	}
	return m.used.Load()
}

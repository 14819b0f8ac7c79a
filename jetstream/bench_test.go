package jetstream

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/minio/highwayhash"

	"weir/views"
)

// events is as many 150-byte JSON events.
func events(n int) []views.Message {
	msgs := make([]views.Message, n)
	for i := range msgs {
		msgs[i].Payload = fmt.Appendf(nil,
			`{"ts":"2026-01-01T10:%02d:%02d.%06dZ","ip":"10.0.%d.%d","target":"/purchase/%06d/list?itembox=1&minprice=20","status":200,"latency":%.3f,"user":"user-%05d"}`,
			i/60%60, i%60, i%1e6, i%7, i%250, i%1e6, float64(i%1000)/7, i%1e5)
	}
	return msgs
}

func benchLog(b *testing.B, s *Server, n int) views.Log {
	b.Helper()
	l, err := s.CreateLog(b.Context(), views.LogConfig{Name: "bench", Subjects: []string{"bench"}})
	if err != nil {
		b.Fatal(err)
	}
	msgs := events(10_000)
	for ; n > 0; n -= len(msgs) {
		if _, err := s.Publish(b.Context(), "bench", msgs[:min(n, len(msgs))]); err != nil {
			b.Fatal(err)
		}
	}
	return l
}

// cpuTime returns what the process, and so server and reader together, has used.
// On a shared machine it is a better measure than the clock.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// report adds the rate, and the processor time of one operation.
func report(b *testing.B, unit string, cpu time.Duration) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), unit+"s/s")
	b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(b.N), "cpu-ns/"+unit)
}

// BenchmarkRead reads a log from its beginning, one record an operation.
func BenchmarkRead(b *testing.B) {
	const records = 500_000
	s := open(b, Config{Sync: 100 * time.Millisecond})
	l := benchLog(b, s, records)
	batches, left := 0, b.N
	b.ReportAllocs()
	cpu := cpuTime(b)
	b.ResetTimer()
	for left > 0 {
		n := min(left, records)
		for batch, err := range l.Read(b.Context(), 0, uint64(n)) {
			if err != nil {
				b.Fatal(err)
			}
			left -= len(batch)
			batches++
		}
	}
	report(b, "record", cpu)
	b.ReportMetric(float64(b.N)/float64(batches), "records/batch")
}

// BenchmarkFollow publishes one event at a time to a log that is followed, and
// measures from the acknowledgement to the record in the reader's hands; it is
// negative where the record comes first.
func BenchmarkFollow(b *testing.B) {
	s := open(b, Config{Sync: 100 * time.Millisecond})
	l := benchLog(b, s, 10)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	seen := make(chan time.Time, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for batch, err := range l.Read(ctx, 10, 0) {
			if err != nil {
				return
			}
			if len(batch) > 0 {
				seen <- time.Now()
			}
		}
	}()
	msg := events(1)
	var fromSend, fromAck []time.Duration
	for b.Loop() {
		sent := time.Now()
		if _, err := s.Publish(b.Context(), "bench", msg); err != nil {
			b.Fatal(err)
		}
		acked := time.Now()
		at := <-seen
		fromSend = append(fromSend, at.Sub(sent))
		fromAck = append(fromAck, at.Sub(acked))
	}
	cancel()
	<-done
	for name, d := range map[string][]time.Duration{"send": fromSend, "ack": fromAck} {
		slices.Sort(d)
		b.ReportMetric(float64(d[len(d)/2].Microseconds()), name+"-p50-µs")
		b.ReportMetric(float64(d[len(d)*99/100].Microseconds()), name+"-p99-µs")
	}
}

// BenchmarkPublish publishes batches, one event an operation.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{1, 1000, 10_000} {
		for _, ids := range []bool{false, true} {
			b.Run(fmt.Sprintf("batch=%d/ids=%t", size, ids), func(b *testing.B) {
				s := open(b, Config{Sync: 100 * time.Millisecond})
				benchLog(b, s, 1)
				msgs := events(size)
				b.ReportAllocs()
				cpu := cpuTime(b)
				b.ResetTimer()
				for n := 0; n < b.N; n += size {
					part := msgs[:min(size, b.N-n)]
					for i := range part {
						if ids {
							part[i].ID = fmt.Sprintf("%016x", n+i)
						}
					}
					if _, err := s.Publish(b.Context(), "bench", part); err != nil {
						b.Fatal(err)
					}
				}
				report(b, "event", cpu)
			})
		}
	}
}

// BenchmarkLive follows a log while it is published to as fast as it takes.
func BenchmarkLive(b *testing.B) {
	s := open(b, Config{Sync: 100 * time.Millisecond})
	l := benchLog(b, s, 1)
	msgs := events(2000)
	b.ReportAllocs()
	cpu := cpuTime(b)
	b.ResetTimer()
	failed := make(chan error, 1)
	go func() {
		for left := b.N; left > 0; left -= len(msgs) {
			if _, err := s.Publish(b.Context(), "bench", msgs[:min(left, len(msgs))]); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	read := 0
	for batch, err := range l.Read(b.Context(), 1, 0) {
		if err != nil {
			b.Fatal(err)
		}
		if read += len(batch); read >= b.N {
			break
		}
	}
	if err := <-failed; err != nil {
		b.Fatal(err)
	}
	report(b, "event", cpu)
}

// BenchmarkParse is what it takes to find the records of a block in memory and
// to verify them, one record an operation.
func BenchmarkParse(b *testing.B) {
	key := make([]byte, highwayhash.Size)
	var buf []byte
	msgs := events(2000)
	for i := range msgs {
		at := len(buf)
		buf = binary.LittleEndian.AppendUint32(buf, 0)
		buf = binary.LittleEndian.AppendUint64(buf, uint64(i+1))
		buf = binary.LittleEndian.AppendUint64(buf, uint64(time.Now().UnixNano()))
		buf = binary.LittleEndian.AppendUint16(buf, 5)
		buf = append(append(buf, "bench"...), msgs[i].Payload...)
		sum := highwayhash.Sum64(append(slices.Clone(buf[at+4:at+20]), buf[at+recordHead:]...), key)
		buf = binary.LittleEndian.AppendUint64(buf, sum)
		binary.LittleEndian.PutUint32(buf[at:], uint32(len(buf)-at))
	}
	left, cpu := b.N, cpuTime(b)
	b.ResetTimer()
	for ; left > 0; left -= len(msgs) {
		r := &blockReader{until: uint64(len(msgs)), subjects: map[string]string{}, records: make([]views.Record, 0, len(msgs))}
		if used, _, bad := r.parse(key, buf); bad || used != len(buf) {
			b.Fatal("the records do not parse")
		}
	}
	report(b, "record", cpu)
}

package jetstream

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"
	"unsafe"

	"weir/views"
)

// A wire is a connection to the server, within the process, that receives the
// messages of one consumer and nothing else. The client library makes five
// objects for every message and hands them over one by one; a wire reads as
// much as there is into an arena, parses it in place, and hands over once for
// all of it. What arrives while the caller is busy gathers here, and there is
// never more of it than one pull.
//
// The goroutine that reads never writes: the server's end may itself be
// writing when we do, and the pipe between us has no buffer.
type wire struct {
	conn      net.Conn
	inbox     string // replies to pulls come to inbox.<n>
	ackPrefix string // of the subjects that deliveries say their numbers in

	goroutines sync.WaitGroup
	writing    sync.Mutex    // held to write to conn
	ready      chan struct{} // holds a token when there is something new to take
	ponged     chan struct{} // closed at the first PONG

	mu       sync.Mutex // guards what follows
	in       arrivals
	lost     error  // why nothing more comes
	seq      uint64 // last number that the server gave to a message for this consumer
	pos      uint64 // last sequence of the log that came
	pull     pull
	subjects map[string]string // interned
	subject  string            // the last one
	free     []*arena
}

// arrivals are what came since the caller last took some.
type arrivals struct {
	records   []views.Record
	arenas    []*arena // that records refer to
	pending   uint64   // what the log held for the consumer after the last record
	heartbeat bool     // the server said, after the records, that it has no more
}

// A pull is the request for messages that is under way.
type pull struct {
	name  string
	left  int // messages that it may still bring; 0 when it is over
	bytes int // bytes that it may still bring
}

// An arena is a piece of memory that messages are received into. It is used
// again when it is full and no arrivals refer to it.
type arena struct {
	buf  []byte
	refs int
}

const (
	arenaSize = 256 << 10 // a few of the server's writes
	arenaMin  = 8 << 10   // less room than this is not worth a read
	freeMax   = 64        // arenas kept for use again
	lineMax   = 64 << 10  // a longer protocol line is not NATS

	// What the server sends comes two or three messages to a read, and waking
	// the caller costs more than parsing them. So while more is certain to
	// come at once, the caller is woken for this many, or after holdMax.
	holdRecords = 512
	holdMax     = 2 * time.Millisecond
)

// internMax bounds the subjects remembered; logs are meant to have few.
const internMax = 4096

// dial opens a wire that expects a consumer's messages after the sequence pos.
func dial(s *Server, user, password, inbox, ackPrefix string, pos uint64) (*wire, error) {
	conn, err := s.InProcessConn()
	if err != nil {
		return nil, err
	}
	w := &wire{
		conn:      conn,
		inbox:     inbox,
		ackPrefix: ackPrefix,
		ready:     make(chan struct{}, 1),
		ponged:    make(chan struct{}),
		pos:       pos,
		subjects:  map[string]string{},
	}
	w.goroutines.Go(w.receive)
	err = w.write(fmt.Appendf(nil, "CONNECT {\"user\":%q,\"pass\":%q,\"name\":\"weir reader\",\"lang\":\"go\","+
		"\"protocol\":1,\"headers\":true,\"no_responders\":true}\r\nSUB %s.* 1\r\nPING\r\n", user, password, inbox))
	if err == nil {
		err = w.awaitPong()
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *wire) awaitPong() error {
	timer := time.NewTimer(requestTimeout)
	defer timer.Stop()
	for {
		select {
		case <-w.ponged:
			return nil
		case <-w.ready:
			w.mu.Lock()
			err := w.lost
			w.mu.Unlock()
			if err != nil {
				return err
			}
		case <-timer.C:
			return errors.New("the nats server does not answer")
		}
	}
}

// close ends the wire and its goroutines. What was taken stays valid.
func (w *wire) close() {
	w.conn.Close()
	w.goroutines.Wait()
}

func (w *wire) write(p []byte) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	_, err := w.conn.Write(p)
	return err
}

// request sends a pull of up to n messages and size bytes to subject.
func (w *wire) request(subject, name string, n, size int) error {
	body := fmt.Appendf(nil, `{"batch":%d,"max_bytes":%d,"expires":%d,"idle_heartbeat":%d}`,
		n, size, pullExpires, pullHeartbeat)
	w.mu.Lock()
	w.pull = pull{name: name, left: n, bytes: size}
	w.mu.Unlock()
	return w.write(fmt.Appendf(nil, "PUB %s %s %d\r\n%s\r\n", subject, name, len(body), body))
}

// take puts what has arrived into got, whose former contents may be overwritten
// from now on. It reports whether the pull is over, and why nothing more comes.
func (w *wire) take(got *arrivals) (idle bool, lost error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range got.arenas {
		w.release(a)
	}
	*got = arrivals{records: got.records[:0], arenas: got.arenas[:0], pending: w.in.pending}
	w.in, *got = *got, w.in
	return w.pull.left <= 0, w.lost
}

// receive reads until the connection ends.
func (w *wire) receive() {
	a := &arena{buf: make([]byte, arenaSize), refs: 1}
	start, end := 0, 0 // what is received and not yet parsed
	holding := false   // records that the caller has not been woken for
	for {
		n, err := w.conn.Read(a.buf[end:])
		if holding && errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
		end += n
		w.mu.Lock()
		used, need, parseErr := w.parse(a, a.buf[start:end])
		start += used
		if err == nil {
			err = parseErr
		}
		if err != nil && w.lost == nil {
			w.lost = err
		}
		if len(a.buf)-end < arenaMin || len(a.buf)-start < need {
			a, start, end = w.renew(a, start, end, need)
		}
		hold := n > 0 && w.moreComes()
		w.mu.Unlock()
		if hold != holding {
			holding = hold
			w.setHold(hold)
		}
		if !hold {
			w.signal()
		}
		if err != nil {
			return
		}
	}
}

// moreComes reports whether the caller does better to wait a moment for more
// records. REQUIRES: w.mu is held.
func (w *wire) moreComes() bool {
	n := len(w.in.records)
	return 0 < n && n < holdRecords && w.in.pending > 0 && w.pull.left > 0 && !w.in.heartbeat && w.lost == nil
}

// setHold bounds the wait for more. Retention may drop what was certain to
// come, and then nothing does.
func (w *wire) setHold(on bool) {
	var deadline time.Time
	if on {
		deadline = time.Now().Add(holdMax)
	}
	_ = w.conn.SetReadDeadline(deadline)
}

func (w *wire) signal() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// renew returns another arena that begins with what is left to parse of a, and
// has room for a message of need bytes. REQUIRES: w.mu is held.
func (w *wire) renew(a *arena, start, end, need int) (*arena, int, int) {
	size := max(arenaSize, need+arenaMin, end-start+2*arenaMin)
	next := &arena{refs: 1}
	if n := len(w.free); n > 0 && size == arenaSize {
		next, w.free = w.free[n-1], w.free[:n-1]
		next.refs = 1
	} else {
		next.buf = make([]byte, size)
	}
	n := copy(next.buf, a.buf[start:end])
	w.release(a)
	return next, 0, n
}

// release counts one user of a less. REQUIRES: w.mu is held.
func (w *wire) release(a *arena) {
	if a.refs--; a.refs == 0 && len(a.buf) == arenaSize && len(w.free) < freeMax {
		w.free = append(w.free, a)
	}
}

// parse acts on the protocol operations that buf, a part of a, holds in full.
// It returns how many bytes they are, and how many the next one needs, as far
// as that can be told. REQUIRES: w.mu is held.
func (w *wire) parse(a *arena, buf []byte) (used, need int, err error) {
	for {
		rest := buf[used:]
		eol := bytes.IndexByte(rest, '\n')
		if eol < 0 {
			if len(rest) > lineMax {
				return used, 0, errors.New("the nats server sent a line without an end")
			}
			return used, 0, nil
		}
		line := bytes.TrimSuffix(rest[:eol], []byte("\r"))
		size := eol + 1
		switch {
		case bytes.HasPrefix(line, []byte("MSG ")), bytes.HasPrefix(line, []byte("HMSG ")):
			m, ok := parseMessage(line)
			if !ok {
				return used, 0, fmt.Errorf("the nats server sent %q", line)
			}
			size += m.total + len("\r\n")
			if len(rest) < size {
				return used, size, nil
			}
			w.message(a, m, rest[eol+1:eol+1+m.total])
		case bytes.HasPrefix(line, []byte("PING")):
			w.goroutines.Go(func() { _ = w.write([]byte("PONG\r\n")) })
		case bytes.HasPrefix(line, []byte("PONG")):
			close(w.ponged)
		case bytes.HasPrefix(line, []byte("-ERR")):
			return used, 0, fmt.Errorf("the nats server says %s", bytes.TrimSpace(line[len("-ERR"):]))
		}
		used += size
	}
}

// A message is one MSG or HMSG line. Its parts are parts of the line.
type message struct {
	subject, reply []byte
	header, total  int // bytes of the headers, and of headers and payload
}

// parseMessage reads "MSG subject sid [reply] total" or
// "HMSG subject sid [reply] header total".
func parseMessage(line []byte) (m message, ok bool) {
	var fields [6][]byte
	n := 0
	for n < len(fields) {
		i := bytes.IndexByte(line, ' ')
		if i < 0 {
			fields[n] = line
			n++
			break
		}
		fields[n], line = line[:i], line[i+1:]
		n++
	}
	numbers := 1
	if fields[0][0] == 'H' {
		numbers = 2
	}
	m.subject = fields[1]
	switch n - numbers {
	case 3:
	case 4:
		m.reply = fields[3]
	default:
		return m, false
	}
	total, _, ok := parseUint(fields[n-1], 0)
	if numbers == 2 && ok {
		var header uint64
		header, _, ok = parseUint(fields[n-2], 0)
		m.header = int(header)
	}
	m.total = int(total)
	return m, ok && m.header <= m.total && m.total <= 2*payloadMax
}

// message adds a delivery to the arrivals, or acts on what the server has to
// say. REQUIRES: w.mu is held.
func (w *wire) message(a *arena, m message, data []byte) {
	if w.lost != nil {
		return
	}
	if len(m.reply) == 0 {
		w.status(m, data)
		return
	}
	d, ok := w.parseDelivery(m.reply)
	if !ok || d.consumerSeq != w.seq+1 || d.streamSeq <= w.pos {
		w.lost = fmt.Errorf("%w: after %d came %s", errMissed, w.seq, m.reply)
		return
	}
	w.seq, w.pos = d.consumerSeq, d.streamSeq
	w.pull.left--
	w.pull.bytes -= len(m.subject) + len(m.reply) + m.total
	if w.pull.bytes <= 0 {
		w.pull.left = 0
	}
	w.in.pending, w.in.heartbeat = d.pending, false
	if n := len(w.in.arenas); n == 0 || w.in.arenas[n-1] != a {
		w.in.arenas = append(w.in.arenas, a)
		a.refs++
	}
	w.in.records = append(w.in.records, views.Record{
		Seq:     d.streamSeq,
		Time:    d.time,
		Subject: w.intern(m.subject),
		ID:      messageID(data[:m.header]),
		Payload: data[m.header:m.total:m.total],
	})
}

var (
	errMissed = errors.New("messages are missing")
	errGone   = errors.New("the consumer is gone")
)

func (w *wire) intern(subject []byte) string {
	if string(subject) == w.subject {
		return w.subject
	}
	s, ok := w.subjects[string(subject)]
	if !ok {
		if len(w.subjects) == internMax {
			clear(w.subjects)
		}
		s = string(subject)
		w.subjects[s] = s
	}
	w.subject = s
	return s
}

var idHeader = []byte("\r\nNats-Msg-Id:")

// messageID returns the ID that the headers give, as a string that refers to
// them: like the payload, it is valid as long as its batch.
func messageID(header []byte) string {
	i := bytes.Index(header, idHeader)
	if i < 0 {
		return ""
	}
	value := header[i+len(idHeader):]
	if end := bytes.IndexByte(value, '\r'); end >= 0 {
		value = value[:end]
	}
	value = bytes.TrimSpace(value)
	return unsafe.String(unsafe.SliceData(value), len(value))
}

// A delivery is what the reply subject of a message says about it.
type delivery struct {
	streamSeq   uint64
	consumerSeq uint64
	time        int64
	pending     uint64 // messages for this consumer after this one
}

// parseDelivery reads $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>.
func (w *wire) parseDelivery(reply []byte) (d delivery, ok bool) {
	i := len(w.ackPrefix)
	if len(reply) < i || string(reply[:i]) != w.ackPrefix {
		return d, false
	}
	var n [5]uint64
	for k := range n {
		if n[k], i, ok = parseUint(reply, i); !ok {
			return d, false
		}
		i++ // the dot
	}
	return delivery{streamSeq: n[1], consumerSeq: n[2], time: int64(n[3]), pending: n[4]}, i == len(reply)+1
}

// status acts on a message of the server's own, which is all headers:
// "NATS/1.0 <code> <text>" and some more lines. REQUIRES: w.mu is held.
func (w *wire) status(m message, data []byte) {
	first, more, _ := strings.Cut(string(data[:m.header]), "\r\n")
	_, first, _ = strings.Cut(first, " ")
	code, text, _ := strings.Cut(first, " ")
	switch {
	case code == "100":
		w.heartbeat(more)
	case code == "404", code == "408", code == "409" && (text == "Batch Completed" || text == "Message Size Exceeds MaxBytes"):
		if string(m.subject) == w.pull.name {
			w.pull.left = 0
		}
	default: // "409 Consumer Deleted", "503" when nobody answers for it, …
		w.lost = fmt.Errorf("%w: %s", errGone, first)
	}
}

// heartbeat says that the server has delivered all there is. One that counts
// more messages than came says that the last of them were lost.
func (w *wire) heartbeat(headers string) {
	w.in.heartbeat = true
	_, value, _ := strings.Cut(headers, "Nats-Last-Consumer: ")
	if last, _, ok := parseUint(value, 0); ok && last > w.seq {
		w.lost = fmt.Errorf("%w: the server has delivered %d, and %d came", errMissed, last, w.seq)
	}
}

// parseUint reads the decimal number that begins at b[i] and returns the index
// after it.
func parseUint[T string | []byte](b T, i int) (n uint64, end int, ok bool) {
	for end = i; end < len(b) && b[end]-'0' < 10; end++ {
		n = n*10 + uint64(b[end]-'0')
	}
	return n, end, end > i
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// publishFlags are those of the publisher's process.
type publishFlags struct {
	URL     string `name:"url"`
	Subject string
	File    string // a line is an event; begun again where there are not enough
	Count   int64
	Rate    int64 `help:"Events a second; 0 is as fast as it goes."`
}

// window is how many events may wait for their acknowledgement.
const window = 4096

// publish sends events as programs do: asynchronously, every one of them
// acknowledged. It prints when it began and when the last acknowledgement came,
// in Unix nanoseconds, and in between, with a rate, a hundred times a second
// the sequence of an event, when it was sent and when it was acknowledged.
func publish(ctx context.Context, o publishFlags) error {
	lines, err := mapped(o.File)
	if err != nil {
		return err
	}
	conn, err := nats.Connect(o.URL, nats.Name("bench"), nats.MaxReconnects(0))
	if err != nil {
		return err
	}
	defer conn.Close()
	var failed atomic.Pointer[error]
	js, err := natsjs.New(conn, natsjs.WithPublishAsyncMaxPending(window), natsjs.WithPublishAsyncErrHandler(func(_ natsjs.JetStream, _ *nats.Msg, err error) {
		failed.CompareAndSwap(nil, &err)
	}))
	if err != nil {
		return err
	}
	marks := make(chan mark, window)
	done := make(chan struct{})
	out := bufio.NewWriter(os.Stdout)
	go func() {
		defer close(done)
		for m := range marks {
			select {
			case ack := <-m.ack.Ok():
				fmt.Fprintln(out, ack.Sequence, m.sent.UnixNano(), time.Now().UnixNano())
				_ = out.Flush()
			case err := <-m.ack.Err():
				failed.CompareAndSwap(nil, &err)
			}
		}
	}()
	begin := time.Now()
	fmt.Println(begin.UnixNano())
	every, rest := max(o.Rate/100, 1), lines
	for i := range o.Count {
		if len(rest) == 0 {
			rest = lines
		}
		at := bytes.IndexByte(rest, '\n')
		msg := &nats.Msg{Subject: o.Subject, Data: rest[:at]}
		rest = rest[at+1:]
		ack, err := js.PublishMsgAsync(msg, natsjs.WithStallWait(time.Minute))
		if err != nil {
			return err
		}
		if o.Rate == 0 || (i+1)%every != 0 {
			continue
		}
		marks <- mark{time.Now(), ack}
		time.Sleep(time.Until(begin.Add(time.Duration(i+1) * time.Second / time.Duration(o.Rate))))
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-ctx.Done():
		return ctx.Err()
	}
	end := time.Now()
	close(marks)
	<-done
	if err := failed.Load(); err != nil {
		return fmt.Errorf("an event was not taken: %w", *err)
	}
	fmt.Println(end.UnixNano())
	return nil
}

// A mark is an event that freshness is measured on.
type mark struct {
	sent time.Time
	ack  natsjs.PubAckFuture
}

// mapped returns a file of lines as memory, so that reading it costs the
// publisher next to nothing.
func mapped(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	text, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(text) == 0 || text[len(text)-1] != '\n' {
		return nil, errors.New(path + ": no lines")
	}
	return text, nil
}

// publisher starts this program again, as a publisher.
func publisher(ctx context.Context, o publishFlags) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], "publish", "--url="+o.URL, "--subject="+o.Subject, "--file="+o.File,
		"--count="+strconv.FormatInt(o.Count, 10), "--rate="+strconv.FormatInt(o.Rate, 10))
	cmd.Stderr = os.Stderr
	return cmd
}

// publishAll publishes as fast as it goes; it returns when that began and when
// the last acknowledgement came.
func publishAll(ctx context.Context, o publishFlags) (begin, end time.Time, err error) {
	out, err := publisher(ctx, o).Output()
	if err != nil {
		return begin, end, fmt.Errorf("publisher: %w", err)
	}
	var first, last int64
	if _, err := fmt.Sscan(string(out), &first, &last); err != nil {
		return begin, end, fmt.Errorf("publisher: %w", err)
	}
	return time.Unix(0, first), time.Unix(0, last), nil
}

// An ack is what a publisher with a rate says of an event.
type ack struct {
	seq         int64
	sent, acked time.Time
}

// readAcks sends what a publisher says to a channel, which it closes.
func readAcks(r io.Reader, to chan<- ack) {
	defer close(to)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		var seq, sent, acked int64
		if n, _ := fmt.Sscan(lines.Text(), &seq, &sent, &acked); n == 3 {
			to <- ack{seq, time.Unix(0, sent), time.Unix(0, acked)}
		}
	}
}

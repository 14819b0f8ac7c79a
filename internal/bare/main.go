// Command bare is what weir is measured beside: the log alone, and the loops
// over it that anyone would write.
//
//	bare serve DIR LOG     the embedded JetStream with one log and nobody reading
//	bare read DIR LOG      loops over all events of that log, as JSON lines
//
// serve prints where it is and ends when it is interrupted. read prints a line
// for each loop: following the log, as live work does; in bulk, from the files; and in bulk with the fields of -fields decoded and their texts counted
// in a map, which is what a batch job written by hand would do.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"weir/jetstream"
	"weir/views"
)

func main() {
	sync := flag.Duration("sync", 100*time.Millisecond, "how long an acknowledged event may wait for its fsync; 0 is none at all")
	fields := flag.String("fields", "", "read: the fields to decode, joined by commas; the first two make the key")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch {
	case flag.NArg() == 3 && flag.Arg(0) == "serve":
		err = serve(ctx, flag.Arg(1), flag.Arg(2), *sync)
	case flag.NArg() == 3 && flag.Arg(0) == "read":
		err = read(ctx, flag.Arg(1), flag.Arg(2), strings.Split(*fields, ","))
	default:
		err = errors.New("usage: bare serve|read DIR LOG")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

func open(ctx context.Context, dir string, sync time.Duration) (*jetstream.Server, error) {
	return jetstream.Open(ctx, jetstream.Config{Dir: dir, Addr: "127.0.0.1:0", Sync: sync, Logger: slog.New(slog.DiscardHandler)})
}

func serve(ctx context.Context, dir, name string, sync time.Duration) error {
	s, err := open(ctx, dir, sync)
	if err != nil {
		return err
	}
	if _, err := s.CreateLog(ctx, views.LogConfig{Name: name, Subjects: []string{name}}); err != nil {
		return err
	}
	fmt.Println("nats://" + s.Addr())
	<-ctx.Done()
	return s.Close()
}

// A line of what read prints.
type line struct {
	Loop    string
	Events  uint64
	Seconds float64
}

func read(ctx context.Context, dir, name string, fields []string) error {
	s, err := open(ctx, dir, 100*time.Millisecond)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for _, loop := range []struct {
		name           string
		follow, decode bool
	}{{"following", true, false}, {"bulk", false, false}, {"bulk, decoded", false, true}} {
		begin := time.Now()
		events, err := walk(ctx, s, name, fields, loop.follow, loop.decode)
		if err != nil {
			return errors.Join(err, s.Close())
		}
		if err := out.Encode(line{loop.name, events, time.Since(begin).Seconds()}); err != nil {
			return err
		}
	}
	return s.Close()
}

// walk reads the whole log, perhaps as live work follows it, and, if asked,
// decodes the fields of each event and counts the keys.
func walk(ctx context.Context, s *jetstream.Server, name string, fields []string, follow, decode bool) (events uint64, err error) {
	log, err := s.OpenLog(ctx, name)
	if err != nil {
		return 0, err
	}
	state, err := log.State(ctx)
	if err != nil {
		return 0, err
	}
	until := state.Last
	if follow {
		until = 0
	}
	var p fastjson.Parser
	var key []byte
	groups := map[string]int{}
	for recs, err := range log.Read(ctx, 0, until) {
		if err != nil {
			return 0, err
		}
		for i := range recs {
			if !decode {
				continue
			}
			v, err := p.ParseBytes(recs[i].Payload)
			if err != nil {
				return 0, err
			}
			key = key[:0]
			for j, f := range fields {
				field := v.Get(f)
				if j < 2 && field != nil {
					key = append(field.MarshalTo(key), '\t')
				}
			}
			groups[string(key)]++
		}
		events += uint64(len(recs))
		if recs[len(recs)-1].Seq == state.Last {
			break
		}
	}
	if decode && len(groups) == 0 {
		return 0, errors.New("nothing was decoded")
	}
	return events, nil
}

package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"weir/internal/terminal"
	"weir/jetstream/publisher"
	"weir/sql/ddl"
	"weir/views"
)

// A Config says what to publish, and where.
type Config struct {
	URL      string   // nats://host:port, or host:port
	User     string   // "" is root
	Password string   // of the user; "" where the server asks for none
	CAFile   string   // certificates that the server's is checked against; "" is the system's
	Stream   string   // name, or database.name
	Files    []string // "-" is standard input
	Subject  string   // "" for the stream's first without wildcards
	As       string   // knows the one file by this name and not by its beginning; "" for the beginning
	Rate     int      // events a second, at most; 0 for no limit
	Strict   bool     // a line that cannot be an event ends the run
	Stdin    io.Reader
	Out      io.Writer // the result
	Err      io.Writer // progress and what was skipped

	quiet time.Duration // quietTime, except in tests
}

// A loader is one run.
type loader struct {
	cfg     Config
	client  *publisher.Publisher
	log     publisher.Log
	subject string
	run     string // names the run
	show    *display
	pace    pace

	feed    *feed  // that acknowledgements are for
	lastSeq uint64 // highest of the sources so far

	already atomic.Uint64 // events that were in the log before
	skipped atomic.Uint64 // lines that cannot be events
}

// Run publishes every line of the files that the log does not have yet, and
// returns once all are acknowledged. It says on cfg.Out what it did, also
// before it returns an error. When ctx is done it returns an error after what
// was under way is acknowledged and the marks are set.
func Run(ctx context.Context, cfg Config) (err error) {
	sources := make([]*source, len(cfg.Files))
	for n, name := range cfg.Files {
		if sources[n], err = newSource(name, cfg.Stdin); err != nil {
			return err
		}
	}
	if cfg.quiet == 0 {
		cfg.quiet = quietTime
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &loader{cfg: cfg, run: token(), pace: newPace(cfg.Rate)}
	l.client, err = publisher.Dial(publisher.Config{URL: cfg.URL, User: cfg.User, Password: cfg.Password, CAFile: cfg.CAFile, OnAck: l.acknowledged})
	if err != nil {
		return fmt.Errorf("%w: --nats says where weir serve listens, and WEIR_PASSWORD its password", err)
	}
	defer l.client.Close()
	if err := l.findLog(ctx); err != nil {
		return err
	}
	if err := l.findSubject(ctx); err != nil {
		return err
	}
	l.show = newDisplay(l, sources)
	l.show.start()
	for _, s := range sources {
		if err = l.load(ctx, s); err != nil {
			break
		}
	}
	l.show.end()
	return err
}

// findLog finds the log of the stream.
func (l *loader) findLog(ctx context.Context) (err error) {
	database, name, ok := strings.Cut(l.cfg.Stream, ".")
	if !ok {
		database, name = views.DefaultDatabase, l.cfg.Stream
	}
	l.log, err = l.client.Log(ctx, views.LogName(database, name))
	if !errors.Is(err, publisher.ErrNoLog) {
		return err
	}
	names, err := l.client.Logs(ctx)
	if err != nil {
		return err
	}
	switch near := ddl.Nearest(l.cfg.Stream, names); {
	case near != "":
		return fmt.Errorf("stream %s does not exist: did you mean %s?", l.cfg.Stream, near)
	case len(names) == 0:
		return fmt.Errorf("stream %s does not exist: make it with CREATE STREAM", l.cfg.Stream)
	}
	return fmt.Errorf("stream %s does not exist: there is %s; CREATE STREAM makes another", l.cfg.Stream, some(names))
}

// namesShown is how many names an error lists.
const namesShown = 10

func some(names []string) string {
	if len(names) > namesShown {
		names = append(slices.Clone(names[:namesShown]), "…")
	}
	return strings.Join(names, ", ")
}

// findSubject finds what to publish to, and makes sure that it is the log's.
func (l *loader) findSubject(ctx context.Context) error {
	takes := strings.Join(l.log.Subjects, ", ")
	l.subject = l.cfg.Subject
	if l.subject == "" {
		n := slices.IndexFunc(l.log.Subjects, func(s string) bool { return !wild(s) })
		if n < 0 {
			return fmt.Errorf("stream %s takes %s: say with --subject which of these the events are", l.cfg.Stream, takes)
		}
		l.subject = l.log.Subjects[n]
		return nil
	}
	if wild(l.subject) || strings.ContainsAny(l.subject, " \t\r\n") {
		return fmt.Errorf("--subject %s: an event has one subject: words joined by dots, without * and >", l.subject)
	}
	switch name, err := l.client.LogOf(ctx, l.subject); {
	case err != nil && !errors.Is(err, publisher.ErrNoLog):
		return err
	case name != l.log.Name:
		return fmt.Errorf("--subject %s is not of stream %s: it takes %s", l.subject, l.cfg.Stream, takes)
	}
	return nil
}

// wild reports whether a subject stands for many.
func wild(subject string) bool {
	return slices.ContainsFunc(strings.Split(subject, "."), func(word string) bool { return word == "*" || word == ">" })
}

// load publishes one source.
func (l *loader) load(ctx context.Context, s *source) error {
	t, err := s.open(ctx, &l.show.read)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, readError(err))
	}
	l.show.begin(s)
	f, err := l.find(ctx, s, t)
	defer func() { f.text.close() }()
	switch {
	case err != nil && ctx.Err() != nil:
		err = errors.New("interrupted before anything was published")
	case err == nil && f.file != "":
		l.show.resumed()
		err = f.publish(ctx)
		l.lastSeq = max(l.lastSeq, f.position.seq)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	l.show.finish(s)
	return nil
}

// find finds out where a source is to be published from. The feed has no file
// if there is nothing in it.
func (l *loader) find(ctx context.Context, s *source, t *text) (*feed, error) {
	f := newFeed(l, s, t)
	size := blockSize
	if !s.again {
		size = 1 // more may take long to come, and says nothing
	}
	block, err := t.block(size)
	if err != nil || len(block) == 0 {
		return f, err
	}
	if !s.again && l.cfg.As == "" {
		f.file = token()
		return f, nil
	}
	return f, l.claim(ctx, f, identify(l.log.Name, l.cfg.As, block))
}

// errAgain says that a run has ended in order while its mark was looked at.
var errAgain = errors.New("another run has just published it: run this again")

// claim finds the mark of a source and makes it this run's.
func (l *loader) claim(ctx context.Context, f *feed, who identity) error {
	for {
		err := l.claimOnce(ctx, f, who)
		if !errors.Is(err, errAgain) || !f.src.again {
			return err
		}
	}
}

func (l *loader) claimOnce(ctx context.Context, f *feed, who identity) error {
	if err := l.match(ctx, f, who); err != nil {
		return err
	}
	if f.mark.Run != "" {
		if err := l.awaitQuiet(ctx, f); err != nil {
			return err
		}
	}
	who.update(&f.mark.mark)
	if err := f.save(ctx, false); err != nil {
		return err
	}
	return f.lookBack(ctx)
}

// match puts f behind the furthest mark that the source continues, or gives it
// a fresh one.
func (l *loader) match(ctx context.Context, f *feed, who identity) error {
	all, err := l.marks(ctx, who)
	if err != nil {
		return err
	}
	if l.log, err = l.client.Log(ctx, l.log.Name); err != nil { // it has all that the marks speak of
		return err
	}
	mine := slices.DeleteFunc(slices.Clone(all), func(m found) bool {
		return !m.Log.Equal(l.log.Created) || !who.begins(&m.mark)
	})
	slices.SortFunc(mine, func(a, b found) int { return cmp.Compare(b.Offset, a.Offset) })
	longest := int64(0) // of those that the source is shorter than
	for _, m := range mine {
		err := f.resume(ctx, m)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, errShort) && !errors.Is(err, errOther):
			return err
		case who.as != "":
			return fmt.Errorf("%s bytes are in the log as %s, and this does not begin with them: publish it under another name with --as",
				terminal.Group(m.Offset), who.as)
		case errors.Is(err, errShort):
			longest = max(longest, m.Offset)
		}
	}
	if longest > 0 {
		return fmt.Errorf("it begins like a file of which %s bytes are in the log, and is shorter: "+
			"if it is another file, give it a name with --as; if it was cut, there is nothing left to publish", terminal.Group(longest))
	}
	if err := f.rewind(ctx); err != nil {
		return err
	}
	f.begin(who.fresh(all, l.log), f.text, nil)
	return nil
}

// resume puts f behind a mark, or returns errShort or errOther where the source
// does not continue it.
func (f *feed) resume(ctx context.Context, m found) error {
	lost, err := f.l.lost(ctx, &m)
	if err != nil {
		return err
	}
	if lost && !f.src.again { // it can be read once, and will be from the beginning
		f.beginAgain(m)
		return nil
	}
	if err := f.rewind(ctx); err != nil {
		return err
	}
	f.unread = false
	rest, tail, err := f.text.resume(&m.mark)
	if err != nil {
		return err
	}
	if !lost {
		f.begin(m, rest, tail)
		return nil
	}
	if err := f.rewind(ctx); err != nil {
		return err
	}
	f.beginAgain(m)
	return nil
}

// lost reports whether the log no longer has the event that a mark names last,
// although it has not dropped it for its age.
func (l *loader) lost(ctx context.Context, m *found) (bool, error) {
	if max(m.From, m.Seq) > l.log.Last {
		return true, nil
	}
	if m.Seq < l.log.First { // it has none yet, or the log has dropped it
		return false, nil
	}
	stored, ok, err := l.client.At(ctx, l.log.Name, m.Seq)
	if err != nil {
		return false, err
	}
	_, mine := lineEnd(m.id(), stored.ID)
	return !ok || !mine, nil
}

// awaitQuiet returns nil once nobody has changed the mark for a while.
func (l *loader) awaitQuiet(ctx context.Context, f *feed) error {
	l.show.note("%s: an earlier run did not end in order; making sure that it is not at work", f.src.name)
	tick := time.NewTicker(min(quietTick, l.cfg.quiet))
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < l.cfg.quiet; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		now, err := l.client.Mark(ctx, f.mark.key)
		if err != nil {
			return err
		}
		if now.Revision != f.revision {
			return taken(now)
		}
	}
	return nil
}

// acknowledged is called by the client.
func (l *loader) acknowledged(ack publisher.Ack) { l.feed.acknowledged(ack) }

package views

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"weir/internal/fault"
)

// Config says where an Engine keeps its files and what it works with.
type Config struct {
	Dir      string // data directory; the engine uses catalog.db, views/ and streams/ in it
	Broker   Broker
	Compiler Compiler
	Logger   *slog.Logger
	Clock    Clock // of the batch layer; nil is the time of day

	// KeepLeast is from how many rows on columns are kept in memory that passes
	// over a view read, KeepMost how many bytes of them: 0 is some thousands,
	// and 256 MiB or an eighth of GOMEMLIMIT.
	KeepLeast int
	KeepMost  int64
}

// DefaultDatabase is the database of a log that carries its stream's name alone.
const DefaultDatabase = "analytics"

// What a name can be wrong for. Errors of the engine wrap these.
var (
	ErrExists  = errors.New("already exists")
	ErrUnknown = errors.New("does not exist")
	// ErrNoPrevious is of a view that ROLLBACK finds nothing for.
	ErrNoPrevious = errors.New("has no previous version")

	ErrInUse    = errors.New("is in use")
	ErrBuilding = errors.New("is still being built")
	ErrFailed   = errors.New("has failed")
)

// An Engine runs every stream and view of one data directory.
type Engine struct {
	dir      string
	broker   Broker
	compiler Compiler
	log      *slog.Logger
	clock    Clock
	catalog  *catalog
	jobs     jobs
	governor governor
	kept     *keptColumns

	ctx  context.Context // of builds and schedulers
	stop context.CancelFunc
	wg   sync.WaitGroup // builds, and files that wait for their readers to be closed

	// streamMu is held while a stream is made or dropped, so that what one does
	// to the log of a name is over before the next begins. It is taken before mu.
	streamMu sync.Mutex

	rebuilt sync.Map // name key to when the view was built again for damage

	// mu guards the names. It is held for moments, never while something runs.
	mu       sync.RWMutex
	streams  map[string]*streamEntry
	views    map[string]*View // that answer queries, or have failed
	building map[string]*build
	previous map[string]*previous

	// versionMu is held while what a name stands for changes, in the catalog
	// and in memory. It is taken before mu.
	versionMu sync.Mutex
}

// A streamEntry is a stream with what stops it.
type streamEntry struct {
	*Stream
	stopFollow, stopCommit context.CancelFunc
	followed, committed    chan struct{}
}

// Open recovers the streams and views of cfg.Dir and starts following their
// logs. It returns when every view has caught up with what it had applied
// before, so that reads are consistent from the first, and with the log, if
// that does not take long. A view whose file is missing, damaged, or of another
// log is built again meanwhile.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	for _, sub := range []string{"views", "streams"} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	cat, err := openCatalog(cfg.Dir)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		dir: cfg.Dir, broker: cfg.Broker, compiler: cfg.Compiler, log: cfg.Logger, catalog: cat,
		streams: map[string]*streamEntry{}, views: map[string]*View{}, building: map[string]*build{}, previous: map[string]*previous{},
		clock: cfg.Clock, kept: newKeptColumns(cfg.KeepLeast, cfg.KeepMost),
	}
	if e.clock == nil {
		e.clock = SystemClock{}
	}
	e.ctx, e.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := e.recover(ctx); err != nil {
		_ = e.Close()
		return nil, err
	}
	e.wg.Go(func() { e.scrub(e.ctx) })
	e.wg.Go(func() { e.watchLogs(e.ctx) })
	e.wg.Go(func() { e.kept.sweep(e.ctx) })
	return e, nil
}

// nameKey is how names are compared: without case, as MySQL does for tables.
func nameKey(database, name string) string {
	return strings.ToLower(database) + "." + strings.ToLower(name)
}

// recover opens what the catalog says there is.
func (e *Engine) recover(ctx context.Context) error {
	if err := e.finishDrops(ctx); err != nil {
		return err
	}
	if err := e.finishCreates(ctx); err != nil {
		return err
	}
	defs, err := e.catalog.streamsIn(bucketStreams)
	if err != nil {
		return err
	}
	for _, def := range defs {
		if err := e.recoverStream(ctx, def); err != nil {
			return err
		}
	}
	entries := map[string]*viewEntry{}
	err = e.catalog.each(bucketViews, func(key string, raw []byte) error {
		entry := &viewEntry{}
		entries[key] = entry
		return json.Unmarshal(raw, entry)
	})
	if err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	e.removeStrayFiles(entries)
	fault.Crash("recover.strays")
	var builds []buildOrder
	for _, entry := range entries {
		builds = append(builds, e.recoverView(ctx, entry)...)
	}
	for _, s := range e.streams {
		e.run(s)
	}
	for _, s := range e.streams {
		if err := s.WaitApplied(ctx, s.furthest()); err != nil {
			return err
		}
	}
	e.catchUp(ctx)
	fault.Crash("recover.caught_up")
	for _, o := range builds {
		if _, err := e.startBuild(o); err != nil {
			e.log.Error("cannot build view", "view", o.def.Name, "error", err)
			if s, ok := e.Stream(o.def.Database, o.def.Stream); ok && o.lost {
				e.unbuilt(newView(e, s, o.def, &ViewPlan{}, o.version), err)
			}
		}
	}
	return nil
}

// catchUpLimit bounds what catching up adds to a start.
const catchUpLimit = 2 * time.Second

// catchUp applies what the logs hold beyond the last commits: after a crash,
// events that readers had seen already, and must not see go away again.
func (e *Engine) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, catchUpLimit)
	defer cancel()
	for _, s := range e.streams {
		if err := s.WaitApplied(ctx, s.id.Last); err != nil {
			e.log.Warn("views are served while they catch up with their log",
				"stream", s.Def.Name, "applied_seq", s.Applied(), "last_seq", s.id.Last)
		}
	}
}

func (e *Engine) recoverStream(ctx context.Context, def *StreamDef) error {
	log, err := e.broker.OpenLog(ctx, logName(def.Database, def.Name))
	if errors.Is(err, ErrNoLog) {
		e.log.Error("the log of a stream is gone; it begins again, empty", "stream", def.Name)
		log, err = e.broker.CreateLog(ctx, logConfig(def))
	}
	if err != nil {
		return fmt.Errorf("open stream %s: %w", def.Name, err)
	}
	_, err = e.addStream(ctx, def, log)
	return err
}

// addStream makes the stream known, without running it.
func (e *Engine) addStream(ctx context.Context, def *StreamDef, log Log) (*streamEntry, error) {
	plan, err := e.compiler.CompileStream(def)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", def.Name, err)
	}
	s := newStream(e, plan, log)
	if err := s.setViews(nil); err != nil {
		return nil, err
	}
	if s.id, err = log.State(ctx); err != nil {
		return nil, err
	}
	s.checkWhole(s.id)
	if err := e.openStreamFile(ctx, s); err != nil {
		return nil, fmt.Errorf("stream %s: %w", def.Name, err)
	}
	entry := &streamEntry{Stream: s, followed: make(chan struct{}), committed: make(chan struct{})}
	e.mu.Lock()
	e.streams[nameKey(def.Database, def.Name)] = entry
	e.mu.Unlock()
	return entry, nil
}

// openStreamFile opens the file of a stream. What it holds can be found again
// in the log, if that has it all still; so it is given up where it is damaged,
// part by part, and never for an error that may pass.
func (e *Engine) openStreamFile(ctx context.Context, s *Stream) error {
	path := e.deadPath(s.Def)
	var err error
	if s.dead, err = openDead(path); err != nil {
		if passing(ctx, err) {
			return fmt.Errorf("%s cannot be opened now: %w; start weir again when it can", path, err)
		}
		e.log.Error("the file of a stream cannot be read; its dead letters begin again", "stream", s.Def.Name, "error", err)
		_ = os.Remove(path)
		if s.dead, err = openDead(path); err != nil {
			return err
		}
	}
	err = s.dead.load()
	if err == nil {
		err = s.id.hasPlace(ctx, s.log, place{s.dead.LogCreated, s.dead.Seen, s.dead.SeenTime}, "its dead letters were looked for up to")
	}
	if err != nil && passing(ctx, err) {
		return errors.Join(err, s.dead.db.Close())
	}
	if err != nil {
		e.log.Error("the dead letters of a stream are not to be trusted; its dead letters begin again", "stream", s.Def.Name, "reason", err)
		if err := s.dead.reset(); err != nil {
			if err := s.renewFile(path); err != nil {
				return err
			}
		}
	}
	s.dead.LogCreated = s.id.Created.UnixNano()
	return e.openDedup(ctx, s)
}

// renewFile gives the stream an empty file in the place of the one it has.
func (s *Stream) renewFile(path string) (err error) {
	_ = s.dead.db.Close()
	_ = os.Remove(path)
	if s.dead, err = openDead(path); err != nil {
		return err
	}
	if err := s.dead.load(); err != nil {
		return errors.Join(err, s.dead.db.Close())
	}
	s.dead.LogCreated = s.id.Created.UnixNano()
	return nil
}

func (e *Engine) deadPath(def *StreamDef) string {
	return filepath.Join(e.dir, "streams", logName(def.Database, def.Name)+".db")
}

// run starts the goroutines of a stream; halt ends them.
func (e *Engine) run(s *streamEntry) {
	after := s.resumes()
	st := s.state.Load()
	for _, vr := range st.views {
		after = min(after, vr.base)
	}
	// What the log has dropped meanwhile will never come, and nobody is to
	// wait for it.
	after = max(after, s.id.First-1)
	start := *st
	start.seq = after
	s.state.Store(&start)
	var follow, commit context.Context
	follow, s.stopFollow = context.WithCancel(context.WithoutCancel(e.ctx))
	commit, s.stopCommit = context.WithCancel(context.WithoutCancel(e.ctx))
	go func() {
		defer close(s.followed)
		s.follow(follow, after)
	}()
	go func() {
		defer close(s.committed)
		s.commitLoop(commit)
	}()
}

// halt ends a stream's goroutines: the last commit has what was applied.
func (s *streamEntry) halt() {
	if s.stopFollow == nil {
		return
	}
	s.stopFollow()
	<-s.followed
	s.stopCommit()
	<-s.committed
}

// furthest is the highest sequence that a view of the stream has in its file.
func (s *Stream) furthest() (seq uint64) {
	for _, vr := range s.state.Load().views {
		seq = max(seq, vr.base)
	}
	return seq
}

// Close commits what has been applied and stops. It waits for every goroutine
// of the engine.
func (e *Engine) Close() error {
	e.stop()
	e.wg.Wait() // a build may have been putting its version in place
	e.mu.RLock()
	streams, views := make([]*streamEntry, 0, len(e.streams)), make([]*View, 0, len(e.views))
	for _, s := range e.streams {
		streams = append(streams, s)
	}
	for _, v := range e.views {
		views = append(views, v)
	}
	for _, p := range e.previous {
		views = append(views, p.view)
	}
	e.mu.RUnlock()
	for _, v := range views {
		v.halt()
	}
	var errs []error
	for _, s := range streams {
		s.halt()
	}
	e.endChanges(views)
	for _, v := range views {
		if v.store != nil {
			errs = append(errs, v.store.db.Close())
		}
	}
	for _, s := range streams {
		errs = append(errs, s.closeFile())
	}
	return errors.Join(append(errs, e.catalog.db.Close())...)
}

// halt ends the view's scheduler.
func (v *View) halt() {
	if v.stop != nil {
		v.stop()
		<-v.done
	}
}

// startSchedule runs the view's batch layer by interval and amount.
func (v *View) startSchedule() {
	var ctx context.Context
	ctx, v.stop = context.WithCancel(v.eng.ctx)
	v.done = make(chan struct{})
	go v.schedule(ctx)
}

// logName is the name of a stream's log with the broker.
func logName(database, name string) string {
	name = plainName(name)
	if strings.EqualFold(database, DefaultDatabase) {
		return name
	}
	return plainName(database) + "--" + name
}

// plainName is a name in the characters that every broker takes in its own
// names; what is not among them, and the - that begins it, is -xx in hex.
func plainName(name string) string {
	var b strings.Builder
	for _, c := range []byte(strings.ToLower(name)) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "-%02x", c)
		}
	}
	return b.String()
}

func logConfig(def *StreamDef) LogConfig {
	return LogConfig{
		Name: logName(def.Database, def.Name), Subjects: def.Subjects, MaxAge: def.Retention, MaxBytes: def.MaxBytes,
		DuplicateWindow: def.DuplicateWindow, Replicas: def.Replicas, Metadata: map[string]string{"weir.definition": def.Text},
	}
}

// CreateStream makes a stream and its log, and follows it. ErrExists where the
// name is taken.
func (e *Engine) CreateStream(ctx context.Context, def *StreamDef) error {
	e.streamMu.Lock()
	defer e.streamMu.Unlock()
	if err := e.checkFree(def.Database, def.Name, nil); err != nil {
		return err
	}
	plan, err := e.compiler.CompileStream(def)
	if err != nil {
		return err
	}
	if _, err := newDecoder(plan, nil); err != nil {
		return err
	}
	if err := e.finishDrops(ctx); err != nil {
		return err
	}
	key := nameKey(def.Database, def.Name)
	if err := e.catalog.put(bucketCreating, key, def); err != nil {
		return err
	}
	fault.Crash("create.noted")
	log, err := e.broker.CreateLog(ctx, logConfig(def))
	if err != nil {
		return errors.Join(err, e.catalog.put(bucketCreating, key, nil))
	}
	fault.Crash("create.logged")
	s, err := e.addStream(ctx, def, log)
	if err != nil {
		if e := e.broker.DeleteLog(ctx, logConfig(def).Name); e != nil {
			return errors.Join(err, e) // the note stays, and the next start makes the stream
		}
		return errors.Join(err, e.catalog.put(bucketCreating, key, nil))
	}
	e.run(s)
	fault.Crash("create.running")
	if err := e.catalog.moveStream(bucketStreams, key, def); err != nil {
		// It is there, and the note makes it again at the next start.
		e.log.Warn("cannot write down that a stream is made", "stream", def.Name, "error", err)
	}
	fault.Crash("create.done")
	return nil
}

// finishCreates makes the streams whose CREATE a crash cut short: their logs
// may have acknowledged events.
func (e *Engine) finishCreates(ctx context.Context) error {
	defs, err := e.catalog.streamsIn(bucketCreating)
	if err != nil {
		return err
	}
	for _, def := range defs {
		key := nameKey(def.Database, def.Name)
		if _, err := e.broker.CreateLog(ctx, logConfig(def)); err != nil {
			e.log.Warn("a stream whose CREATE was cut short cannot be made: create it again", "stream", def.Name, "error", err)
			if err := e.catalog.put(bucketCreating, key, nil); err != nil {
				return err
			}
			continue
		}
		fault.Crash("recover.created")
		if err := e.catalog.moveStream(bucketStreams, key, def); err != nil {
			return err
		}
	}
	return nil
}

// checkFree returns ErrExists where a stream or a relation of a view has one
// of the names. The view that is replaced does not count.
func (e *Engine) checkFree(database, name string, replaces *View) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	key := nameKey(database, name)
	if _, ok := e.streams[key]; ok {
		return fmt.Errorf("stream %s %w", name, ErrExists)
	}
	if _, ok := e.building[key]; ok {
		return fmt.Errorf("view %s %w", name, ErrBuilding)
	}
	for _, v := range e.views {
		if v != replaces && slices.Contains(v.relations(), key) {
			return fmt.Errorf("%s %w: it belongs to the materialized view %s", name, ErrExists, v.Def().Name)
		}
	}
	return nil
}

// relations are the keys of the names that a view takes.
func (v *View) relations() []string {
	k := nameKey(v.Def().Database, v.Def().Name)
	return []string{k, k + "_batch", k + "_speed"}
}

// DropStream removes a stream, its log and all its events. ErrInUse while a
// view reads it.
func (e *Engine) DropStream(ctx context.Context, database, name string) error {
	e.streamMu.Lock()
	defer e.streamMu.Unlock()
	key := nameKey(database, name)
	s, err := e.takeStream(key, name)
	if err != nil {
		return err
	}
	s.halt()
	fault.Crash("dropstream.halted")
	err = e.catalog.moveStream(bucketDropped, key, s.Def)
	fault.Crash("dropstream.noted")
	if e1 := s.closeFile(); err == nil {
		err = e1
	}
	if err != nil {
		return err
	}
	return e.finishDrop(ctx, s.Def)
}

// takeStream makes a stream unknown that no view reads. Previous versions that
// read it end: they cannot be kept without it.
func (e *Engine) takeStream(key, name string) (*streamEntry, error) {
	e.versionMu.Lock() // no ROLLBACK comes between
	defer e.versionMu.Unlock()
	e.mu.Lock()
	s, ok := e.streams[key]
	if !ok {
		e.mu.Unlock()
		return nil, fmt.Errorf("stream %s %w", name, ErrUnknown)
	}
	var readers []string
	for _, v := range e.views {
		if v.stream == s.Stream {
			readers = append(readers, v.Def().Name)
		}
	}
	for _, b := range e.building {
		if nameKey(b.def.Database, b.def.Stream) == key {
			readers = append(readers, b.def.Name)
		}
	}
	if len(readers) > 0 {
		e.mu.Unlock()
		slices.Sort(readers)
		readers = slices.Compact(readers)
		what := "view " + readers[0] + ": drop that first"
		if len(readers) > 1 {
			what = "views " + strings.Join(readers, ", ") + ": drop those first"
		}
		return nil, fmt.Errorf("stream %s %w by the materialized %s", name, ErrInUse, what)
	}
	delete(e.streams, key)
	ending := map[string]*previous{}
	for name, p := range e.previous {
		if p.view.stream == s.Stream {
			ending[name] = p
		}
	}
	e.mu.Unlock()
	for name, p := range ending {
		e.endPrevious(name, p)
	}
	return s, nil
}

// finishDrop deletes what is left of a stream that is dropped: a crash before
// its end must not let the events come back with the next stream of the name.
func (e *Engine) finishDrop(ctx context.Context, def *StreamDef) error {
	if err := os.Remove(e.deadPath(def)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	fault.Crash("dropstream.dead")
	if err := e.broker.DeleteLog(ctx, logName(def.Database, def.Name)); err != nil && !errors.Is(err, ErrNoLog) {
		return err
	}
	fault.Crash("dropstream.log")
	err := e.catalog.put(bucketDropped, nameKey(def.Database, def.Name), nil)
	fault.Crash("dropstream.done")
	return err
}

// finishDrops is finishDrop of every stream that needs it.
func (e *Engine) finishDrops(ctx context.Context) error {
	dropped, err := e.catalog.streamsIn(bucketDropped)
	for i := 0; i < len(dropped) && err == nil; i++ {
		err = e.finishDrop(ctx, dropped[i])
	}
	return err
}

// Stream returns the stream with the name.
func (e *Engine) Stream(database, name string) (*Stream, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	s, ok := e.streams[nameKey(database, name)]
	if !ok {
		return nil, false
	}
	return s.Stream, true
}

// Streams returns all streams in order of their names.
func (e *Engine) Streams() []*Stream {
	e.mu.RLock()
	defer e.mu.RUnlock()
	list := make([]*Stream, 0, len(e.streams))
	for _, s := range e.streams {
		list = append(list, s.Stream)
	}
	slices.SortFunc(list, func(a, b *Stream) int { return strings.Compare(a.Def.Name, b.Def.Name) })
	return list
}

// View returns the view with the name. ErrBuilding, with how far it is, while
// it is built for the first time; ErrUnknown where there is none.
func (e *Engine) View(database, name string) (*View, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	key := nameKey(database, name)
	if v, ok := e.views[key]; ok {
		return v, nil
	}
	if b, ok := e.building[key]; ok {
		return nil, b.progressError()
	}
	return nil, fmt.Errorf("materialized view %s %w", name, ErrUnknown)
}

func (b *build) progressError() error {
	j := Job{EventsDone: b.job.done.Load(), EventsIn: b.job.total()}
	return fmt.Errorf("materialized view %s %w: %.0f %% (%d of %d events); see weir.jobs", b.def.Name, ErrBuilding, j.Percent(), j.EventsDone, j.EventsIn)
}

// Views returns the views that answer queries or have failed, in order of
// their names, and the definitions of those being built for the first time.
func (e *Engine) Views() (list []*View, building []*ViewDef) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, v := range e.views {
		list = append(list, v)
	}
	for key, b := range e.building {
		if e.views[key] == nil {
			building = append(building, b.def)
		}
	}
	slices.SortFunc(list, func(a, b *View) int { return strings.Compare(a.Def().Name, b.Def().Name) })
	slices.SortFunc(building, func(a, b *ViewDef) int { return strings.Compare(a.Name, b.Name) })
	return list, building
}

// Publish appends events to a stream's log and returns the sequence of the
// last, once the log has acknowledged them.
func (e *Engine) Publish(ctx context.Context, s *Stream, msgs []Message) (uint64, error) {
	return e.broker.Publish(ctx, logName(s.Def.Database, s.Def.Name), msgs)
}

// Durability is what an acknowledgement of the log is worth.
func (e *Engine) Durability() string { return e.broker.Durability() }

// Refresh is REFRESH MATERIALIZED VIEW: a batch run now; with full, or for a
// kappa view, a recompute from the whole log. The note says what of that could
// not be done as asked, and what was done instead; it is empty as a rule.
func (e *Engine) Refresh(ctx context.Context, v *View, full bool) (note string, err error) {
	if err := v.working(); err != nil {
		if full { // the way out of a failure
			return e.replay(ctx, v.Def())
		}
		return "", err
	}
	if err := v.waitHead(ctx); err != nil {
		return "", err
	}
	for ctx.Err() == nil {
		var br *BatchRun
		switch {
		case v.Def().Mode == Kappa:
			return e.replay(ctx, v.Def())
		case full:
			br, err = v.recompute(ctx)
		default:
			br, err = v.runBatch(ctx, RunRefresh)
		}
		switch {
		case err == nil:
			return br.Note, nil
		case full && errors.Is(err, errDamaged):
			// What is damaged cannot be replaced in its place.
			return "", e.CreateView(ctx, v.Def(), true)
		case !errors.Is(err, errNoBatchLayer): // that is, unless ALTER has come between
			return "", err
		}
	}
	return "", context.Cause(ctx)
}

// working returns an error for a view that has failed.
func (v *View) working() error {
	if err := v.failure(); err != nil {
		if v.store == nil && v.stream.id.First > 1 {
			return fmt.Errorf("materialized view %s %w: %w", v.Def().Name, ErrFailed, err) // which tells the way out
		}
		return fmt.Errorf("materialized view %s %w: %w; REFRESH MATERIALIZED VIEW %s FULL builds it anew", v.Def().Name, ErrFailed, err, v.Def().Name)
	}
	return nil
}

// waitHead waits until what was acknowledged before the call is applied.
func (v *View) waitHead(ctx context.Context) error {
	st, err := v.stream.log.State(ctx)
	if err != nil {
		return err
	}
	return v.stream.WaitApplied(ctx, st.Last)
}

// RerunBatch feeds the batch run with the number its range again; see Refresh
// for the note. ErrUnknown where no view remembers the run.
func (e *Engine) RerunBatch(ctx context.Context, id uint64) (note string, err error) {
	list, _ := e.Views()
	for _, v := range list {
		if v.store == nil {
			continue
		}
		known := false
		err := v.store.read(func(tx *bolt.Tx, _ *storeMeta) (err error) {
			_, known, err = getRun(tx, id)
			return err
		})
		if err != nil || !known {
			continue // what is wrong with another view is not asked
		}
		if err := v.working(); err != nil {
			return "", err
		}
		br, err := v.rerun(ctx, id)
		if err != nil {
			return "", err
		}
		return br.Note, nil
	}
	return "", fmt.Errorf("batch run %d %w: weir.batch_runs has them", id, ErrUnknown)
}

// now is the time as files store it.
func now() time.Time { return time.Now().UTC() }

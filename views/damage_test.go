package views_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/views"
	"weir/views/column"
	"weir/views/logtest"
	"weir/views/partial"
)

// errWrong says of an answer that it is not what the log says: worse than any
// error.
var errWrong = errors.New("WRONG ANSWER")

// answer reads view v whole, by scan and by some points, and returns errWrong
// where it does not count each key n times.
func answer(e *views.Engine, n int64) error {
	v, err := e.View(views.DefaultDatabase, "v")
	if err != nil {
		return err
	}
	var set views.ReadSet
	defer set.Close()
	snap, err := set.Snapshot(v)
	if err != nil {
		return err
	}
	var b column.Batch
	c := snap.Scan(views.Serving, views.All, false, []int{0, 1})
	next := int64(0)
	var wrong error // rows are an answer once the last has come
	for {
		got, err := c.Fill(&b, 100)
		if err != nil {
			return err
		}
		if got == 0 {
			break
		}
		for i := range got {
			if wrong == nil && (b.Cols[0].I[i] != next || b.Cols[1].I[i] != n) {
				wrong = fmt.Errorf("%w: row %d is key %d, which counts %d", errWrong, next, b.Cols[0].I[i], b.Cols[1].I[i])
			}
			next++
		}
	}
	if wrong == nil && next != longReadKeys {
		wrong = fmt.Errorf("%w: %d rows", errWrong, next)
	}
	return wrong
}

// point reads one key, and returns errWrong where it does not count n.
func point(e *views.Engine, key int, n int64) error {
	v, err := e.View(views.DefaultDatabase, "v")
	if err != nil {
		return err
	}
	var set views.ReadSet
	defer set.Close()
	snap, err := set.Snapshot(v)
	if err != nil {
		return err
	}
	var b column.Batch
	lo := partial.AppendKey(nil, column.Value{Kind: column.Int, I: int64(key)})
	c := snap.Scan(views.Serving, []views.Range{{Lo: lo, Hi: append(bytes.Clone(lo), 0)}}, key%2 == 0, []int{0, 1})
	got, err := c.Fill(&b, 10)
	if err == nil && (got != 1 || b.Cols[0].I[0] != int64(key) || b.Cols[1].I[0] != n) {
		err = fmt.Errorf("%w: key %d has %d rows", errWrong, key, got)
	}
	return err
}

// rightInTheEnd returns once the view answers, and fails the test where it
// ever answers wrong.
func rightInTheEnd(t *testing.T, what string, answer func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if err = answer(); err == nil {
			return
		}
		if errors.Is(err, errWrong) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	t.Fatalf("%s: there is no answer in the end: %v", what, err)
}

// counted makes a data directory whose view has batch and speed rows, each key
// counted three times in several epochs, and closes it.
func counted(t *testing.T, broker views.Broker) (dir string) {
	t.Helper()
	dir = t.TempDir()
	e, v, publish := openCountingOn(t, dir, broker)
	for i := range 3 {
		publish(longReadKeys)
		if i < 2 {
			if _, err := e.Refresh(t.Context(), v, i == 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// copyDir copies the files of a data directory, page by page, as any copy does.
func copyDir(t *testing.T, from string, pause time.Duration) (to string) {
	t.Helper()
	to = t.TempDir()
	for _, sub := range []string{".", "views", "streams"} {
		if err := os.MkdirAll(filepath.Join(to, sub), 0o700); err != nil {
			t.Fatal(err)
		}
		files, _ := filepath.Glob(filepath.Join(from, sub, "*.db"))
		for _, file := range files {
			copyPages(t, file, filepath.Join(to, sub, filepath.Base(file)), pause)
		}
	}
	return to
}

func copyPages(t *testing.T, from, to string, pause time.Duration) {
	t.Helper()
	r, err := os.Open(from)
	if err != nil {
		return // gone while the folder was listed
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	page := make([]byte, 4096)
	for {
		n, _ := r.Read(page)
		if n == 0 {
			return
		}
		if _, err := w.Write(page[:n]); err != nil {
			t.Fatal(err)
		}
		if len(bytes.Trim(page[:n], "\x00")) > 0 {
			time.Sleep(pause)
		}
	}
}

// used is the part of a file that has content: files are longer.
func used(file []byte) []byte {
	return file[:(len(bytes.TrimRight(file, "\x00"))+4095)/4096*4096]
}

func viewFile(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "views", "*.db"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the view has the files %v, %v", files, err)
	}
	return files[0]
}

// flipTimes is how often each of the flips is tried.
const flipTimes = 8

// flips are ways in which a file changes without becoming nonsense.
var flips = map[string]func(r *rand.Rand, file, earlier []byte){
	"a bit": func(r *rand.Rand, file, _ []byte) { file[r.IntN(len(file))] ^= 1 << r.IntN(8) },
	"a page of another place": func(r *rand.Rand, file, _ []byte) {
		a, b := r.IntN(len(file)/4096), r.IntN(len(file)/4096)
		id := bytes.Clone(file[a*4096 : a*4096+8])
		copy(file[a*4096:(a+1)*4096], file[b*4096:])
		copy(file[a*4096:], id) // bbolt looks at that
	},
	"an earlier page": func(r *rand.Rand, file, earlier []byte) {
		a := r.IntN(min(len(file), len(earlier)) / 4096)
		copy(file[a*4096:(a+1)*4096], earlier[a*4096:])
	},
	"a page of zeros": func(r *rand.Rand, file, _ []byte) {
		a := r.IntN(len(file) / 4096)
		clear(file[a*4096 : (a+1)*4096])
	},
}

// TestFlippedBitsAtRest changes bits and pages of a view's file in ways that
// bbolt does not notice, each time somewhere else, and expects the view to be
// what the log says, then and after more events.
func TestFlippedBitsAtRest(t *testing.T) {
	broker := &logtest.Memory{}
	dir := counted(t, broker)
	good, err := os.ReadFile(viewFile(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	earlierDir := copyDir(t, dir, 0)
	e := reopen(t, earlierDir, broker)
	version := mustView(t, e).Version
	rightInTheEnd(t, "undamaged", func() error { return answer(e, 3) })
	if _, err := e.Refresh(t.Context(), mustView(t, e), true); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	earlier, err := os.ReadFile(viewFile(t, earlierDir))
	if err != nil {
		t.Fatal(err)
	}
	rebuilt := 0
	for name, flip := range flips {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(flipTimes) {
				file := bytes.Clone(good)
				flip(rand.New(rand.NewPCG(seed, 1)), used(file), used(earlier))
				dir := copyDir(t, dir, 0)
				path := viewFile(t, dir)
				if err := os.WriteFile(path, file, 0o600); err != nil {
					t.Fatal(err)
				}
				e := reopen(t, dir, broker)
				what := fmt.Sprintf("seed %d", seed)
				rightInTheEnd(t, what, func() error { return answer(e, 3) })
				if mustView(t, e).Version != version {
					rebuilt++
				}
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	if t.Logf("%d of %d were built again", rebuilt, flipTimes*len(flips)); rebuilt == 0 {
		t.Error("no damage was found: the test tested nothing")
	}
}

func mustView(t *testing.T, e *views.Engine) *views.View {
	t.Helper()
	v, err := e.View(views.DefaultDatabase, "v")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestFlippedBitsWhileRunning changes a view's file under the running engine.
// No read, of all rows or of one, and no commit may make a wrong answer of it.
func TestFlippedBitsWhileRunning(t *testing.T) {
	earlier, err := os.ReadFile(viewFile(t, counted(t, &logtest.Memory{})))
	if err != nil {
		t.Fatal(err)
	}
	earlier = used(earlier)[8192:]
	for name, flip := range flips {
		t.Run(name, func(t *testing.T) {
			failed := 0
			for seed := range uint64(flipTimes / 4) {
				broker := &logtest.Memory{}
				dir := counted(t, broker)
				e := reopen(t, dir, broker)
				what := fmt.Sprintf("seed %d", seed)
				rightInTheEnd(t, what, func() error { return answer(e, 3) })
				path := viewFile(t, dir)
				file, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				r := rand.New(rand.NewPCG(seed, 2))
				for range 4 {
					flip(r, used(file)[8192:], earlier) // the pages before are read at start alone
				}
				overwrite(t, path, file)
				// An earlier state of a row has a checksum that holds: only
				// reading all rows tells.
				stale := strings.Contains(name, "page of another") || strings.Contains(name, "earlier")
				for key := int(seed); key < longReadKeys && !stale; key += 7 {
					if err := point(e, key, 3); errors.Is(err, errWrong) {
						t.Fatalf("%s: %v", what, err)
					}
				}
				if err := answer(e, 3); err != nil {
					failed++
				}
				rightInTheEnd(t, what, func() error { return answer(e, 3) })
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d of %d failed before they were right", failed, flipTimes/4)
		})
	}
}

// overwrite puts content into a file that others have open.
func overwrite(t *testing.T, path string, content []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
}

// TestCopyOfARunningDirectory copies the files while events come and batches
// run, slowly, so that commits come between any two pages, and expects each
// copy to become what the log says.
func TestCopyOfARunningDirectory(t *testing.T) {
	broker := &logtest.Memory{}
	dir := t.TempDir()
	e, v, publish := openCountingOn(t, dir, broker)
	publish(longReadKeys)
	ctx, stop := context.WithCancel(t.Context())
	busy := make(chan int64)
	go func() {
		n := int64(1)
		for ; ctx.Err() == nil; n++ {
			publish(longReadKeys)
			if _, err := e.Refresh(t.Context(), v, n%3 == 0); err != nil {
				t.Error(err)
			}
		}
		busy <- n
	}()
	copies := make([]string, 12)
	for i := range copies {
		copies[i] = copyDir(t, dir, time.Duration(i%4)*300*time.Microsecond)
	}
	stop()
	n := <-busy
	for i, dir := range copies {
		again := reopen(t, dir, broker)
		rightInTheEnd(t, fmt.Sprintf("copy %d", i), func() error {
			if s, ok := again.Stream(views.DefaultDatabase, "s"); !ok || s.Applied() < uint64(n)*longReadKeys {
				return errors.New("it has not applied all yet")
			}
			return answer(again, n)
		})
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLogIsNotThatOfTheView opens a view over a log that is not the one it has
// applied, and expects what the log says now, loudly.
func TestLogIsNotThatOfTheView(t *testing.T) {
	publish := func(b *logtest.Memory, n int) {
		var msgs []views.Message
		for i := range n {
			msgs = append(msgs, views.Message{Payload: fmt.Appendf(nil, `{"k": %d}`, i)})
		}
		if _, err := b.Publish(context.Background(), "s", msgs); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]struct {
		do   func(b *logtest.Memory)
		n    int64 // what each key counts then
		says string
	}{
		"its tail is lost": {func(b *logtest.Memory) { b.Truncate("s", longReadKeys) }, 1, "the log ends at sequence 1000, but the view has applied 3000"},
		"its sequences are used again": {func(b *logtest.Memory) {
			b.Truncate("s", longReadKeys)
			publish(b, longReadKeys)
			publish(b, longReadKeys)
			publish(b, longReadKeys)
		}, 4, "another event at sequence 3000"},
		"it is another": {func(b *logtest.Memory) { b.Replace("s"); publish(b, longReadKeys) }, 1, "the log is another one"},
		"it is another, and longer": {func(b *logtest.Memory) {
			b.Replace("s")
			for range 5 {
				publish(b, longReadKeys)
			}
		}, 5, "the log is another one"},
		"retention has passed the view": {func(b *logtest.Memory) {
			publish(b, longReadKeys)
			publish(b, longReadKeys)
			b.Trim("s", 4*longReadKeys+1)
		}, 4, "the log has gaps"},
		"it is emptied":                   {func(b *logtest.Memory) { b.Trim("s", 3*longReadKeys+1) }, 3, ""},
		"it lost an event that it counts": {func(b *logtest.Memory) { b.Drop("s", 500) }, 3, "the log of a stream has lost events to damage"},
	} {
		t.Run(name, func(t *testing.T) {
			broker := &logtest.Memory{}
			dir := counted(t, broker)
			change.do(broker)
			e, said := reopenLoud(t, dir, broker)
			rightInTheEnd(t, name, func() error {
				if s, ok := e.Stream(views.DefaultDatabase, "s"); ok {
					if st, err := s.Log().State(t.Context()); err != nil || s.Applied() < st.Last {
						return errors.New("it has not applied all yet")
					}
				}
				if !strings.Contains(said.String(), change.says) {
					return fmt.Errorf("weir said nothing of %q:\n%s", change.says, said)
				}
				return answer(e, change.n)
			})
		})
	}
}

// TestLogChangesUnderARunningView changes the log as a restart of its server in
// place can, and expects weir to say so at once, and no answer that the log does
// not bear out.
func TestLogChangesUnderARunningView(t *testing.T) {
	views.SetLogCheckInterval(t, time.Millisecond)
	for name, change := range map[string]struct {
		do   func(b *logtest.Memory)
		says string
		n    int64 // what each key counts, 0 where the view is failed
		then int64 // and after a start
	}{
		"its tail is lost":                {func(b *logtest.Memory) { b.Truncate("s", longReadKeys) }, "the log ends at sequence 1000, but the view has applied 3000", 0, 1},
		"it is another":                   {func(b *logtest.Memory) { b.Replace("s") }, "the log is another one", 0, 0},
		"it lost an event that it counts": {func(b *logtest.Memory) { b.Drop("s", 500) }, "the log of a stream has lost events to damage", 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			broker := &logtest.Memory{}
			dir := counted(t, broker)
			e, said := reopenLoud(t, dir, broker)
			rightInTheEnd(t, "before", func() error { return answer(e, 3) })
			change.do(broker)
			eventually(t, "weir to say so", func() (string, bool) { return said.String(), strings.Contains(said.String(), change.says) })
			if err := answer(e, change.n); (change.n == 0) != errors.Is(err, views.ErrFailed) || change.n > 0 && err != nil {
				t.Errorf("then the view answers: %v", err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			if change.then == 0 {
				return
			}
			again := reopen(t, dir, broker)
			rightInTheEnd(t, "after a start", func() error { return answer(again, change.then) })
		})
	}
}

// TestDamageOverATrimmedLog shows that a view whose file is damaged, and whose
// events the log has dropped, is failed with the way out.
func TestDamageOverATrimmedLog(t *testing.T) {
	broker := &logtest.Memory{}
	dir := counted(t, broker)
	broker.Trim("s", 500)
	path := viewFile(t, dir)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 8192; i < len(file); i += 4096 {
		file[i+2000] ^= 1
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	e := reopen(t, dir, broker)
	if err := answer(e, 3); !errors.Is(err, views.ErrFailed) || !strings.Contains(err.Error(), "DROP and CREATE") {
		t.Errorf("reading the view: %v", err)
	}
}

// TestSlowCommitHoldsNobodyUp shows that while a commit takes its time,
// publishers are acknowledged and reads see each event at once, and that all of
// it is in the file in the end.
func TestSlowCommitHoldsNobodyUp(t *testing.T) {
	broker, dir := &logtest.Memory{}, t.TempDir()
	e, v, publish := openCountingOn(t, dir, broker)
	publish(longReadKeys)
	release := views.HoldCommits(t, v)
	for n := int64(2); n <= 20; n++ {
		publish(longReadKeys) // returns when it is applied
		if err := answer(e, n); err != nil {
			t.Errorf("after %d rounds: %v", n, err)
		}
	}
	release()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := answer(reopen(t, dir, broker), 20); err != nil {
		t.Error(err)
	}
}

// A loud is what an engine has logged.
type loud struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *loud) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *loud) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func reopenLoud(t *testing.T, dir string, broker views.Broker) (*views.Engine, *loud) {
	t.Helper()
	said := &loud{}
	e, err := views.Open(t.Context(), views.Config{Dir: dir, Broker: broker, Compiler: countByKey{}, Logger: slog.New(slog.NewTextHandler(said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e, said
}

// TestDamagedCatalog shows that weir does not start on definitions that have
// changed on disk, and says what to do.
func TestDamagedCatalog(t *testing.T) {
	broker := &logtest.Memory{}
	dir := counted(t, broker)
	path := filepath.Join(dir, "catalog.db")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.ReplaceAll(file, []byte(`"exactly_once"`), []byte(`"exactly_twice"`)[:len(`"exactly_once"`)])
	if bytes.Equal(changed, file) {
		t.Fatal("the catalog does not hold what the test changes")
	}
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := views.Open(t.Context(), views.Config{Dir: dir, Broker: broker, Compiler: countByKey{}, Logger: discard()})
	if err == nil {
		_ = e.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "restore it from a backup") {
		t.Errorf("opening it: %v", err)
	}
}

// TestRefreshOfADamagedHeader shows that FULL builds a view anew whose file no
// longer tells even how far it is, also when weir has given up doing so.
func TestRefreshOfADamagedHeader(t *testing.T) {
	broker := &logtest.Memory{}
	dir := counted(t, broker)
	e := reopen(t, dir, broker)
	damage := func() {
		t.Helper()
		path := viewFile(t, dir)
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.ReplaceAll(file, []byte(`"Definition"`), []byte(`"Definitioo"`))
		if bytes.Equal(bad, file) {
			t.Fatal("the file has no header to damage")
		}
		overwrite(t, path, bad)
	}
	one := func() (string, bool) { n := files(t, dir); return fmt.Sprint(n, " files"), n == 1 }
	rightInTheEnd(t, "undamaged", func() error { return answer(e, 3) })
	damage()
	_ = answer(e, 3)
	rightInTheEnd(t, "built again", func() error { return answer(e, 3) })
	eventually(t, "the damaged file to go", one)
	damage()
	_ = answer(e, 3)
	var v *views.View
	eventually(t, "weir to give up", func() (string, bool) {
		var err error
		if v, err = e.View(views.DefaultDatabase, "v"); err == nil {
			_, err = e.Refresh(t.Context(), v, false)
		}
		return fmt.Sprint(err), err != nil && strings.Contains(err.Error(), "has just been done")
	})
	if _, err := e.Refresh(t.Context(), v, true); err != nil {
		t.Fatal(err)
	}
	if err := answer(e, 3); err != nil {
		t.Error(err)
	}
	eventually(t, "the damaged file to go", one)
}

// TestPagesThatLeadBack has pages of a view's file lead to themselves, which
// bbolt follows until the process ends, and expects the view to be built again.
func TestPagesThatLeadBack(t *testing.T) {
	broker := &logtest.Memory{}
	dir := counted(t, broker)
	path := viewFile(t, dir)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var branches []int
	for id := 2; id < len(used(file))/4096; id++ {
		if page := file[id*4096:]; binary.NativeEndian.Uint64(page) == uint64(id) && page[8] == 1 && page[9] == 0 {
			branches = append(branches, id)
			for i := range int(binary.NativeEndian.Uint16(page[10:])) {
				binary.NativeEndian.PutUint64(page[16+i*16+8:], uint64(id))
			}
		}
	}
	if len(branches) == 0 {
		t.Fatal("the file has no branch pages: the test tests nothing")
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	e, said := reopenLoud(t, dir, broker)
	rightInTheEnd(t, "pages that lead back", func() error { return answer(e, 3) })
	if !strings.Contains(said.String(), "its pages are not a tree") {
		t.Errorf("weir said nothing of it:\n%s", said)
	}
}

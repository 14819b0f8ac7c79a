package views_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/views"
	"weir/views/logtest"
)

// What the files and the log still say decides whether a view and a stream can
// be made from them again. These tests take parts of it away.

// waitFailed waits until v has failed, and returns why.
func waitFailed(t *testing.T, e *views.Engine) (why string) {
	t.Helper()
	eventually(t, "the view to have failed", func() (string, bool) {
		infos, err := e.ViewInfos(t.Context())
		if err != nil || len(infos) == 0 {
			return fmt.Sprint(infos, err), false
		}
		why = infos[0].Error
		return infos[0].State + ": " + why, infos[0].State == views.ViewFailed
	})
	return why
}

// TestLostViewOverALogWithHoles shows that a view whose file is lost is not made
// again from a log that may have lost what it counted, whenever it did.
func TestLostViewOverALogWithHoles(t *testing.T) {
	t.Run("in its middle", func(t *testing.T) {
		broker := &logtest.Memory{}
		dir := counted(t, broker)
		broker.Drop("s", 500)
		removeFiles(t, dir)
		if why := waitFailed(t, reopen(t, dir, broker)); !strings.Contains(why, "DROP and CREATE") {
			t.Errorf("it failed without the way out: %s", why)
		}
	})
	t.Run("while it is built again", func(t *testing.T) {
		views.SetBuildChunk(t, 100)
		dir, broker := t.TempDir(), &noting{Broker: &logtest.Memory{}, at: make(chan struct{}, 10)}
		e, _, publish := openCountingOn(t, dir, broker)
		publish(longReadKeys)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		removeFiles(t, dir)
		broker.stop = 500
		e = reopen(t, dir, broker)
		<-broker.at
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		broker.mu.Lock()
		broker.stop = 0
		broker.mu.Unlock()
		broker.Broker.(*logtest.Memory).Trim("s", 800)
		if why := waitFailed(t, reopen(t, dir, broker)); !strings.Contains(why, "DROP and CREATE") {
			t.Errorf("it failed without the way out: %s", why)
		}
	})
}

// TestDamageFoundDuringABuild shows that a view is built again whose damage was
// found while it was being replaced, which came to nothing.
func TestDamageFoundDuringABuild(t *testing.T) {
	broker := newStalling()
	dir := t.TempDir()
	e, v, publish := openCountingOn(t, dir, broker)
	publish(longReadKeys)
	if _, err := e.Refresh(t.Context(), v, true); err != nil {
		t.Fatal(err)
	}
	broker.stalled.Store(true)
	done := make(chan error, 1)
	go func() { done <- e.CreateView(t.Context(), v.Def(), true) }()
	<-broker.waiting
	broker.stalled.Store(false)
	path := versionFile(dir, 1)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 8192; i < len(used(file)); i += 4096 {
		file[i+2000] ^= 1
	}
	overwrite(t, path, file)
	if err := answer(e, 1); err == nil || errors.Is(err, errWrong) {
		t.Fatalf("a damaged file answers with %v", err)
	}
	for _, j := range e.Jobs() {
		if j.State == views.StateRunning {
			if err := e.CancelJob(j.ID); err != nil {
				t.Error(err)
			}
		}
	}
	if err := <-done; !errors.Is(err, views.ErrCancelled) {
		t.Errorf("OR REPLACE: %v", err)
	}
	rightInTheEnd(t, "after the build was cancelled", func() error { return answer(e, 1) })
}

// TestAlterDuringReplay shows that a change of mode does not wait for a replay
// only to find that the view is another one then.
func TestAlterDuringReplay(t *testing.T) {
	broker := newStalling()
	e, v, publish := openCountingOn(t, t.TempDir(), broker)
	publish(longReadKeys)
	if err := e.AlterView(t.Context(), v, toMode(views.Kappa)); err != nil {
		t.Fatal(err)
	}
	broker.stalled.Store(true)
	done := make(chan error, 1)
	go func() {
		_, err := e.Refresh(t.Context(), v, false)
		done <- err
	}()
	<-broker.waiting
	if err := e.AlterView(t.Context(), v, toMode(views.Lambda)); !errors.Is(err, views.ErrBuilding) {
		t.Errorf("ALTER during a replay: %v", err)
	}
	close(broker.resume)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// sendDead publishes n events that do not decode.
func sendDead(t *testing.T, broker views.Broker, text string, n int) {
	t.Helper()
	var msgs []views.Message
	for i := range n {
		msgs = append(msgs, views.Message{Payload: fmt.Appendf(nil, "%s %d", text, i)})
	}
	if _, err := broker.Publish(t.Context(), "s", msgs); err != nil {
		t.Fatal(err)
	}
}

// TestDeadLettersAreThoseOfTheLog shows that dead letters go with the log that
// they were in, also where another has become longer since.
func TestDeadLettersAreThoseOfTheLog(t *testing.T) {
	for name, become := range map[string]func(*logtest.Memory){
		"replaced":               func(b *logtest.Memory) { b.Replace("s") },
		"tail lost and refilled": func(b *logtest.Memory) { b.Truncate("s", 50) },
	} {
		t.Run(name, func(t *testing.T) {
			broker, dir := &logtest.Memory{}, t.TempDir()
			e, _, publish := openCountingOn(t, dir, broker)
			publish(100)
			sendDead(t, broker, "old", 10)
			publish(1)
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			become(broker)
			sendDead(t, broker, "new", 5)
			for i := range 200 {
				if _, err := broker.Publish(t.Context(), "s", []views.Message{{Payload: fmt.Appendf(nil, `{"k":%d}`, i)}}); err != nil {
					t.Fatal(err)
				}
			}
			e = reopen(t, dir, broker)
			countWhenBuilt(t, e)
			s, _ := e.Stream(views.DefaultDatabase, "s")
			letters, err := s.DeadLetters()
			if err != nil || len(letters) != 5 || !strings.HasPrefix(string(letters[0].Payload), "new") {
				t.Errorf("the dead letters are %v, %v", letters, err)
			}
		})
	}
}

// TestIDsOutliveWhatTheyNeedNot shows that message ids, which a log that keeps
// events for less long than they are remembered cannot give again, are not
// given up for an error that passes, nor for damage to the dead letters beside
// them.
func TestIDsOutliveWhatTheyNeedNot(t *testing.T) {
	sent := func(t *testing.T) *resender {
		s := newResender(t)
		s.send(1, 100)
		sendDead(t, s.broker, "no event", 3)
		s.pass(time.Minute)
		st, _ := s.engine.Stream(views.DefaultDatabase, "s")
		if err := st.WaitApplied(t.Context(), 103); err != nil {
			t.Fatal(err)
		}
		if err := s.engine.Close(); err != nil {
			t.Fatal(err)
		}
		s.broker.Trim("s", 104)
		return s
	}
	again := func(s *resender) {
		s.t.Helper()
		s.engine = reopen(s.t, s.dir, s.broker)
		s.pass(time.Minute)
		s.send(1, 100)
		st, _ := s.engine.Stream(views.DefaultDatabase, "s")
		if err := st.WaitApplied(s.t.Context(), 203); err != nil {
			s.t.Fatal(err)
		}
		if n, _ := st.Repeats(); n != 100 {
			s.t.Errorf("of 100 events that were sent again, %d are known", n)
		}
	}
	t.Run("locked file", func(t *testing.T) {
		s := sent(t)
		f, err := os.Open(s.file())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		e, err := views.Open(t.Context(), views.Config{Dir: s.dir, Broker: s.broker, Compiler: countByKey{}, Logger: discard()})
		if err == nil {
			_ = e.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "start weir again when it can") {
			t.Errorf("a start with a file that cannot be opened: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		again(s)
	})
	t.Run("damaged dead letter", func(t *testing.T) {
		s := sent(t)
		file, err := os.ReadFile(s.file())
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(file, []byte(`"Subject"`))
		if at < 0 {
			t.Fatal("the file has no dead letter to damage")
		}
		file[at+2] ^= 1
		overwrite(t, s.file(), file)
		again(s)
	})
}

// TestDamagedPagesOfTheCatalog shows that a start with a damaged catalog ends
// with the way out, or does not need what is damaged.
func TestDamagedPagesOfTheCatalog(t *testing.T) {
	broker := &logtest.Memory{}
	dir := counted(t, broker)
	file, err := os.ReadFile(filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for page := range len(used(file)) / 4096 {
		bad := bytes.Clone(file)
		clear(bad[page*4096 : (page+1)*4096])
		image := t.TempDir() // bbolt keeps a file locked that it panics at
		if err := os.CopyFS(image, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(image, "catalog.db"), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		e, err := views.Open(t.Context(), views.Config{Dir: image, Broker: broker, Compiler: countByKey{}, Logger: discard()})
		if err == nil {
			rightInTheEnd(t, fmt.Sprint("page ", page), func() error { return answer(e, 3) })
			_ = e.Close()
			continue
		}
		if refused++; !strings.Contains(err.Error(), "restore it from a backup") {
			t.Errorf("page %d: %v", page, err)
		}
	}
	if refused == 0 {
		t.Error("no damage was noticed")
	}
}

package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// A console is weir sql on a terminal, with somebody at the keys.
type console struct {
	t    *testing.T
	tty  *os.File
	done chan error

	mu   sync.Mutex
	text strings.Builder // all that was shown
	seen int             // of it, by expect
	more chan struct{}   // gets something when there is more
}

// openConsole starts weir sql on the server of dir.
func openConsole(t *testing.T, dir string, args ...string) *console {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"sql", "--data", dir}, args...)...)
	cmd.Env = append(os.Environ(), asMain+"=1", "NO_COLOR=1", "XDG_STATE_HOME="+filepath.Join(dir, "state"), "PAGER=")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		t.Fatal(err)
	}
	c := &console{t: t, tty: tty, done: make(chan error, 1), more: make(chan struct{}, 1)}
	go c.read(cmd)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = tty.Close()
		<-c.done //nolint:errcheck // that it was killed is no news
	})
	return c
}

// read keeps what is shown. It never answers as a terminal may, when asked for
// the position of its cursor.
func (c *console) read(cmd *exec.Cmd) {
	buf := make([]byte, 1<<12)
	for {
		n, err := c.tty.Read(buf)
		c.mu.Lock()
		c.text.Write(buf[:n])
		c.mu.Unlock()
		select {
		case c.more <- struct{}{}:
		default:
		}
		if err != nil {
			break
		}
	}
	c.done <- cmd.Wait()
	close(c.done)
}

func (c *console) keys(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.tty, text); err != nil {
		c.t.Fatal(err)
	}
}

// expect waits until the text is shown behind what was expected before.
func (c *console) expect(want string) {
	c.t.Helper()
	c.match(regexp.QuoteMeta(want))
}

// match waits until something is shown that matches, behind what was expected
// before, and returns the last group of the pattern.
func (c *console) match(pattern string) string {
	c.t.Helper()
	want := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	for {
		c.mu.Lock()
		text := c.text.String()
		found := want.FindStringSubmatchIndex(text[c.seen:])
		c.mu.Unlock()
		if found != nil {
			group := text[c.seen+found[len(found)-2] : c.seen+found[len(found)-1]]
			c.seen += found[1]
			return group
		}
		select {
		case <-c.more:
		case <-timeout:
			c.t.Fatalf("waited in vain for %s; what was shown:\n%q", pattern, text[c.seen:])
		}
	}
}

// shows reports whether a text was shown at any time.
func (c *console) shows(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Contains(c.text.String(), text)
}

// end waits for the end of the shell.
func (c *console) end() error {
	c.t.Helper()
	select {
	case err := <-c.done:
		return err
	case <-time.After(patience):
		c.t.Fatal("the shell did not end")
		return nil
	}
}

const (
	keyUp = "\x1b[A"
	ctrlC = "\x03"
	ctrlD = "\x04"
	ctrlR = "\x12"
)

func TestConsole(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir)
	t.Setenv("TERM", "xterm")

	t.Run("StatementsOfManyLines", func(t *testing.T) {
		c := openConsole(t, dir)
		c.expect("Connected to ")
		c.expect("analytics> ")
		c.keys("CREATE STREAM clicks (page VARCHAR(100),\r")
		c.expect("       -> ")
		c.keys("n INT COMMENT 'it''s\r")
		c.expect("       '> ")
		c.keys("one') /* and\r")
		c.expect("       *> ")
		c.keys("more */;\r")
		c.expect("Query OK, 0 rows affected (")
		c.expect("analytics> ")
		c.keys("INSERT INTO clicks VALUES ('/', 1), ('/cart', 20);\r")
		c.expect("Query OK, 2 rows affected (")
		c.keys("SELECT page, n FROM clicks ORDER BY n;\r")
		c.expect("| page  | n  |\r\n")
		c.expect("| /     |  1 |\r\n| /cart | 20 |\r\n")
		c.expect("2 rows in set (")
		c.keys("SELECT n FROM clicks LIMIT 1\\G\r")
		c.expect(" 1. row ***************************\r\nn: 1\r\n1 row in set (")
		c.keys("SELECT 1/0, 2 \\g\r")
		c.expect("1 row in set, 1 warning (")
		c.keys("SELECT * FROM clicks WHERE n > 100;\r")
		c.expect("Empty set (")
		c.keys("SELECT * FROM clikcs;\r")
		c.expect("ERROR 1146 (42S02): ")
		c.keys("\\u weir\r")
		c.expect("Database changed")
		c.expect("weir> ")
		c.keys("SELECT 'forget \\c this\r")
		c.expect("  '> ") // a command means nothing in a text
		c.keys("' \\c SELECT DATABASE();\r")
		c.expect("| weir       |")
		c.keys("status\r")
		c.expect("Database:       weir")
		c.keys("help\r")
		c.expect("use database        (\\u)")
		c.expect("weir> ") // what the terminal gets before goes to the statement
		c.keys(ctrlD)
		c.expect("Bye")
		if err := c.end(); err != nil {
			t.Errorf("after Ctrl-D: %v, want exit status 0", err)
		}
	})

	t.Run("History", func(t *testing.T) {
		c := openConsole(t, dir)
		c.expect("analytics> ")
		c.keys("SELECT 1001\r")
		c.expect("-> ")
		c.keys("  + 1; -- the sum\r")
		c.expect(" 1002 |")
		c.expect("analytics> ")
		c.keys("CREATE USER u IDENTIFIED BY 'secret';\r") // whatever it says
		c.expect("analytics> ")
		c.keys(keyUp)
		c.expect("SELECT 1001 + 1; -- the sum")
		c.keys(strings.Repeat("\x7f", len("+ 1; -- the sum")) + "+ 2;\r")
		c.expect(" 1003 |")
		c.expect("analytics> ")
		c.keys("quit;\r")
		if err := c.end(); err != nil {
			t.Errorf("after quit: %v, want exit status 0", err)
		}

		c = openConsole(t, dir)
		c.expect("analytics> ")
		c.keys(keyUp + keyUp)
		c.expect("SELECT 1001 + 2;")
		c.keys("\r")
		c.expect(" 1003 |")
		c.expect("analytics> ")
		c.keys(ctrlR + "the sum")
		c.expect("the sum")
		c.keys("\r")
		c.expect(" 1002 |")
		file := filepath.Join(dir, "state", "weir", "sql_history")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "secret") {
			t.Errorf("the history keeps a password:\n%s", text)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the history's mode is %v, want 0600 (%v)", info.Mode(), err)
		}
	})

	t.Run("Completion", func(t *testing.T) {
		c := openConsole(t, dir)
		c.expect("analytics> ")
		c.keys("sel\t")
		c.expect("select ")
		c.keys("pag\t")
		c.expect("page")
		c.keys(" from cli\t")
		c.expect("clicks")
		c.keys(" order by cl\t")
		c.expect("clicks")
		c.keys(".pag\t")
		c.expect("page")
		c.keys(";\r")
		c.expect("| /cart |")
		c.keys("CREATE MATER\tVI\tpages AS SELECT page, COUNT(*) AS visits FROM clicks GROUP BY page;\r")
		c.expect("Query OK")
		c.keys("REFRESH MAT\tVIEW ")
		c.expect("MATERIALIZED VIEW ")
		c.keys("pa\t")
		c.expect("pages")
		c.keys(";\r")
		c.expect("Query OK")
		c.keys("SELECT visits FROM pages WHERE page = '/'\\G\r")
		c.expect("visits: 1")
	})

	t.Run("AnInterruptEndsTheStatement", func(t *testing.T) {
		c := openConsole(t, dir)
		c.expect("analytics> ")
		c.keys("SET @kept = 7;\r")
		c.expect("Query OK")
		c.expect("analytics> ")
		c.keys("SELECT SLEEP(1000);\r")
		awaitRunning(t, dir, "SELECT SLEEP(1000)")
		c.keys(ctrlC)
		c.expect("ERROR 1317 (70100): ")
		c.keys("SELECT @kept;\r") // the connection is the same
		c.expect("|     7 |")
		c.expect("analytics> ")
		c.keys("SELECT 'unfinished\r")
		c.expect("'> ")
		c.keys(ctrlC)
		c.expect("analytics> ")
		c.keys("half a line" + ctrlC)
		c.expect("analytics> ")
		c.keys("SELECT 5 + 6;\r")
		c.expect("|    11 |")
	})

	t.Run("AConnectionThatIsLostComesBack", func(t *testing.T) {
		c := openConsole(t, dir)
		c.expect("analytics> ")
		c.keys("use weir\r")
		c.expect("weir> ")
		c.keys("SELECT CONNECTION_ID() AS id\\G\r")
		query(t, dir, "KILL "+c.match(`id: (\d+)`))
		c.keys("SELECT 1;\r")
		c.expect("ERROR 2013 (HY000): lost the connection")
		c.keys("SELECT CONCAT('here ', 'again'), DATABASE();\r")
		c.expect("| here again ")
		c.expect("| weir ")
	})

	t.Run("Watch", func(t *testing.T) {
		c := openConsole(t, dir, "--watch", "100ms", "SELECT page, SUM(n) AS n FROM clicks GROUP BY page ORDER BY page")
		c.expect("Every 100ms: SELECT page, SUM(n)")
		c.expect("  | /     |  1 |")
		query(t, dir, "INSERT INTO clicks VALUES ('/', 4), ('/new', 1)")
		c.expect("1 changed, 1 new")
		c.expect("~ | /     |  5 |")
		c.expect("+ | /new  |  1 |")
		c.keys(ctrlC)
		c.expect("\x1b[?1049l") // the screen is as before, and the latest answer stays
		c.expect("| /new  |  1 |")
		if err := c.end(); err != nil {
			t.Errorf("after Ctrl-C: %v, want exit status 0", err)
		}
	})

	t.Run("WatchGoesOnAfterALostConnection", func(t *testing.T) {
		c := openConsole(t, dir, "--watch", "100ms", "SELECT CONNECTION_ID() AS id, 1 AS one")
		id := c.match(`\|\s+(\d+) \|   1 \|`)
		query(t, dir, "KILL "+id)
		c.expect("~ |")
		if now := c.match(`\s+(\d+) \|   1 \|`); now == id {
			t.Errorf("connection %s is not gone", id)
		}
		c.keys(ctrlC)
		if err := c.end(); err != nil {
			t.Errorf("after Ctrl-C: %v, want exit status 0", err)
		}
	})

	t.Run("WatchWithinTheShell", func(t *testing.T) {
		c := openConsole(t, dir)
		c.expect("analytics> ")
		c.keys("SELECT COUNT(*) AS many\rFROM clicks \\watch 0.1\r")
		c.expect("Every 100ms: SELECT COUNT(*) AS many FROM clicks")
		c.keys(ctrlC)
		c.expect("analytics> ")
		c.keys("SELECT 'and' ' on';\r")
		c.expect("| and on ")
	})

	t.Run("ATerminalThatUnderstandsNothing", func(t *testing.T) {
		t.Setenv("TERM", "dumb")
		c := openConsole(t, dir)
		c.expect("analytics> ")
		c.keys("SELECT 'half\r")
		c.expect("       '> ")
		c.keys(ctrlC)
		c.expect("analytics> ")
		c.keys("SELECT 1 +\r")
		c.expect("       -> ")
		c.keys("41 AS n;\r")
		c.expect("| 42 |\r\n+----+\r\n1 row in set")
		c.keys("SELECT SLEEP(1000);\r")
		awaitRunning(t, dir, "SELECT SLEEP(1000)")
		c.keys(ctrlC)
		c.expect("ERROR 1317 (70100): ")
		c.expect("analytics> ")
		c.keys(ctrlD)
		c.expect("Bye")
		if err := c.end(); err != nil {
			t.Errorf("after Ctrl-D: %v, want exit status 0", err)
		}
		if c.shows("\x1b[") {
			t.Error("it gets control sequences")
		}
	})

	t.Run("Pager", func(t *testing.T) {
		c := openConsole(t, dir, "--pager", "sed s/^/paged:/")
		c.expect("analytics> ")
		c.keys("SELECT 42;\r")
		c.expect("paged:| 42 |")
		c.expect("1 row in set")
		c.keys("nopager\rSELECT 43;\r")
		c.expect("\n| 43 |")
	})
}

func TestAnInterruptEndsAGivenStatement(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "sql", "--data", dir, "SELECT SLEEP(1000); SELECT 'more'")
	cmd.Env = append(os.Environ(), asMain+"=1")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitRunning(t, dir, "SELECT SLEEP(1000)")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != statusError {
		t.Errorf("got %v, want exit status %d", err, statusError)
	}
	if strings.Contains(out.String(), "more") || !strings.HasPrefix(errs.String(), "ERROR 1317 (70100): ") {
		t.Errorf("got %q and %q", out.String(), errs.String())
	}
	if strings.Contains(query(t, dir, "SHOW PROCESSLIST"), "SELECT SLEEP(1000)") {
		t.Error("the statement still runs")
	}
}

// query runs a statement of a test's own.
func query(t *testing.T, dir, stmt string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "sql", "--data", dir, "--skip-column-names", stmt)
	cmd.Env = append(os.Environ(), asMain+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", stmt, err, out)
	}
	return string(out)
}

// awaitRunning waits until a statement runs.
func awaitRunning(t *testing.T, dir, stmt string) {
	t.Helper()
	found, err := poll(func() (bool, error) {
		return strings.Contains(query(t, dir, "SHOW PROCESSLIST"), stmt), nil
	})
	if !found || err != nil {
		t.Fatalf("%s does not run (%v)", stmt, err)
	}
}

func TestConsoleAsksForThePassword(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TERM", "xterm")
	t.Setenv("WEIR_PASSWORD", "open sesame")
	serve(t, dir)
	if got := query(t, dir, "SELECT 'with the variable'"); got != "with the variable\n" {
		t.Errorf("got %q", got)
	}
	t.Setenv("WEIR_PASSWORD", "")

	c := openConsole(t, dir)
	c.expect("Password of root: ")
	c.keys("open sesame\r")
	c.expect("analytics> ")
	if c.shows("sesame") {
		t.Error("the password is shown")
	}
	c.keys(ctrlD)
	if err := c.end(); err != nil {
		t.Errorf("got %v, want exit status 0", err)
	}

	c = openConsole(t, dir, "SELECT 1")
	c.expect("Password of root: ")
	c.keys("wrong\r")
	c.expect("weir: ERROR 1045 (28000): Access denied for user 'root'")
	if err := c.end(); err == nil {
		t.Error("exit status 0 after a wrong password")
	}

	c = openConsole(t, dir)
	c.expect("Password of root: ")
	c.keys(ctrlC)
	c.expect("weir: interrupted")
	if err := c.end(); err == nil {
		t.Error("exit status 0 after an interrupt")
	}
}

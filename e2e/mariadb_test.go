package e2e

import (
	"context"
	gosql "database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// newMariaDB starts a MariaDB of the test's own, on a socket in a directory of
// its own, and returns a database on it that is empty. Where MariaDB is not
// installed the test is skipped, loudly, and fails in CI.
func newMariaDB(ctx context.Context, t testing.TB) *gosql.DB {
	t.Helper()
	for _, name := range []string{"mariadbd", "mariadb-install-db"} {
		if _, err := exec.LookPath(name); err != nil {
			msg := "MariaDB is missing (apt-get install --no-install-recommends mariadb-server): " + err.Error()
			if os.Getenv("CI") == "true" {
				t.Fatal(msg)
			}
			fmt.Fprintf(os.Stderr, "!!! SKIPPED %s: %s\n", t.Name(), msg)
			t.Skip(msg)
		}
	}
	dir, err := os.MkdirTemp("", "weir-maria-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "s")
	asUser := []string{}
	if os.Getuid() == 0 {
		asUser = append(asUser, "--user=root")
	}
	install := exec.CommandContext(ctx, "mariadb-install-db", append([]string{
		"--no-defaults", "--datadir=" + data, "--skip-test-db",
		"--auth-root-authentication-method=normal", "--skip-name-resolve",
	}, asUser...)...)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("mariadb-install-db: %v\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the process has its own
	cmd := exec.Command("mariadbd", append([]string{
		"--no-defaults", "--datadir=" + data, "--socket=" + socket, "--pid-file=" + filepath.Join(dir, "pid"),
		"--skip-networking", "--skip-log-bin", "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0", "--lower-case-table-names=1",
		"--character-set-server=utf8mb4", "--collation-server=utf8mb4_nopad_bin",
	}, asUser...)...)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		force := time.AfterFunc(stopLimit, func() { _ = cmd.Process.Kill() })
		defer force.Stop()
		<-ended
	})

	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr = "root", "unix", socket
	cfg.Logger = &mysql.NopLogger{}
	cfg.AllowFallbackToPlaintext = true
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := gosql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(startLimit); ; {
		// The socket is there before it is listened on.
		if c, err := net.Dial("unix", socket); err == nil {
			_ = c.Close()
			if err := db.PingContext(ctx); err == nil {
				return db
			}
		}
		select {
		case <-tick.C:
		case <-ended:
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("MariaDB ended:\n%s", text)
		case <-deadline:
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("MariaDB did not become ready within %v:\n%s", startLimit, text)
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"weir/internal/shell"
	"weir/server"
)

type sqlCommand struct {
	Statement string `arg:"" optional:"" help:"Statements to run. Without any: a shell on a terminal, else what standard input has."`

	Execute  []string      `short:"e" sep:"none" env:"-" placeholder:"SQL" help:"Run these statements and end; may be repeated."`
	Format   string        `short:"o" placeholder:"FORMAT" enum:",table,vertical,tsv,csv,json,ndjson,markdown" default:"" help:"How rows are shown: table, vertical, tsv, csv, json, ndjson or markdown; by default table on a terminal and tsv elsewhere."`
	Vertical bool          `short:"E" env:"-" help:"The same as --format vertical."`
	Table    bool          `short:"t" env:"-" help:"The same as --format table."`
	NoNames  bool          `short:"N" env:"-" name:"skip-column-names" help:"Leave the names of columns out."`
	Force    bool          `short:"f" env:"-" help:"Go on after an error; the exit status is 1 all the same."`
	Watch    time.Duration `short:"w" env:"-" placeholder:"1s" help:"Repeat the last statement so often and show what has changed, until Ctrl-C."`
	Pager    string        `placeholder:"COMMAND" help:"Show results through this command, such as 'less -SFX', on a terminal."`

	Data     string `default:"./weir-data" placeholder:"DIR" help:"Connect to the server that runs on this directory, if one does (${default})."`
	Host     string `placeholder:"HOST" help:"Connect to this host, or the path of a socket, instead."`
	Port     uint16 `short:"P" placeholder:"PORT" help:"Connect to this port instead (3306)."`
	User     string `short:"u" placeholder:"NAME" help:"Connect as this user (root)."`
	Password string `placeholder:"TEXT" help:"Password of the user. Prefer the environment variable: other users of the machine can see flags."`
	Database string `short:"D" placeholder:"NAME" help:"Begin in this database (analytics)."`
	DSN      string `name:"dsn" placeholder:"DSN" help:"Connect to this: mysql://user:password@host:port/database, or user:password@tcp(host:port)/database?option=value. Other flags go before it."`
	TLS      string `name:"tls" default:"" enum:",preferred,true,skip-verify,false" placeholder:"MODE" help:"preferred: if the server can; true: with a certificate that is checked; skip-verify: unchecked; false: never (preferred)."`
}

// Validate is called by kong.
func (c *sqlCommand) Validate() error {
	switch {
	case c.Statement != "" && len(c.Execute) > 0:
		return errors.New("--execute: give statements either with it or behind the flags")
	case c.Watch < 0:
		return errors.New("--watch: give an interval such as 1s")
	case c.Watch > 0 && c.Statement == "" && len(c.Execute) == 0:
		return errors.New("--watch repeats a statement: give one")
	}
	return nil
}

// Help is shown by --help, below the flags.
func (*sqlCommand) Help() string {
	return `Examples:
  weir sql                                                the shell
  weir sql 'SELECT * FROM requests_by_minute'             one statement
  weir sql -w 1s 'SELECT * FROM requests_by_minute'       the same every second, with marks at what has changed
  weir sql -o csv 'SELECT * FROM weir.views' > views.csv  rows for others
  weir sql < schema.sql                                   a file`
}

// Run runs statements until there are no more.
func (c *sqlCommand) Run(ctx context.Context, to output) error {
	cfg, err := c.server()
	if err != nil {
		return err
	}
	format := c.Format
	switch {
	case c.Vertical:
		format = "vertical"
	case c.Table:
		format = "table"
	}
	statements := c.Execute
	if c.Statement != "" {
		statements = []string{c.Statement}
	}
	// An interrupt ends the statement and not the process.
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	return shell.Run(ctx, shell.Config{
		Server:     cfg,
		Statements: statements,
		Format:     format,
		Watch:      c.Watch,
		Names:      !c.NoNames,
		Force:      c.Force,
		Pager:      c.Pager,
		History:    historyFile(),
		Stdin:      os.Stdin,
		Stdout:     to.out,
		Stderr:     to.err,
		Interrupts: interrupts,
	})
}

// server returns where to connect, and as whom.
func (c *sqlCommand) server() (*mysql.Config, error) {
	cfg := mysql.NewConfig()
	if c.DSN != "" {
		var err error
		if cfg, err = parseDSN(c.DSN); err != nil {
			return nil, fmt.Errorf("--dsn: %w", err)
		}
	}
	if cfg.Net == "" || cfg.Net == "tcp" {
		cfg.Net = "tcp"
	}
	switch {
	case strings.HasPrefix(c.Host, "/"):
		cfg.Net, cfg.Addr = "unix", c.Host
	case c.Host != "" || c.Port != 0:
		host, port := "127.0.0.1", "3306"
		if h, p, err := net.SplitHostPort(cfg.Addr); err == nil {
			host, port = h, p
		}
		if c.Host != "" {
			host = strings.Trim(c.Host, "[]")
		}
		if c.Port != 0 {
			port = strconv.Itoa(int(c.Port))
		}
		cfg.Addr = net.JoinHostPort(host, port)
	case c.DSN == "":
		ends, err := server.ReadEndpoints(c.Data)
		switch {
		case err == nil:
			cfg.Addr = ends.MySQL
		case errors.Is(err, fs.ErrNotExist):
			cfg.Addr = "127.0.0.1:3306"
		default:
			return nil, err
		}
	}
	if c.User != "" {
		cfg.User = c.User
	}
	if cfg.User == "" {
		cfg.User = "root"
	}
	if c.Password != "" {
		cfg.Passwd = c.Password
	}
	if c.Database != "" {
		cfg.DBName = c.Database
	}
	if c.TLS != "" {
		cfg.TLSConfig = c.TLS
	}
	if cfg.TLSConfig == "" && cfg.TLS == nil {
		cfg.TLSConfig = "preferred"
	}
	return cfg, nil
}

// parseDSN reads a URL, as most programs write it, or what Go's driver takes.
func parseDSN(dsn string) (*mysql.Config, error) {
	if !strings.Contains(dsn, "://") {
		return mysql.ParseDSN(dsn)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, errors.New("the URL cannot be read: mysql://user:password@host:port/database; signs such as @ in the password are written %40")
	}
	if u.Scheme != "mysql" {
		return nil, fmt.Errorf("%s:// is no URL of a MySQL server: mysql://user:password@host:port/database", u.Scheme)
	}
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	cfg, err := mysql.ParseDSN("/?" + u.RawQuery) // for the options
	if err != nil {
		return nil, err
	}
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(u.Hostname(), port)
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.DBName = strings.TrimPrefix(u.Path, "/")
	return cfg, nil
}

// historyFile is where the shell keeps what was typed, "" where the user has no
// directory for such.
func historyFile() string {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(dir, "weir", "sql_history")
}

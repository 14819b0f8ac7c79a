// Weir turns event streams into SQL tables: a log, materialized views over it
// and a MySQL server, in one process.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"weir/internal/demo"
	"weir/internal/load"
	"weir/internal/shell"
	"weir/server"
)

// Exit statuses.
const (
	statusOK    = 0
	statusError = 1 // it could not be done, or not to the end
	statusUsage = 2 // the command line is wrong
)

const about = `weir turns event streams into SQL tables.

Publish events with any NATS client, say in SQL what to compute from them, and
read the results with any MySQL client. To see it all at work: weir demo`

// version is set by the linker in releases.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	status := statusOK
	if len(args) == 0 {
		args, stdout, status = []string{"--help"}, stderr, statusUsage
	}
	if args[0] == "help" { // what many a program takes for --help
		args = append(slices.Clone(args[1:]), "--help")
	}
	helped := false
	parser, err := kong.New(new(commands),
		kong.Name("weir"),
		kong.Description(about),
		kong.DefaultEnvars("WEIR"),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { helped = true }), // only --help exits
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(output{stdout, stderr}),
	)
	if err != nil {
		return fail(stderr, err, statusError)
	}
	command, err := parser.Parse(args)
	if helped {
		return status
	}
	if err != nil {
		return fail(stderr, fmt.Errorf("%w (weir --help tells more)", err), statusUsage)
	}
	if err := command.Run(); errors.Is(err, shell.ErrFailed) {
		return statusError // and the shell has said why
	} else if err != nil {
		return fail(stderr, err, statusError)
	}
	return statusOK
}

// fail reports err on one line.
func fail(stderr io.Writer, err error, status int) int {
	fmt.Fprintln(stderr, "weir:", strings.Join(strings.Fields(err.Error()), " "))
	return status
}

// An output is where a command writes: results out, the rest err.
type output struct{ out, err io.Writer }

type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run the server: the log, the views over it, and SQL. Needs no configuration; everything durable is under --data."`
	Publish publishCommand `cmd:"" help:"Publish the lines of files as events, each once, however often it is run."`
	SQL     sqlCommand     `cmd:"" name:"sql" help:"Run SQL statements, or type them: a client for this and every other MySQL server."`
	Demo    demoCommand    `cmd:"" help:"Show everything at work on generated traffic, in a temporary directory that is removed at the end."`
	Health  healthCommand  `cmd:"" hidden:"" help:"Exit with status 0 if the server is ready, for container health checks."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

type serveCommand struct {
	Data       string     `default:"./weir-data" placeholder:"DIR" help:"Directory for everything durable; made if missing (${default})."`
	MySQL      string     `name:"mysql" default:"127.0.0.1:3306" placeholder:"ADDR" help:"Listen here for MySQL clients; port 0 picks a free one (${default})."`
	NATS       string     `name:"nats" default:"127.0.0.1:4222" placeholder:"ADDR" help:"Listen here for NATS publishers (${default})."`
	HTTP       string     `name:"http" default:"127.0.0.1:8080" placeholder:"ADDR" help:"Listen here for /healthz and /readyz (${default})."`
	Schema     []string   `placeholder:"FILE" help:"SQL to run at each start before the server is ready, such as CREATE STREAM IF NOT EXISTS; may be repeated."`
	Durability durability `default:"100ms" placeholder:"100ms|always" help:"How long an acknowledged event may wait for its fsync: an interval, or 'always' for an fsync before each acknowledgement, which is much slower (${default})."`
	Password   string     `help:"Password of user root for SQL and for publishers, required to listen beyond 127.0.0.1. Prefer the environment variable: other users of the machine can see flags."`
	TLSCert    string     `name:"tls-cert" placeholder:"FILE" help:"Certificate, in PEM, for TLS on all three listeners; it is read again when it changes."`
	TLSKey     string     `name:"tls-key" placeholder:"FILE" help:"Its key."`
	LogLevel   string     `default:"info" enum:"debug,info,warn,error" placeholder:"LEVEL" help:"debug, info, warn or error (${default})."`
	LogFormat  string     `default:"text" enum:"text,json" placeholder:"FORMAT" help:"text or json, on stderr (${default})."`
}

// Run serves until ctx is done.
func (c *serveCommand) Run(ctx context.Context, to output) error {
	schema, err := server.ReadScripts(c.Schema)
	if err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return err
	}
	return server.Run(ctx, server.Config{
		Dir:      c.Data,
		MySQL:    c.MySQL,
		NATS:     c.NATS,
		HTTP:     c.HTTP,
		Schema:   schema,
		Sync:     time.Duration(c.Durability),
		Password: c.Password,
		TLSCert:  c.TLSCert,
		TLSKey:   c.TLSKey,
		Version:  versionOf(version),
		Logger:   newLogger(to.err, c.LogFormat, level),
	})
}

// newLogger returns the logger that the whole process writes to.
func newLogger(w io.Writer, format string, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// A durability is the longest wait of an acknowledged event for its fsync;
// zero, written always, means none.
type durability time.Duration

// UnmarshalText reads what --durability takes.
func (d *durability) UnmarshalText(text []byte) error {
	if string(text) == "always" {
		*d = 0
		return nil
	}
	interval, err := time.ParseDuration(string(text))
	if err != nil || interval <= 0 {
		return fmt.Errorf("%q: give an interval such as 100ms, or always", text)
	}
	*d = durability(interval)
	return nil
}

type demoCommand struct {
	Duration time.Duration `placeholder:"10s" help:"Stop after this long; by default the demo runs until Ctrl-C."`
	Rate     int           `default:"2000" placeholder:"N" help:"Publish this many events a second (${default})."`
}

// Run shows the demo until ctx is done or its time is over.
func (c *demoCommand) Run(ctx context.Context, to output) error {
	return demo.Run(ctx, demo.Config{
		Duration: c.Duration,
		Rate:     c.Rate,
		Version:  versionOf(version),
		Out:      to.out,
		Logger:   newLogger(to.err, "text", slog.LevelWarn),
	})
}

type publishCommand struct {
	Stream   string   `arg:"" help:"Stream to publish to: a name, or database.name."`
	Files    []string `arg:"" optional:"" name:"file" help:"Files with one event on each line, plain or gzipped; - is standard input, as is no file at all."`
	NATS     string   `name:"nats" default:"127.0.0.1:4222" placeholder:"ADDR" help:"Where weir serve listens for publishers (${default})."`
	User     string   `default:"root" placeholder:"NAME" help:"Who publishes (${default})."`
	Password string   `help:"Password of the user, if the server asks for one. Prefer the environment variable."`
	TLSCA    string   `name:"tls-ca" placeholder:"FILE" help:"Check the server's certificate against those of this file; by default the system's. For TLS the address is tls://host:port."`
	Subject  string   `help:"Publish to this subject; by default the stream's first without wildcards."`
	Rate     int      `placeholder:"N" help:"Publish at most this many events a second; by default as many as the server takes."`
	As       string   `placeholder:"NAME" help:"Know the input by this name, and not by its first lines. Standard input needs one to be published once."`
	Strict   bool     `help:"End at a line that is too long for an event; by default it is reported and left out."`
}

// Validate is called by kong.
func (c *publishCommand) Validate() error {
	switch {
	case c.Rate < 0:
		return errors.New("--rate: give a number of events a second, or 0 for no limit")
	case c.As != "" && len(c.Files) > 1:
		return errors.New("--as names one file: publish the others on their own")
	}
	return nil
}

// Run publishes until the files end or ctx is done.
func (c *publishCommand) Run(ctx context.Context, to output) error {
	files := c.Files
	if len(files) == 0 {
		files = []string{"-"}
	}
	return load.Run(ctx, load.Config{
		URL:      c.NATS,
		User:     c.User,
		Password: c.Password,
		CAFile:   c.TLSCA,
		Stream:   c.Stream,
		Files:    files,
		Subject:  c.Subject,
		As:       c.As,
		Rate:     c.Rate,
		Strict:   c.Strict,
		Stdin:    os.Stdin,
		Out:      to.out,
		Err:      to.err,
	})
}

type healthCommand struct {
	HTTP    string `name:"http" default:"127.0.0.1:8080" placeholder:"ADDR" help:"Where the server listens for HTTP (${default})."`
	TLSCert string `name:"tls-cert" placeholder:"FILE" help:"The certificate that the server has."`
}

// healthTimeout is below what container runtimes give a health check.
const healthTimeout = 5 * time.Second

// Run asks the server whether it is ready.
func (c *healthCommand) Run(ctx context.Context, to output) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	scheme, client := "http", http.DefaultClient
	if c.TLSCert != "" {
		// The certificate is of a name by which others know the machine.
		scheme, client = "https", &http.Client{Transport: &http.Transport{TLSClientConfig: sameCertificate(c.TLSCert)}}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+c.HTTP+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return errors.New(string(answer))
	}
	fmt.Fprint(to.out, string(answer))
	return nil
}

// sameCertificate lets a client talk to whoever has the certificate of a file.
func sameCertificate(file string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // and VerifyConnection in its place
		VerifyConnection: func(s tls.ConnectionState) error {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			block, _ := pem.Decode(text)
			if block == nil || len(s.PeerCertificates) == 0 || !bytes.Equal(block.Bytes, s.PeerCertificates[0].Raw) {
				return fmt.Errorf("the server has another certificate than %s", file)
			}
			return nil
		},
	}
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(to output) error {
	_, err := fmt.Fprintf(to.out, "weir %s %s %s/%s\n", versionOf(version), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// versionOf returns a release's version, or what the Go command knew of the
// source when it built the program.
func versionOf(release string) string {
	if release != "" {
		return release
	}
	build, ok := debug.ReadBuildInfo()
	if !ok || build.Main.Version == "" || build.Main.Version == "(devel)" {
		return "devel"
	}
	return build.Main.Version
}

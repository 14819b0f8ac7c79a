package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"weir/views"
)

// A Config says what to serve, from which directory, and where.
type Config struct {
	Dir      string        // data directory; made if it does not exist
	MySQL    string        // host:port for MySQL clients; port 0 picks a free one
	NATS     string        // host:port for publishers; port 0 picks a free one
	HTTP     string        // host:port for health checks; port 0 picks a free one
	Schema   []Script      // applied in order before the instance is ready
	Sync     time.Duration // an acknowledged event's longest wait for its fsync; 0 means an fsync before each ack
	Password string        // of user root, for SQL and for publishers; "" is the one that was set, or none
	TLSCert  string        // file with the certificate of all listeners; "" is no TLS
	TLSKey   string        // file with its key
	Version  string        // of weir
	Logger   *slog.Logger
	Clock    views.Clock // of the batch layer; nil is the time of day
}

// A Script is the text of SQL statements and the name that errors give it.
type Script struct {
	Name string
	Text string
}

// ReadScripts reads a script from each of the files.
func ReadScripts(files []string) ([]Script, error) {
	scripts := make([]Script, 0, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("schema file: %w", err)
		}
		scripts = append(scripts, Script{Name: file, Text: string(text)})
	}
	return scripts, nil
}

// A listener is an address as the operator gave it.
type listener struct {
	flag string
	addr string
}

func (c Config) listeners() []listener {
	return []listener{{"--mysql", c.MySQL}, {"--nats", c.NATS}, {"--http", c.HTTP}}
}

// Validate returns what is wrong with c and how to put it right.
func (c Config) Validate() error {
	if c.Dir == "" {
		return errors.New("no data directory: give one with --data")
	}
	if c.Sync < 0 {
		return fmt.Errorf("--durability %v: give an interval such as 100ms, or always", c.Sync)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errTLSFiles
	}
	for _, l := range c.listeners() {
		if err := l.validate(); err != nil {
			return err
		}
	}
	return nil
}

// validate refuses what is no address.
func (l listener) validate() error {
	_, port, err := net.SplitHostPort(l.addr)
	if err != nil {
		return fmt.Errorf("%s %q: give it as host:port, such as 127.0.0.1:0", l.flag, l.addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%s %q: the port must be a number from 0 to 65535", l.flag, l.addr)
	}
	return nil
}

// local reports whether only this machine can reach what listens on l.
func (l listener) local() bool {
	host, _, err := net.SplitHostPort(l.addr)
	return err == nil && loopback(host)
}

// loopback reports whether host surely names this machine alone. Other names
// are not resolved: what they mean may change while weir runs.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

package server

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// Endpoints are the addresses that an instance answers on, as they stand in
// endpoints.json.
type Endpoints struct {
	MySQL string `json:"mysql"` // host:port
	NATS  string `json:"nats"`  // nats://host:port
	HTTP  string `json:"http"`  // http://host:port
}

// endpointsFile is in the data directory while the instance is ready.
const endpointsFile = "endpoints.json"

// lockDir makes dir and takes its lock. The kernel frees the lock when the
// process ends, however it ends; the file itself stays.
func lockDir(dir string) (*flock.Flock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if !held {
		return nil, fmt.Errorf("data directory %s is in use by another weir: stop that one, or give another directory with --data", dir)
	}
	return lock, nil
}

// reachable returns where a client on this machine reaches what listens on
// addr: all interfaces are no address to connect to.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// write puts e into dir at once: a reader sees the whole file or none.
func (e Endpoints) write(dir string) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, endpointsFile)
	if err := os.WriteFile(path+".tmp", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write endpoints: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("write endpoints: %w", err)
	}
	return nil
}

// ReadEndpoints returns where the instance on dir answers. While there is none
// the error is fs.ErrNotExist.
func ReadEndpoints(dir string) (Endpoints, error) {
	path := filepath.Join(dir, endpointsFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return Endpoints{}, err
	}
	var e Endpoints
	if err := json.Unmarshal(text, &e); err != nil {
		return Endpoints{}, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

// removeEndpoints does nothing if there is no file.
func removeEndpoints(dir string) error {
	if err := os.Remove(filepath.Join(dir, endpointsFile)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove endpoints: %w", err)
	}
	return nil
}

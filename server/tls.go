package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificates are the pair of files of --tls-cert and --tls-key. They are read
// again when they have changed, so that a certificate can be renewed while weir
// runs.
type certificates struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	cert    *tls.Certificate
	stamp   [2]time.Time // when the files were changed that cert was read from
	checked time.Time
}

// certificatesCheck is how often it is looked whether the files have changed.
const certificatesCheck = time.Second

// tlsConfig returns what all listeners use, or nil without files.
func tlsConfig(certFile, keyFile string, log *slog.Logger) (*tls.Config, error) {
	if certFile == "" && keyFile == "" {
		return nil, nil //nolint:nilnil // no TLS
	}
	c := &certificates{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", certFile, keyFile, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}, nil
}

// read reads the files. mu is held, but by tlsConfig.
func (c *certificates) read() error {
	stamp, err := c.stamps()
	if err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.cert, c.stamp = &cert, stamp
	return nil
}

func (c *certificates) stamps() (stamp [2]time.Time, err error) {
	for n, file := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(file)
		if err != nil {
			return stamp, err
		}
		stamp[n] = info.ModTime()
	}
	return stamp, nil
}

// get is asked at each handshake.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) >= certificatesCheck {
		c.checked = now
		stamp, err := c.stamps()
		if err == nil && stamp != c.stamp {
			if err = c.read(); err == nil {
				c.log.Info("the certificate was read again", "file", c.certFile)
			}
		}
		if err != nil { // as when one of the two files is new and the other not yet
			c.log.Warn("the certificate could not be read again, and stays what it was", "error", err)
		}
	}
	return c.cert, nil
}

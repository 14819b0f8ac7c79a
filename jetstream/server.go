package jetstream

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"weir/views"
)

const (
	// payloadMax bounds an event with its headers. It is the largest that NATS
	// advises; its own default of 1 MiB would refuse an event of 1 MiB that
	// carries an ID.
	payloadMax = 8 << 20

	// memoryMax bounds what JetStream keeps in memory: consumers of publishers
	// and readers. Logs are files.
	memoryMax = 256 << 20

	// closeTimeout bounds the wait for our own connection to send what is
	// under way before the server stops.
	closeTimeout = 5 * time.Second

	// tlsTimeout bounds a handshake.
	tlsTimeout = 10 * time.Second

	// faultMemory is how long an event that was not stored counts against the
	// server's health when nobody publishes another.
	faultMemory = time.Minute

	internalUser  = "weir-internal"
	externalUser  = "root"
	internalInbox = "_WEIR"
)

// deniedPublish is what a client from outside may not ask for: anything that
// makes, changes or destroys a log, moves the server's internals, or interferes
// with a reader it does not own.
var deniedPublish = []string{
	"$JS.API.STREAM.CREATE.>",
	"$JS.API.STREAM.UPDATE.>",
	"$JS.API.STREAM.DELETE.>",
	"$JS.API.STREAM.PURGE.>",
	"$JS.API.STREAM.RESTORE.>",
	"$JS.API.STREAM.MSG.DELETE.>",
	"$JS.API.STREAM.PEER.>",
	"$JS.API.STREAM.LEADER.>",
	"$JS.API.STREAM.CANCEL_MOVE.>",
	"$JS.API.CONSUMER.PAUSE.>",
	"$JS.API.CONSUMER.RESET.>",
	"$JS.API.CONSUMER.LEADER.>",
	"$JS.API.CONSUMER.PEER.>",
	"$JS.API.ACCOUNT.>",
	"$JS.API.META.>",
	"$JS.API.SERVER.>",
	internalInbox + ".>",
}

// Config says how the embedded server runs.
type Config struct {
	Dir    string        // JetStream's store directory
	Addr   string        // host:port for publishers; port 0 picks a free one
	Sync   time.Duration // an acknowledged event's longest wait for its fsync; 0 means an fsync before each ack
	Login  Login         // nil lets anyone in as root
	TLS    *tls.Config   // nil offers none; else every client must use it
	Logger *slog.Logger
}

// A Server is the embedded server; it implements views.Broker.
type Server struct {
	cfg      Config
	logger   *slog.Logger
	password string                            // of internalUser
	ns       atomic.Pointer[natsserver.Server] // watch replaces it
	nc       *nats.Conn                        // to whichever runs
	js       natsjs.JetStream
	closed   chan struct{} // closed when nc is

	storeMax atomic.Int64          // how large the logs may grow together
	stuck    atomic.Pointer[error] // why the server takes no events until it is started again
	away     atomic.Bool           // while it is being started again
	unwatch  context.CancelFunc
	watched  chan struct{} // closed when watch has ended

	logs sync.Map // name to *log, for Publish to know a log's subjects

	takers  sync.Map      // subject to taker, for Send
	changed atomic.Uint64 // counts the changes of logs: a taker of before counts no more

	// writeFault is why the last publish was not stored, when the fault is the
	// server's; nil after one that was.
	writeFault atomic.Pointer[writeFault]

	blocksMin  uint64        // records that are worth a look at the log's blocks
	fromBlocks atomic.Uint64 // records that were read from them

	walked walked
	access *access

	reconnect struct {
		sync.Mutex
		c chan struct{} // closed and replaced each time nc is connected anew
	}
}

var _ views.Broker = (*Server)(nil)

type writeFault struct {
	err error
	at  time.Time
}

// Open starts the server and returns when it answers.
func Open(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, logger: cfg.Logger, password: rand.Text(), closed: make(chan struct{}), watched: make(chan struct{}), blocksMin: blocksMin}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	s.access = &access{server: s}
	s.reconnect.c = make(chan struct{})
	opts, err := s.options()
	if err != nil {
		return nil, err
	}
	if err := s.start(opts); err != nil {
		return nil, err
	}
	if err := s.connect(); err != nil {
		s.stop()
		return nil, err
	}
	watch, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	s.unwatch = unwatch
	go s.watch(watch)
	if err := ctx.Err(); err != nil {
		s.Close()
		return nil, fmt.Errorf("starting the nats server: %w", err)
	}
	s.makeMarks(ctx)
	return s, nil
}

// options returns the embedded server's configuration.
func (s *Server) options() (*natsserver.Options, error) {
	host, portText, err := net.SplitHostPort(s.cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("nats listener %q: the address must be host:port: %w", s.cfg.Addr, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("nats listener %q: port %q is not a number from 0 to 65535", s.cfg.Addr, portText)
	}
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the log's directory: %w", err)
	}
	store, err := storeMax(s.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("measuring the log's directory: %w", err)
	}
	s.storeMax.Store(store)
	opts := &natsserver.Options{
		ServerName:             "weir",
		Host:                   host,
		Port:                   int(port),
		NoSigs:                 true, // else the server exits the process on SIGTERM
		MaxPayload:             payloadMax,
		JetStream:              true,
		DisableJetStreamBanner: true,
		StoreDir:               s.cfg.Dir,
		JetStreamMaxMemory:     memoryMax,
		JetStreamMaxStore:      store,
		SyncInterval:           s.cfg.Sync,
		SyncAlways:             s.cfg.Sync == 0,
	}
	if s.cfg.TLS != nil {
		opts.TLS, opts.TLSConfig, opts.TLSTimeout = true, s.cfg.TLS, tlsTimeout.Seconds()
	}
	if s.cfg.Login != nil {
		opts.CustomClientAuthentication = s.access
	} else {
		opts.NoAuthUser = externalUser
		opts.Users = []*natsserver.User{
			{
				Username:               internalUser,
				Password:               s.password,
				AllowedConnectionTypes: map[string]struct{}{"IN_PROCESS": {}},
			},
			{Username: externalUser, Permissions: rootPermissions()},
		}
	}
	if port == 0 {
		opts.Port = natsserver.RANDOM_PORT
	}
	return opts, nil
}

// start runs the server until it answers, or says why it does not. The server
// itself never returns a start error: it logs a fatal line and carries on half
// alive.
func (s *Server) start(opts *natsserver.Options) error {
	if err := s.safeStart(); err != nil {
		return fmt.Errorf("starting the nats server: %w", err)
	}
	ns, err := natsserver.NewServer(opts)
	if err != nil {
		return fmt.Errorf("configuring the nats server: %w", err)
	}
	s.ns.Store(ns)
	bridge := newBridge(s.logger)
	ns.SetLoggerV2(bridge, s.debug(), false, false)
	ns.Start()
	err = bridge.fatal()
	if err == nil && !ns.ReadyForConnections(10*time.Second) {
		err = errors.New("it does not answer within 10 seconds")
	}
	if err == nil {
		return nil
	}
	s.stop()
	if errno := syscall.Errno(0); errors.As(err, &errno) && isListenError(err) {
		return fmt.Errorf("nats listener %s: %w", s.cfg.Addr, errno)
	}
	return fmt.Errorf("starting the nats server: %w", err)
}

func isListenError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "listen"
}

func (s *Server) debug() bool {
	return s.logger.Enabled(context.Background(), slog.LevelDebug)
}

// connect opens our own connection, which never leaves the process.
func (s *Server) connect() error {
	nc, err := nats.Connect("",
		nats.InProcessServer(s),
		nats.UserInfo(internalUser, s.password),
		nats.Name("weir"),
		nats.CustomInboxPrefix(internalInbox),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(10*time.Millisecond),
		nats.ReconnectJitter(0, 0),
		nats.ReconnectHandler(func(*nats.Conn) { s.notifyReconnect() }),
		nats.ClosedHandler(func(*nats.Conn) { close(s.closed) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.logger.Warn("nats connection", "error", err)
		}),
	)
	if err != nil {
		return fmt.Errorf("connecting to the nats server: %w", err)
	}
	s.nc = nc
	s.js, err = natsjs.New(nc)
	if err != nil {
		nc.Close()
		return fmt.Errorf("connecting to the nats server: %w", err)
	}
	return nil
}

// reconnected returns a channel that is closed the next time our connection is
// made anew; acknowledgements due over the old one are then not coming.
func (s *Server) reconnected() <-chan struct{} {
	s.reconnect.Lock()
	defer s.reconnect.Unlock()
	return s.reconnect.c
}

// onReconnect calls f when our connection is made anew before stop is called.
func (s *Server) onReconnect(f func()) (stop func()) {
	again, done, over := s.reconnected(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-again:
			f()
		case <-done:
		}
	}()
	return func() {
		close(done)
		<-over
	}
}

func (s *Server) notifyReconnect() {
	s.reconnect.Lock()
	defer s.reconnect.Unlock()
	close(s.reconnect.c)
	s.reconnect.c = make(chan struct{})
}

// Addr is where publishers connect, as host:port.
func (s *Server) Addr() string {
	if a := s.ns.Load().Addr(); a != nil {
		return a.String()
	}
	return s.cfg.Addr
}

// Healthy returns nil, or why the log cannot take events.
func (s *Server) Healthy() error {
	if err := s.cannotWrite(); err != nil {
		return err
	}
	ns := s.ns.Load()
	if !ns.Running() {
		return errors.New("the nats server has stopped")
	}
	if h := ns.Healthz(nil); h.Error != "" {
		return fmt.Errorf("nats server: %s", h.Error)
	}
	if f := s.writeFault.Load(); f != nil && time.Since(f.at) < faultMemory {
		return fmt.Errorf("the last event was not stored: %w", f.err)
	}
	return nil
}

// Durability is "always", or the longest time between fsyncs.
func (s *Server) Durability() string {
	if s.cfg.Sync == 0 {
		return "always"
	}
	return s.cfg.Sync.String()
}

// Close stops the server; it must be called after everything that reads logs
// has stopped. It may be called again.
func (s *Server) Close() error {
	s.unwatch()
	<-s.watched
	if err := s.nc.Drain(); err == nil {
		select {
		case <-s.closed:
		case <-time.After(closeTimeout):
		}
	}
	s.nc.Close()
	s.stop()
	return nil
}

func (s *Server) stop() {
	ns := s.ns.Load()
	ns.Shutdown()
	ns.WaitForShutdown()
}

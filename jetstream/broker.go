package jetstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"weir/views"
)

const (
	// defaultDuplicateWindow is short because every ID in it costs some 130
	// bytes of memory, and the server reads the whole window again when it
	// starts.
	defaultDuplicateWindow = 30 * time.Second

	// nameMax keeps a log's name a file name everywhere.
	nameMax = 128

	// requestTimeout bounds a request to the server that the caller has not
	// bounded itself.
	requestTimeout = 30 * time.Second
)

// CreateLog makes a log, or brings an existing one of that name in line.
func (s *Server) CreateLog(ctx context.Context, cfg views.LogConfig) (views.Log, error) {
	if err := checkConfig(cfg); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := s.js.Stream(ctx, cfg.Name)
	switch {
	case err == nil:
		stream, err = s.updateLog(ctx, stream, cfg)
	case errors.Is(err, natsjs.ErrStreamNotFound):
		stream, err = s.createStream(ctx, streamConfig(natsjs.StreamConfig{}, cfg))
	}
	if err != nil {
		return nil, fmt.Errorf("creating log %s: %w", cfg.Name, s.explainCreate(ctx, cfg, err))
	}
	s.changed.Add(1)
	return s.remember(stream), nil
}

// createAttempts is how often a stream is created before its failure is
// believed. The server removes the folder above the last stream that was
// deleted, in the background, and so from under a new one.
const createAttempts = 5

func (s *Server) createStream(ctx context.Context, cfg natsjs.StreamConfig) (natsjs.Stream, error) {
	for n := 1; ; n++ {
		stream, err := s.js.CreateStream(ctx, cfg)
		var api *natsjs.APIError
		if n == createAttempts || !errors.As(err, &api) || natsserver.ErrorIdentifier(api.ErrorCode) != natsserver.JSStreamCreateErrF {
			return stream, err
		}
	}
}

// updateLog changes an existing stream where it differs from cfg.
func (s *Server) updateLog(ctx context.Context, stream natsjs.Stream, cfg views.LogConfig) (natsjs.Stream, error) {
	have := stream.CachedInfo().Config
	want := streamConfig(have, cfg)
	if reflect.DeepEqual(have, want) {
		return stream, nil
	}
	return s.js.UpdateStream(ctx, want)
}

// streamConfig returns base with everything that weir decides set from cfg.
func streamConfig(base natsjs.StreamConfig, cfg views.LogConfig) natsjs.StreamConfig {
	base.Name = cfg.Name
	base.Subjects = slices.Clone(cfg.Subjects)
	base.Storage = natsjs.FileStorage
	base.Replicas = max(1, cfg.Replicas)
	// The oldest records give way, and nothing else ever removes one: a
	// sequence missing between the first and the last is damage.
	base.Retention = natsjs.LimitsPolicy
	base.Discard = natsjs.DiscardOld
	base.MaxAge = cfg.MaxAge
	base.MaxBytes = orUnlimited(cfg.MaxBytes)
	base.MaxMsgs = -1
	base.MaxMsgsPerSubject = -1
	base.DenyDelete = true
	base.DenyPurge = true
	base.AllowAtomicPublish = true
	base.AllowBatchPublish = true
	base.Duplicates = duplicateWindow(cfg)
	base.Metadata = metadata(base.Metadata, cfg.Metadata)
	return base
}

func orUnlimited(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// duplicateWindow is within what the server takes: no longer than events live.
func duplicateWindow(cfg views.LogConfig) time.Duration {
	window := cfg.DuplicateWindow
	if window == 0 {
		window = defaultDuplicateWindow
	}
	if cfg.MaxAge > 0 {
		window = min(window, cfg.MaxAge)
	}
	return window
}

// metadata returns want with the server's own entries of have, so that the two
// compare equal when only those differ.
func metadata(have, want map[string]string) map[string]string {
	merged := maps.Clone(want)
	for k, v := range have {
		if strings.HasPrefix(k, "_nats.") {
			if merged == nil {
				merged = map[string]string{}
			}
			merged[k] = v
		}
	}
	return merged
}

func checkConfig(cfg views.LogConfig) error {
	if err := checkName(cfg.Name); err != nil {
		return err
	}
	if len(cfg.Subjects) == 0 {
		return fmt.Errorf("log %s: give at least one subject that publishers send to", cfg.Name)
	}
	for _, subject := range cfg.Subjects {
		if err := checkLogSubject(subject); err != nil {
			return fmt.Errorf("log %s: %w", cfg.Name, err)
		}
	}
	switch w := cfg.DuplicateWindow; {
	case w < 0 || w > 0 && w < 100*time.Millisecond:
		return fmt.Errorf("log %s: the duplicate window is %v; it must be 100ms or more", cfg.Name, w)
	case cfg.MaxAge < 0 || cfg.MaxAge > 0 && cfg.MaxAge < 100*time.Millisecond:
		return fmt.Errorf("log %s: the retention is %v; it must be 100ms or more, or 0 to keep everything", cfg.Name, cfg.MaxAge)
	case cfg.MaxBytes < 0:
		return fmt.Errorf("log %s: the size limit is %d bytes; it must be positive, or 0 for none", cfg.Name, cfg.MaxBytes)
	}
	return nil
}

// checkName keeps to what is safe in a subject and as a file name.
func checkName(name string) error {
	ok := name != "" && len(name) <= nameMax
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-')
	}
	if !ok {
		return fmt.Errorf("log name %q: use 1 to %d letters, digits, _ and -", name, nameMax)
	}
	return nil
}

func checkLogSubject(subject string) error {
	switch {
	case !natsserver.IsValidSubject(subject) || strings.ContainsAny(subject, " \t\r\n"):
		return fmt.Errorf("subject %q is not valid: use words joined by dots, * for any one word, > for all the rest", subject)
	case natsserver.SubjectsCollide(subject, "$JS.>"), natsserver.SubjectsCollide(subject, "$SYS.>"),
		natsserver.SubjectsCollide(subject, internalInbox+".>"):
		return fmt.Errorf("subject %q takes in the server's own traffic: begin it with a word of your own, as in events.>", subject)
	}
	return nil
}

// explainCreate puts the server's refusals in words that say what to do.
func (s *Server) explainCreate(ctx context.Context, cfg views.LogConfig, err error) error {
	var api *natsjs.APIError
	if err := contextError(ctx, err); err != nil {
		return err
	}
	if !errors.As(err, &api) {
		return err
	}
	switch natsserver.ErrorIdentifier(api.ErrorCode) {
	case natsserver.JSStreamSubjectOverlapErr:
		if other, theirs, ours := s.overlapping(ctx, cfg); other != "" {
			return fmt.Errorf("subject %s is taken by log %s (%s): choose another subject", ours, other, theirs)
		}
	case natsserver.JSStorageResourcesExceededErr, natsserver.JSInsufficientResourcesErr:
		return fmt.Errorf("the size limit of %d bytes does not fit the disk beside the other logs: %w", cfg.MaxBytes, err)
	}
	return err
}

// overlapping names another log that takes one of cfg's subjects, the subject
// there, and the one here.
func (s *Server) overlapping(ctx context.Context, cfg views.LogConfig) (name, theirs, ours string) {
	streams := s.js.ListStreams(ctx)
	for info := range streams.Info() { // to its end, or its goroutine would stay
		if info.Config.Name == cfg.Name {
			continue
		}
		for _, a := range info.Config.Subjects {
			for _, b := range cfg.Subjects {
				if name == "" && natsserver.SubjectsCollide(a, b) {
					name, theirs, ours = info.Config.Name, a, b
				}
			}
		}
	}
	return name, theirs, ours
}

// OpenLog returns an existing log, or views.ErrNoLog.
func (s *Server) OpenLog(ctx context.Context, name string) (views.Log, error) {
	l, err := s.open(ctx, name)
	if err != nil {
		return nil, err // not l: a nil *log is not a nil views.Log
	}
	return l, nil
}

func (s *Server) open(ctx context.Context, name string) (*log, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	stream, err := s.js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("opening log %s: %w", name, explain(ctx, err))
	}
	return s.remember(stream), nil
}

// remember keeps the log's current configuration for Publish.
func (s *Server) remember(stream natsjs.Stream) *log {
	info := stream.CachedInfo()
	l := &log{server: s, name: info.Config.Name, subjects: info.Config.Subjects, created: info.Created}
	s.logs.Store(l.name, l)
	return l
}

// DeleteLog removes a log and all its records.
func (s *Server) DeleteLog(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	s.logs.Delete(name)
	err := s.js.DeleteStream(ctx, name)
	s.changed.Add(1)
	s.takers.Clear()
	if err == nil || errors.Is(err, natsjs.ErrStreamNotFound) {
		// The server can forget a log and leave its files: when it is killed in
		// between, or when the files of an earlier log of that name are still
		// being removed. The next log of the name would begin with the records.
		if err := os.RemoveAll(s.logDir(name)); err != nil {
			return fmt.Errorf("deleting log %s: %w", name, err)
		}
	}
	if err != nil {
		return fmt.Errorf("deleting log %s: %w", name, explain(ctx, err))
	}
	return nil
}

// logDir is the folder where the server keeps a log.
func (s *Server) logDir(name string) string {
	return filepath.Join(s.cfg.Dir, natsserver.JetStreamStoreDir, natsserver.DEFAULT_GLOBAL_ACCOUNT, "streams", name)
}

// Logs returns the names of the logs, sorted.
func (s *Server) Logs(ctx context.Context) ([]string, error) {
	lister := s.js.StreamNames(ctx)
	names := []string{}
	for name := range lister.Name() {
		if checkName(name) == nil && !isBucket(name) { // nor one of the server's own, as $MQTT_sess
			names = append(names, name)
		}
	}
	if err := lister.Err(); err != nil {
		return nil, fmt.Errorf("listing the logs: %w", explain(ctx, err))
	}
	slices.Sort(names)
	return names, nil
}

// explain turns an error of the client library into ours.
func explain(ctx context.Context, err error) error {
	if errors.Is(err, natsjs.ErrStreamNotFound) {
		return views.ErrNoLog
	}
	if ctxErr := contextError(ctx, err); ctxErr != nil {
		return ctxErr
	}
	return err
}

// contextError returns ctx.Err() where err came of it.
func contextError(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return ctx.Err()
	}
	return nil
}

package gmsx

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// Options say what an Engine serves and within which limits. A zero limit
// means its default.
type Options struct {
	Provider        gms.DatabaseProvider
	DefaultDatabase string // of a connection that names none

	Accounts *Accounts // who may log in; nil makes them of Users and Password
	Password string    // of root; empty leaves root what is stored, or none
	Users    UserStore // keeps accounts and grants; nil forgets them at the end

	// ParseHook sees the text of each single statement first. ok says that
	// the statement is the hook's own; an error, which may be one made by
	// Error, is a syntax error otherwise. It must be quick to say no, and is
	// called concurrently.
	ParseHook func(ctx context.Context, query string) (stmt Statement, ok bool, err error)

	// RewriteHook may change or replace each statement that the engine's own
	// parser has read, before it is planned. The tree is the hook's to change.
	// database is the session's current one, "" if it has none.
	RewriteHook func(stmt ast.Statement, database string) (ast.Statement, error)

	// Nearest returns which of the candidates a name is most likely a slip of,
	// or "". nil gives no hints.
	Nearest func(name string, candidates []string) string

	Functions  []gms.Function              // scalar functions; they win over built-in ones
	Aggregates map[string]AggregateFactory // by lower-case name; they win over built-in ones
	Rules      []Rule                      // of the analyzer, after the package's own

	// Operators gives operators and casts MySQL's types and bounds, see
	// Operation. Statements are then not what the engine's parser made of them.
	Operators bool

	// BitOperators gives those that to the bit operators alone of which the
	// engine makes a DOUBLE, as it does where one side is unsigned: for
	// definitions of views, whose arithmetic has kernels.
	BitOperators bool

	// Build may execute a node of the plan itself; nil, nil declines, and
	// ErrReplan asks for another plan.
	Build func(ctx *gms.Context, n gms.Node, row gms.Row) (gms.RowIter, error)

	// Writing is called before a sub-query of a statement that writes is run while
	// the statement is planned: what it reads must not change from then on until
	// the statement has ended. It may return ErrReplan. nil does nothing.
	Writing func(ctx *gms.Context, statement, query gms.Node) error

	// Direct may answer a SELECT itself, from its syntax, without the planner.
	// What it answers must be what the planner would have; nil, nil declines.
	// The account may read the table.
	Direct func(ctx *gms.Context, s *PlainSelect) (*Direct, error)

	StatementTimeout time.Duration // of a SELECT, unless max_execution_time is set; 0 is none
	MaxConnections   int           // default 200
	MaxPacket        int           // bytes of one statement; default 16 MiB
	MemoryLimit      uint64        // heap bytes at which a growing query fails; 0 is none
	LoginTimeout     time.Duration // default 10 s
	IdleTimeout      time.Duration // between commands; default wait_timeout of 8 h

	TLS        *tls.Config // nil offers no TLS
	RequireTLS bool        // refuse logins without it
	RemoteTLS  bool        // refuse them from other machines

	ServerVersion string       // default 8.0.33-weir
	Logger        *slog.Logger // default slog.Default()
}

// A UserStore keeps the accounts and grants as one opaque blob.
type UserStore interface {
	Load() ([]byte, error) // nil, nil when there is none yet
	Save([]byte) error
}

// Defaults of Options.
const (
	defaultMaxConnections = 200
	defaultMaxPacket      = 16 << 20
	defaultLoginTimeout   = 10 * time.Second
	defaultIdleTimeout    = 8 * time.Hour
	defaultVersion        = "8.0.33-weir"
)

func (o *Options) setDefaults() {
	if o.MaxConnections <= 0 {
		o.MaxConnections = defaultMaxConnections
	}
	if o.MaxPacket <= 0 {
		o.MaxPacket = defaultMaxPacket
	}
	if o.LoginTimeout <= 0 {
		o.LoginTimeout = defaultLoginTimeout
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = defaultIdleTimeout
	}
	if o.ServerVersion == "" {
		o.ServerVersion = defaultVersion
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

package ddl

import "strings"

// A Statement is one of the types below, as a pointer. All positions in it are
// bytes of the parsed text, from 0.
type Statement interface {
	// String is the statement as SQL that parses back to an equal one.
	String() string
	statement()
}

// A Name is that of a stream or a view.
type Name struct {
	Database string // "" where the statement names none
	Name     string
	Pos      int
}

// A CreateStream makes a stream.
type CreateStream struct {
	IfNotExists bool
	Name        Name
	Columns     []Column
	Options     Options // of StreamOptions
	Comment     string
}

// A Column of a stream.
type Column struct {
	Name string
	// Type is the SQL type in one spelling: lower case, synonyms resolved,
	// defaults written out, display widths dropped. So INTEGER(11) is "int",
	// BOOL "boolean", NUMERIC(9) "decimal(9,0)" and CHAR "char(1)".
	Type      string
	NotNull   bool
	Path      string // "" for the default
	Generated string // the expression as it was written, without the parentheses around it
	Comment   string
	Pos       int
}

// A DropStream removes a stream and its events.
type DropStream struct {
	IfExists bool
	Name     Name
}

// A ShowStreams lists the streams.
type ShowStreams struct {
	Database string // "" where the statement names none
	Like     string // a pattern for LIKE; "" for all
}

// A ShowCreateStream prints the statement that makes a stream.
type ShowCreateStream struct{ Name Name }

// A CreateView makes a materialized view.
type CreateView struct {
	OrReplace   bool
	IfNotExists bool
	Name        Name
	Options     Options // of ViewOptions
	Query       string  // the SELECT as it was written
	QueryPos    int
}

// A DropView removes a materialized view.
type DropView struct {
	IfExists bool
	Name     Name
}

// A ShowViews lists the materialized views.
type ShowViews struct {
	Database string // "" where the statement names none
	Like     string // a pattern for LIKE; "" for all
}

// A ShowCreateView prints the statement that makes a materialized view.
type ShowCreateView struct{ Name Name }

// A RefreshView asks for a batch run, or with Full for a new version from the whole log.
type RefreshView struct {
	Name Name
	Full bool
}

// An AlterView changes options of a view or takes it back to its last version.
// It does one of the two.
type AlterView struct {
	Name     Name
	Set      Options // of ViewOptions
	Rollback bool
}

// An AuditView compares a view with a computation from the whole log.
type AuditView struct{ Name Name }

func (*CreateStream) statement()     {}
func (*DropStream) statement()       {}
func (*ShowStreams) statement()      {}
func (*ShowCreateStream) statement() {}
func (*CreateView) statement()       {}
func (*DropView) statement()         {}
func (*ShowViews) statement()        {}
func (*ShowCreateView) statement()   {}
func (*RefreshView) statement()      {}
func (*AlterView) statement()        {}
func (*AuditView) statement()        {}

// String is the name as SQL, quoted where it must be.
func (n Name) String() string {
	if n.Database == "" {
		return QuoteName(n.Name)
	}
	return QuoteName(n.Database) + "." + QuoteName(n.Name)
}

func (s *CreateStream) String() string {
	var b strings.Builder
	b.WriteString("CREATE STREAM " + when(s.IfNotExists, "IF NOT EXISTS ") + s.Name.String() + " (")
	for i, c := range s.Columns {
		b.WriteString(when(i > 0, ",") + "\n  " + c.String())
	}
	b.WriteString("\n)")
	if s.Comment != "" {
		b.WriteString(" COMMENT " + QuoteString(s.Comment))
	}
	if len(s.Options) > 0 {
		b.WriteString(" WITH " + s.Options.String())
	}
	return b.String()
}

// String is the column as a line of CREATE STREAM.
func (c Column) String() string {
	s := QuoteName(c.Name) + " " + c.Type
	if c.Generated != "" {
		s += " AS (" + c.Generated + ")"
	}
	s += when(c.NotNull, " NOT NULL")
	if c.Path != "" {
		s += " PATH " + QuoteString(c.Path)
	}
	if c.Comment != "" {
		s += " COMMENT " + QuoteString(c.Comment)
	}
	return s
}

func (s *CreateView) String() string {
	text := "CREATE " + when(s.OrReplace, "OR REPLACE ") + "MATERIALIZED VIEW " +
		when(s.IfNotExists, "IF NOT EXISTS ") + s.Name.String()
	if len(s.Options) > 0 {
		text += "\nWITH " + s.Options.String()
	}
	return text + " AS\n" + s.Query
}

func (s *DropStream) String() string {
	return "DROP STREAM " + when(s.IfExists, "IF EXISTS ") + s.Name.String()
}

func (s *DropView) String() string {
	return "DROP MATERIALIZED VIEW " + when(s.IfExists, "IF EXISTS ") + s.Name.String()
}

func (s *ShowStreams) String() string { return "SHOW STREAMS" + fromLike(s.Database, s.Like) }

func (s *ShowViews) String() string {
	return "SHOW MATERIALIZED VIEWS" + fromLike(s.Database, s.Like)
}

func (s *ShowCreateStream) String() string { return "SHOW CREATE STREAM " + s.Name.String() }

func (s *ShowCreateView) String() string { return "SHOW CREATE MATERIALIZED VIEW " + s.Name.String() }

func (s *RefreshView) String() string {
	return "REFRESH MATERIALIZED VIEW " + s.Name.String() + when(s.Full, " FULL")
}

func (s *AlterView) String() string {
	text := "ALTER MATERIALIZED VIEW " + s.Name.String()
	if s.Rollback {
		return text + " ROLLBACK"
	}
	return text + " SET " + s.Set.String()
}

func (s *AuditView) String() string { return "AUDIT MATERIALIZED VIEW " + s.Name.String() }

func when(yes bool, text string) string {
	if yes {
		return text
	}
	return ""
}

func fromLike(database, like string) string {
	text := ""
	if database != "" {
		text += " FROM " + QuoteName(database)
	}
	if like != "" {
		text += " LIKE " + QuoteString(like)
	}
	return text
}

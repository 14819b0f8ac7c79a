// Package ddl parses the statements of weir that MySQL's grammar lacks, and
// leaves every other statement to the MySQL parser.
//
// [Parse] is the front door: it looks at the first words of a query and
// returns nil when they are not weir's. [Split] cuts a script into statements.
// The rest helps with the values of options ([ParseDuration], [ParseBytes],
// [ParseSubjects]) and with writing SQL ([QuoteName], [QuoteString]). The
// String method of every statement prints SQL that parses back to an equal
// statement, positions aside.
//
// # Grammar
//
// Words are matched without regard to case.
//
//	statement     = create_stream | drop_stream | show_streams | show_create
//	              | create_view | drop_view | show_views | refresh | alter | audit
//
//	create_stream = "CREATE" "STREAM" [if_not_exists] name
//	                "(" column { "," column } ")" { with | comment }
//	column        = ident type { clause }
//	clause        = "NOT" "NULL" | "NULL" | "PATH" string | comment
//	              | ["GENERATED" "ALWAYS"] "AS" "(" expression ")" ["VIRTUAL" | "STORED"]
//	              | ("CHARACTER" "SET" | "CHARSET" | "COLLATE") word
//	comment       = "COMMENT" ["="] string
//	drop_stream   = "DROP" "STREAM" ["IF" "EXISTS"] name
//	show_streams  = "SHOW" "STREAMS" [("FROM" | "IN") ident] ["LIKE" string]
//	show_create   = "SHOW" "CREATE" ("STREAM" | "MATERIALIZED" "VIEW") name
//
//	create_view   = "CREATE" ["OR" "REPLACE"] "MATERIALIZED" "VIEW" [if_not_exists] name
//	                [with] "AS" query
//	drop_view     = "DROP" "MATERIALIZED" "VIEW" ["IF" "EXISTS"] name
//	show_views    = "SHOW" "MATERIALIZED" "VIEWS" [("FROM" | "IN") ident] ["LIKE" string]
//	refresh       = "REFRESH" "MATERIALIZED" "VIEW" name ["FULL"]
//	alter         = "ALTER" "MATERIALIZED" "VIEW" name ("SET" options | "ROLLBACK")
//	audit         = "AUDIT" "MATERIALIZED" "VIEW" name
//
//	with          = "WITH" options
//	options       = "(" option { "," option } ")"
//	option        = word "=" (string | number | "TRUE" | "FALSE" | word)
//	if_not_exists = "IF" "NOT" "EXISTS"
//	name          = [ident "."] ident
//	ident         = word | "`" … "`" | '"' … '"'
//
// A query is the text from SELECT, WITH or "(" to the end of the statement, and
// an expression the text up to its closing parenthesis. Both are taken as they
// stand: only quotes, comments and parentheses are looked at.
//
// # Lexical rules
//
// Quotes, escapes and comments are those of MySQL in its default mode, except
// that "--" begins a comment even where no space follows, as it does in the
// MySQL parser beneath. Comments before, between and after the tokens of a
// statement are dropped, and so are executable ones (/*! … */) outside of a
// query or an expression.
package ddl

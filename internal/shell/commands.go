package shell

import (
	"cmp"
	"context"
	gosql "database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// command does one of the shell's own.
func (sh *shell) command(ctx context.Context, name, arg string) error {
	switch name {
	case "help":
		return sh.help(arg)
	case "clear":
		return nil
	case "quit":
		sh.stop = true
		return nil
	case "delimiter":
		if arg == "" || strings.Contains(arg, `\`) {
			return errors.New(`delimiter takes the text that statements will end with, without a backslash: delimiter //`)
		}
		return nil
	case "format":
		if !slices.Contains(Formats, arg) {
			return fmt.Errorf("format takes one of %s", strings.Join(Formats, ", "))
		}
		sh.format = arg
		return nil
	case "pager":
		sh.pager = cmp.Or(arg, os.Getenv("PAGER"), "less -SFX")
		sh.say("Results go through: %s", sh.pager)
		return nil
	case "nopager":
		sh.pager = ""
		return nil
	case "print":
		fmt.Fprintln(sh.out, strings.TrimSpace(sh.split.text.String()))
		return nil
	case "rehash":
		if sh.words != nil {
			sh.words.refresh()
		}
		return nil
	case "source":
		return sh.source(ctx, arg)
	case "warnings", "nowarning":
		sh.warn = name == "warnings"
		return nil
	}
	if sh.s.conn == nil {
		if err := sh.reconnect(ctx); err != nil {
			return err
		}
	}
	switch name {
	case "status":
		return sh.status(ctx)
	case "use":
		if arg == "" {
			return errors.New("use takes the name of a database")
		}
		if err := sh.s.use(ctx, arg); err != nil {
			return err
		}
		sh.say("Database changed")
		return nil
	}
	return fmt.Errorf("%s is no command: help shows those there are", name)
}

// say tells what nobody needs who does not read along.
func (sh *shell) say(format string, args ...any) {
	if sh.reads && sh.sourcing == 0 {
		fmt.Fprintf(sh.out, format+"\n", args...)
	}
}

func (sh *shell) help(about string) error {
	if about != "" {
		return fmt.Errorf("there is no help on %s: help alone shows the commands, and docs/sql.md has the statements", about)
	}
	fmt.Fprintln(sh.out, "Statements end with ; or with \\G, which shows each row as a list. These are the shell's own commands:")
	fmt.Fprintln(sh.out)
	for _, c := range commands {
		short := ""
		if c.short != 0 {
			short = `(\` + string(c.short) + ")"
		}
		fmt.Fprintf(sh.out, "%-19s %-4s  %s.\n", strings.TrimSpace(c.name+" "+c.takes), short, c.help)
	}
	fmt.Fprintln(sh.out)
	fmt.Fprintln(sh.out, "Tab completes names, Ctrl-R searches what was typed before, Ctrl-C ends the statement that runs or forgets the line.")
	return nil
}

// sourceDepth bounds files that read each other.
const sourceDepth = 16

func (sh *shell) source(ctx context.Context, name string) error {
	if name == "" {
		return errors.New("source takes the name of a file")
	}
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			name = filepath.Join(home, rest)
		}
	}
	if sh.sourcing == sourceDepth {
		return fmt.Errorf("%s: files are read %d deep: they read each other", name, sourceDepth)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	outer := sh.file
	sh.sourcing++
	sh.file = name
	err = sh.script(ctx, f)
	sh.sourcing--
	sh.file = outer
	return err
}

// status shows what the shell is connected to, and how that is.
func (sh *shell) status(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var user string
	if err := sh.s.conn.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&user); err != nil {
		return err
	}
	line := func(name, format string, args ...any) {
		if name != "" {
			name += ":"
		}
		fmt.Fprintf(sh.out, "%-16s%s\n", name, fmt.Sprintf(format, args...))
	}
	line("Server", "%s (%s)", sh.s.version, sh.s.cfg.Addr)
	line("Connection", "%d", sh.s.id)
	line("User", "%s", user)
	line("Database", "%s", cmp.Or(sh.s.database, "none"))
	line("Delimiter", "%s", sh.split.delimiter)
	line("Format", "%s", sh.format)
	line("Pager", "%s", cmp.Or(sh.pager, "none"))
	var name string
	var seconds int64
	if err := sh.s.conn.QueryRowContext(ctx, "SHOW STATUS LIKE 'Uptime'").Scan(&name, &seconds); err == nil {
		line("Uptime", "%s", time.Duration(seconds)*time.Second)
	}
	sh.views(ctx, line)
	return nil
}

// views adds how the views are, where the server is a weir.
func (sh *shell) views(ctx context.Context, line func(name, format string, args ...any)) {
	rows, err := sh.s.conn.QueryContext(ctx, "SELECT name, state, lag_events, error FROM weir.views ORDER BY name")
	if err != nil {
		return
	}
	defer rows.Close()
	title := "Views"
	for rows.Next() {
		var name, state string
		var lag gosql.NullInt64
		var failure gosql.NullString
		if rows.Scan(&name, &state, &lag, &failure) != nil {
			return
		}
		text := name + ": " + state
		if lag.Int64 > 0 {
			text += fmt.Sprintf(", %s behind", count(lag.Int64, "event"))
		}
		if failure.String != "" {
			text += ": " + failure.String
		}
		line(title, "%s", shown(cell(text)))
		title = ""
	}
	_ = rows.Err() // what there was is shown
}

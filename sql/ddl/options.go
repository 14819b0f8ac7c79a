package ddl

import (
	"slices"
	"strings"
)

// StreamOptions are the names that WITH takes for a stream.
var StreamOptions = []string{
	"subjects", "format", "pattern", "event_time", "time_format",
	"retention", "max_bytes", "duplicate_window", "dedup_window", "replicas",
}

// ViewOptions are the names that WITH and SET take for a materialized view.
var ViewOptions = []string{
	"mode", "batch_interval", "batch_events", "speed_retention", "retention",
	"delivery", "keep_previous", "replay_rate", "publish_changes",
}

// otherNames are what other systems call an option of ours.
var otherNames = map[string]string{
	"topic":        "subjects",
	"value_format": "format",
	"regex":        "pattern",
	"timestamp":    "event_time",
	"ttl":          "retention",
	"max_age":      "retention",
	"max_size":     "max_bytes",
	"num_replicas": "replicas",
}

// Options are those of one statement, in the order given, each name once.
type Options []Option

// An Option is a name and a value. TRUE and FALSE are "true" and "false",
// strings are without their quotes, and all else is as it was written.
type Option struct {
	Name     string // lower case
	Value    string
	Pos      int // of the name
	ValuePos int
}

// Get returns the option of that name, and whether it was given.
func (o Options) Get(name string) (Option, bool) {
	i := slices.IndexFunc(o, func(opt Option) bool { return opt.Name == name })
	if i < 0 {
		return Option{}, false
	}
	return o[i], true
}

// Without returns the options but for the one of that name.
func (o Options) Without(name string) Options {
	return slices.DeleteFunc(slices.Clone(o), func(opt Option) bool { return opt.Name == name })
}

// With returns the options with opt, in the place of the one of its name.
func (o Options) With(opt Option) Options {
	list := slices.Clone(o)
	if i := slices.IndexFunc(o, func(old Option) bool { return old.Name == opt.Name }); i >= 0 {
		list[i] = opt
		return list
	}
	return append(list, opt)
}

// String is the options as SQL, in parentheses.
func (o Options) String() string {
	var b strings.Builder
	for i, opt := range o {
		b.WriteString(when(i > 0, ",") + "\n  " + opt.Name + " = " + literal(opt.Value))
	}
	return "(" + b.String() + "\n)"
}

// literal writes a value, with quotes unless it is a whole number or a boolean.
func literal(value string) string {
	digits := value != "" && strings.Trim(value, "0123456789") == ""
	if digits || value == "true" || value == "false" {
		return value
	}
	return QuoteString(value)
}

// options parses the list in parentheses. The names are those that what, "a
// stream" or "a view", takes.
func (p *parser) options(what string, names []string) Options {
	p.expectSymbol('(')
	var list Options
	for more := true; more; more = p.acceptSymbol(',') {
		list = append(list, p.option(what, names, list))
	}
	if !p.acceptSymbol(')') {
		p.fail("expected a comma or ) after the option; texts are in quotes")
	}
	return list
}

func (p *parser) option(what string, names []string, before Options) Option {
	if p.tok.kind != word && p.tok.kind != quoted {
		p.fail("expected an option, such as %s", names[0])
	}
	opt := Option{Name: asciiLower(p.nameText()), Pos: p.tok.pos}
	if !slices.Contains(names, opt.Name) {
		p.fail("%s", unknownOption(opt.Name, what, names))
	}
	if _, twice := before.Get(opt.Name); twice {
		p.fail("the option %s is given twice", opt.Name)
	}
	p.advance()
	p.expectSymbol('=')
	opt.ValuePos = p.tok.pos
	opt.Value = p.value(opt.Name)
	return opt
}

func unknownOption(name, what string, names []string) string {
	msg := "unknown option " + name
	if hint := otherNames[name]; slices.Contains(names, hint) {
		return msg + ", did you mean " + hint + "?"
	}
	if hint := didYouMean(name, names); hint != "" {
		return msg + hint
	}
	switch {
	case slices.Contains(StreamOptions, name):
		msg = name + " is an option of streams"
	case slices.Contains(ViewOptions, name):
		msg = name + " is an option of materialized views"
	}
	return msg + ": " + what + " takes " + join(names)
}

// value parses the value of the option name.
func (p *parser) value(name string) string {
	text := ""
	switch {
	case p.tok.kind == str:
		text = unquote(p.text())
	case p.tok.kind == number:
		text = p.text()
	case p.isWord("TRUE") || p.isWord("FALSE"):
		text = asciiLower(p.text())
	case p.tok.kind == word:
		text = p.text()
	case p.isSymbol('-'):
		p.fail("%s cannot be negative", name)
	default:
		p.fail("expected a value for %s, such as a text in quotes or a number", name)
	}
	p.advance()
	return text
}

package ddl

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// ParseSubjects parses the subjects that a stream takes events from, separated
// by commas, and checks that NATS and weir accept them: tokens joined by dots,
// * for any one token and > for one or more at the end. No two may overlap.
func ParseSubjects(s string) ([]string, error) {
	var list []string
	var tokens [][]string // of each in list
	for subject := range strings.SplitSeq(s, ",") {
		subject = strings.TrimSpace(subject)
		if err := checkSubject(subject); err != nil {
			return nil, err
		}
		split := strings.Split(subject, ".")
		for i, other := range list {
			if overlap(tokens[i], split) {
				return nil, fmt.Errorf("the subjects %s and %s overlap: an event would be in the stream twice", other, subject)
			}
		}
		list, tokens = append(list, subject), append(tokens, split)
	}
	return list, nil
}

// CheckLiteralSubject checks that NATS and weir accept a subject to publish to:
// tokens joined by dots, without wildcards.
func CheckLiteralSubject(subject string) error {
	if strings.ContainsFunc(subject, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		return fmt.Errorf("the subject %q contains a comma or space: name one subject, such as views.requests", subject)
	}
	if err := checkSubject(subject); err != nil {
		return err
	}
	for _, token := range strings.Split(subject, ".") {
		if token == "*" || token == ">" {
			return fmt.Errorf("the subject %s stands for many: name one, without * and >", subject)
		}
	}
	return nil
}

// reservedSubjects are what the subjects of NATS and of weir itself begin with.
var reservedSubjects = []string{"$", "_weir", "_INBOX"}

func checkSubject(subject string) error {
	if subject == "" {
		return errors.New("a subject is empty: subjects are written like 'logs.access, logs.access.>'")
	}
	for _, prefix := range reservedSubjects {
		if strings.HasPrefix(subject, prefix) {
			return fmt.Errorf("the subject %s begins with %s, which is reserved", subject, prefix)
		}
	}
	tokens := strings.Split(subject, ".")
	named := false
	for i, token := range tokens {
		if problem := checkToken(token, i == len(tokens)-1); problem != "" {
			return fmt.Errorf("the subject %q %s", subject, problem)
		}
		named = named || token != "*" && token != ">"
	}
	if !named {
		return fmt.Errorf("the subject %s would take the messages of weir and of NATS itself too: name at least one token, as in 'logs.>'", subject)
	}
	return nil
}

func checkToken(token string, last bool) string {
	switch {
	case token == "":
		return "has an empty token: a dot stands between two others"
	case token == ">" && !last:
		return "has > before its end: it stands for the rest and comes last"
	case token != "*" && token != ">" && strings.ContainsAny(token, "*>"):
		return "has a wildcard within a token: * and > stand between dots"
	case strings.ContainsFunc(token, unicode.IsSpace):
		return "contains space: a comma separates subjects"
	case strings.ContainsFunc(token, unicode.IsControl):
		return "contains a control character"
	}
	return ""
}

// overlap reports whether a subject can match both patterns.
func overlap(a, b []string) bool {
	for i := range min(len(a), len(b)) {
		switch {
		case a[i] == ">" || b[i] == ">":
			return true
		case a[i] != b[i] && a[i] != "*" && b[i] != "*":
			return false
		}
	}
	return len(a) == len(b)
}

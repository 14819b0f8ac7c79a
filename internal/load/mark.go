package load

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/jetstream/publisher"
)

const (
	// blockSize is how much of the beginning of a file tells it from others. It
	// holds a dozen lines, and more than the titles that logs begin with.
	blockSize = 4 << 10
	// tailSize is how much before a mark must still be there for the file to be
	// the same one continued.
	tailSize = 4 << 10
	// quietTime is how long a mark must stay as it is before a run that did not
	// end in order is taken for dead. Runs write theirs three times as often.
	quietTime = 3 * time.Second
	// quietTick is how often such a mark is looked at.
	quietTick = 100 * time.Millisecond
	// lastWords is how long after its last mark a run can have published: it
	// gives up an event after a minute.
	lastWords = 5 * time.Minute
)

// A mark is how far a file is published, as the server keeps it.
type mark struct {
	Source string    `json:"source"` // name of the file at the last run, for people
	Log    time.Time `json:"log"`    // when the log was created that the lines are in

	Head    string `json:"head"` // digest of the first HeadLen bytes
	HeadLen int    `json:"head_len"`
	Tail    string `json:"tail"` // digest of the last TailLen bytes before Offset
	TailLen int    `json:"tail_len"`

	Offset int64 `json:"offset"` // all lines before are in the log
	Lines  int64 `json:"lines"`  // before Offset
	Events int64 `json:"events"` // of these lines
	Cut    int64 `json:"cut"`    // length of the last line before Offset if it had no end then, else 0

	From uint64 `json:"from"` // lines behind Offset can only be in the log after this sequence
	Seq  uint64 `json:"seq"`  // highest sequence of the Events; 0 for none

	Run string `json:"run,omitempty"` // of the run at work; "" after one that ended in order
	By  string `json:"by"`            // where that run is or was, for people
}

// A found is a mark as it was found, with what is needed to change it.
type found struct {
	mark
	key      string
	revision uint64    // 0 if it has not been set yet
	at       time.Time // when it was set
}

// id is the file's part of its events' IDs.
func (f *found) id() string { return f.key[strings.LastIndexByte(f.key, '.')+1:] }

// eventID is the ID of the line of a file whose text ends at an offset.
func eventID(file string, end int64) string { return file + ":" + strconv.FormatInt(end, 10) }

// lineEnd is the offset in the ID of a file's line.
func lineEnd(file, id string) (int64, bool) {
	text, ok := strings.CutPrefix(id, file+":")
	if !ok {
		return 0, false
	}
	end, err := strconv.ParseInt(text, 10, 64)
	return end, err == nil
}

// digest is 64 bits: enough to tell files apart that nobody made alike.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// token names a run, or a file that will not be recognised.
func token() string { return strings.ToLower(rand.Text())[:16] }

// here says where this process is.
func here() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%s, process %d", host, os.Getpid())
}

// An identity is what the beginning of a file says about which file it is.
type identity struct {
	prefix string // of the keys of all files that begin like it
	as     string // the name it was given, or ""
	block  []byte
}

// identify tells what a file with this beginning can be found by. A name that
// was given stands for all of it.
func identify(log, as string, block []byte) identity {
	if as != "" {
		return identity{prefix: log + ".name.", as: as, block: block}
	}
	first, _, _ := bytes.Cut(block, []byte("\n"))
	return identity{prefix: log + "." + digest(first) + ".", block: block}
}

// head is the part of the beginning that will stay as it is: whole lines, as
// long as the file may still be written to.
func (i identity) head() []byte {
	if len(i.block) == blockSize {
		return i.block
	}
	if end := bytes.LastIndexByte(i.block, '\n'); end >= 0 {
		return i.block[:end+1]
	}
	return i.block
}

// pattern matches the keys of the files that this may be.
func (i identity) pattern() string {
	if i.as != "" {
		return i.prefix + digest([]byte(i.as))
	}
	return i.prefix + "*"
}

// begins reports whether the file can be the one of a mark.
func (i identity) begins(m *mark) bool {
	return i.as != "" || m.HeadLen <= len(i.block) && digest(i.block[:m.HeadLen]) == m.Head
}

// fresh returns a mark of a file that is not among those found, at its beginning.
func (i identity) fresh(all []found, log publisher.Log) found {
	key := i.prefix + digest(i.head())
	if i.as != "" {
		key = i.pattern()
	}
	f := found{key: key}
	for n := 2; ; n++ {
		at := slices.IndexFunc(all, func(m found) bool { return m.key == f.key })
		if at < 0 {
			break
		}
		if !all[at].Log.Equal(log.Created) { // of a log that is gone
			f.revision = all[at].revision
			break
		}
		f.key = fmt.Sprintf("%s-%d", key, n)
	}
	f.mark = mark{Log: log.Created, From: log.Last}
	i.update(&f.mark)
	return f
}

// update makes the mark's head as long as it can be.
func (i identity) update(m *mark) {
	head := i.head()
	m.Head, m.HeadLen = digest(head), len(head)
}

// marks returns the marks of the files that this may be.
func (l *loader) marks(ctx context.Context, i identity) ([]found, error) {
	marks, err := l.client.Marks(ctx, i.pattern())
	if err != nil {
		return nil, err
	}
	all := make([]found, 0, len(marks))
	for _, m := range marks {
		f := found{key: m.Key, revision: m.Revision, at: m.At}
		if err := json.Unmarshal(m.Value, &f.mark); err != nil {
			return nil, fmt.Errorf("mark %s is not one of weir publish: %w", m.Key, err)
		}
		all = append(all, f)
	}
	return all, nil
}

var (
	errShort = errors.New("the text ends before the mark")
	errOther = errors.New("the text before the mark is another")
)

// resume reads a text from its beginning to where a mark is, if it is the text
// of the mark, and returns a reader for the lines behind it, with the tail
// before them. The last line before the mark is read again if it had no end.
func (t *text) resume(m *mark) (io.Reader, []byte, error) {
	back := max(int64(m.TailLen), m.Cut)
	switch err := t.skip(m.Offset - back); {
	case errors.Is(err, io.EOF):
		return nil, nil, errShort
	case err != nil:
		return nil, nil, readError(err)
	}
	before := make([]byte, back)
	switch _, err := io.ReadFull(t, before); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, nil, errShort
	case err != nil:
		return nil, nil, readError(err)
	}
	if digest(last(before, m.TailLen)) != m.Tail {
		return nil, nil, errOther
	}
	tail, cut := before[:back-m.Cut], before[back-m.Cut:]
	return io.MultiReader(bytes.NewReader(cut), t), last(tail, tailSize), nil
}

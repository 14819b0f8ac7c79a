package jetstream

import (
	"context"
	"errors"
	"strings"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// marksBucket is the key-value bucket in which publishers that read files keep
// how far they are; see package publisher, which has the same constant.
const marksBucket = "weir-publish"

// bucketPrefix begins the names of the streams that are key-value buckets. No
// log has such a name, since those are in lower case.
const bucketPrefix = "KV_"

// makeMarks makes the bucket of marks if it is missing, since publishers may not.
// A server that cannot, as when its disk is full, still has logs to read.
func (s *Server) makeMarks(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := s.js.KeyValue(ctx, marksBucket)
	if errors.Is(err, natsjs.ErrBucketNotFound) {
		_, err = s.js.CreateKeyValue(ctx, natsjs.KeyValueConfig{
			Bucket:      marksBucket,
			Description: "how far weir publish is with each file",
			Storage:     natsjs.FileStorage,
		})
	}
	if err != nil {
		s.logger.Warn("weir publish cannot be used until the next start", "error", err)
	}
}

// isBucket reports whether a stream is a key-value bucket and so no log.
func isBucket(name string) bool { return strings.HasPrefix(name, bucketPrefix) }

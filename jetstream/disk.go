package jetstream

import (
	"io/fs"
	"path/filepath"
)

// diskReserve is left free on the log's disk, or a tenth of a small one.
// JetStream answers a publisher that reaches its own limit with a clean error,
// whereas on a full disk it falls silent and has to be started again: the limit
// is there to be reached first.
const diskReserve = 256 << 20

func reserve(total int64) int64 { return min(diskReserve, total/10) }

// storeMax returns how large the logs in dir may grow together: what they hold
// now and what is free, less the reserve. It is never zero, which would leave
// the choice to the server (three quarters of the free space, counting what the
// logs already hold against it).
func storeMax(dir string) (int64, error) {
	used, err := dirSize(dir)
	if err != nil {
		return 0, err
	}
	free, total, err := diskFree(dir)
	if err != nil {
		return 0, err
	}
	return max(1, used+max(0, free-reserve(total))), nil
}

func dirSize(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		return nil
	})
	return size, err
}

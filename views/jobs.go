package views

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The kinds of jobs.
const (
	JobBuild  = "build"
	JobReplay = "replay"
	JobBatch  = "batch"
	JobAudit  = "audit"
)

// A Job is a row of weir.jobs: work that takes its time.
type Job struct {
	ID                   uint64
	Kind, Database, View string
	State                string
	EventsDone, EventsIn uint64
	Started              time.Time
	Finished             time.Time // zero while it runs
}

// Percent is how much of the job is done, from 0 to 100.
func (j *Job) Percent() float64 {
	if j.EventsIn == 0 {
		return 100
	}
	return min(100, 100*float64(j.EventsDone)/float64(j.EventsIn))
}

// Rate is its events per second so far.
func (j *Job) Rate() float64 {
	end := j.Finished
	if end.IsZero() {
		end = time.Now()
	}
	s := end.Sub(j.Started).Seconds()
	if s <= 0 {
		return 0
	}
	return float64(j.EventsDone) / s
}

// jobsMax bounds the finished jobs that are remembered.
const jobsMax = 100

// jobs are the running jobs and the last finished ones. They live as long as
// the process: what must outlast it is in BatchRun.
type jobs struct {
	mu   sync.Mutex
	next uint64
	list []*job
}

type job struct {
	jobs *jobs
	Job  // guarded by jobs.mu, but for what is atomic below
	done atomic.Uint64
	// missing are those of EventsIn that the log turned out to lack.
	missing atomic.Uint64
	cancel  context.CancelCauseFunc
}

// ErrCancelled is the cause of a job's end when somebody cancelled it.
var ErrCancelled = errors.New("cancelled")

// startJob returns a job and a context that ends when it is cancelled. The
// caller must call end.
func (e *Engine) startJob(ctx context.Context, kind string, of *ViewDef, events uint64) (*job, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	e.jobs.mu.Lock()
	defer e.jobs.mu.Unlock()
	e.jobs.next++
	j := &job{jobs: &e.jobs, Job: Job{ID: e.jobs.next, Kind: kind, Database: of.Database, View: of.Name, State: StateRunning, EventsIn: events, Started: now()}, cancel: cancel}
	e.jobs.list = append(e.jobs.list, j)
	for i := 0; len(e.jobs.list) > jobsMax && i < len(e.jobs.list); {
		if e.jobs.list[i].State == StateRunning {
			i++
			continue
		}
		e.jobs.list = slices.Delete(e.jobs.list, i, i+1)
	}
	return j, ctx
}

// CancelJob stops a job that runs: what it was computing is thrown away, and
// nothing else changes. It does not wait until it has stopped. ErrUnknown where
// there is no such job.
func (e *Engine) CancelJob(id uint64) error {
	e.jobs.mu.Lock()
	defer e.jobs.mu.Unlock()
	for _, j := range e.jobs.list {
		if j.ID != id {
			continue
		}
		if j.State != StateRunning {
			return fmt.Errorf("job %d is over: %s", id, j.State)
		}
		j.cancel(ErrCancelled)
		return nil
	}
	return fmt.Errorf("job %d %w", id, ErrUnknown)
}

// progress says that the job has got through so many sequences, of which the
// log lacked some: those are no events, and no work.
func (j *job) progress(through, missing uint64) {
	j.done.Store(through - missing)
	j.missing.Store(missing)
}

func (j *job) end(err error) {
	j.cancel(nil)
	j.jobs.mu.Lock()
	defer j.jobs.mu.Unlock()
	j.Finished = now()
	switch {
	case err == nil:
		j.State = StateDone
		j.done.Store(j.EventsIn - min(j.missing.Load(), j.EventsIn))
	case errors.Is(err, ErrCancelled), errors.Is(err, context.Canceled):
		j.State = StateCancelled
	default:
		j.State = StateFailed
	}
}

// Jobs returns the running jobs and the last finished ones, oldest first.
func (e *Engine) Jobs() []Job {
	e.jobs.mu.Lock()
	defer e.jobs.mu.Unlock()
	list := make([]Job, len(e.jobs.list))
	for i, j := range e.jobs.list {
		list[i] = j.Job
		list[i].EventsDone = j.done.Load()
		list[i].EventsIn -= min(j.missing.Load(), j.EventsIn)
	}
	return list
}

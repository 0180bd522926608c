// Package timers sets timers, which the host keeps: they survive a trap of the handler.
package timers

import (
	"errors"
	"time"
	"unsafe"

	"wsrun"
	"wsrun/internal/abi"
)

// Timer names a timer; never reused.
type Timer uint64

// Fired is a timer that fired. It is spent: set it again for a period.
type Fired struct {
	Timer Timer
	Tag   uint64
	// Connection is the one that it was set for, if HasConnection.
	Connection    wsrun.Connection
	HasConnection bool
}

var handle func(Fired)

// Handle says who is told of timers that fire.
func Handle(fired func(Fired)) {
	handle = fired
}

// Set has a timer fire once, no earlier than after from now.
func Set(after time.Duration, tag uint64) (Timer, error) {
	return set(after, tag, false, 0)
}

// SetFor sets a timer of a connection, which is cancelled when the connection closes.
func SetFor(connection wsrun.Connection, after time.Duration, tag uint64) (Timer, error) {
	return set(after, tag, true, connection)
}

func set(after time.Duration, tag uint64, some bool, connection wsrun.Connection) (Timer, error) {
	outcome := abi.New[abi.OutcomeU64TimersTimerError]()
	var has uint32
	if some {
		has = 1
	}
	// Up to the next millisecond: no earlier than asked for.
	milliseconds := (max(after, 0) + time.Millisecond - 1) / time.Millisecond
	abi.TimersSet(uint32(min(milliseconds, 1<<32-1)), tag, has, uint64(connection), unsafe.Pointer(outcome))
	if !outcome.Failed {
		return Timer(*abi.As[uint64](unsafe.Pointer(&outcome.Value))), nil
	}
	switch abi.As[abi.TimersTimerError](unsafe.Pointer(&outcome.Value)).Tag {
	case abi.TimersTimerErrorClosed:
		return 0, wsrun.ErrClosed
	case abi.TimersTimerErrorLimit:
		return 0, wsrun.ErrLimit
	}
	return 0, errors.New("the handler takes no timers")
}

// Cancel cancels a timer; false when it has fired, was cancelled or never was.
func (t Timer) Cancel() bool {
	return abi.TimersCancel(uint64(t)) != 0
}

func onFired(timer uint64, tag uint64, some uint32, connection uint64) {
	if handle != nil {
		handle(Fired{Timer(timer), tag, wsrun.Connection(connection), some != 0})
	}
	abi.GiveBack()
}

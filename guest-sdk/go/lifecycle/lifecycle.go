// Package lifecycle is told of the life of the instance, and hands state over to the next version of the handler.
package lifecycle

import (
	"time"
	"unsafe"

	"wsrun"
	"wsrun/internal/abi"
)

// Starter is told that the instance was made: at start, after a trap, for a new version, after sleep. Nothing else is called before it.
type Starter interface {
	Started()
}

// Resumer is told of each connection that was opened with an earlier instance, before its first event here.
type Resumer interface {
	Resumed(wsrun.Connection)
}

// Saver gives the state that the next version is to have; empty when there is none.
type Saver interface {
	Save() []byte
}

// Restorer takes the state that the version before saved. An error keeps the old version; its text is what the operator reads.
type Restorer interface {
	Restore(state []byte) error
}

// Drainer is told that the host is going to end, and cuts after the deadline what is still open.
type Drainer interface {
	Draining(deadline time.Duration)
}

var (
	starter  Starter
	resumer  Resumer
	saver    Saver
	restorer Restorer
	drainer  Drainer
)

// Handle says what is to be called: a value with some of the methods of the interfaces here.
func Handle(handler any) {
	starter, _ = handler.(Starter)
	resumer, _ = handler.(Resumer)
	saver, _ = handler.(Saver)
	restorer, _ = handler.(Restorer)
	drainer, _ = handler.(Drainer)
}

func onStarted() {
	if starter != nil {
		starter.Started()
	}
	abi.GiveBack()
}

func onResumed(connection uint64) {
	if resumer != nil {
		resumer.Resumed(wsrun.Connection(connection))
	}
	abi.GiveBack()
}

func onSave() unsafe.Pointer {
	defer abi.GiveBack()
	state := abi.New[abi.String]()
	if saver != nil {
		*state = abi.PutBytes(saver.Save())
	}
	return unsafe.Pointer(state)
}

func onRestore(data unsafe.Pointer, size uint32) unsafe.Pointer {
	defer abi.GiveBack()
	outcome := abi.New[abi.OutcomeNoneString]()
	if restorer != nil {
		if err := restorer.Restore(abi.BytesAt(data, size)); err != nil {
			outcome.Failed = true
			*abi.As[abi.String](unsafe.Pointer(&outcome.Value)) = abi.Put(err.Error())
		}
	}
	return unsafe.Pointer(outcome)
}

func onDraining(deadlineMs uint32) {
	if drainer != nil {
		drainer.Draining(time.Duration(deadlineMs) * time.Millisecond)
	}
	abi.GiveBack()
}

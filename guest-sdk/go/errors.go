package wsrun

import (
	"errors"
	"strconv"

	"wsrun/internal/abi"
)

var (
	// ErrClosed means that the connection is closing, closed or not this handler's.
	ErrClosed = errors.New("the connection is closed")
	// ErrInvalidText means that the parts so far are not the beginning of valid UTF-8, or that the last part ends inside a character.
	ErrInvalidText = errors.New("the text is not valid UTF-8")
	// ErrWrongKind means that the message was begun as the other kind.
	ErrWrongKind = errors.New("the message was begun as the other kind")
	// ErrInvalidName means that the name of a topic has not 1 to 256 bytes.
	ErrInvalidName = errors.New("the name of a topic has 1 to 256 bytes")
	// ErrLimit means that there are as many as there may be.
	ErrLimit = errors.New("there are as many as there may be")
)

// QueueFullError means that the queue of the connection would exceed its limit: ask for Connection.WantWritable, and try again when
// wsrun/writable is told.
type QueueFullError struct {
	// Queued is in bytes.
	Queued uint64
}

func (e QueueFullError) Error() string {
	return "the queue of the connection is full: " + strconv.FormatUint(e.Queued, 10) + " bytes"
}

// TooLargeError means that what is sent, or kept, is larger than the limit.
type TooLargeError struct {
	// Limit is in bytes.
	Limit uint64
}

func (e TooLargeError) Error() string {
	return "larger than the limit of " + strconv.FormatUint(e.Limit, 10) + " bytes"
}

// WaitingError means that nobody got the message, because some subscribers have no room and their policy is to wait.
type WaitingError struct {
	Subscribers uint32
}

func (e WaitingError) Error() string {
	return strconv.FormatUint(uint64(e.Subscribers), 10) + " subscribers have no room, and their policy is to wait"
}

func sendError(raw *abi.OutcomeNoneSendError) error {
	if !raw.Failed {
		return nil
	}
	err := abi.As[abi.SendError](pointerTo(&raw.Value))
	switch err.Tag {
	case abi.SendErrorQueueFull:
		return QueueFullError{err.Value[0]}
	case abi.SendErrorTooLarge:
		return TooLargeError{err.Value[0]}
	}
	return ErrClosed
}

func published(raw *abi.OutcomeU32PublishError) (int, error) {
	if !raw.Failed {
		return int(*abi.As[uint32](pointerTo(&raw.Value))), nil
	}
	err := abi.As[abi.PublishError](pointerTo(&raw.Value))
	if err.Tag == abi.PublishErrorWaiting {
		return 0, WaitingError{*abi.As[uint32](pointerTo(&err.Value))}
	}
	return 0, TooLargeError{err.Value[0]}
}

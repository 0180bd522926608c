// Package handshake accepts and refuses opening handshakes. Without it every handshake that the host's own rules allow is accepted.
package handshake

import (
	"unsafe"

	"wsrun"
	"wsrun/internal/abi"
)

// Acceptance is what an accepted connection starts with.
type Acceptance struct {
	// Protocol is the subprotocol to agree on, one that was offered; empty for the host's choice.
	Protocol string
	// Headers are added to the response.
	Headers []wsrun.Header
	// Session is the session data of the new connection.
	Session []byte
}

// Refusal is how a refused handshake is answered.
type Refusal struct {
	// Status is 300 to 599.
	Status  int
	Headers []wsrun.Header
	Body    string
}

func (r *Refusal) Error() string {
	return r.Body
}

var handle func(*wsrun.Request) (Acceptance, error)

// Handle says who decides. An error that is a *Refusal is what the peer is answered; any other is answered with 403 and logged.
func Handle(decide func(*wsrun.Request) (Acceptance, error)) {
	handle = decide
}

func onRequested(parameters unsafe.Pointer) unsafe.Pointer {
	defer abi.GiveBack()
	outcome := abi.New[abi.OutcomeHandshakeAcceptanceHandshakeRefusal]()
	var acceptance Acceptance
	var err error
	if handle != nil {
		acceptance, err = handle(wsrun.RequestFrom((*abi.Request)(parameters)))
	}
	if err != nil {
		refusal, known := err.(*Refusal)
		if !known {
			println("refused:", err.Error())
			refusal = &Refusal{Status: 403}
		}
		outcome.Failed = true
		*abi.As[abi.HandshakeRefusal](unsafe.Pointer(&outcome.Value)) = abi.HandshakeRefusal{
			Status:  uint16(refusal.Status),
			Headers: wsrun.HeadersTo(refusal.Headers),
			Body:    abi.Put(refusal.Body),
		}
		return unsafe.Pointer(outcome)
	}
	*abi.As[abi.HandshakeAcceptance](unsafe.Pointer(&outcome.Value)) = abi.HandshakeAcceptance{
		Protocol: abi.OptionalString{Some: acceptance.Protocol != "", Value: abi.Put(acceptance.Protocol)},
		Headers:  wsrun.HeadersTo(acceptance.Headers),
		Session:  abi.PutBytes(acceptance.Session),
	}
	return unsafe.Pointer(outcome)
}

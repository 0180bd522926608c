package wsrun

import (
	"runtime"
	"unsafe"

	"wsrun/internal/abi"
)

// Connection is one WebSocket of this handler: a number that may be kept, compared and sent. It is never reused while the host runs.
type Connection uint64

func pointerTo[T any](value *T) unsafe.Pointer {
	return unsafe.Pointer(value)
}

// Send sends a message. No error means queued.
func (c Connection) Send(message Message) error {
	outcome := abi.New[abi.OutcomeNoneSendError]()
	data, size := bytes(message.Data)
	abi.ConnectionsSend(uint64(c), message.Kind.tag(), data, size, pointerTo(outcome))
	runtime.KeepAlive(message.Data)
	return sendError(outcome)
}

// SendText sends a text, which must be valid UTF-8.
func (c Connection) SendText(message string) error {
	outcome := abi.New[abi.OutcomeNoneSendError]()
	data, size := text(message)
	abi.ConnectionsSend(uint64(c), Text.tag(), data, size, pointerTo(outcome))
	runtime.KeepAlive(message)
	return sendError(outcome)
}

// SendBinary sends bytes.
func (c Connection) SendBinary(data []byte) error {
	return c.Send(Message{Binary, data})
}

// SendChunk sends a message in parts: the first call begins it, last ends it.
func (c Connection) SendChunk(kind Kind, part []byte, last bool) error {
	outcome := abi.New[abi.OutcomeNoneConnectionsChunkError]()
	data, size := bytes(part)
	abi.ConnectionsSendChunk(uint64(c), flag(kind == Text), data, size, flag(last), pointerTo(outcome))
	runtime.KeepAlive(part)
	if !outcome.Failed {
		return nil
	}
	err := abi.As[abi.ConnectionsChunkError](pointerTo(&outcome.Value))
	switch err.Tag {
	case abi.ConnectionsChunkErrorQueueFull:
		return QueueFullError{err.Value[0]}
	case abi.ConnectionsChunkErrorTooLarge:
		return TooLargeError{err.Value[0]}
	case abi.ConnectionsChunkErrorInvalidText:
		return ErrInvalidText
	case abi.ConnectionsChunkErrorWrongKind:
		return ErrWrongKind
	}
	return ErrClosed
}

// Ping sends a ping with at most 125 bytes. The answer is told to wsrun/pong.
func (c Connection) Ping(payload []byte) error {
	outcome := abi.New[abi.OutcomeNoneSendError]()
	data, size := bytes(payload)
	abi.ConnectionsPing(uint64(c), data, size, pointerTo(outcome))
	runtime.KeepAlive(payload)
	return sendError(outcome)
}

// Pong sends a pong that answers no ping, with at most 125 bytes: the host answers pings itself.
func (c Connection) Pong(payload []byte) error {
	outcome := abi.New[abi.OutcomeNoneSendError]()
	data, size := bytes(payload)
	abi.ConnectionsPong(uint64(c), data, size, pointerTo(outcome))
	runtime.KeepAlive(payload)
	return sendError(outcome)
}

// Close starts the closing handshake after everything that is queued. A code that may not be sent traps. The reason is cut to 123 bytes.
func (c Connection) Close(code uint16, reason string) {
	data, size := text(reason)
	abi.ConnectionsClose(uint64(c), uint32(code), data, size)
	runtime.KeepAlive(reason)
}

// Abort ends the transport at once; what is queued is lost.
func (c Connection) Abort() {
	abi.ConnectionsAbort(uint64(c))
}

// Buffered is how many bytes are queued and not yet taken by the socket.
func (c Connection) Buffered() uint64 {
	return abi.ConnectionsBuffered(uint64(c))
}

// WantWritable has wsrun/writable told once when the queue is below a quarter of its limit.
func (c Connection) WantWritable() {
	abi.ConnectionsWantWritable(uint64(c))
}

// WantWritableAll does so for every connection of the handler, or for those that agreed on a subprotocol; empty for all.
func WantWritableAll(protocol string) {
	data, size := text(protocol)
	abi.ConnectionsWantWritableAll(flag(protocol != ""), data, size)
	runtime.KeepAlive(protocol)
}

// ReceiveFlow stops (false) or resumes (true) reading from the peer.
func (c Connection) ReceiveFlow(enabled bool) {
	abi.ConnectionsReceiveFlow(uint64(c), flag(enabled))
}

// SetSlowPolicy says what becomes of published messages that this connection has no room for, in place of the policy of their topic.
func (c Connection) SetSlowPolicy(policy SlowPolicy) {
	abi.ConnectionsSetSlowPolicy(uint64(c), flag(policy.set), policy.tag, uint32(policy.code))
}

// Dropped is how many published messages a policy has left out for this connection so far.
func (c Connection) Dropped() uint64 {
	return abi.ConnectionsDropped(uint64(c))
}

// Request is the opening request; nil when the connection is unknown.
func (c Connection) Request() *Request {
	answer := abi.New[abi.OptionalRequest]()
	abi.ConnectionsRequestOf(uint64(c), pointerTo(answer))
	if !answer.Some {
		return nil
	}
	return RequestFrom(&answer.Value)
}

// Protocol is the subprotocol agreed on; empty when there is none.
func (c Connection) Protocol() string {
	answer := abi.New[abi.OptionalString]()
	abi.ConnectionsProtocol(uint64(c), pointerTo(answer))
	return optional(*answer)
}

// Session is what the host keeps for the connection, also when the handler traps; empty at first.
func (c Connection) Session() []byte {
	answer := abi.New[abi.String]()
	abi.ConnectionsSession(uint64(c), pointerTo(answer))
	return answer.Bytes()
}

// SetSession replaces it, with at most 64 KiB by default.
func (c Connection) SetSession(session []byte) error {
	outcome := abi.New[abi.OutcomeNoneSendError]()
	data, size := bytes(session)
	abi.ConnectionsSetSession(uint64(c), data, size, pointerTo(outcome))
	runtime.KeepAlive(session)
	return sendError(outcome)
}

// Subscribe subscribes the connection to a topic, a name of 1 to 256 bytes.
func (c Connection) Subscribe(topic string) error {
	outcome := abi.New[abi.OutcomeBoolTopicsSubscribeError]()
	data, size := text(topic)
	abi.TopicsSubscribe(uint64(c), data, size, pointerTo(outcome))
	runtime.KeepAlive(topic)
	if !outcome.Failed {
		return nil
	}
	switch abi.As[abi.TopicsSubscribeError](pointerTo(&outcome.Value)).Tag {
	case abi.TopicsSubscribeErrorInvalidName:
		return ErrInvalidName
	case abi.TopicsSubscribeErrorLimit:
		return ErrLimit
	}
	return ErrClosed
}

// Unsubscribe ends a subscription; false when there was none.
func (c Connection) Unsubscribe(topic string) bool {
	data, size := text(topic)
	ended := abi.TopicsUnsubscribe(uint64(c), data, size)
	runtime.KeepAlive(topic)
	return ended != 0
}

// SetAutoReply has the host answer a message with that reply, on every connection, without calling the handler; nil takes it back.
func SetAutoReply(received Message, reply *Message) error {
	outcome := abi.New[abi.OutcomeNoneConnectionsAutoReplyError]()
	var with Message
	if reply != nil {
		with = *reply
	}
	question, questionSize := bytes(received.Data)
	answer, answerSize := bytes(with.Data)
	abi.ConnectionsSetAutoReply(received.Kind.tag(), question, questionSize, flag(reply != nil), with.Kind.tag(), answer, answerSize, pointerTo(outcome))
	runtime.KeepAlive(received.Data)
	runtime.KeepAlive(with.Data)
	if !outcome.Failed {
		return nil
	}
	err := abi.As[abi.ConnectionsAutoReplyError](pointerTo(&outcome.Value))
	if err.Tag == abi.ConnectionsAutoReplyErrorTooLarge {
		return TooLargeError{err.Value[0]}
	}
	return ErrLimit
}

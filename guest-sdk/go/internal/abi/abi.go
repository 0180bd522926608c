// Generated from wit/ by wsrun-guest-bindgen. Do not edit.

// Package abi is how the values of the contract lie in memory, and its functions as WebAssembly has them.
package abi

import "unsafe"

// String is the place of a text, or of bytes, in memory.
type String struct {
	Ptr, Len uint32
}

// List is the place of values of one type in memory.
type List[T any] struct {
	Ptr, Len uint32
}

type Message struct {
	Tag   uint8
	Value [2]uint32
}

const (
	MessageText   = 0
	MessageBinary = 1
)

var _ [12]byte = [unsafe.Sizeof(Message{})]byte{}

type SendError struct {
	Tag   uint8
	Value [1]uint64
}

const (
	SendErrorClosed    = 0
	SendErrorQueueFull = 1
	SendErrorTooLarge  = 2
)

var _ [16]byte = [unsafe.Sizeof(SendError{})]byte{}

type OutcomeNoneSendError struct {
	Failed bool
	Value  [2]uint64
}

var _ [24]byte = [unsafe.Sizeof(OutcomeNoneSendError{})]byte{}

type ConnectionsChunkError struct {
	Tag   uint8
	Value [1]uint64
}

const (
	ConnectionsChunkErrorClosed      = 0
	ConnectionsChunkErrorQueueFull   = 1
	ConnectionsChunkErrorTooLarge    = 2
	ConnectionsChunkErrorInvalidText = 3
	ConnectionsChunkErrorWrongKind   = 4
)

var _ [16]byte = [unsafe.Sizeof(ConnectionsChunkError{})]byte{}

type OutcomeNoneConnectionsChunkError struct {
	Failed bool
	Value  [2]uint64
}

var _ [24]byte = [unsafe.Sizeof(OutcomeNoneConnectionsChunkError{})]byte{}

type OptionalString struct {
	Some  bool
	Value String
}

var _ [12]byte = [unsafe.Sizeof(OptionalString{})]byte{}

type SlowPolicy struct {
	Tag   uint8
	Value [1]uint16
}

const (
	SlowPolicyWait       = 0
	SlowPolicyDropOldest = 1
	SlowPolicyDropNewest = 2
	SlowPolicyLatestOnly = 3
	SlowPolicyDisconnect = 4
)

var _ [4]byte = [unsafe.Sizeof(SlowPolicy{})]byte{}

type OptionalSlowPolicy struct {
	Some  bool
	Value SlowPolicy
}

var _ [6]byte = [unsafe.Sizeof(OptionalSlowPolicy{})]byte{}

type OptionalMessage struct {
	Some  bool
	Value Message
}

var _ [16]byte = [unsafe.Sizeof(OptionalMessage{})]byte{}

type ConnectionsAutoReplyError struct {
	Tag   uint8
	Value [1]uint64
}

const (
	ConnectionsAutoReplyErrorTooLarge = 0
	ConnectionsAutoReplyErrorLimit    = 1
)

var _ [16]byte = [unsafe.Sizeof(ConnectionsAutoReplyError{})]byte{}

type OutcomeNoneConnectionsAutoReplyError struct {
	Failed bool
	Value  [2]uint64
}

var _ [24]byte = [unsafe.Sizeof(OutcomeNoneConnectionsAutoReplyError{})]byte{}

type Role = uint8

const (
	RoleServer = 0
	RoleClient = 1
)

var _ [1]byte = [unsafe.Sizeof(Role(0))]byte{}

type TupleStringBytes struct {
	First  String
	Second String
}

var _ [16]byte = [unsafe.Sizeof(TupleStringBytes{})]byte{}

type ListTupleStringBytes = List[TupleStringBytes]

var _ [8]byte = [unsafe.Sizeof(ListTupleStringBytes{})]byte{}

type ListString = List[String]

var _ [8]byte = [unsafe.Sizeof(ListString{})]byte{}

type Request struct {
	Role    Role
	Path    String
	Query   OptionalString
	Headers ListTupleStringBytes
	Offered ListString
	Peer    String
	Local   String
	Secure  bool
	Host    OptionalString
}

var _ [72]byte = [unsafe.Sizeof(Request{})]byte{}

type OptionalRequest struct {
	Some  bool
	Value Request
}

var _ [76]byte = [unsafe.Sizeof(OptionalRequest{})]byte{}

type TopicsSubscribeError struct {
	Tag uint8
}

const (
	TopicsSubscribeErrorClosed      = 0
	TopicsSubscribeErrorInvalidName = 1
	TopicsSubscribeErrorLimit       = 2
)

var _ [1]byte = [unsafe.Sizeof(TopicsSubscribeError{})]byte{}

type OutcomeBoolTopicsSubscribeError struct {
	Failed bool
	Value  [1]uint8
}

var _ [2]byte = [unsafe.Sizeof(OutcomeBoolTopicsSubscribeError{})]byte{}

type OptionalU64 struct {
	Some  bool
	Value uint64
}

var _ [16]byte = [unsafe.Sizeof(OptionalU64{})]byte{}

type PublishError struct {
	Tag   uint8
	Value [1]uint64
}

const (
	PublishErrorWaiting  = 0
	PublishErrorTooLarge = 1
)

var _ [16]byte = [unsafe.Sizeof(PublishError{})]byte{}

type OutcomeU32PublishError struct {
	Failed bool
	Value  [2]uint64
}

var _ [24]byte = [unsafe.Sizeof(OutcomeU32PublishError{})]byte{}

type TupleStringString struct {
	First  String
	Second String
}

var _ [16]byte = [unsafe.Sizeof(TupleStringString{})]byte{}

type ListTupleStringString = List[TupleStringString]

var _ [8]byte = [unsafe.Sizeof(ListTupleStringString{})]byte{}

type ClientVerify = uint8

const (
	ClientVerifyFull            = 0
	ClientVerifyAllowSelfSigned = 1
)

var _ [1]byte = [unsafe.Sizeof(ClientVerify(0))]byte{}

type OptionalU8 struct {
	Some  bool
	Value uint8
}

var _ [2]byte = [unsafe.Sizeof(OptionalU8{})]byte{}

type OptionalU32 struct {
	Some  bool
	Value uint32
}

var _ [8]byte = [unsafe.Sizeof(OptionalU32{})]byte{}

type ClientReconnect struct {
	AttemptsMax uint32
	DelayMs     OptionalU32
	DelayMaxMs  OptionalU32
}

var _ [20]byte = [unsafe.Sizeof(ClientReconnect{})]byte{}

type OptionalClientReconnect struct {
	Some  bool
	Value ClientReconnect
}

var _ [24]byte = [unsafe.Sizeof(OptionalClientReconnect{})]byte{}

type ClientOptions struct {
	Url         String
	Protocols   ListString
	Host        OptionalString
	Origin      OptionalString
	Headers     ListTupleStringString
	Verify      ClientVerify
	Identity    OptionalString
	Version     OptionalU8
	Compression bool
	TimeoutMs   OptionalU32
	Reconnect   OptionalClientReconnect
	Session     String
}

var _ [108]byte = [unsafe.Sizeof(ClientOptions{})]byte{}

type ClientConnectError struct {
	Tag   uint8
	Value [2]uint32
}

const (
	ClientConnectErrorDenied             = 0
	ClientConnectErrorInvalid            = 1
	ClientConnectErrorUnsupportedVersion = 2
	ClientConnectErrorLimit              = 3
)

var _ [12]byte = [unsafe.Sizeof(ClientConnectError{})]byte{}

type OutcomeU64ClientConnectError struct {
	Failed bool
	Value  [2]uint64
}

var _ [24]byte = [unsafe.Sizeof(OutcomeU64ClientConnectError{})]byte{}

type ClientPhase = uint8

const (
	ClientPhaseConnect   = 0
	ClientPhaseTls       = 1
	ClientPhaseHandshake = 2
)

var _ [1]byte = [unsafe.Sizeof(ClientPhase(0))]byte{}

type ClientFailure struct {
	Tag   uint8
	Value [3]uint32
}

const (
	ClientFailureDenied              = 0
	ClientFailureUnreachable         = 1
	ClientFailureTls                 = 2
	ClientFailureTimedOut            = 3
	ClientFailureEnded               = 4
	ClientFailureRefused             = 5
	ClientFailureRedirected          = 6
	ClientFailureInvalidResponse     = 7
	ClientFailureNotUpgraded         = 8
	ClientFailureAcceptMissing       = 9
	ClientFailureAcceptWrong         = 10
	ClientFailureProtocolNotOffered  = 11
	ClientFailureExtensionNotOffered = 12
)

var _ [16]byte = [unsafe.Sizeof(ClientFailure{})]byte{}

type OptionalClientFailure struct {
	Some  bool
	Value ClientFailure
}

var _ [20]byte = [unsafe.Sizeof(OptionalClientFailure{})]byte{}

type ClientResponse struct {
	Status  uint16
	Headers ListTupleStringBytes
}

var _ [12]byte = [unsafe.Sizeof(ClientResponse{})]byte{}

type OptionalClientResponse struct {
	Some  bool
	Value ClientResponse
}

var _ [16]byte = [unsafe.Sizeof(OptionalClientResponse{})]byte{}

type TimersTimerError struct {
	Tag uint8
}

const (
	TimersTimerErrorClosed      = 0
	TimersTimerErrorLimit       = 1
	TimersTimerErrorNotExported = 2
)

var _ [1]byte = [unsafe.Sizeof(TimersTimerError{})]byte{}

type OutcomeU64TimersTimerError struct {
	Failed bool
	Value  [1]uint64
}

var _ [16]byte = [unsafe.Sizeof(OutcomeU64TimersTimerError{})]byte{}

type HandshakeAcceptance struct {
	Protocol OptionalString
	Headers  ListTupleStringString
	Session  String
}

var _ [28]byte = [unsafe.Sizeof(HandshakeAcceptance{})]byte{}

type HandshakeRefusal struct {
	Status  uint16
	Headers ListTupleStringString
	Body    String
}

var _ [20]byte = [unsafe.Sizeof(HandshakeRefusal{})]byte{}

type OutcomeHandshakeAcceptanceHandshakeRefusal struct {
	Failed bool
	Value  [7]uint32
}

var _ [32]byte = [unsafe.Sizeof(OutcomeHandshakeAcceptanceHandshakeRefusal{})]byte{}

type ChunksChunk struct {
	Text      bool
	Data      String
	First     bool
	Final     bool
	Remaining uint64
}

var _ [24]byte = [unsafe.Sizeof(ChunksChunk{})]byte{}

type HttpBody struct {
	Tag   uint8
	Value [2]uint32
}

const (
	HttpBodyBytes = 0
	HttpBodyFile  = 1
)

var _ [12]byte = [unsafe.Sizeof(HttpBody{})]byte{}

type HttpResponse struct {
	Status  uint16
	Headers ListTupleStringString
	Body    HttpBody
}

var _ [24]byte = [unsafe.Sizeof(HttpResponse{})]byte{}

type ClosedBy = uint8

const (
	ClosedByPeer    = 0
	ClosedByHandler = 1
	ClosedByHost    = 2
)

var _ [1]byte = [unsafe.Sizeof(ClosedBy(0))]byte{}

type CloseInfo struct {
	Code   uint16
	Reason String
	By     ClosedBy
	Clean  bool
}

var _ [16]byte = [unsafe.Sizeof(CloseInfo{})]byte{}

type OutcomeNoneString struct {
	Failed bool
	Value  [2]uint32
}

var _ [12]byte = [unsafe.Sizeof(OutcomeNoneString{})]byte{}

//go:wasmimport wsrun:websocket/packed-send@0.1.0 send
func PackedSendSend(p0 uint64, p1 unsafe.Pointer, p2 uint32)

//go:wasmimport wsrun:websocket/connections@0.1.0 send
func ConnectionsSend(p0 uint64, p1 uint32, p2 unsafe.Pointer, p3 uint32, p4 unsafe.Pointer)

//go:wasmimport wsrun:websocket/connections@0.1.0 send-chunk
func ConnectionsSendChunk(p0 uint64, p1 uint32, p2 unsafe.Pointer, p3 uint32, p4 uint32, p5 unsafe.Pointer)

//go:wasmimport wsrun:websocket/connections@0.1.0 ping
func ConnectionsPing(p0 uint64, p1 unsafe.Pointer, p2 uint32, p3 unsafe.Pointer)

//go:wasmimport wsrun:websocket/connections@0.1.0 pong
func ConnectionsPong(p0 uint64, p1 unsafe.Pointer, p2 uint32, p3 unsafe.Pointer)

//go:wasmimport wsrun:websocket/connections@0.1.0 close
func ConnectionsClose(p0 uint64, p1 uint32, p2 unsafe.Pointer, p3 uint32)

//go:wasmimport wsrun:websocket/connections@0.1.0 abort
func ConnectionsAbort(p0 uint64)

//go:wasmimport wsrun:websocket/connections@0.1.0 buffered
func ConnectionsBuffered(p0 uint64) uint64

//go:wasmimport wsrun:websocket/connections@0.1.0 want-writable
func ConnectionsWantWritable(p0 uint64)

//go:wasmimport wsrun:websocket/connections@0.1.0 want-writable-all
func ConnectionsWantWritableAll(p0 uint32, p1 unsafe.Pointer, p2 uint32)

//go:wasmimport wsrun:websocket/connections@0.1.0 set-slow-policy
func ConnectionsSetSlowPolicy(p0 uint64, p1 uint32, p2 uint32, p3 uint32)

//go:wasmimport wsrun:websocket/connections@0.1.0 dropped
func ConnectionsDropped(p0 uint64) uint64

//go:wasmimport wsrun:websocket/connections@0.1.0 receive-flow
func ConnectionsReceiveFlow(p0 uint64, p1 uint32)

//go:wasmimport wsrun:websocket/connections@0.1.0 set-auto-reply
func ConnectionsSetAutoReply(p0 uint32, p1 unsafe.Pointer, p2 uint32, p3 uint32, p4 uint32, p5 unsafe.Pointer, p6 uint32, p7 unsafe.Pointer)

//go:wasmimport wsrun:websocket/connections@0.1.0 request-of
func ConnectionsRequestOf(p0 uint64, p1 unsafe.Pointer)

//go:wasmimport wsrun:websocket/connections@0.1.0 protocol
func ConnectionsProtocol(p0 uint64, p1 unsafe.Pointer)

//go:wasmimport wsrun:websocket/connections@0.1.0 session
func ConnectionsSession(p0 uint64, p1 unsafe.Pointer)

//go:wasmimport wsrun:websocket/connections@0.1.0 set-session
func ConnectionsSetSession(p0 uint64, p1 unsafe.Pointer, p2 uint32, p3 unsafe.Pointer)

//go:wasmimport wsrun:websocket/topics@0.1.0 subscribe
func TopicsSubscribe(p0 uint64, p1 unsafe.Pointer, p2 uint32, p3 unsafe.Pointer)

//go:wasmimport wsrun:websocket/topics@0.1.0 unsubscribe
func TopicsUnsubscribe(p0 uint64, p1 unsafe.Pointer, p2 uint32) uint32

//go:wasmimport wsrun:websocket/topics@0.1.0 publish
func TopicsPublish(p0 unsafe.Pointer, p1 uint32, p2 uint32, p3 unsafe.Pointer, p4 uint32, p5 uint32, p6 uint64, p7 unsafe.Pointer)

//go:wasmimport wsrun:websocket/topics@0.1.0 broadcast
func TopicsBroadcast(p0 uint32, p1 unsafe.Pointer, p2 uint32, p3 uint32, p4 unsafe.Pointer, p5 uint32, p6 unsafe.Pointer)

//go:wasmimport wsrun:websocket/topics@0.1.0 set-slow-policy
func TopicsSetSlowPolicy(p0 unsafe.Pointer, p1 uint32, p2 uint32, p3 uint32, p4 uint32)

//go:wasmimport wsrun:websocket/topics@0.1.0 dropped
func TopicsDropped(p0 unsafe.Pointer, p1 uint32) uint64

//go:wasmimport wsrun:websocket/client@0.1.0 connect
func ClientConnect(p0 unsafe.Pointer, p1 unsafe.Pointer)

//go:wasmimport wsrun:websocket/client@0.1.0 failure-of
func ClientFailureOf(p0 uint64, p1 unsafe.Pointer)

//go:wasmimport wsrun:websocket/client@0.1.0 response-of
func ClientResponseOf(p0 uint64, p1 unsafe.Pointer)

//go:wasmimport wsrun:websocket/timers@0.1.0 set
func TimersSet(p0 uint32, p1 uint64, p2 uint32, p3 uint64, p4 unsafe.Pointer)

//go:wasmimport wsrun:websocket/timers@0.1.0 cancel
func TimersCancel(p0 uint64) uint32

//go:wasmimport wsrun:websocket/host-info@0.1.0 hostname
func HostInfoHostname(p0 unsafe.Pointer)

//go:wasmimport wsrun:websocket/host-info@0.1.0 handler-name
func HostInfoHandlerName(p0 unsafe.Pointer)

//go:wasmimport wsrun:websocket/host-info@0.1.0 config
func HostInfoConfig(p0 unsafe.Pointer, p1 uint32, p2 unsafe.Pointer)

//go:wasmimport wsrun:websocket/host-info@0.1.0 connection-count
func HostInfoConnectionCount() uint32

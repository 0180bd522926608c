package wsrun

import (
	"strconv"
	"strings"
	"unsafe"

	"wsrun/internal/abi"
)

// Kind tells texts from bytes.
type Kind uint8

const (
	// Text is UTF-8.
	Text Kind = iota
	// Binary is any bytes.
	Binary
)

// Message is a whole message (RFC 6455, 5.6).
type Message struct {
	Kind Kind
	// Data is the message's own: it may be kept and changed.
	Data []byte
}

// TextMessage is a message of text, which must be valid UTF-8.
func TextMessage(text string) Message {
	return Message{Text, []byte(text)}
}

// BinaryMessage is a message of bytes.
func BinaryMessage(data []byte) Message {
	return Message{Binary, data}
}

// String is the message as a string, whatever its kind.
func (m Message) String() string {
	return string(m.Data)
}

func (k Kind) tag() uint32 {
	if k == Text {
		return abi.MessageText
	}
	return abi.MessageBinary
}

// Close codes (RFC 6455, 7.4). 3000 to 4999 are the application's.
const (
	CloseNormal             = 1000
	CloseGoingAway          = 1001
	CloseProtocolError      = 1002
	CloseUnsupportedData    = 1003
	CloseNoStatus           = 1005
	CloseAbnormal           = 1006
	CloseInvalidPayload     = 1007
	ClosePolicyViolation    = 1008
	CloseMessageTooBig      = 1009
	CloseMandatoryExtension = 1010
	CloseInternalError      = 1011
	CloseServiceRestart     = 1012
	CloseTryAgainLater      = 1013
	CloseBadGateway         = 1014
)

// ClosedBy is who ended a connection.
type ClosedBy uint8

const (
	// ByPeer means that the peer closed it, or its transport ended.
	ByPeer ClosedBy = iota
	// ByHandler means that this handler did.
	ByHandler
	// ByHost means a protocol error, a limit, a timeout, a trap or a shutdown.
	ByHost
)

// CloseInfo is how a connection ended.
type CloseInfo struct {
	// Code is 1005 when the close frame carried none, 1006 when the transport ended without a close frame.
	Code   uint16
	Reason string
	By     ClosedBy
	// Clean means that close frames went both ways.
	Clean bool
}

// Role is which side of the opening handshake this host was.
type Role uint8

const (
	// Server means that the peer connected to this host.
	Server Role = iota
	// Client means that this host connected to the peer.
	Client
)

// Header is a field. Names that are received are in lower case; values may be any bytes.
type Header struct {
	Name, Value string
}

// Request is the opening request of a connection, or a plain HTTP request.
type Request struct {
	Role Role
	// Path is percent-encoded as received, beginning with a slash.
	Path string
	// Query is what follows the first question mark.
	Query   string
	Headers []Header
	// Offered are the subprotocols, in the peer's order.
	Offered []string
	// Peer is `ip:port`, or `unix`.
	Peer  string
	Local string
	// Secure means over TLS.
	Secure bool
	// Host is the Host header.
	Host string
}

// Header is the value of the first field of this name, in lower case; empty when there is none.
func (r *Request) Header(name string) string {
	for _, header := range r.Headers {
		if header.Name == name {
			return header.Value
		}
	}
	return ""
}

// QueryValue is the decoded value of the first parameter of the query with this name; empty when there is none.
func (r *Request) QueryValue(name string) string {
	for parameter := range strings.SplitSeq(r.Query, "&") {
		key, value, _ := strings.Cut(parameter, "=")
		if decoded(key) == name {
			return decoded(value)
		}
	}
	return ""
}

// decoded is written out because net/url would make each handler larger by a third.
func decoded(text string) string {
	if !strings.ContainsAny(text, "%+") {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		char := text[i]
		if char == '+' {
			char = ' '
		} else if char == '%' && i+2 < len(text) {
			if code, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				char = byte(code)
				i += 2
			}
		}
		out.WriteByte(char)
	}
	return out.String()
}

// SlowPolicy is what becomes of a published message that a subscriber has no room for.
type SlowPolicy struct {
	tag  uint32
	code uint16
	set  bool
}

var (
	// Default takes a policy back.
	Default = SlowPolicy{}
	// Wait means that nobody gets it: the publish fails with a WaitingError.
	Wait = SlowPolicy{tag: abi.SlowPolicyWait, set: true}
	// DropOldest means that the oldest published messages that wait for this connection make room for it.
	DropOldest = SlowPolicy{tag: abi.SlowPolicyDropOldest, set: true}
	// DropNewest means that it is left out for this connection.
	DropNewest = SlowPolicy{tag: abi.SlowPolicyDropNewest, set: true}
	// LatestOnly means that of a topic, only the newest message waits for this connection.
	LatestOnly = SlowPolicy{tag: abi.SlowPolicyLatestOnly, set: true}
)

// Disconnect means that the connection is closed with this code.
func Disconnect(code uint16) SlowPolicy {
	return SlowPolicy{tag: abi.SlowPolicyDisconnect, code: code, set: true}
}

func flag(value bool) uint32 {
	if value {
		return 1
	}
	return 0
}

func text(s string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))
}

func bytes(data []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(data)), uint32(len(data))
}

func optional(value abi.OptionalString) string {
	if !value.Some {
		return ""
	}
	return value.Value.Text()
}

// MessageFrom is for the packages of this module.
func MessageFrom(tag uint32, data unsafe.Pointer, size uint32) Message {
	kind := Binary
	if tag == abi.MessageText {
		kind = Text
	}
	return Message{kind, abi.BytesAt(data, size)}
}

// CloseInfoFrom is for the packages of this module.
func CloseInfoFrom(code uint32, reason unsafe.Pointer, size uint32, by uint32, clean uint32) CloseInfo {
	info := CloseInfo{Code: uint16(code), Reason: abi.TextAt(reason, size), Clean: clean != 0}
	switch by {
	case abi.ClosedByPeer:
		info.By = ByPeer
	case abi.ClosedByHandler:
		info.By = ByHandler
	default:
		info.By = ByHost
	}
	return info
}

// HeadersFrom is for the packages of this module.
func HeadersFrom(list abi.ListTupleStringBytes) []Header {
	headers := make([]Header, 0, list.Len)
	for _, field := range list.Values() {
		headers = append(headers, Header{field.First.Text(), field.Second.Text()})
	}
	return headers
}

// HeadersTo is for the packages of this module.
func HeadersTo(headers []Header) abi.ListTupleStringString {
	fields := make([]abi.TupleStringString, 0, len(headers))
	for _, header := range headers {
		fields = append(fields, abi.TupleStringString{First: abi.Put(header.Name), Second: abi.Put(header.Value)})
	}
	return abi.PutList(fields)
}

// RequestFrom is for the packages of this module.
func RequestFrom(raw *abi.Request) *Request {
	request := &Request{
		Path:    raw.Path.Text(),
		Query:   optional(raw.Query),
		Headers: HeadersFrom(raw.Headers),
		Peer:    raw.Peer.Text(),
		Local:   raw.Local.Text(),
		Secure:  raw.Secure,
		Host:    optional(raw.Host),
	}
	if raw.Role == abi.RoleClient {
		request.Role = Client
	}
	for _, name := range raw.Offered.Values() {
		request.Offered = append(request.Offered, name.Text())
	}
	return request
}

// Package client connects out. Nothing is allowed unless the operator grants it (--allow-connect HOST[:PORT]).
package client

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"wsrun"
	"wsrun/internal/abi"
)

// Reconnect is when the host connects again by itself, under the same connection.
type Reconnect struct {
	// AttemptsMax is how many attempts in a row may fail; 0 for no limit.
	AttemptsMax int
	// Delay and DelayMax are the first wait and the longest; 0 for 500 ms and 30 s.
	Delay, DelayMax time.Duration
}

// Options is how to connect.
type Options struct {
	// Protocols are the subprotocols to offer, the preferred first.
	Protocols []string
	// Host is the Host header, in place of the one that the URL means.
	Host   string
	Origin string
	// Headers are further fields.
	Headers []wsrun.Header
	// AllowSelfSigned trusts a self-signed certificate for the right name too.
	AllowSelfSigned bool
	// Identity is a client certificate that the operator gave, by its name.
	Identity string
	// Version is 13, 8 or 7; 0 for the newest.
	Version uint8
	// Compression offers permessage-deflate.
	Compression bool
	// Timeout is for each part of connecting; 0 for the operator's.
	Timeout time.Duration
	// Reconnect has the host connect again when the connection is lost.
	Reconnect *Reconnect
	// Session is the session data of the new connection.
	Session []byte
}

// DeniedError means that the operator does not allow it; its text says what would.
type DeniedError string

func (e DeniedError) Error() string { return string(e) }

// InvalidError means that an option cannot be used; its text says which and why.
type InvalidError string

func (e InvalidError) Error() string { return string(e) }

// ErrUnsupportedVersion means that there is no such WebSocket version.
var ErrUnsupportedVersion = errors.New("no such WebSocket version: there are 13, 8 and 7")

// Connect connects to ws:// or wss:// once the callback has returned: Opened follows, or Closed without it. nil is Options{}.
func Connect(url string, options *Options) (wsrun.Connection, error) {
	if options == nil {
		options = &Options{}
	}
	raw := abi.New[abi.ClientOptions]()
	raw.Url = abi.Put(url)
	protocols := make([]abi.String, 0, len(options.Protocols))
	for _, name := range options.Protocols {
		protocols = append(protocols, abi.Put(name))
	}
	raw.Protocols = abi.PutList(protocols)
	raw.Host = optional(options.Host)
	raw.Origin = optional(options.Origin)
	raw.Headers = wsrun.HeadersTo(options.Headers)
	raw.Verify = abi.ClientVerifyFull
	if options.AllowSelfSigned {
		raw.Verify = abi.ClientVerifyAllowSelfSigned
	}
	raw.Identity = optional(options.Identity)
	raw.Version = abi.OptionalU8{Some: options.Version != 0, Value: options.Version}
	raw.Compression = options.Compression
	raw.TimeoutMs = milliseconds(options.Timeout)
	if again := options.Reconnect; again != nil {
		raw.Reconnect = abi.OptionalClientReconnect{Some: true, Value: abi.ClientReconnect{
			AttemptsMax: uint32(again.AttemptsMax),
			DelayMs:     milliseconds(again.Delay),
			DelayMaxMs:  milliseconds(again.DelayMax),
		}}
	}
	raw.Session = abi.PutBytes(options.Session)

	outcome := abi.New[abi.OutcomeU64ClientConnectError]()
	abi.ClientConnect(unsafe.Pointer(raw), unsafe.Pointer(outcome))
	if !outcome.Failed {
		return wsrun.Connection(*abi.As[uint64](unsafe.Pointer(&outcome.Value))), nil
	}
	err := abi.As[abi.ClientConnectError](unsafe.Pointer(&outcome.Value))
	why := abi.As[abi.String](unsafe.Pointer(&err.Value))
	switch err.Tag {
	case abi.ClientConnectErrorDenied:
		return 0, DeniedError(why.Text())
	case abi.ClientConnectErrorInvalid:
		return 0, InvalidError(why.Text())
	case abi.ClientConnectErrorUnsupportedVersion:
		return 0, ErrUnsupportedVersion
	}
	return 0, wsrun.ErrLimit
}

// RefusedError means that the server answered with this status.
type RefusedError int

func (e RefusedError) Error() string { return fmt.Sprintf("server refused with status %d", int(e)) }

// RedirectedError means that the server answered with a redirection, which is not followed, to here.
type RedirectedError string

func (e RedirectedError) Error() string { return "server redirected to " + string(e) }

// TimeoutError is what took too long.
type TimeoutError string

func (e TimeoutError) Error() string { return "timed out: " + string(e) }

// Why an opening handshake failed, beside the errors that have types of their own. Those that have more to say wrap these.
var (
	ErrUnreachable         = errors.New("unreachable")
	ErrTLS                 = errors.New("TLS failed")
	ErrEnded               = errors.New("server ended the transport in the opening handshake")
	ErrInvalidResponse     = errors.New("invalid response")
	ErrNotUpgraded         = errors.New("response does not upgrade to WebSocket")
	ErrAcceptMissing       = errors.New("accept header is missing")
	ErrAcceptWrong         = errors.New("accept header does not answer the key")
	ErrProtocolNotOffered  = errors.New("server chose a subprotocol that was not offered")
	ErrExtensionNotOffered = errors.New("server chose an extension that was not offered")
)

// Failure is why the last opening handshake of an outbound connection failed; nil when it succeeded, is under way, or the connection is
// unknown.
func Failure(c wsrun.Connection) error {
	answer := abi.New[abi.OptionalClientFailure]()
	abi.ClientFailureOf(uint64(c), unsafe.Pointer(answer))
	if !answer.Some {
		return nil
	}
	failure := &answer.Value
	value := unsafe.Pointer(&failure.Value)
	wrapped := func(err error) error {
		return fmt.Errorf("%w: %s", err, abi.As[abi.String](value).Text())
	}
	switch failure.Tag {
	case abi.ClientFailureDenied:
		return DeniedError(abi.As[abi.String](value).Text())
	case abi.ClientFailureUnreachable:
		return wrapped(ErrUnreachable)
	case abi.ClientFailureTls:
		return wrapped(ErrTLS)
	case abi.ClientFailureTimedOut:
		switch *abi.As[uint8](value) {
		case abi.ClientPhaseConnect:
			return TimeoutError("no transport")
		case abi.ClientPhaseTls:
			return TimeoutError("the TLS handshake did not end")
		}
		return TimeoutError("the opening handshake was not answered")
	case abi.ClientFailureEnded:
		return ErrEnded
	case abi.ClientFailureRefused:
		return RefusedError(*abi.As[uint16](value))
	case abi.ClientFailureRedirected:
		to := abi.As[abi.OptionalString](value)
		if !to.Some {
			return RedirectedError("nowhere")
		}
		return RedirectedError(to.Value.Text())
	case abi.ClientFailureInvalidResponse:
		return wrapped(ErrInvalidResponse)
	case abi.ClientFailureNotUpgraded:
		return ErrNotUpgraded
	case abi.ClientFailureAcceptMissing:
		return ErrAcceptMissing
	case abi.ClientFailureAcceptWrong:
		return ErrAcceptWrong
	case abi.ClientFailureProtocolNotOffered:
		return ErrProtocolNotOffered
	}
	return wrapped(ErrExtensionNotOffered)
}

// Response is the answer of a server to the opening handshake.
type Response struct {
	Status  int
	Headers []wsrun.Header
}

// ResponseOf is how the server answered the last opening handshake; nil when it did not.
func ResponseOf(c wsrun.Connection) *Response {
	answer := abi.New[abi.OptionalClientResponse]()
	abi.ClientResponseOf(uint64(c), unsafe.Pointer(answer))
	if !answer.Some {
		return nil
	}
	return &Response{int(answer.Value.Status), wsrun.HeadersFrom(answer.Value.Headers)}
}

func optional(text string) abi.OptionalString {
	return abi.OptionalString{Some: text != "", Value: abi.Put(text)}
}

func milliseconds(duration time.Duration) abi.OptionalU32 {
	return abi.OptionalU32{Some: duration != 0, Value: uint32(duration / time.Millisecond)}
}

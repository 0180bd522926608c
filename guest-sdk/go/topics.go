package wsrun

import (
	"runtime"

	"wsrun/internal/abi"
)

// Publish sends a message to every subscriber of a topic, and tells how many there are on this worker.
func Publish(topic string, message Message) (int, error) {
	return publish(topic, message, false, 0)
}

// PublishExcept is Publish without one of the subscribers.
func PublishExcept(topic string, message Message, except Connection) (int, error) {
	return publish(topic, message, true, except)
}

func publish(topic string, message Message, some bool, except Connection) (int, error) {
	outcome := abi.New[abi.OutcomeU32PublishError]()
	name, nameSize := text(topic)
	data, size := bytes(message.Data)
	abi.TopicsPublish(name, nameSize, message.Kind.tag(), data, size, flag(some), uint64(except), pointerTo(outcome))
	runtime.KeepAlive(topic)
	runtime.KeepAlive(message.Data)
	return published(outcome)
}

// Broadcast sends a message to every open connection of the handler, and tells how many there are on this worker.
func Broadcast(message Message) (int, error) {
	return broadcast("", false, message)
}

// BroadcastTo does so to those that agreed on a subprotocol.
func BroadcastTo(protocol string, message Message) (int, error) {
	return broadcast(protocol, true, message)
}

func broadcast(protocol string, some bool, message Message) (int, error) {
	outcome := abi.New[abi.OutcomeU32PublishError]()
	name, nameSize := text(protocol)
	data, size := bytes(message.Data)
	abi.TopicsBroadcast(flag(some), name, nameSize, message.Kind.tag(), data, size, pointerTo(outcome))
	runtime.KeepAlive(protocol)
	runtime.KeepAlive(message.Data)
	return published(outcome)
}

// SetTopicSlowPolicy says what becomes of messages of this topic that a subscriber has no room for.
func SetTopicSlowPolicy(topic string, policy SlowPolicy) {
	name, size := text(topic)
	abi.TopicsSetSlowPolicy(name, size, flag(policy.set), policy.tag, uint32(policy.code))
	runtime.KeepAlive(topic)
}

// TopicDropped is how many messages of this topic policies have left out so far.
func TopicDropped(topic string) uint64 {
	name, size := text(topic)
	dropped := abi.TopicsDropped(name, size)
	runtime.KeepAlive(topic)
	return dropped
}

// Hostname is the name of this machine.
func Hostname() string {
	answer := abi.New[abi.String]()
	abi.HostInfoHostname(pointerTo(answer))
	return answer.Text()
}

// HandlerName is the name of this handler.
func HandlerName() string {
	answer := abi.New[abi.String]()
	abi.HostInfoHandlerName(pointerTo(answer))
	return answer.Text()
}

// Config is a value of --config KEY=VALUE, and whether it was given.
func Config(key string) (string, bool) {
	answer := abi.New[abi.OptionalString]()
	name, size := text(key)
	abi.HostInfoConfig(name, size, pointerTo(answer))
	runtime.KeepAlive(key)
	return optional(*answer), answer.Some
}

// ConnectionCount is how many connections of this handler are open on this worker.
func ConnectionCount() int {
	return int(abi.HostInfoConnectionCount())
}

package main

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// The messages: one JSON object per text message.

const (
	nameCharsMax = 24
	roomBytesMax = 32
	textCharsMax = 1000
)

var errUsage = errors.New(`send {"type":"join","name":…,"room":…}, {"type":"say","text":…} or {"type":"leave"}`)

// What a client sends, with its texts tidied.
type (
	join  struct{ name, room string }
	say   struct{ text string }
	leave struct{}
)

// parse reads a message. The error is for the sender to read.
func parse(message string) (any, error) {
	fields, ok := parseObject(message)
	if !ok {
		return nil, errUsage
	}
	has := func(names ...string) bool {
		for _, name := range names {
			if _, there := fields[name]; !there {
				return false
			}
		}
		return len(fields) == len(names)
	}
	switch kind := fields["type"]; {
	case kind == "join" && has("type", "name", "room"):
		name, err := validName(fields["name"])
		if err != nil {
			return nil, err
		}
		room, err := validRoom(fields["room"])
		return join{name, room}, err
	case kind == "say" && has("type", "text"):
		text, err := validText(fields["text"])
		return say{text}, err
	case kind == "leave" && has("type"):
		return leave{}, nil
	}
	return nil, errUsage
}

func validName(name string) (string, error) {
	name = strings.Join(strings.FieldsFunc(name, isSpace), " ")
	switch chars := utf8.RuneCountInString(name); {
	case chars == 0:
		return "", errors.New("choose a name")
	case chars > nameCharsMax:
		return "", errors.New("a name has at most 24 characters")
	case strings.ContainsFunc(name, isInvisible):
		return "", errors.New("a name is made of visible characters")
	}
	return name, nil
}

func validRoom(room string) (string, error) {
	room = strings.TrimFunc(room, isSpace)
	lower := []byte(room)
	ok := len(room) >= 1 && len(room) <= roomBytesMax
	for i, char := range lower {
		if char >= 'A' && char <= 'Z' {
			lower[i] = char - 'A' + 'a'
		} else if !(char >= 'a' && char <= 'z' || char >= '0' && char <= '9' || char == '-') {
			ok = false
		}
	}
	if !ok {
		return "", errors.New("a room is named by 1 to 32 letters, digits and hyphens")
	}
	return string(lower), nil
}

func validText(text string) (string, error) {
	text = strings.TrimFunc(text, isSpace)
	switch chars := utf8.RuneCountInString(text); {
	case chars == 0:
		return "", errors.New("there is nothing to say")
	case chars > textCharsMax:
		return "", errors.New("a text has at most 1000 characters")
	}
	return text, nil
}

func isSpace(char rune) bool {
	return unicode.Is(unicode.White_Space, char)
}

// isInvisible is true of control characters, and of those that reorder or hide the text around them: a name is shown beside other people's
// words.
func isInvisible(char rune) bool {
	return unicode.IsControl(char) || char >= 0x200b && char <= 0x200f || char >= 0x2028 && char <= 0x202e ||
		char >= 0x2060 && char <= 0x206f || char == 0xfeff
}

// parseObject reads an object of strings, whose names differ. encoding/json forgives more than a protocol should: two fields of one name,
// names in another case, halves of characters.
func parseObject(text string) (map[string]string, bool) {
	fields := map[string]string{}
	in := &reader{text}
	if !in.take('{') {
		return nil, false
	}
	if !in.take('}') {
		for {
			name, ok := in.string()
			_, known := fields[name]
			if !ok || known || !in.take(':') {
				return nil, false
			}
			if fields[name], ok = in.string(); !ok {
				return nil, false
			}
			if !in.take(',') {
				break
			}
		}
		if !in.take('}') {
			return nil, false
		}
	}
	in.skipSpace()
	return fields, in.rest == ""
}

type reader struct{ rest string }

func (r *reader) skipSpace() {
	r.rest = strings.TrimLeft(r.rest, " \t\r\n")
}

func (r *reader) take(char byte) bool {
	r.skipSpace()
	if r.rest == "" || r.rest[0] != char {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *reader) string() (string, bool) {
	if !r.take('"') {
		return "", false
	}
	var out strings.Builder
	for r.rest != "" {
		char := r.rest[0]
		r.rest = r.rest[1:]
		switch {
		case char == '"':
			return out.String(), true
		case char < 0x20:
			return "", false
		case char != '\\':
			out.WriteByte(char)
		default:
			escaped, ok := r.escape()
			if !ok {
				return "", false
			}
			out.WriteRune(escaped)
		}
	}
	return "", false
}

func (r *reader) escape() (rune, bool) {
	if r.rest == "" {
		return 0, false
	}
	char := r.rest[0]
	r.rest = r.rest[1:]
	if char == 'u' {
		first, ok := r.hex4()
		if !ok || !utf16.IsSurrogate(first) {
			return first, ok
		}
		if !strings.HasPrefix(r.rest, `\u`) {
			return 0, false
		}
		r.rest = r.rest[2:]
		second, ok := r.hex4()
		char := utf16.DecodeRune(first, second)
		return char, ok && char != utf8.RuneError
	}
	at := strings.IndexByte(`"\/bfnrt`, char)
	if at < 0 {
		return 0, false
	}
	return rune("\"\\/\b\f\n\r\t"[at]), true
}

func (r *reader) hex4() (rune, bool) {
	if len(r.rest) < 4 {
		return 0, false
	}
	var value rune
	for _, char := range r.rest[:4] {
		at := strings.IndexRune("0123456789abcdef", unicode.ToLower(char))
		if at < 0 {
			return 0, false
		}
		value = value*16 + rune(at)
	}
	r.rest = r.rest[4:]
	return value, true
}

// event is what the handler sends: a type, and names and values in this order.
func event(kind string, fields ...string) string {
	var out strings.Builder
	out.WriteString(`{"type":`)
	writeString(&out, kind)
	for i := 0; i < len(fields); i += 2 {
		out.WriteByte(',')
		writeString(&out, fields[i])
		out.WriteByte(':')
		writeString(&out, fields[i+1])
	}
	out.WriteByte('}')
	return out.String()
}

// welcome is to the one who joined: the name and room as they were tidied, and who is there.
func welcome(name, room string, who []string) string {
	var out strings.Builder
	out.WriteString(strings.TrimSuffix(event("welcome", "name", name, "room", room), "}"))
	out.WriteString(`,"who":[`)
	for i, name := range who {
		if i > 0 {
			out.WriteByte(',')
		}
		writeString(&out, name)
	}
	out.WriteString("]}")
	return out.String()
}

func writeString(out *strings.Builder, text string) {
	const digits = "0123456789abcdef"
	out.WriteByte('"')
	for i := range len(text) {
		char := text[i]
		if at := strings.IndexByte("\"\\\b\f\n\r\t", char); at >= 0 {
			out.WriteByte('\\')
			out.WriteByte(`"\bfnrt`[at])
		} else if char < 0x20 {
			out.WriteString(`\u00`)
			out.WriteByte(digits[char>>4])
			out.WriteByte(digits[char&15])
		} else {
			out.WriteByte(char)
		}
	}
	out.WriteByte('"')
}

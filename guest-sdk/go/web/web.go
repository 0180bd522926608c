// Package web answers plain HTTP requests. Only the default handler of a server is asked, for what --static does not answer.
package web

import (
	"unsafe"

	"wsrun"
	"wsrun/internal/abi"
)

// Request is a plain HTTP request.
type Request struct {
	wsrun.Request
	Method string
	Body   []byte
}

// Response is the answer to it.
type Response struct {
	// Status is 200 to 599; 0 is 200.
	Status  int
	Headers []wsrun.Header
	Body    []byte
	// File is sent in place of the body: a file of the folder that the operator grants (--files DIR), by its path in it.
	File string
}

// Text is a response of plain text.
func Text(body string) Response {
	return of("text/plain; charset=utf-8", body)
}

// HTML is a page.
func HTML(body string) Response {
	return of("text/html; charset=utf-8", body)
}

// JSON is a response of JSON.
func JSON(body string) Response {
	return of("application/json", body)
}

// File is a file of the folder that the operator grants.
func File(path string) Response {
	return Response{File: path}
}

// WithStatus is the same with another status.
func (r Response) WithStatus(status int) Response {
	r.Status = status
	return r
}

// WithHeader is the same with one more field.
func (r Response) WithHeader(name, value string) Response {
	r.Headers = append(r.Headers[:len(r.Headers):len(r.Headers)], wsrun.Header{Name: name, Value: value})
	return r
}

func of(contentType, body string) Response {
	return Response{Headers: []wsrun.Header{{Name: "content-type", Value: contentType}}, Body: []byte(body)}
}

var handle func(*Request) Response

// Handle says who answers.
func Handle(requested func(*Request) Response) {
	handle = requested
}

// The parameters are too many to be passed one by one.
type parameters struct {
	method  abi.String
	request abi.Request
	body    abi.String
}

func onRequested(given unsafe.Pointer) unsafe.Pointer {
	defer abi.GiveBack()
	raw := (*parameters)(given)
	response := Response{Status: 404}
	if handle != nil {
		request := wsrun.RequestFrom(&raw.request)
		response = handle(&Request{*request, raw.method.Text(), raw.body.Bytes()})
	}
	if response.Status == 0 {
		response.Status = 200
	}
	answer := abi.New[abi.HttpResponse]()
	answer.Status = uint16(response.Status)
	answer.Headers = wsrun.HeadersTo(response.Headers)
	body := abi.As[abi.String](unsafe.Pointer(&answer.Body.Value))
	if response.File != "" {
		answer.Body.Tag = abi.HttpBodyFile
		*body = abi.Put(response.File)
	} else {
		answer.Body.Tag = abi.HttpBodyBytes
		*body = abi.PutBytes(response.Body)
	}
	return unsafe.Pointer(answer)
}

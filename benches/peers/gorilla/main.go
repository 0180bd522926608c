// Go's gorilla/websocket on net/http, as its examples have it: a goroutine for each connection, a write for each message.
package main

import (
	"log"
	"net/http"
	"os"
	"sync"

	"github.com/gorilla/websocket"
)

var upgrader = websocket.Upgrader{
	EnableCompression: os.Getenv("DEFLATE") == "1",
	CheckOrigin:       func(*http.Request) bool { return true },
}

// A connection may be written to by one goroutine at a time.
type client struct {
	mutex      sync.Mutex
	connection *websocket.Conn
}

var (
	clientsMutex sync.RWMutex
	clients      = map[*client]bool{}
)

func serve(w http.ResponseWriter, r *http.Request) {
	connection, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	self := &client{connection: connection}
	clientsMutex.Lock()
	clients[self] = true
	clientsMutex.Unlock()
	defer func() {
		clientsMutex.Lock()
		delete(clients, self)
		clientsMutex.Unlock()
		connection.Close()
	}()
	fan := os.Getenv("MODE") == "fan"
	for {
		kind, message, err := connection.ReadMessage()
		if err != nil {
			return
		}
		if fan {
			err = publish(kind, message)
		} else {
			err = connection.WriteMessage(kind, message)
		}
		if err != nil {
			return
		}
	}
}

func publish(kind int, message []byte) error {
	prepared, err := websocket.NewPreparedMessage(kind, message)
	if err != nil {
		return err
	}
	clientsMutex.RLock()
	defer clientsMutex.RUnlock()
	for client := range clients {
		client.mutex.Lock()
		_ = client.connection.WritePreparedMessage(prepared)
		client.mutex.Unlock()
	}
	return nil
}

func main() {
	http.HandleFunc("/", serve)
	address := "127.0.0.1:" + os.Getenv("PORT")
	if certificate := os.Getenv("TLS_CERT"); certificate != "" {
		log.Fatal(http.ListenAndServeTLS(address, certificate, os.Getenv("TLS_KEY"), nil))
	}
	log.Fatal(http.ListenAndServe(address, nil))
}

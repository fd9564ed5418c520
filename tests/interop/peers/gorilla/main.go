// gorilla/websocket: main client URL | main server
package main

import (
	"bytes"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

var texts = []string{"hello", "", "Grüße, 世界 🦀"}
var sizes = []int{0, 125, 126, 65535, 65536, 1 << 20}

func main() {
	if os.Args[1] == "server" {
		serve()
		return
	}
	exchange(os.Args[2])
	fragments(os.Args[2])
	beClosed(os.Args[2])
}

func exchange(url string) {
	ws, response := dial(url, 0)
	if ws.Subprotocol() == "chat" {
		fmt.Println("subprotocol")
	}
	if response.Header.Get("Sec-WebSocket-Extensions") != "" {
		fmt.Println("deflate")
	}

	for _, text := range texts {
		echoed(ws, websocket.TextMessage, []byte(text))
	}
	fmt.Println("text")

	for _, size := range sizes {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i * 31 % 251)
		}
		echoed(ws, websocket.BinaryMessage, data)
	}
	fmt.Println("binary")

	pong := ""
	ws.SetPongHandler(func(payload string) error { pong = payload; return nil })
	check(ws.WriteControl(websocket.PingMessage, []byte("are you there?"), time.Now().Add(time.Second)))
	// Reading the message also reads the pong before it.
	echoed(ws, websocket.TextMessage, nil)
	if pong != "are you there?" {
		log.Fatalf("pong %q", pong)
	}
	fmt.Println("ping")

	check(ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "bis später")))
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, 4001) {
		log.Fatal(err)
	}
	fmt.Println("close-sent")
}

// Messages larger than the write buffer are sent in fragments.
func fragments(url string) {
	ws, _ := dial(url, 5)
	ws.EnableWriteCompression(false)
	writer, err := ws.NextWriter(websocket.TextMessage)
	check(err)
	for _, character := range texts[2] {
		_, err := writer.Write(utf8.AppendRune(nil, character))
		check(err)
	}
	check(writer.Close())
	_, back, err := ws.ReadMessage()
	check(err)
	if string(back) != texts[2] {
		log.Fatalf("had %q", back)
	}
	fmt.Println("fragments")
	check(ws.Close())
}

func beClosed(url string) {
	ws, _ := dial(url, 0)
	check(ws.WriteMessage(websocket.TextMessage, []byte("close")))
	_, _, err := ws.ReadMessage()
	if closed, ok := err.(*websocket.CloseError); !ok || closed.Code != 4002 || closed.Text != "von drüben ✓" {
		log.Fatal(err)
	}

	// Exceeds the server's limit.
	ws, _ = dial(url, 0)
	check(ws.WriteMessage(websocket.BinaryMessage, make([]byte, 1<<20+1)))
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, 1009) {
		log.Fatal(err)
	}
	fmt.Println("close-received")
}

func dial(url string, writeBuffer int) (*websocket.Conn, *http.Response) {
	dialer := websocket.Dialer{Subprotocols: []string{"chat"}, EnableCompression: true, WriteBufferSize: writeBuffer}
	ws, response, err := dialer.Dial(url, nil)
	check(err)
	return ws, response
}

func echoed(ws *websocket.Conn, kind int, sent []byte) {
	check(ws.WriteMessage(kind, sent))
	backKind, back, err := ws.ReadMessage()
	check(err)
	if backKind != kind || !bytes.Equal(back, sent) {
		log.Fatalf("sent %.40q, had %.40q", sent, back)
	}
}

func serve() {
	upgrader := websocket.Upgrader{Subprotocols: []string{"chat"}, EnableCompression: true}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Printf("listening %d\n", listener.Addr().(*net.TCPAddr).Port)
	check(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		echo(ws)
	})))
}

func echo(ws *websocket.Conn) {
	for {
		kind, message, err := ws.ReadMessage()
		if closed, ok := err.(*websocket.CloseError); ok {
			fmt.Printf("closed %d %s\n", closed.Code, closed.Text)
		}
		if err != nil {
			return
		}
		if string(message) == "close" {
			kind, message = websocket.CloseMessage, websocket.FormatCloseMessage(4002, "von drüben ✓")
		}
		check(ws.WriteMessage(kind, message))
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

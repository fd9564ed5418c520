// System.Net.WebSockets, on Mono, as a client: Client.exe URL
using System;
using System.IO;
using System.Linq;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

static class Client
{
    static readonly string[] Texts = { "hello", "", "Grüße, 世界 🦀" };
    static readonly int[] Sizes = { 0, 125, 126, 65535, 65536, 1 << 20 };

    static void Main(string[] arguments)
    {
        Exchange(new Uri(arguments[0])).Wait();
        BeClosed(new Uri(arguments[0])).Wait();
    }

    static async Task Exchange(Uri url)
    {
        var ws = await Open(url);
        if (ws.SubProtocol == "chat") Console.WriteLine("subprotocol");

        foreach (var text in Texts)
        {
            await Send(ws, Encoding.UTF8.GetBytes(text), WebSocketMessageType.Text, true);
            await Expect(ws, Encoding.UTF8.GetBytes(text), WebSocketMessageType.Text);
        }
        Console.WriteLine("text");

        foreach (var size in Sizes)
        {
            var data = Enumerable.Range(0, size).Select(i => (byte)(i * 31 % 251)).ToArray();
            await Send(ws, data, WebSocketMessageType.Binary, true);
            await Expect(ws, data, WebSocketMessageType.Binary);
        }
        Console.WriteLine("binary");

        // Cut inside characters.
        var bytes = Encoding.UTF8.GetBytes(Texts[2]);
        foreach (var octet in bytes) await Send(ws, new[] { octet }, WebSocketMessageType.Text, false);
        await Send(ws, new byte[0], WebSocketMessageType.Text, true);
        await Expect(ws, bytes, WebSocketMessageType.Text);
        Console.WriteLine("fragments");

        await ws.CloseAsync((WebSocketCloseStatus)4001, "bis später", CancellationToken.None);
        if ((int)ws.CloseStatus != 4001) throw new Exception("closed with " + ws.CloseStatus);
        Console.WriteLine("close-sent");
    }

    static async Task BeClosed(Uri url)
    {
        var closed = await ClosedFor(url, Encoding.UTF8.GetBytes("close"), WebSocketMessageType.Text);
        if ((int)closed.CloseStatus != 4002 || closed.CloseStatusDescription != "von drüben ✓")
            throw new Exception("closed with " + closed.CloseStatus + " " + closed.CloseStatusDescription);
        // Exceeds the server's limit.
        closed = await ClosedFor(url, new byte[(1 << 20) + 1], WebSocketMessageType.Binary);
        if ((int)closed.CloseStatus != 1009) throw new Exception("closed with " + closed.CloseStatus);
        Console.WriteLine("close-received");
    }

    static async Task<WebSocketReceiveResult> ClosedFor(Uri url, byte[] message, WebSocketMessageType type)
    {
        var ws = await Open(url);
        await Send(ws, message, type, true);
        return await ws.ReceiveAsync(new ArraySegment<byte>(new byte[125]), CancellationToken.None);
    }

    static async Task<ClientWebSocket> Open(Uri url)
    {
        var ws = new ClientWebSocket();
        ws.Options.AddSubProtocol("chat");
        await ws.ConnectAsync(url, CancellationToken.None);
        return ws;
    }

    static Task Send(WebSocket ws, byte[] data, WebSocketMessageType type, bool end)
    {
        return ws.SendAsync(new ArraySegment<byte>(data), type, end, CancellationToken.None);
    }

    static async Task Expect(WebSocket ws, byte[] sent, WebSocketMessageType type)
    {
        var back = new MemoryStream();
        var buffer = new ArraySegment<byte>(new byte[16 << 10]);
        WebSocketReceiveResult result;
        do
        {
            result = await ws.ReceiveAsync(buffer, CancellationToken.None);
            back.Write(buffer.Array, 0, result.Count);
        } while (!result.EndOfMessage);
        if (result.MessageType != type || !back.ToArray().SequenceEqual(sent)) throw new Exception("not what was sent");
    }
}

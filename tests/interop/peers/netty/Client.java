// Netty as a client: Client.java URL
import io.netty.bootstrap.Bootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.*;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.handler.codec.http.HttpClientCodec;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.websocketx.*;
import io.netty.handler.codec.http.websocketx.WebSocketClientProtocolHandler.ClientHandshakeStateEvent;
import io.netty.handler.codec.http.websocketx.extensions.compression.WebSocketClientCompressionHandler;
import java.net.URI;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

public class Client extends SimpleChannelInboundHandler<WebSocketFrame> {
    static final List<String> TEXTS = List.of("hello", "", "Grüße, 世界 🦀");
    static final List<Integer> SIZES = List.of(0, 125, 126, 65535, 65536, 1 << 20);
    static final EventLoopGroup LOOPS = new NioEventLoopGroup(1);

    final BlockingQueue<Object> received = new LinkedBlockingQueue<>();

    public static void main(String[] arguments) throws Exception {
        URI url = URI.create(arguments[0]);
        try {
            exchange(url);
            beClosed(url);
        } finally {
            LOOPS.shutdownGracefully(0, 1, TimeUnit.SECONDS);
        }
    }

    static void exchange(URI url) throws Exception {
        Client client = new Client();
        Channel channel = client.open(url);
        WebSocketClientProtocolHandler handler = channel.pipeline().get(WebSocketClientProtocolHandler.class);
        if ("chat".equals(handler.handshaker().actualSubprotocol())) System.out.println("subprotocol");
        if (channel.pipeline().names().toString().contains("PerMessageDeflateDecoder")) System.out.println("deflate");

        for (String text : TEXTS) {
            channel.writeAndFlush(new TextWebSocketFrame(text)).sync();
            client.expect(text);
        }
        System.out.println("text");

        for (int size : SIZES) {
            ByteBuf data = Unpooled.buffer(size);
            for (int i = 0; i < size; i++) data.writeByte(i * 31 % 251);
            channel.writeAndFlush(new BinaryWebSocketFrame(data.copy())).sync();
            client.expect(data);
        }
        System.out.println("binary");

        String whole = TEXTS.get(2);
        channel.write(new TextWebSocketFrame(false, 0, whole.substring(0, 3)));
        channel.write(new ContinuationWebSocketFrame(false, 0, whole.substring(3, 8)));
        channel.writeAndFlush(new ContinuationWebSocketFrame(true, 0, whole.substring(8))).sync();
        client.expect(whole);
        System.out.println("fragments");

        ByteBuf payload = Unpooled.copiedBuffer("are you there?".getBytes());
        channel.writeAndFlush(new PingWebSocketFrame(payload.copy())).sync();
        client.expect(payload);
        System.out.println("ping");

        channel.writeAndFlush(new CloseWebSocketFrame(4001, "bis später")).sync();
        client.expect("closed 4001");
        System.out.println("close-sent");
    }

    static void beClosed(URI url) throws Exception {
        Client client = new Client();
        client.open(url).writeAndFlush(new TextWebSocketFrame("close"));
        client.expect("closed 4002 von drüben ✓");

        // Exceeds the server's limit.
        client = new Client();
        client.open(url).writeAndFlush(new BinaryWebSocketFrame(Unpooled.buffer().writeZero((1 << 20) + 1)));
        client.expect("closed 1009");
        System.out.println("close-received");
    }

    Channel open(URI url) throws Exception {
        WebSocketClientProtocolConfig config = WebSocketClientProtocolConfig.newBuilder()
            .webSocketUri(url)
            .subprotocol("chat")
            .allowExtensions(true)
            .maxFramePayloadLength(2 << 20)
            .handleCloseFrames(false)
            .dropPongFrames(false)
            .build();
        Bootstrap bootstrap = new Bootstrap().group(LOOPS).channel(NioSocketChannel.class);
        bootstrap.handler(new ChannelInitializer<SocketChannel>() {
            @Override
            protected void initChannel(SocketChannel channel) {
                channel.pipeline().addLast(
                    new HttpClientCodec(), new HttpObjectAggregator(8192), WebSocketClientCompressionHandler.INSTANCE,
                    new WebSocketClientProtocolHandler(config), new WebSocketFrameAggregator(2 << 20), Client.this);
            }
        });
        Channel channel = bootstrap.connect(url.getHost(), url.getPort()).sync().channel();
        expect(ClientHandshakeStateEvent.HANDSHAKE_COMPLETE);
        return channel;
    }

    void expect(Object sent) throws InterruptedException {
        Object back = received.poll(10, TimeUnit.SECONDS);
        if (!sent.equals(back)) throw new AssertionError("sent " + sent + ", had " + back);
    }

    @Override
    public void userEventTriggered(ChannelHandlerContext context, Object event) {
        if (event == ClientHandshakeStateEvent.HANDSHAKE_COMPLETE) received.add(event);
    }

    @Override
    protected void channelRead0(ChannelHandlerContext context, WebSocketFrame frame) {
        if (frame instanceof TextWebSocketFrame text) received.add(text.text());
        else if (frame instanceof CloseWebSocketFrame close) received.add(closed(close));
        else received.add(frame.content().copy());
    }

    static String closed(CloseWebSocketFrame close) {
        return ("closed " + close.statusCode() + " " + close.reasonText()).strip();
    }
}

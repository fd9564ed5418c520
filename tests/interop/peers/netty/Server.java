// Netty as an echo server: Server.java
import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.*;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.websocketx.*;
import io.netty.handler.codec.http.websocketx.extensions.compression.WebSocketServerCompressionHandler;
import java.net.InetSocketAddress;

public class Server extends ChannelInitializer<SocketChannel> {
    static final WebSocketServerProtocolConfig CONFIG = WebSocketServerProtocolConfig.newBuilder()
        .websocketPath("/")
        .subprotocols("chat")
        .allowExtensions(true)
        .maxFramePayloadLength(2 << 20)
        .handleCloseFrames(false)
        .build();

    public static void main(String[] arguments) throws Exception {
        ServerBootstrap bootstrap = new ServerBootstrap()
            .group(new NioEventLoopGroup(1))
            .channel(NioServerSocketChannel.class)
            .childHandler(new Server());
        Channel channel = bootstrap.bind("127.0.0.1", 0).sync().channel();
        System.out.println("listening " + ((InetSocketAddress) channel.localAddress()).getPort());
        channel.closeFuture().sync();
    }

    @Override
    protected void initChannel(SocketChannel channel) {
        channel.pipeline().addLast(
            new HttpServerCodec(), new HttpObjectAggregator(8192), new WebSocketServerCompressionHandler(),
            new WebSocketServerProtocolHandler(CONFIG), new WebSocketFrameAggregator(2 << 20), new Echo());
    }

    static class Echo extends SimpleChannelInboundHandler<WebSocketFrame> {
        boolean closing = false;

        @Override
        protected void channelRead0(ChannelHandlerContext context, WebSocketFrame frame) {
            if (frame instanceof CloseWebSocketFrame close) {
                System.out.println("closed " + close.statusCode() + " " + close.reasonText());
                if (closing) context.close();
                else context.writeAndFlush(close.retain()).addListener(ChannelFutureListener.CLOSE);
            } else if (frame instanceof TextWebSocketFrame text && text.text().equals("close")) {
                closing = true;
                context.writeAndFlush(new CloseWebSocketFrame(4002, "von drüben ✓"));
            } else {
                context.writeAndFlush(frame.retain());
            }
        }
    }
}

// Tomcat's client, by the jakarta.websocket API: Client.java URL
import jakarta.websocket.*;
import jakarta.websocket.CloseReason.CloseCodes;
import java.io.IOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

public class Client extends Endpoint {
    static final List<String> TEXTS = List.of("hello", "", "Grüße, 世界 🦀");
    static final List<Integer> SIZES = List.of(0, 125, 126, 65535, 65536, 1 << 20);

    final BlockingQueue<Object> received = new LinkedBlockingQueue<>();

    public static void main(String[] arguments) throws Exception {
        URI url = URI.create(arguments[0]);
        exchange(url);
        beClosed(url);
        System.exit(0);
    }

    static void exchange(URI url) throws Exception {
        Client client = new Client();
        Session session = client.open(url);
        RemoteEndpoint.Basic remote = session.getBasicRemote();
        if (session.getNegotiatedSubprotocol().equals("chat")) System.out.println("subprotocol");
        for (Extension extension : session.getNegotiatedExtensions()) {
            if (extension.getName().equals("permessage-deflate")) System.out.println("deflate");
        }

        for (String text : TEXTS) {
            remote.sendText(text);
            client.expect(text);
        }
        System.out.println("text");

        for (int size : SIZES) {
            byte[] data = new byte[size];
            for (int i = 0; i < size; i++) data[i] = (byte) (i * 31 % 251);
            remote.sendBinary(ByteBuffer.wrap(data));
            client.expect(ByteBuffer.wrap(data));
        }
        System.out.println("binary");

        for (int character : TEXTS.get(2).codePoints().toArray()) remote.sendText(Character.toString(character), false);
        remote.sendText("", true);
        client.expect(TEXTS.get(2));
        System.out.println("fragments");

        ByteBuffer payload = ByteBuffer.wrap("are you there?".getBytes());
        remote.sendPing(payload.duplicate());
        client.expect(payload);
        System.out.println("ping");

        session.close(new CloseReason(CloseCodes.getCloseCode(4001), "bis später"));
        // The code and reason of its own Close: it does not report those of the answer.
        client.expect("closed 4001 bis später");
        System.out.println("close-sent");
    }

    static void beClosed(URI url) throws Exception {
        Client client = new Client();
        client.open(url).getBasicRemote().sendText("close");
        client.expect("closed 4002 von drüben ✓");

        // Exceeds the server's limit.
        client = new Client();
        Session session = client.open(url);
        try {
            session.getBasicRemote().sendBinary(ByteBuffer.allocate((1 << 20) + 1));
        } catch (IOException closed) {
            // The server may close before it has read everything.
        }
        client.expect("closed 1009");
        System.out.println("close-received");
    }

    Session open(URI url) throws Exception {
        WebSocketContainer container = ContainerProvider.getWebSocketContainer();
        container.setDefaultMaxBinaryMessageBufferSize(2 << 20);
        ClientEndpointConfig config = ClientEndpointConfig.Builder.create()
            .preferredSubprotocols(List.of("chat"))
            .extensions(List.of(new Deflate()))
            .build();
        return container.connectToServer(this, config, url);
    }

    record Deflate() implements Extension {
        public String getName() { return "permessage-deflate"; }
        public List<Extension.Parameter> getParameters() { return List.of(); }
    }

    void expect(Object sent) throws InterruptedException {
        Object back = received.poll(10, TimeUnit.SECONDS);
        if (!sent.equals(back)) throw new AssertionError("sent " + sent + ", had " + back);
    }

    @Override
    public void onOpen(Session session, EndpointConfig config) {
        session.addMessageHandler(String.class, received::add);
        session.addMessageHandler(ByteBuffer.class, data -> received.add(copy(data)));
        session.addMessageHandler(PongMessage.class, pong -> received.add(copy(pong.getApplicationData())));
    }

    @Override
    public void onClose(Session session, CloseReason reason) {
        // The reason is null if it is empty.
        String phrase = reason.getReasonPhrase() == null ? "" : " " + reason.getReasonPhrase();
        received.add("closed " + reason.getCloseCode().getCode() + phrase);
    }

    // The buffer belongs to the container.
    static ByteBuffer copy(ByteBuffer data) {
        return ByteBuffer.allocate(data.remaining()).put(data).flip();
    }
}

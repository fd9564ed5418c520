// Tomcat as an echo server, by the jakarta.websocket API: Server.java
import jakarta.websocket.*;
import jakarta.websocket.CloseReason.CloseCodes;
import jakarta.websocket.server.ServerContainer;
import jakarta.websocket.server.ServerEndpoint;
import jakarta.servlet.ServletException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.websocket.server.WsSci;

public class Server {
    public static void main(String[] arguments) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(Files.createTempDirectory("tomcat").toString());
        tomcat.setPort(0);
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        Context context = tomcat.addContext("", null);
        context.setParentClassLoader(Server.class.getClassLoader());
        Tomcat.addServlet(context, "default", "org.apache.catalina.servlets.DefaultServlet");
        context.addServletMappingDecoded("/", "default");
        context.addServletContainerInitializer(new WsSci(), null);
        context.addServletContainerInitializer((classes, servlets) -> {
            try {
                ((ServerContainer) servlets.getAttribute(ServerContainer.class.getName())).addEndpoint(Echo.class);
            } catch (DeploymentException error) {
                throw new ServletException(error);
            }
        }, null);
        tomcat.start();
        System.out.println("listening " + tomcat.getConnector().getLocalPort());
        tomcat.getServer().await();
    }

    @ServerEndpoint(value = "/", subprotocols = "chat")
    public static class Echo {
        @OnOpen
        public void open(Session session) {
            session.setMaxBinaryMessageBufferSize(2 << 20);
        }

        @OnMessage
        public void text(Session session, String text) throws IOException {
            if (text.equals("close")) session.close(new CloseReason(CloseCodes.getCloseCode(4002), "von drüben ✓"));
            else session.getBasicRemote().sendText(text);
        }

        @OnMessage
        public void binary(Session session, ByteBuffer data) throws IOException {
            session.getBasicRemote().sendBinary(data);
        }

        @OnClose
        public void close(CloseReason reason) {
            System.out.println("closed " + reason.getCloseCode().getCode() + " " + reason.getReasonPhrase());
        }
    }
}

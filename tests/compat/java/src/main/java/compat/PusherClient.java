package compat;

import static compat.Lines.done;
import static compat.Lines.text;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.pusher.client.Pusher;
import com.pusher.client.PusherOptions;
import com.pusher.client.channel.PresenceChannelEventListener;
import com.pusher.client.channel.PrivateEncryptedChannelEventListener;
import com.pusher.client.channel.PusherEvent;
import com.pusher.client.channel.User;
import com.pusher.client.connection.ConnectionEventListener;
import com.pusher.client.connection.ConnectionState;
import com.pusher.client.connection.ConnectionStateChange;
import com.pusher.client.util.HttpChannelAuthorizer;
import com.pusher.client.util.HttpUserAuthenticator;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;

/** Runs stock pusher-java-client. */
final class PusherClient {
    private final Map<String, Pusher> clients = new ConcurrentHashMap<>();

    void run() throws Exception {
        Lines.serve(this::act);
    }

    private CompletableFuture<JsonElement> act(String what, JsonObject ask) {
        String name = text(ask, "client");
        if (what.equals("new")) {
            clients.put(name, create(ask));
            return done();
        }
        Pusher client = clients.get(name);
        String channel = text(ask, "channel");
        switch (what) {
            case "connect" -> client.connect(new Connection(name, client), ConnectionState.ALL);
            case "disconnect" -> client.disconnect();
            case "subscribe" -> subscribe(client, name, channel);
            case "unsubscribe" -> client.unsubscribe(channel);
            case "signin" -> {
                client.user().bindGlobal(new Events(name, "#user"));
                client.signin();
            }
            case "trigger" -> {
                String data = Lines.GSON.toJson(ask.get("data"));
                if (channel.startsWith("presence-")) client.getPresenceChannel(channel).trigger(text(ask, "name"), data);
                else client.getPrivateChannel(channel).trigger(text(ask, "name"), data);
            }
            default -> throw new IllegalArgumentException("unknown command " + what);
        }
        return done();
    }

    private static Pusher create(JsonObject ask) {
        int port = ask.get("port").getAsInt();
        PusherOptions options = new PusherOptions()
            .setUseTLS(false)
            .setHost(text(ask, "host"))
            .setWsPort(port)
            .setChannelAuthorizer(new HttpChannelAuthorizer(text(ask, "authUrl")))
            .setUserAuthenticator(new HttpUserAuthenticator(text(ask, "userUrl")))
            .setMaxReconnectGapInSeconds(1)
            .setMaxReconnectionAttempts(50);
        return new Pusher(text(ask, "key"), options);
    }

    private static void subscribe(Pusher client, String name, String channel) {
        Events events = new Events(name, channel);
        if (channel.startsWith("presence-")) {
            client.subscribePresence(channel, events).bindGlobal(events);
        } else if (channel.startsWith("private-encrypted-")) {
            client.subscribePrivateEncrypted(channel, events).bindGlobal(events);
        } else if (channel.startsWith("private-")) {
            client.subscribePrivate(channel, events).bindGlobal(events);
        } else {
            client.subscribe(channel, events).bindGlobal(events);
        }
    }

    private static void tell(String client, String event, JsonObject said) {
        said.addProperty("client", client);
        said.addProperty("event", event);
        Lines.say(said);
    }

    /** Says what a connection is told. */
    private record Connection(String name, Pusher client) implements ConnectionEventListener {
        @Override
        public void onConnectionStateChange(ConnectionStateChange change) {
            JsonObject said = new JsonObject();
            if (change.getCurrentState() == ConnectionState.CONNECTED) {
                said.addProperty("id", client.getConnection().getSocketId());
            }
            tell(name, change.getCurrentState().name().toLowerCase(), said);
        }

        @Override
        public void onError(String message, String code, Exception error) {
            JsonObject said = new JsonObject();
            said.addProperty("code", code);
            said.addProperty("message", message);
            tell(name, "error", said);
        }
    }

    /** Says what a channel is told. */
    private record Events(String name, String channel)
        implements PresenceChannelEventListener, PrivateEncryptedChannelEventListener {
        private void event(String event, String data, String user) {
            JsonObject said = new JsonObject();
            said.addProperty("channel", channel);
            said.addProperty("name", event);
            said.addProperty("data", data);
            if (user != null) said.addProperty("user", user);
            tell(name, "event", said);
        }

        @Override
        public void onEvent(PusherEvent event) {
            event(event.getEventName(), event.getData(), event.getUserId());
        }

        @Override
        public void onSubscriptionSucceeded(String channelName) {
            event("subscribed", null, null);
        }

        @Override
        public void onAuthenticationFailure(String message, Exception error) {
            event("refused", message, null);
        }

        @Override
        public void onDecryptionFailure(String event, String reason) {
            event("undeciphered", reason, null);
        }

        @Override
        public void onUsersInformationReceived(String channelName, Set<User> users) {
            event("members", Lines.GSON.toJson(users.stream().map(User::getId).sorted().toList()), null);
        }

        @Override
        public void userSubscribed(String channelName, User user) {
            event("member_added", user.getInfo(), user.getId());
        }

        @Override
        public void userUnsubscribed(String channelName, User user) {
            event("member_removed", null, user.getId());
        }
    }
}

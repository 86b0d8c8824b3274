package compat;

import static compat.Lines.bytes;
import static compat.Lines.done;
import static compat.Lines.flag;
import static compat.Lines.json;
import static compat.Lines.text;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.github.centrifugal.centrifuge.Client;
import io.github.centrifugal.centrifuge.ClientInfo;
import io.github.centrifugal.centrifuge.ConnectionTokenEvent;
import io.github.centrifugal.centrifuge.ConnectionTokenGetter;
import io.github.centrifugal.centrifuge.HistoryOptions;
import io.github.centrifugal.centrifuge.HistoryResult;
import io.github.centrifugal.centrifuge.Options;
import io.github.centrifugal.centrifuge.PresenceResult;
import io.github.centrifugal.centrifuge.PresenceStatsResult;
import io.github.centrifugal.centrifuge.Publication;
import io.github.centrifugal.centrifuge.PublishResult;
import io.github.centrifugal.centrifuge.RPCResult;
import io.github.centrifugal.centrifuge.ReplyError;
import io.github.centrifugal.centrifuge.ResultCallback;
import io.github.centrifugal.centrifuge.StreamPosition;
import io.github.centrifugal.centrifuge.Subscription;
import io.github.centrifugal.centrifuge.SubscriptionOptions;
import io.github.centrifugal.centrifuge.SubscriptionTokenEvent;
import io.github.centrifugal.centrifuge.SubscriptionTokenGetter;
import io.github.centrifugal.centrifuge.TokenCallback;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;

/** Runs stock centrifuge-java, which speaks Protobuf alone. */
final class CentrifugeClient {
    private final Map<String, Client> clients = new ConcurrentHashMap<>();

    void run() throws Exception {
        Lines.serve(this::act);
    }

    private CompletableFuture<JsonElement> act(String what, JsonObject ask) throws Exception {
        if (what.equals("new")) {
            clients.put(text(ask, "client"), create(ask));
            return done();
        }
        Client client = clients.get(text(ask, "client"));
        String channel = text(ask, "channel");
        switch (what) {
            case "connect" -> client.connect();
            case "disconnect" -> client.disconnect();
            case "subscribe" -> subscribe(client, channel, ask);
            case "unsubscribe" -> client.getSubscription(channel).unsubscribe();
            default -> {
                return asked(client, what, channel, ask);
            }
        }
        return done();
    }

    /** What the server answers. */
    private CompletableFuture<JsonElement> asked(Client client, String what, String channel, JsonObject ask) {
        return switch (what) {
            case "publish" -> CentrifugeClient.<PublishResult>future(then -> client.publish(channel, bytes(ask.get("data")), then), result -> null);
            case "rpc" -> CentrifugeClient.<RPCResult>future(
                then -> client.rpc(text(ask, "method"), bytes(ask.get("data")), then),
                result -> of("data", json(result.getData())));
            case "presence" -> CentrifugeClient.<PresenceResult>future(then -> client.presence(channel, then), result -> {
                JsonObject users = new JsonObject();
                result.getClients().forEach((id, info) -> users.addProperty(id, info.getUser()));
                return of("users", users);
            });
            case "stats" -> CentrifugeClient.<PresenceStatsResult>future(then -> client.presenceStats(channel, then), result -> {
                JsonObject said = new JsonObject();
                said.addProperty("clients", result.getNumClients());
                said.addProperty("users", result.getNumUsers());
                return said;
            });
            case "history" -> CentrifugeClient.<HistoryResult>future(then -> client.history(channel, history(ask), then), result -> {
                JsonArray publications = new JsonArray();
                for (Publication one : result.getPublications()) {
                    publications.add(publication(one.getData(), one.getOffset(), one.getInfo(), null));
                }
                JsonObject said = of("publications", publications);
                said.addProperty("offset", result.getOffset());
                said.addProperty("epoch", result.getEpoch());
                return said;
            });
            default -> throw new IllegalArgumentException("unknown command " + what);
        };
    }

    private interface Call<R> {
        void make(ResultCallback<R> then);
    }

    private static <R> CompletableFuture<JsonElement> future(Call<R> call, Function<R, JsonElement> said) {
        CompletableFuture<JsonElement> future = new CompletableFuture<>();
        call.make((error, result) -> {
            if (error instanceof ReplyError reply) {
                future.completeExceptionally(new Lines.Failure(reply.getCode(), reply.getMessage()));
            } else if (error != null) {
                future.completeExceptionally(error);
            } else {
                future.complete(said.apply(result));
            }
        });
        return future;
    }

    private static HistoryOptions history(JsonObject ask) {
        HistoryOptions.Builder options = new HistoryOptions.Builder()
            .withLimit(ask.has("limit") ? ask.get("limit").getAsInt() : 0)
            .withReverse(flag(ask, "reverse"));
        if (ask.has("since")) {
            JsonObject since = ask.getAsJsonObject("since");
            options.withSince(new StreamPosition(since.get("offset").getAsLong(), text(since, "epoch")));
        }
        return options.build();
    }

    static JsonObject of(String name, JsonElement value) {
        JsonObject object = new JsonObject();
        object.add(name, value);
        return object;
    }

    static JsonObject publication(byte[] data, long offset, ClientInfo info, Map<String, String> tags) {
        JsonObject said = of("data", json(data));
        said.addProperty("offset", offset);
        said.add("tags", Lines.GSON.toJsonTree(tags == null ? Map.of() : tags));
        if (info != null) said.addProperty("user", info.getUser());
        return said;
    }

    /** Gives one token after the other, the last one for ever. */
    private static Runnable tokens(JsonObject ask, ClientEvents events, String channel, TokenCallback[] waiting) {
        Deque<String> left = new ArrayDeque<>();
        ask.getAsJsonArray("tokens").forEach(token -> left.add(token.getAsString()));
        return () -> {
            events.tell("token", channel, new JsonObject());
            waiting[0].Done(null, left.size() > 1 ? left.poll() : left.peek());
        };
    }

    private static Client create(JsonObject ask) {
        ClientEvents events = new ClientEvents(text(ask, "client"));
        Options options = new Options();
        if (ask.has("token")) options.setToken(text(ask, "token"));
        if (ask.has("name")) options.setName(text(ask, "name"));
        options.setMinReconnectDelay(100);
        options.setMaxReconnectDelay(1000);
        if (ask.has("tokens")) {
            TokenCallback[] waiting = new TokenCallback[1];
            Runnable give = tokens(ask, events, null, waiting);
            options.setTokenGetter(new ConnectionTokenGetter() {
                @Override
                public void getConnectionToken(ConnectionTokenEvent event, TokenCallback then) {
                    waiting[0] = then;
                    give.run();
                }
            });
        }
        return new Client(text(ask, "url"), options, events);
    }

    private static void subscribe(Client client, String channel, JsonObject ask) throws Exception {
        Subscription there = client.getSubscription(channel);
        if (there != null) {
            there.subscribe();
            return;
        }
        ClientEvents events = new ClientEvents(text(ask, "client"));
        SubscriptionOptions options = new SubscriptionOptions();
        if (ask.has("token")) options.setToken(text(ask, "token"));
        options.setRecoverable(flag(ask, "recoverable"));
        options.setPositioned(flag(ask, "positioned"));
        options.setJoinLeave(flag(ask, "joinLeave"));
        options.setMinResubscribeDelay(100);
        options.setMaxResubscribeDelay(1000);
        if (ask.has("tokens")) {
            TokenCallback[] waiting = new TokenCallback[1];
            Runnable give = tokens(ask, events, channel, waiting);
            options.setTokenGetter(new SubscriptionTokenGetter() {
                @Override
                public void getSubscriptionToken(SubscriptionTokenEvent event, TokenCallback then) {
                    waiting[0] = then;
                    give.run();
                }
            });
        }
        client.newSubscription(channel, options, new SubscriptionEvents(events, channel)).subscribe();
    }
}

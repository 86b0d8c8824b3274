package compat;

import static compat.Lines.done;
import static compat.Lines.text;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.pusher.rest.Pusher;
import com.pusher.rest.data.Event;
import com.pusher.rest.data.PresenceUser;
import com.pusher.rest.data.Result;
import com.pusher.rest.data.Validity;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** Runs the stock Pusher server SDK for Java. */
final class PusherServer {
    private Pusher pusher;

    void run() throws Exception {
        Lines.serve(this::act);
    }

    private CompletableFuture<JsonElement> act(String what, JsonObject ask) throws Exception {
        String channel = text(ask, "channel");
        return switch (what) {
            case "new" -> {
                pusher = new Pusher(text(ask, "app"), text(ask, "key"), text(ask, "secret"), text(ask, "masterKey"));
                pusher.setHost(text(ask, "host") + ":" + text(ask, "port"));
                yield done();
            }
            case "trigger" -> said(trigger(ask));
            case "batch" -> said(pusher.trigger(events(ask)));
            case "channels" -> said(pusher.get("/channels", query(ask)));
            case "channel" -> said(pusher.get("/channels/" + channel, query(ask)));
            case "users" -> said(pusher.get("/channels/" + channel + "/users"));
            case "terminate" -> said(pusher.post("/users/" + text(ask, "user") + "/terminate_connections", "{}"));
            case "authorize" -> done(JsonParser.parseString(authorize(channel, ask)));
            case "webhook" -> {
                Validity found = pusher.validateWebhookSignature(
                    text(ask, "key"), text(ask, "signature"), text(ask, "body"));
                JsonObject result = new JsonObject();
                result.addProperty("valid", found == Validity.VALID);
                result.add("events", JsonParser.parseString(text(ask, "body")).getAsJsonObject().get("events"));
                yield done(result);
            }
            default -> throw new IllegalArgumentException("unknown command " + what);
        };
    }

    private static CompletableFuture<JsonElement> said(Result result) throws Lines.Failure {
        if (result.getStatus() != Result.Status.SUCCESS) {
            throw new Lines.Failure(result.getHttpStatus() == null ? 0 : result.getHttpStatus(), result.getMessage());
        }
        return done(JsonParser.parseString(result.getMessage()));
    }

    private Result trigger(JsonObject ask) {
        List<String> channels = new ArrayList<>();
        ask.getAsJsonArray("channels").forEach(one -> channels.add(one.getAsString()));
        Object data = Lines.GSON.fromJson(ask.get("data"), Object.class);
        return ask.has("socket")
            ? pusher.trigger(channels, text(ask, "name"), data, text(ask, "socket"))
            : pusher.trigger(channels, text(ask, "name"), data);
    }

    private static List<Event> events(JsonObject ask) {
        List<Event> events = new ArrayList<>();
        for (JsonElement one : ask.getAsJsonArray("events")) {
            JsonObject event = one.getAsJsonObject();
            Object data = Lines.GSON.fromJson(event.get("data"), Object.class);
            events.add(new Event(text(event, "channel"), text(event, "name"), data));
        }
        return events;
    }

    private static Map<String, String> query(JsonObject ask) {
        Map<String, String> query = new HashMap<>();
        if (ask.has("prefix")) query.put("filter_by_prefix", text(ask, "prefix"));
        if (ask.has("info")) {
            List<String> info = new ArrayList<>();
            ask.getAsJsonArray("info").forEach(one -> info.add(one.getAsString()));
            if (!info.isEmpty()) query.put("info", String.join(",", info));
        }
        return query;
    }

    private String authorize(String channel, JsonObject ask) {
        if (!ask.has("member")) return pusher.authenticate(text(ask, "socket"), channel);
        JsonObject member = ask.getAsJsonObject("member");
        Object info = Lines.GSON.fromJson(member.get("user_info"), Object.class);
        return pusher.authenticate(text(ask, "socket"), channel, new PresenceUser(text(member, "user_id"), info));
    }
}
